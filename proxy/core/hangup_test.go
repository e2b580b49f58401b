package core

import (
	"strings"
	"testing"
	"time"
)

// A peer that breaks HTTP/2 is told why before its connection is closed, and is not listened to any more.
func TestWhoBreaksHTTP2CanReadWhy(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c := r.dial()
	ping := "\x00\x00\x08\x06\x00\x00\x00\x00\x00" + "12345678"
	c.send([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + strings.Repeat(ping, 1000)))
	r.settle()
	if !strings.Contains(string(c.in), "too many frames without use") || !c.eof {
		t.Fatalf("the peer got %q, its connection ended: %v; want GOAWAY, and the end behind it", c.in, c.eof)
	}
	if c.other.gone {
		t.Fatal("closed at once: a reset would overtake the GOAWAY")
	}
	had := len(c.in)
	c.send([]byte(strings.Repeat(ping, 1000)))
	r.settle()
	if len(c.in) != had || !c.other.paused {
		t.Error("it is still listened to")
	}
	r.now += hangUpGrace + 10*time.Millisecond
	r.settle()
	if !c.other.gone || r.client.core.nconns != 0 {
		t.Errorf("%d connections are left", r.client.core.nconns)
	}
}
