//go:build linux

package epoll

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// These tests are the proof that crypto/tls runs unmodified under a loop: it is fed what a wake-up
// brought, asked until it wants more, and never made to wait.

func readFull(t testing.TB, c net.Conn, p []byte) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, p); err != nil {
		t.Fatalf("reading what the loop wrote: %v", err)
	}
}

// bothRoles runs a test with the loop as the server and as the client.
func bothRoles(t *testing.T, f func(t *testing.T, server bool)) {
	t.Run("as server", func(t *testing.T) { f(t, true) })
	t.Run("as client", func(t *testing.T) { f(t, false) })
}

func TestBytesInPiecesOfAnySizeArriveWhole(t *testing.T) {
	bothRoles(t, func(t *testing.T, server bool) {
		r, peer, rec := linked(t, settings(), server)
		want := text(100_000)
		for size := 1; size <= 223; size++ {
			if !server && size%16 != 1 { // opening is the same code for both
				continue
			}
			r.plain = r.plain[:0]
			for p := want; len(p) > 0; {
				n := min(len(p), 1+(len(p)*7919)%20_000)
				if _, err := peer.Write(p[:n]); err != nil {
					t.Fatal(err)
				}
				p = p[n:]
			}
			for in := rec.taken(); len(in) > 0; {
				n := min(len(in), size)
				r.open(in[:n])
				in = in[n:]
			}
			if r.err != nil {
				t.Fatalf("pieces of %d bytes: %v", size, r.err)
			}
			if !bytes.Equal(r.plain, want) {
				t.Fatalf("pieces of %d bytes: %d bytes arrived, not the %d that were sent", size, len(r.plain), len(want))
			}
		}
	})
}

