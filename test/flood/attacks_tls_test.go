//go:build linux

package flood

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/identity"
)

// hello is a ClientHello as this machine's TLS writes it.
func hello() []byte {
	var w recorder
	_ = tls.Client(&w, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{identity.LinkALPN}, MinVersion: tls.VersionTLS13}).Handshake()
	return w.Bytes()
}

// recorder is a connection that keeps what is written and answers nothing.
type recorder struct {
	net.Conn
	bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error)       { return r.Buffer.Write(p) }
func (r *recorder) Read([]byte) (int, error)          { return 0, io.EOF }
func (r *recorder) Close() error                      { return nil }
func (r *recorder) SetDeadline(time.Time) error       { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error  { return nil }
func (r *recorder) SetReadDeadline(t time.Time) error { return nil }

// unfinishedHandshakes holds connections that never get beyond a part of a ClientHello, or never say
// anything, or never read the answer.
func unfinishedHandshakes(a *attacker) {
	h := hello()
	var n atomic.Int64
	parts := [][]byte{h[:5], h[:len(h)/2], h, nil}
	a.dribble(a.held(6000), time.Minute, func() (net.Conn, bool) {
		c, ok := a.connect()
		if p := parts[n.Add(1)%4]; ok && p != nil {
			_, _ = c.Write(p)
		}
		return c, ok
	}, func(int) []byte { return nil })
}

// halfHandshakes makes the proxy compute its part of a handshake and goes away.
func halfHandshakes(a *attacker) {
	h := hello()
	a.hands(32, func() {
		c, ok := a.connect()
		if !ok {
			return
		}
		if _, err := c.Write(h); err == nil {
			var one [1]byte
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := c.Read(one[:]); err != nil && !errors.Is(err, io.EOF) {
				a.cut.Add(1)
			}
		}
		abort(c)
	})
}

// strangersHandshakes completes handshakes with a certificate that nobody of the mesh has signed.
func strangersHandshakes(a *attacker) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	id := &url.URL{Scheme: "spiffe", Host: "weft.local", Path: "/ns/flood/sa/app"}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nobody"}, URIs: []*url.URL{id},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{identity.LinkALPN}, MinVersion: tls.VersionTLS13, //nolint:gosec // the attacker verifies nobody
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	a.hands(32, func() {
		c, ok := a.connect()
		if !ok {
			return
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		s := tls.Client(c, cfg)
		var one [1]byte
		if s.Handshake() == nil {
			_, _ = s.Read(one[:]) // the refusal
		}
		a.cut.Add(1)
		abort(c)
	})
}
