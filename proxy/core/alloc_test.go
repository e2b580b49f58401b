package core

import (
	"bytes"
	"testing"
)

var rigRequest = []byte("GET /items?a=b HTTP/1.1\r\nHost: cart\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")

// roundTrip sends one request and takes its response.
func roundTrip(t testing.TB, r *rig, c *pipe, request []byte) {
	c.send(request)
	r.settle()
	if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(c.in, []byte("hello")) {
		t.Fatalf("got %q", c.in)
	}
	c.in = c.in[:0]
}

// TestARequestInSteadyStateDoesNotAllocate: head, decision, link, application and back, through
// both cores. Each allocation here is paid by every request of a mesh.
func TestARequestInSteadyStateDoesNotAllocate(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c := r.dial()
	for range 10 {
		roundTrip(t, r, c, rigRequest)
	}
	if n := testing.AllocsPerRun(200, func() { roundTrip(t, r, c, rigRequest) }); n > 0 {
		t.Errorf("%v allocations a request through both cores, want none", n)
	}
}

func BenchmarkRequestThroughBothCores(b *testing.B) {
	r := newRig(b, nil, Limits{})
	c := r.dial()
	roundTrip(b, r, c, rigRequest)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, r, c, rigRequest)
	}
}
