package core

import (
	"fmt"
	"testing"
	"time"
)

// A small request must not wait behind the window of an upload.
func TestSmallRequestsGetALinkWithoutBulk(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.mute = true
	upload := r.dial()
	upload.send(fmt.Appendf(nil, "POST /up HTTP/1.1\r\nHost: cart\r\nContent-Length: %d\r\n\r\n", 1<<30))
	r.settle()
	small := func() {
		t.Helper()
		p := r.dial()
		p.send([]byte("GET /small HTTP/1.1\r\nHost: cart\r\n\r\n"))
		r.settle()
	}
	small()
	if r.links != 1 {
		t.Fatalf("%d links before there is bulk", r.links)
	}
	piece := make([]byte, 64<<10)
	move := func() {
		for range 32 {
			upload.send(piece)
			r.settle()
		}
	}
	move()
	small() // finds the link burdened: another one is dialed for those who come next
	small()
	if r.links != 2 {
		t.Fatalf("%d links beside a large transfer, want 2", r.links)
	}
	var with, without *h2Client
	for _, p := range r.client.core.pools {
		for _, cl := range p.shared {
			if cl.bulk > 0 {
				with = cl
			} else {
				without = cl
			}
		}
	}
	if with == nil || without == nil || without.h.Streams() != 1 {
		t.Fatalf("the last request is not alone on a link of its own: %v %v", with, without)
	}
	move()
	small()
	if r.links != 2 {
		t.Errorf("%d links, though one carries no bulk", r.links)
	}
	// A transfer that has become slow is none.
	for range 40 {
		r.now += time.Second / 10
		upload.send(piece)
		r.settle()
	}
	if with.bulk != 0 {
		t.Error("a slow transfer still counts as bulk")
	}
	move()
	if with.bulk != 1 {
		t.Error("a transfer that is fast again does not count")
	}
	upload.other.host.core.Closed(upload.other.conn, nil)
	r.settle()
	if with.bulk != 0 {
		t.Error("a transfer that ended still burdens its link")
	}
}
