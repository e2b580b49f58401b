package core

import (
	"strings"
	"testing"
	"time"
)

// Nothing waits for ever: a request for which no connection to its application becomes free is answered.
func TestAWaitForAConnectionEnds(t *testing.T) {
	r := newRig(t, nil, Limits{MaxPoolConns: 1, QueueTimeout: time.Second})
	r.mute = true
	first, second := r.dial(), r.dial()
	get := []byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n")
	first.send(get)
	r.settle()
	second.send(get)
	r.settle()
	if len(first.in)+len(second.in) > 0 {
		t.Fatalf("answers came already: %q, %q", first.in, second.in)
	}
	r.now += time.Second + 10*time.Millisecond
	r.settle() // fires the timer
	r.settle() // brings the answer
	if got := string(second.in); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "W3309") || !strings.Contains(got, "for 1s") {
		t.Errorf("who waited got %q, want 503 and W3309", got)
	}
	if len(first.in) > 0 {
		t.Errorf("who had the connection got %q", first.in)
	}
	// The wait of the first ended when it got its connection; what it waits for now is the application.
	for _, p := range r.pipes {
		if p.app {
			p.send(r.answer)
		}
	}
	r.settle()
	if got := string(first.in); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("the first got %q", got)
	}
}
