//go:build linux

package attack

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/weft-mesh/weft/identity"
)

// h2received is one request as it reached an HTTP/2 backend.
type h2received struct {
	method, path string
	fields       [][2]string // with pseudo-fields, in their order
	trailers     [][2]string
	body         string
	complete     bool
	over         bool // answered, reset or lost
}

func (r *h2received) String() string {
	return fmt.Sprintf("%v, body %q, trailers %v, complete %v", r.fields, r.body, r.trailers, r.complete)
}

func (r *h2received) field(name string) string {
	var out []string
	for _, f := range r.fields {
		if f[0] == name {
			out = append(out, f[1])
		}
	}
	return strings.Join(out, "|")
}

// h2backend is an HTTP/2 application that records what it gets. It answers with method and path,
// except below /hold, where it never answers.
type h2backend struct {
	*server

	mu           sync.Mutex // guards what follows
	got          []*h2received
	active, most int // requests under way
}

// server accepts connections until it is closed.
type server struct {
	ln     net.Listener
	wg     sync.WaitGroup
	mu     sync.Mutex // guards what follows
	open   map[net.Conn]bool
	closed bool
}

func newServer(t testing.TB, serve func(net.Conn)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{ln: ln, open: map[net.Conn]bool{}}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			if s.closed {
				c.Close()
			} else {
				s.open[c] = true
				s.wg.Go(func() {
					defer func() {
						c.Close()
						s.mu.Lock()
						delete(s.open, c)
						s.mu.Unlock()
					}()
					serve(c)
				})
			}
			s.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.mu.Lock()
		s.closed = true
		for c := range s.open {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

// linkServer stands where a peer's proxy would, with a certificate that it is given later.
type linkServer struct {
	*server
	ready chan struct{}
	id    *identity.Store
}

func newLinkServer(t testing.TB, serve func(net.Conn)) *linkServer {
	l := &linkServer{ready: make(chan struct{})}
	l.server = newServer(t, func(c net.Conn) {
		select {
		case <-l.ready:
			tc := tls.Server(c, l.id.ServerConfig())
			if tc.Handshake() == nil {
				serve(tc)
			}
		case <-time.After(patience):
		}
	})
	return l
}

// serveAs gives it its identity.
func (l *linkServer) serveAs(id *identity.Store) {
	l.id = id
	close(l.ready)
}

func (s *server) addr() string { return s.ln.Addr().String() }

func newH2Backend(t testing.TB) *h2backend {
	b := &h2backend{}
	b.server = newServer(t, b.serve)
	return b
}

// readFrame reads one frame.
func readFrame(r io.Reader) (typ, flags byte, id uint32, payload []byte, err error) {
	var h [9]byte
	if _, err = io.ReadFull(r, h[:]); err != nil {
		return
	}
	payload = make([]byte, binary.BigEndian.Uint32(h[:4])>>8)
	_, err = io.ReadFull(r, payload)
	return h[3], h[4], binary.BigEndian.Uint32(h[5:]), payload, err
}

// readPreface reads a client's preface.
func readPreface(r io.Reader) error {
	p := make([]byte, len(preface))
	_, err := io.ReadFull(r, p)
	if err == nil && string(p) != preface {
		err = fmt.Errorf("preface %q", p)
	}
	return err
}

func (b *h2backend) serve(c net.Conn) {
	if readPreface(c) != nil {
		return
	}
	io.WriteString(c, settings(setting(setStreams, 100000))) //nolint:errcheck // the next read tells
	dec := hpack.NewDecoder(4096, nil)
	streams := map[uint32]*h2received{}
	var fragments []byte
	defer func() {
		for _, r := range streams {
			b.over(r)
		}
	}()
	for {
		typ, flags, id, p, err := readFrame(c)
		if err != nil {
			return
		}
		switch typ {
		case typeHeaders, typeContinuation:
			fragments = append(fragments, p...)
			if flags&flagEndHeaders == 0 {
				continue
			}
			fields, err := dec.DecodeFull(fragments)
			fragments = nil
			if err != nil {
				return
			}
			r := streams[id]
			if r == nil {
				r = b.begin(fields)
				streams[id] = r
			} else {
				b.note(func() {
					for _, f := range fields {
						r.trailers = append(r.trailers, [2]string{f.Name, f.Value})
					}
				})
			}
			if flags&flagEndStream != 0 {
				b.answer(c, id, r)
			}
		case typeData:
			r := streams[id]
			if r == nil {
				return
			}
			b.note(func() { r.body += string(p) })
			if len(p) > 0 {
				io.WriteString(c, windowUpdate(0, uint32(len(p)))+windowUpdate(id, uint32(len(p)))) //nolint:errcheck // the next read tells
			}
			if flags&flagEndStream != 0 {
				b.answer(c, id, r)
			}
		case typeRST:
			if r := streams[id]; r != nil {
				b.over(r)
				delete(streams, id)
			}
		case typeSettings:
			if flags&flagAck == 0 {
				io.WriteString(c, frame(typeSettings, flagAck, 0, "")) //nolint:errcheck // the next read tells
			}
		case typePing:
			if flags&flagAck == 0 {
				io.WriteString(c, frame(typePing, flagAck, 0, string(p))) //nolint:errcheck // the next read tells
			}
		}
	}
}

func (b *h2backend) begin(fields []hpack.HeaderField) *h2received {
	r := &h2received{}
	for _, f := range fields {
		r.fields = append(r.fields, [2]string{f.Name, f.Value})
	}
	r.method, r.path = r.field(":method"), r.field(":path")
	b.note(func() {
		b.got = append(b.got, r)
		b.active++
		b.most = max(b.most, b.active)
	})
	return r
}

func (b *h2backend) answer(c net.Conn, id uint32, r *h2received) {
	b.note(func() { r.complete = true })
	if strings.HasPrefix(r.path, "/hold") {
		return
	}
	b.over(r)
	io.WriteString(c, headers(id, false, ":status", "200")+lastData(id, r.method+" "+r.path)) //nolint:errcheck // the next read tells
}

// over counts a request that is not under way any more, once.
func (b *h2backend) over(r *h2received) {
	b.note(func() {
		if !r.over {
			r.over = true
			b.active--
		}
	})
}

func (b *h2backend) note(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *h2backend) counts() (most, active, all int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most, b.active, len(b.got)
}

// about gives copies of the records in which a text occurs.
func (b *h2backend) about(id string) (out []h2received) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.got {
		if strings.Contains(fmt.Sprint(r.fields, r.trailers, r.body), id) {
			out = append(out, *r)
		}
	}
	return out
}