func TestAHandshakeInSingleBytesSucceeds(t *testing.T) {
	r := newRig(t, settings(), true)
	peer := tls.Client(r.peer, settings())
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	r.start(patience)
	for open := true; open; {
		select {
		case err := <-r.shaken:
			if err != nil {
				t.Fatal(err)
			}
			open = false
		default:
			p := r.read()
			for i := range p {
				if !r.c.feed.push(p[i : i+1]) {
					t.Fatal("the buffer is full")
				}
			}
			// The client speaks last in a TLS 1.3 handshake, so the outcome is due after its flight.
			if last := len(p) > 0 && p[0] != 22; last {
				if err := <-r.shaken; err != nil {
					t.Fatal(err)
				}
				open = false
			}
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestTheLargestRecordsArriveWhole(t *testing.T) {
	r, peer, rec := linked(t, settings(), true)
	want := text(64 << 10) // four records of 16 KiB
	if _, err := peer.Write(want); err != nil {
		t.Fatal(err)
	}
	in := rec.taken()
	if n := int(in[3])<<8 | int(in[4]); n < 16<<10 {
		t.Fatalf("the first record has %d bytes; the test means records of 16 KiB", n)
	}
	r.open(in[:20_000])
	if len(r.plain) != 16<<10 {
		t.Errorf("after 20,000 bytes, %d bytes were opened, want the one whole record", len(r.plain))
	}
	r.open(in[20_000:])
	if r.err != nil || !bytes.Equal(r.plain, want) {
		t.Fatalf("%d bytes of %d, err %v", len(r.plain), len(want), r.err)
	}
}

func TestWhatTheLoopWritesArrivesWhole(t *testing.T) {
	bothRoles(t, func(t *testing.T, server bool) {
		r, peer, _ := linked(t, settings(), server)
		want := text(100_000)
		got := make([]byte, len(want))
		done := make(chan error, 1)
		go func() { _, err := io.ReadFull(peer, got); done <- err }()
		for p, size := want, 1; len(p) > 0; size = size*3%40_000 + 1 { // with one record and with many
			n := min(len(p), size)
			r.c.write(p[:n])
			p = p[n:]
			r.flush()
		}
		if err := <-done; err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the peer read something else: %v", err)
		}
	})
}

func TestAPeerMayUpdateItsKeysAtAnyTime(t *testing.T) {
	for _, requested := range []bool{false, true} {
		bothRoles(t, func(t *testing.T, server bool) {
			x := takeOver(t, server)
			for round := range 3 {
				before, after := fmt.Appendf(nil, "before %d", round), fmt.Appendf(nil, "after %d", round)
				in := x.send.seal(23, before)
				ask := byte(0)
				if requested {
					ask = 1
				}
				in = append(in, x.send.seal(22, []byte{24, 0, 0, 1, ask})...) // KeyUpdate, RFC 8446 section 4.6.3
				x.send.update()
				in = append(in, x.send.seal(23, after)...)
				x.plain = x.plain[:0]
				for i := range in { // the worst case of all: byte by byte
					x.open(in[i : i+1])
				}
				if x.err != nil {
					t.Fatalf("round %d: %v", round, x.err)
				}
				if got := string(x.plain); got != string(before)+string(after) {
					t.Fatalf("round %d: %q arrived", round, got)
				}
				if requested { // the loop owes an update of its own, under its old keys
					kind, content := x.read1()
					if kind != 22 || !bytes.Equal(content, []byte{24, 0, 0, 1, 0}) {
						t.Fatalf("round %d: the answer is of type %d: % x, want a key update", round, kind, content)
					}
					x.receive.update()
				}
				x.c.write([]byte("answer"))
				if kind, content := x.read1(); kind != 23 || string(content) != "answer" {
					t.Fatalf("round %d: type %d, %q after the update", round, kind, content)
				}
			}
		})
	}
}

func TestACloseNotifyIsTheEndAndLeavesTheOtherDirectionOpen(t *testing.T) {
	bothRoles(t, func(t *testing.T, server bool) {
		r, peer, rec := linked(t, settings(), server)
		if _, err := peer.Write([]byte("last words")); err != nil {
			t.Fatal(err)
		}
		if err := peer.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.open(rec.taken())
		r.end()
		if string(r.plain) != "last words" || r.err != io.EOF { //nolint:errorlint // the loop compares so
			t.Fatalf("%q, then %v; want the last words, then io.EOF", r.plain, r.err)
		}
		r.c.write([]byte("still here"))
		got := make([]byte, 10)
		if _, err := io.ReadFull(peer, got); err != nil || string(got) != "still here" {
			t.Fatalf("the other direction: %q, %v", got, err)
		}
		if err := r.c.tls.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := peer.Read(got); n != 0 || err != io.EOF { //nolint:errorlint // as above
			t.Fatalf("after the loop's close-notify the peer reads %d bytes and %v, want io.EOF", n, err)
		}
	})
}

func TestAnEndWithoutCloseNotifyIsAnError(t *testing.T) {
	for _, cut := range []struct {
		name string
		keep func(record []byte) []byte
	}{
		{"between two records", func(p []byte) []byte { return p }},
		{"within a record", func(p []byte) []byte { return p[:len(p)-1] }},
		{"within a record's head", func(p []byte) []byte { return p[:3] }},
		{"before any record", func([]byte) []byte { return nil }},
	} {
		t.Run(cut.name, func(t *testing.T) {
			r, peer, rec := linked(t, settings(), true)
			if _, err := peer.Write([]byte("content-length: 100")); err != nil {
				t.Fatal(err)
			}
			r.open(cut.keep(rec.taken()))
			r.end()
			if r.err == nil || errors.Is(r.err, io.EOF) {
				t.Errorf("the connection ended with %v: a cut response would pass for a whole one", r.err)
			}
		})
	}
}

func TestAPeerOfTLS12IsRefused(t *testing.T) {
	bothRoles(t, func(t *testing.T, server bool) {
		r := newRig(t, settings(), server)
		old := settings()
		old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		peer := tls.Server(r.peer, old)
		if server {
			peer = tls.Client(r.peer, old)
		}
		done := make(chan error, 1)
		go func() { done <- peer.Handshake() }()
		err := r.handshake()
		if err == nil {
			t.Fatal("the handshake succeeded")
		}
		r.c.feed.stop(net.ErrClosed)
		if err := <-done; err == nil || !strings.Contains(err.Error(), "version") {
			t.Errorf("the peer's handshake ended with %v, want the version as the reason", err)
		}
	})
}

func TestRenegotiationAndStrayHandshakesAreRefused(t *testing.T) {
	for _, m := range []struct {
		name string
		msg  []byte
	}{
		{"hello request", []byte{0, 0, 0, 0}},
		{"client hello", append([]byte{1, 0, 0, 40}, make([]byte, 40)...)},
		{"finished", append([]byte{20, 0, 0, 32}, make([]byte, 32)...)},
		{"no known message", []byte{99, 0, 0, 0}},
		{"key update with a wrong value", []byte{24, 0, 0, 1, 7}},
		{"key update in the middle of a record", []byte{24, 0, 0, 1, 0, 24, 0, 0, 1, 0}},
	} {
		t.Run(m.name, func(t *testing.T) {
			bothRoles(t, func(t *testing.T, server bool) {
				x := takeOver(t, server)
				x.open(x.send.seal(22, m.msg))
				if x.err == nil || errors.Is(x.err, io.EOF) {
					t.Fatalf("taken, with %v", x.err)
				}
				kind, alert := x.read1()
				if kind != 21 || len(alert) != 2 || alert[0] != 2 {
					t.Errorf("the peer was sent type %d: % x, want a fatal alert", kind, alert)
				}
			})
		})
	}
}

func TestAGarbageRecordIsAnsweredWithAnAlert(t *testing.T) {
	t.Run("in place of a hello", func(t *testing.T) {
		r := newRig(t, settings(), true)
		r.start(patience)
		r.c.feed.push([]byte("GET / HTTP/1.1\r\nhost: x\r\n\r\n"))
		if err := <-r.shaken; err == nil {
			t.Fatal("the handshake succeeded")
		}
	})
	t.Run("in place of a hello, in a record", func(t *testing.T) {
		r := newRig(t, settings(), true)
		r.start(patience)
		r.c.feed.push([]byte{22, 3, 1, 0, 4, 77, 0, 0, 0})
		if err := <-r.shaken; err == nil {
			t.Fatal("the handshake succeeded")
		}
		p := make([]byte, 7)
		readFull(t, r.peer, p)
		if a, err := alertOf(p); err != nil || a != 10 {
			t.Errorf("the peer was sent % x, want the alert unexpected_message", p)
		}
	})
	t.Run("after the handshake", func(t *testing.T) {
		x := takeOver(t, true)
		rec := x.send.seal(23, []byte("hello"))
		rec[len(rec)-1] ^= 1
		x.open(rec)
		if x.err == nil || len(x.plain) > 0 {
			t.Fatalf("%q was opened, err %v", x.plain, x.err)
		}
		if kind, alert := x.read1(); kind != 21 || !bytes.Equal(alert, []byte{2, 20}) {
			t.Errorf("the peer was sent type %d: % x, want the alert bad_record_mac", kind, alert)
		}
	})
	t.Run("longer than a record may be", func(t *testing.T) {
		x := takeOver(t, true)
		x.open([]byte{23, 3, 3, 0xff, 0xff})
		if x.err == nil {
			t.Fatal("waits for 64 KiB")
		}
		if kind, alert := x.read1(); kind != 21 || !bytes.Equal(alert, []byte{2, 22}) {
			t.Errorf("the peer was sent type %d: % x, want the alert record_overflow", kind, alert)
		}
	})
}

func TestEmptyRecordsWithoutEndAreNotEndured(t *testing.T) {
	x := takeOver(t, true)
	for range 100 {
		x.open(x.send.seal(23, nil))
	}
	if x.err == nil {
		t.Error("a hundred records without content were taken")
	}
}

func TestAFloodBeforeTheHandshakeIsNotReadBeyondTheBound(t *testing.T) {
	f := newFeed(&conn{})
	kept, more := 0, true
	for more {
		more = f.push(make([]byte, 10_000))
		kept += 10_000
		if kept > maxShaken+10_000 {
			t.Fatalf("%d bytes were taken in, the bound is %d and one read", kept, maxShaken)
		}
	}
	if kept < maxShaken {
		t.Errorf("refused at %d bytes already, the bound is %d", kept, maxShaken)
	}
}

func TestAHandshakeEndsAtItsTimeout(t *testing.T) {
	for _, sent := range []struct {
		name  string
		bytes []byte
	}{{"silence", nil}, {"half a hello", []byte{22, 3, 1, 1, 0, 1, 0, 0}}} {
		t.Run(sent.name, func(t *testing.T) {
			r := newRig(t, settings(), true)
			r.start(20 * time.Millisecond)
			if sent.bytes != nil {
				r.c.feed.push(sent.bytes)
			}
			select {
			case err := <-r.shaken:
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("it ended with %v, want the deadline", err)
				}
			case <-time.After(patience):
				t.Fatal("the handshake's goroutine is still there")
			}
		})
	}
}

func TestAHandshakeEndsWithItsConnection(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
	}{{"the peer's end", nil}, {"a reset", net.ErrClosed}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, settings(), true)
			r.start(time.Hour)
			r.c.feed.stop(c.err)
			select {
			case err := <-r.shaken:
				if err == nil {
					t.Error("the handshake succeeded")
				}
			case <-time.After(patience):
				t.Fatal("the handshake's goroutine is still there")
			}
		})
	}
}

func TestRecordsThatCameWithTheLastFlightAreNotLost(t *testing.T) {
	r := newRig(t, settings(), true)
	peer := tls.Client(r.peer, settings())
	shook := make(chan struct{})
	go func() {
		defer close(shook)
		if err := peer.Handshake(); err != nil {
			t.Errorf("client: %v", err)
		}
	}()
	r.start(patience)
	r.c.feed.push(r.read())
	<-shook
	if _, err := peer.Write([]byte("PRI * HTTP/2.0")); err != nil {
		t.Fatal(err)
	}
	r.c.feed.push(r.read()) // both, since the socket had them
	if err := <-r.shaken; err != nil {
		t.Fatal(err)
	}
	r.c.shaking = false
	rest, _, _ := r.c.feed.take()
	r.open(rest)
	if string(r.plain) != "PRI * HTTP/2.0" {
		t.Errorf("%q came out, err %v", r.plain, r.err)
	}
}
