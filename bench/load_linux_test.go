package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

func nothing() error { return nil }

// serveHTTP answers with handler on a port of its own until the test ends.
func serveHTTP(t *testing.T, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ln) })
	t.Cleanup(func() { _ = s.Close(); wg.Wait() })
	return netip.MustParseAddrPort(ln.Addr().String())
}

func small(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, smallBody) }

func TestAConstantRateIsKeptAndCounted(t *testing.T) {
	r, err := loadRate(serveHTTP(t, small), 8, 500, 400*time.Millisecond, nil, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if r.requests != 200 || r.failed != 0 || r.bytes != 200*smallBytes || r.p50 <= 0 || r.p50 > r.p999 {
		t.Errorf("%+v, want 200 whole answers", r)
	}
}

// A generator that waits for an answer before it sends the next request would show one slow
// request of a hundred here; two thirds of all were due while it took its time, and waited too.
func TestWhatASlowAnswerMakesOthersWaitIsCounted(t *testing.T) {
	const stall = 200 * time.Millisecond
	var n atomic.Int32
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 5 {
			time.Sleep(stall) //nolint:forbidigo // the fault that the test is about
		}
		small(w, r)
	})
	r, err := loadRate(addr, 1, 500, stall*3/2, nil, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if r.requests != 150 || r.p99 < stall*9/10 || r.p50 < stall/20 {
		t.Errorf("%d requests, p50 %s, p99 %s; want p99 of nearly %s, and half of all late", r.requests, r.p50, r.p99, stall)
	}
}

func TestARateEndsWhenItIsToldTo(t *testing.T) {
	stop := make(chan struct{})
	var once sync.Once
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { small(w, r); once.Do(func() { close(stop) }) })
	r, err := loadRate(addr, 4, 100, time.Hour, stop, nothing)
	if err != nil || r.failed != 0 || r.duration > 10*time.Second {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestARateThatNobodyAnswersFails(t *testing.T) {
	var first atomic.Int32
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if first.Add(1) > 4 { // those of the set-up
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		small(w, r)
	})
	r, err := loadRate(addr, 4, 1000, 100*time.Millisecond, nil, nothing)
	if err != nil || r.requests != 0 || r.failed != 100 {
		t.Errorf("%d answered, %d failed, %v; want 100 failed", r.requests, r.failed, err)
	}
}

func TestIdleConnectionsAreHeldAndProved(t *testing.T) {
	addr := serveHTTP(t, small)
	steps := 0
	r, err := loadIdle(addr, 50, 10, 500, 100*time.Millisecond, func() error { steps++; return nil })
	if err != nil || steps != 3 || r.held != 50 || r.requests != 50 {
		t.Errorf("%d steps, %+v, %v; want 3 steps, 50 held, 50 requests", steps, r, err)
	}
}

func TestIdleConnectionsThatWereClosedAreNotHeld(t *testing.T) {
	var mu sync.Mutex
	var conns []net.Conn
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(small), ReadHeaderTimeout: time.Minute, ConnState: func(c net.Conn, st http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if st == http.StateNew {
			conns = append(conns, c)
		}
	}}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ln) })
	defer wg.Wait()
	defer func() { _ = s.Close() }()
	steps := 0
	r, err := loadIdle(netip.MustParseAddrPort(ln.Addr().String()), 20, 5, 500, 50*time.Millisecond, func() error {
		if steps++; steps == 2 { // all are there
			mu.Lock()
			defer mu.Unlock()
			for _, c := range conns[:7] {
				_ = c.Close()
			}
		}
		return nil
	})
	if err != nil || r.held != 13 {
		t.Errorf("%d held, %v; want 13 of 20", r.held, err)
	}
}

func TestEachRequestHasAConnectionOfItsOwn(t *testing.T) {
	var conns atomic.Int32
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(small), ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ln) })
	defer wg.Wait()
	defer func() { _ = s.Close() }()
	r, err := loadShort("http", netip.MustParseAddrPort(ln.Addr().String()), 4, 100*time.Millisecond, nothing)
	if err != nil || r.requests == 0 || r.failed != 0 || int64(conns.Load()) < r.requests || r.p50 <= 0 {
		t.Errorf("%+v on %d connections, %v", r, conns.Load(), err)
	}
}

