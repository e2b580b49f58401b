//go:build linux

package epoll

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

func at(addr string) *conn {
	return &conn{remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 1)}
}

// order lists who waits.
func (d *door) order() (out []*conn) {
	for c := d.first; c != nil; c = c.after {
		out = append(out, c)
	}
	return out
}

func TestAFullDoorTurnsAwayTheOldestOfWhoHasMost(t *testing.T) {
	var d door
	honest := at("10.0.0.1")
	if out := d.enter(honest, 0); out != nil {
		t.Fatal("the first was not let wait")
	}
	var flood []*conn
	for range maxAtDoor - 1 {
		c := at("10.0.0.2")
		flood = append(flood, c)
		if out := d.enter(c, 0); out != nil {
			t.Fatal("somebody was turned away before the door was full")
		}
	}
	for i := range 100 { // the flood makes room for itself
		c := at("10.0.0.2")
		flood = append(flood, c)
		if out := d.enter(c, 0); out != flood[i] {
			t.Fatalf("number %d of the flood made %v leave", i, out)
		}
	}
	if out := d.enter(at("10.0.0.3"), 0); out != flood[100] {
		t.Error("a newcomer did not take the place of the oldest of the flood")
	}
	if !honest.waits || d.n != maxAtDoor || len(d.order()) != maxAtDoor || len(d.from) != 3 {
		t.Errorf("%d wait from %d addresses", d.n, len(d.from))
	}
	for _, c := range d.order() {
		d.leave(c)
		d.leave(c)
	}
	if d.n != 0 || d.first != nil || d.last != nil || len(d.from) != 0 {
		t.Errorf("an empty door holds %+v", d)
	}
}

// TestTurnsGoFromAddressToAddress: one waits behind one of a flood, not behind all.
func TestTurnsGoFromAddressToAddress(t *testing.T) {
	var tu turns
	flood, honest := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
	tu.take(flood) // the test has the turn while the others line up
	var mu sync.Mutex
	var got []netip.Addr
	var wg sync.WaitGroup
	lineUp := func(a netip.Addr) {
		tu.mu.Lock()
		before := waiting(&tu)
		tu.mu.Unlock()
		wg.Go(func() {
			tu.take(a)
			mu.Lock()
			got = append(got, a)
			mu.Unlock()
			tu.pass()
		})
		for {
			tu.mu.Lock()
			n := waiting(&tu)
			tu.mu.Unlock()
			if n > before {
				return
			}
			time.Sleep(100 * time.Microsecond) // polling, until it has lined up
		}
	}
	for range 20 {
		lineUp(flood)
	}
	lineUp(honest)
	lineUp(honest)
	tu.pass()
	wg.Wait()
	if len(got) != 22 || count(got[:4], honest) != 2 { // the first two if the flood rests
		t.Errorf("turns were given to %v", got)
	}
	tu.mu.Lock()
	defer tu.mu.Unlock()
	if tu.taken || waiting(&tu) != 0 {
		t.Errorf("afterwards somebody has a turn: %v, or waits: %d", tu.taken, waiting(&tu))
	}
}

// TestAFloodOfHandshakesHasHalfOfAProcessor: the other half is for the loop, where there is but one.
func TestAFloodOfHandshakesHasHalfOfAProcessor(t *testing.T) {
	var tu turns
	flood := netip.MustParseAddr("10.0.0.2")
	var wg sync.WaitGroup
	var mu sync.Mutex // guards took
	var took []time.Duration
	begin := time.Now()
	for range 60 {
		wg.Go(func() {
			tu.take(flood)
			from := time.Now()
			for time.Since(from) < 500*time.Microsecond { // computes
			}
			mu.Lock()
			took = append(took, time.Since(from))
			mu.Unlock()
			tu.pass()
		})
	}
	wg.Wait()
	idle, rest := time.Since(begin), time.Duration(0)
	for i, d := range took {
		idle -= d
		if i > 0 && i < len(took)-2*restFrom { // the first may come before the others, the last need not rest
			rest += min(d, maxRest)
		}
	}
	if idle < rest*9/10 {
		t.Errorf("between %d turns nobody computed for %s, want %s", len(took), idle, rest)
	}
}

func count(all []netip.Addr, a netip.Addr) (n int) {
	for _, x := range all {
		if x == a {
			n++
		}
	}
	return n
}

// TestWhoComesWhileItsAddressRestsIsServed: though nobody else passes a turn on.
func TestWhoComesWhileItsAddressRestsIsServed(t *testing.T) {
	var tu turns
	a := netip.MustParseAddr("10.0.0.1")
	tu.take(a)
	tu.of.until = time.Now().Add(20 * time.Millisecond)
	tu.pass()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tu.take(a)
		tu.pass()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("it waits for ever")
	}
}

func waiting(t *turns) (n int) {
	for _, l := range t.lines {
		n += len(l.wait)
	}
	return n
}

// dialFrom connects to addr from an address of this machine.
func dialFrom(t *testing.T, from, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	nc, err := d.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return nc
}

// TestAnHonestPeerComesInThroughACrowdAtTheDoor: more silent connections than may wait do not keep
// it out, and the surplus is turned away.
func TestAnHonestPeerComesInThroughACrowdAtTheDoor(t *testing.T) {
	_, addr, _ := startLink(t, settings())
	crowd := make([]net.Conn, maxAtDoor+200)
	for i := range crowd {
		crowd[i] = dialFrom(t, "127.0.0.2", addr)
		if i%2 == 0 {
			if _, err := crowd[i].Write([]byte{22, 3, 1, 1, 0, 1}); err != nil && i >= 200 {
				t.Fatal(err)
			}
		}
	}
	c := tls.Client(dialFrom(t, "127.0.0.1", addr), settings())
	if err := c.Handshake(); err != nil {
		t.Fatalf("the honest peer was kept out: %v", err)
	}
	if _, err := crowd[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest of the crowd is still there: %v", err)
	}
	last := crowd[len(crowd)-1]
	if err := last.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := last.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the newest of the crowd: %v", err)
	}
}

// TestAConnectionThatSaysNothingCostsNoHandshake: and goes when its peer does.
func TestAConnectionThatSaysNothingCostsNoHandshake(t *testing.T) {
	d, addr, stop := startLink(t, settings())
	nc := dialFrom(t, "127.0.0.1", addr)
	probe := tls.Client(dialFrom(t, "127.0.0.1", addr), settings())
	if err := probe.Handshake(); err != nil { // the silent one was accepted before
		t.Fatal(err)
	}
	nc.Close()
	if err := probe.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, probe) // what was sent before is dealt with
	stop()
	if n := d.loops[0].door.n; n != 0 {
		t.Errorf("%d wait at the door", n)
	}
}
