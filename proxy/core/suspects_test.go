package core

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

func TestSuspicionGrowsWithOffencesAndPasses(t *testing.T) {
	var s suspects
	bad, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	now := time.Hour
	s.offend(bad, now)
	if !s.suspect(bad, now) || s.suspect(bad, now+1100*time.Millisecond) {
		t.Error("one offence is not suspicious for a second")
	}
	for range 100 {
		s.offend(bad, now)
	}
	if !s.suspect(bad, now) || s.suspect(other, now) {
		t.Error("the wrong one is the suspect")
	}
	if now += 18 * time.Second; !s.suspect(bad, now) {
		t.Error("forgotten too soon")
	}
	if now += 3 * time.Second; s.suspect(bad, now) {
		t.Error("not forgotten after 21 s")
	}
	for i := range 5000 { // as many addresses as anybody likes
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		for range 10 {
			s.offend(a, now)
		}
	}
	if len(s.since) > maxSuspects {
		t.Errorf("%d addresses are remembered", len(s.since))
	}
	if now += time.Minute; s.suspect(bad, now) {
		t.Error("suspected for nothing")
	}
	s.offend(netip.MustParseAddr("10.9.9.9"), now)
	if len(s.since) != 1 {
		t.Errorf("%d addresses are remembered after a minute of peace", len(s.since))
	}
}

// h2Opening and h2Get are the bytes of a client that speaks HTTP/2 to the service.
const (
	h2Opening = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	h2Head    = "\x82\x86\x84\x01\x04cart"
)

func h2Get(dst []byte, id int, more ...byte) []byte {
	dst = append(dst, 0, 0, byte(len(h2Head)), 1, 5, 0, 0, byte(id>>8), byte(id))
	return append(append(dst, h2Head...), more...)
}

// TestAClientThatComesBackAfterAbuseGetsLess: each new connection of a rapid reset would be good for
// 350 requests otherwise.
func TestAClientThatComesBackAfterAbuseGetsLess(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.mute = true
	opened := func(c *pipe) (n int) {
		p := []byte(h2Opening)
		for i := range 1000 {
			id := 2*i + 1
			p = h2Get(p, id, 0, 0, 4, 3, 0, 0, 0, byte(id>>8), byte(id), 0, 0, 0, 8)
		}
		before := r.client.core.usageOpened()
		c.send(p)
		r.settle()
		if !bytes.Contains(c.in, []byte("too many streams ended early")) {
			t.Errorf("the client was not told: %q", c.in)
		}
		return int(r.client.core.usageOpened() - before)
	}
	early := r.dial() // and has done nothing by then
	if n := opened(r.dial()); n < 300 {
		t.Errorf("an unknown client opened %d", n)
	}
	if n := opened(early); n > 20 {
		t.Errorf("its other connection opened %d", n)
	}
	if n := opened(r.dial()); n > 20 {
		t.Errorf("a suspect opened %d", n)
	}
	r.now += time.Minute
	if n := opened(r.dial()); n < 300 {
		t.Errorf("after a minute it opened %d", n)
	}
}

// usageOpened is how many requests were started.
func (c *Core) usageOpened() (n uint64) {
	for _, s := range c.series {
		n += s.Opened.Load()
	}
	return n
}

// TestConnectionsOfAnAttackerBeginOneAfterTheOther: its other clients, and those of others, do not wait.
func TestConnectionsOfAnAttackerBeginOneAfterTheOther(t *testing.T) {
	r := newRig(t, nil, Limits{})
	core := r.client.core
	for range maxOffences {
		core.suspects.offend(netip.Addr{}, core.now) // that of the rig's clients
	}
	before := core.usageOpened()
	var all []*pipe
	for range 10 {
		c := r.dial()
		c.send(h2Get([]byte(h2Opening), 1))
		all = append(all, c)
	}
	r.settle()
	if n := core.usageOpened() - before; n != 1 {
		t.Errorf("%d connections began at once, want 1", n)
	}
	c := r.dial()
	roundTrip(t, r, c, rigRequest) // HTTP/1 is not held
	r.pass(50*time.Millisecond, time.Millisecond)
	if n := core.usageOpened() - before - 1; n < 3 || n > 7 {
		t.Errorf("%d connections began within 50 ms, want about 5", n)
	}
	r.pass(100*time.Millisecond, time.Millisecond)
	if n := core.usageOpened() - before - 1; n != 10 {
		t.Errorf("%d connections of 10 began", n)
	}
	turnedAway := 0
	for range 300 {
		c := r.dial()
		c.send([]byte(h2Opening))
		r.settle()
		if c.other.gone {
			turnedAway++
		}
		all = append(all, c)
	}
	if turnedAway < 240 || turnedAway > 255 {
		t.Errorf("%d of 300 were turned away, want about 250", turnedAway)
	}
	if _, ok := core.suspects.turn(netip.MustParseAddr("10.0.0.1"), core.now); !ok {
		t.Error("another address is turned away")
	}
	for _, c := range all { // the client of a held one may leave
		if !c.other.gone {
			core.Closed(c.other.conn, nil)
		}
	}
	r.pass(3*time.Second, 10*time.Millisecond)
	if core.Conns() > 2 { // c and the link
		t.Errorf("%d connections are left", core.Conns())
	}
}
