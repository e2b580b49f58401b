package core

import (
	"bytes"
	"testing"
	"time"
)

// TestAPrefaceThatNeverEndsIsNotAwaitedForEver: on a link, where nothing else would end it.
func TestAPrefaceThatNeverEndsIsNotAwaitedForEver(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c := r.dialLink("spiffe://m/ns/shop/sa/slow")
	for _, b := range []byte("PRI * HTTP/2.0\r\n\r\nSM") {
		c.send([]byte{b})
		r.pass(400*time.Millisecond, 100*time.Millisecond)
	}
	if c.other.gone {
		t.Fatal("it was cut off too soon")
	}
	r.pass(3*time.Second, 100*time.Millisecond)
	if !c.other.gone {
		t.Error("after more than 10 s of a preface the link is still there")
	}
}

// TestALinkOnWhichNothingHappensEnds: its caller's proxy would have ended it itself.
func TestALinkOnWhichNothingHappensEnds(t *testing.T) {
	r := newRig(t, nil, Limits{IdleTimeout: time.Minute})
	c := r.dialLink("spiffe://m/ns/shop/sa/forgetful")
	c.send([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
	r.pass(50*time.Second, 100*time.Millisecond)
	if c.other.gone || bytes.Contains(c.in, []byte{0, 0, 8, 7}) {
		t.Fatal("it was ended too soon")
	}
	r.pass(25*time.Second, 100*time.Millisecond)
	if !bytes.Contains(c.in, []byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("no GOAWAY without error after more than a minute: %x", c.in)
	}
}