func TestAConnectionOfTCPCarriesOneEcho(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { _, _ = io.Copy(c, c); _ = c.Close() })
		}
	})
	defer wg.Wait()
	defer func() { _ = ln.Close() }()
	r, err := loadShort("tcp", netip.MustParseAddrPort(ln.Addr().String()), 4, 100*time.Millisecond, nothing)
	if err != nil || r.requests == 0 || r.failed != 0 || r.bytes != r.requests*smallBytes {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestConnectionsThatNobodyTakesEndTheLoad(t *testing.T) {
	_, err := loadShort("http", freeAddr(t), 4, 20*time.Second, nothing)
	if err == nil {
		t.Error("no error")
	}
}

func TestLargeBodiesAreMovedWholeBothWays(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h1, h2, tcp := freeAddr(t), freeAddr(t), freeAddr(t)
	served := make(chan error, 1)
	go func() { served <- serveBulk(ctx, h1.String(), h2.String(), tcp.String()) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("the backend ended with %v", err)
		}
	}()
	up, done := context.WithTimeout(ctx, 20*time.Second)
	defer done()
	for _, a := range []netip.AddrPort{h1, h2, tcp} {
		if err := rig.Await(up, "the backend", nil, func(ctx context.Context) error {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.String())
			if err == nil {
				_ = c.Close()
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	const n = 8<<20 + 17
	for p, a := range map[protocol]netip.AddrPort{protoH1: h1, protoH2: h2, protoTCP: tcp} {
		for _, way := range []bool{true, false} {
			begun := 0
			r, err := loadBulk(up, p, way, a.String(), n, func() error { begun++; return nil })
			if err != nil || r.bytes != n || r.duration <= 0 || begun != 1 {
				t.Errorf("%s, up %v: %+v, %v, begun %d times", p, way, r, err, begun)
			}
		}
	}
}

func TestALargeBodyThatIsCutShortIsNoResult(t *testing.T) {
	addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1))
		_, _ = io.WriteString(w, "1")
	})
	for _, way := range []bool{true, false} {
		if _, err := loadBulk(t.Context(), protoH1, way, addr.String(), 1<<20, nothing); !errors.Is(err, errShort) {
			t.Errorf("up %v: %v, want that it was cut short", way, err)
		}
	}
	here, there := net.Pipe()
	go func() { // ends with the pipe
		var command [9]byte
		_, _ = io.ReadFull(there, command[:])
		_, _ = there.Write(make([]byte, binary.BigEndian.Uint64(command[1:])-1))
		_ = there.Close()
	}()
	if err := moveTCP(here, false, 1000); !errors.Is(err, errShort) {
		t.Errorf("TCP: %v, want that it was cut short", err)
	}
	_ = here.Close()
}

func TestStreamsEchoEveryMessage(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := freeAddr(t)
	served := make(chan error, 1)
	go func() { served <- serveGRPC(ctx, addr.String()) }()
	for _, depth := range []int{1, flowDepth} {
		begun := 0
		r, err := loadStream(ctx, addr.String(), 2, 3, depth, 100*time.Millisecond, func() error { begun++; return nil })
		if err != nil || begun != 1 || r.requests < 6 || r.failed != 0 || r.bytes != r.requests*smallBytes || r.p50 <= 0 {
			t.Errorf("depth %d: %+v, %v", depth, r, err)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestArgumentsOfARoleAreChecked(t *testing.T) {
	for _, args := range []string{"load-tcp", "load-tcp 127.0.0.1:1 1 65", "load-tcp 127.0.0.1:1 one 65 1s", "load-tcp localhost:1 1 65 1s", "load-rate 127.0.0.1:1 1 1 1s more", "serve-bulk a b"} {
		handled, err := runRole(t.Context(), strings.Fields(args), io.Discard)
		if !handled || err == nil {
			t.Errorf("%q: handled %v, error %v", args, handled, err)
		}
	}
	if handled, _ := runRole(t.Context(), []string{"-quick"}, io.Discard); handled {
		t.Error("a flag is taken for a role")
	}
}

func TestFramesOfALinkAreReadAsTheyAreWritten(t *testing.T) {
	b := frame(framePing, flagAck, 7, []byte("12345678"))
	kind, flags, payload, err := readFrame(bufio.NewReader(strings.NewReader(string(b))))
	if err != nil || kind != framePing || flags != flagAck || string(payload) != "12345678" {
		t.Errorf("%d %d %q %v", kind, flags, payload, err)
	}
	if _, _, _, err := readFrame(bufio.NewReader(strings.NewReader(fmt.Sprintf("\xff\xff\xff%s", b)))); err == nil {
		t.Error("a frame of 16 MiB is taken")
	}
}
