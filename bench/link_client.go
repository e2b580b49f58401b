package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// linkConfig is how the proxy on the server's side is spoken to by a member of its mesh that is
// not a proxy.
type linkConfig struct {
	Addr          string
	Cert, Key, CA string // PEM files
	ALPN          string
	// Fields are sent with each request, beside those of HTTP.
	Fields [][2]string
}

// tlsConfig gives the settings: TLS 1.3, both sides with certificates of one root. Names are not
// looked at, for in a mesh they are identities and each peer has its own form.
func (c linkConfig) tlsConfig() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", c.CA)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{c.ALPN},
		CurvePreferences:   []tls.CurveID{tls.CurveP256},
		InsecureSkipVerify: true, //nolint:gosec // the chain is checked below, without the name
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
			return err
		},
	}, nil
}

// HTTP/2 frames (RFC 9113, section 6) as far as they are needed.
const (
	frameData     = 0
	frameHeaders  = 1
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7

	flagAck        = 1
	flagEndStream  = 1
	flagEndHeaders = 4

	statusOK = 0x88 // ":status: 200", the first field of a head (RFC 7541, appendix A)
)

// link is one connection that speaks just enough HTTP/2 to ask for the small body. Its reader
// answers PING and SETTINGS, so that it stays.
type link struct {
	c       *tls.Conn
	request []byte // the header block
	mu      sync.Mutex
	next    uint32 // stream
	answers chan error
}

// openLink makes the TLS connection and begins to speak. Close ends it.
func openLink(ctx context.Context, c linkConfig, t *tls.Config) (*link, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{}, Config: t}
	conn, err := d.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, err
	}
	l := &link{c: conn.(*tls.Conn), next: 1, answers: make(chan error, 1)} //nolint:forcetypeassert // what a tls.Dialer gives
	if p := l.c.ConnectionState().NegotiatedProtocol; p != c.ALPN {
		_ = l.c.Close()
		return nil, fmt.Errorf("the peer speaks %q, want %q", p, c.ALPN)
	}
	text := func(s string) []byte { return append([]byte{byte(len(s))}, s...) } // shorter than 127, no Huffman
	l.request = append(l.request, 0x82, 0x86)                                   // GET, http
	l.request = append(append(l.request, 0x04), text("/"+string(bodySmall))...) // :path
	l.request = append(append(l.request, 0x01), text("app.bench")...)           // :authority
	for _, f := range c.Fields {
		l.request = append(append(append(l.request, 0), text(f[0])...), text(f[1])...)
	}
	if err := l.write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(frameSettings, 0, 0, nil)); err != nil {
		_ = l.c.Close()
		return nil, err
	}
	go l.read()
	return l, nil
}

// close ends the connection and its reader, and waits for that.
func (l *link) close() {
	_ = l.c.NetConn().Close()
	for range l.answers { // the reader closes it
	}
}

// ask sends a request and waits for the whole answer.
func (l *link) ask(ctx context.Context) error {
	l.mu.Lock()
	id := l.next
	l.next += 2
	l.mu.Unlock()
	if err := l.write(frame(frameHeaders, flagEndStream|flagEndHeaders, id, l.request)); err != nil {
		return err
	}
	select {
	case err, ok := <-l.answers:
		if !ok {
			return errClosed
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *link) write(parts ...[]byte) error {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.c.Write(b)
	return err
}

// read takes frames until the connection ends. Each complete answer is a value in answers.
func (l *link) read() {
	defer close(l.answers)
	r := bufio.NewReaderSize(l.c, 1<<10)
	var body int
	var ok bool
	for {
		kind, flags, payload, err := readFrame(r)
		if err != nil {
			return
		}
		switch kind {
		case frameSettings, framePing:
			if flags&flagAck == 0 {
				if kind == frameSettings {
					payload = nil
				}
				if l.write(frame(kind, flagAck, 0, payload)) != nil {
					return
				}
			}
		case frameGoAway:
			return
		case frameHeaders:
			for len(payload) > 0 && payload[0]&0xe0 == 0x20 { // a change of the table's size; small ones are a byte
				payload = payload[1:]
			}
			ok = len(payload) > 0 && payload[0] == statusOK
		case frameData:
			body += len(payload)
		}
		if (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0 {
			var err error
			if !ok || body != smallBytes {
				err = fmt.Errorf("answered with %d bytes, status 200: %v", body, ok)
			}
			l.answers <- err
			body, ok = 0, false
		}
	}
}

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// readFrame reads one frame of at most the size that every peer keeps to unless told otherwise.
func readFrame(r *bufio.Reader) (kind, flags byte, payload []byte, err error) {
	var h [9]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, nil, err
	}
	n := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
	if n > 16<<10 {
		return 0, 0, nil, errors.New("a frame of more than 16 KiB")
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return h[3], h[4], payload, err
}
