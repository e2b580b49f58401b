package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serveLinks is an HTTP/2 server with mTLS, by the standard library; answer is its handler.
func serveLinks(t *testing.T, answer http.HandlerFunc) (linkConfig, *atomic.Int32) {
	c, conns, _ := serveLinksUntil(t, answer)
	return c, conns
}

// serveLinksUntil gives the server too.
func serveLinksUntil(t *testing.T, answer http.HandlerFunc) (linkConfig, *atomic.Int32, *http.Server) {
	t.Helper()
	p := testPKI(t)
	pair, err := tls.LoadX509KeyPair(p.ServerCert, p.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(p.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int32
	s := &http.Server{Handler: answer, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), ConnState: func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ln) })
	t.Cleanup(func() { _ = s.Close(); wg.Wait() })
	c := linkOf(p, 0)
	c.Addr, c.Fields = ln.Addr().String(), [][2]string{{"weft-to", "127.0.0.1:8081"}}
	return c, &conns, s
}

func TestIdleLinksAreHeldAndProved(t *testing.T) {
	c, conns := serveLinks(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("weft-to") != "127.0.0.1:8081" || r.URL.Path != "/small" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		small(w, r)
	})
	steps := 0
	r, err := loadIdleLinks(t.Context(), c, 20, func() error { steps++; return nil })
	if err != nil || steps != 3 || r.held != 20 || conns.Load() != 20 {
		t.Errorf("%d steps, %d connections, %+v, %v; want 20 held", steps, conns.Load(), r, err)
	}
}

func TestLinksThatWereClosedAreNotHeld(t *testing.T) {
	c, _, s := serveLinksUntil(t, small)
	steps := 0
	r, err := loadIdleLinks(t.Context(), c, 10, func() error {
		if steps++; steps == 3 {
			return s.Close()
		}
		return nil
	})
	if err != nil || r.held != 0 {
		t.Errorf("%d held, %v; want none", r.held, err)
	}
}

func TestEachRequestHasALinkOfItsOwn(t *testing.T) {
	c, conns := serveLinks(t, small)
	r, err := loadNewLinks(t.Context(), c, 2, 100*time.Millisecond, nothing)
	if err != nil || r.requests == 0 || r.failed != 0 || int64(conns.Load()) != r.requests {
		t.Errorf("%+v on %d connections, %v", r, conns.Load(), err)
	}
}

func TestALinkThatAnswersBadlyDoesNotCount(t *testing.T) {
	c, _ := serveLinks(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	if r, err := loadNewLinks(t.Context(), c, 1, 50*time.Millisecond, nothing); err == nil {
		t.Errorf("%+v, want an error", r)
	}
	c, _ = serveLinks(t, small)
	c.ALPN = "another"
	if r, err := loadNewLinks(t.Context(), c, 1, 50*time.Millisecond, nothing); err == nil {
		t.Errorf("another protocol: %+v, want an error", r)
	}
	c.ALPN, c.CA = "h2", testPKI(t).CA
	if r, err := loadNewLinks(t.Context(), c, 1, 50*time.Millisecond, nothing); err == nil {
		t.Errorf("another root: %+v, want an error", r)
	}
}
