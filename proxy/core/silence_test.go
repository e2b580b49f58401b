package core

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// deafen makes the callee's proxy hear nothing any more on the links that stand.
func (r *rig) deafen() {
	for _, p := range r.pipes {
		if p.host == r.server && p.conn != nil && p.conn.link {
			p.paused = true
		}
	}
}

func TestADeadLinkIsGivenUpHoweverManyRequestsAreSentIntoIt(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.fetch(r.dial(), "")
	r.deafen()
	first := r.dial()
	first.send(request(""))
	for range 110 { // 1.1 s
		r.dial().send(request(""))
		r.settle()
		r.now += 10 * time.Millisecond
	}
	if !bytes.Contains(first.in, []byte("W3306")) {
		t.Errorf("after 1.1 s the first has %q", first.in)
	}
}

func TestALinkOnWhichNothingIsWaitedForIsNotAsked(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.fetch(r.dial(), "")
	r.deafen()
	r.pass(30*time.Second, 10*time.Millisecond)
	if n := linksOf(r); n != 1 {
		t.Errorf("%d links stand, want the one that nobody needs", n)
	}
}

func TestALongWaitIsAskedAboutLessAndLess(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.mute = true
	c := r.dial()
	c.send(request(""))
	r.settle()
	var pings uint64
	for _, p := range r.pipes {
		if p.host == r.client && p.conn != nil && p.conn.link {
			r.pass(60*time.Second, 10*time.Millisecond)
			_, pings = p.conn.h2.LastPong()
			break
		}
	}
	if pings < 5 || pings > 12 {
		t.Errorf("%d questions in a minute, want less and less of them", pings)
	}
	if linksOf(r) != 1 || strings.Contains(string(c.in), "W33") {
		t.Errorf("the link was cut though its other end answers: %q", c.in)
	}
}

// A loop that was away for a while has not read what came meanwhile.
func TestALoopThatWasAwayDoesNotTakeItsPeerForDead(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.mute = true
	c := r.dial()
	c.send(request(""))
	r.settle()
	for _, p := range r.pipes {
		if p.host == r.client && p.conn != nil && p.conn.link {
			p.paused = true // the answer to the question is there, unread
			r.pass(600*time.Millisecond, 10*time.Millisecond)
			r.now += 3 * time.Second
			r.client.core.SetNow(r.now)
			r.client.core.Tick() // its timers come first
			r.client.core.Flush()
			p.paused = false
			break
		}
	}
	r.pass(2*time.Second, 10*time.Millisecond)
	if linksOf(r) != 1 || len(c.in) > 0 {
		t.Errorf("the link was cut: %q", c.in)
	}
}

func linksOf(r *rig) int { return r.client.core.Usage().Links }
