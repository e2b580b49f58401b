package core

import (
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/h2"
)

// errand is the downstream of an exchange that the proxy makes for itself: a health check or a probe
// of a load. It goes to one endpoint, is tried once, is not counted as a request, and tells the
// endpoint's latency nothing.
type errand struct {
	check  *check // nil: a probe
	status int    // of the response; 0: none came
	got    int    // bytes of its body
	body   [maxAnswer]byte
	whole  bool // it came to its end
	grpcOK bool // grpc-status was 0
}

const (
	maxAnswer  = 64       // bytes of a body that are looked at
	maxErrands = 64 << 10 // bytes of one that are waited for
)

const refusedStream = h2.RefusedStream

// newErrand makes an exchange to an endpoint. Its request goes out with sendErrand.
func (c *Core) newErrand(l *local, ep *balance.Endpoint, e *errand) *exchange {
	x := c.newExchange(l, e)
	x.errand, x.mirror = e, true
	x.ep, x.tryAt = ep, c.now
	x.reqDone, x.heldEnd = true, true
	return x
}

// sendErrand sends x.saved, and a body if there is one. What x.saved points to is constant, or lives as
// long as the core.
func (x *exchange) sendErrand(body []byte) {
	c := x.core
	x.kept, x.owned = true, true
	x.held = append(x.held[:0], body...)
	if l := c.near(x, x.ep); l != nil {
		x.hopTo(l, &x.saved)
		return
	}
	c.poolOf(x, x.ep).take(x, &x.saved)
}

func (e *errand) respond(x *exchange, r *message.Response, end bool) {
	if r.Status < 200 && r.Status != 101 {
		return
	}
	e.status, e.whole = r.Status, end
	e.noteGRPC(r.Fields)
	if x.connect { // it stands: no more is wanted
		x.downGone()
	}
}

func (e *errand) sendDown(x *exchange, p []byte, end bool) int {
	if e.got < len(e.body) {
		copy(e.body[e.got:], p)
	}
	e.whole = e.whole || end
	if e.got += len(p); e.got > maxErrands {
		x.downGone()
	}
	return 0
}

func (e *errand) trailersDown(_ *exchange, f []message.Field) {
	e.whole = true
	e.noteGRPC(f)
}

func (e *errand) noteGRPC(f []message.Field) {
	if v := message.Get(f, "grpc-status"); v != nil {
		e.grpcOK = string(v) == "0"
	}
}

func (e *errand) resetDown(*exchange, h2.ErrCode) {}
func (e *errand) creditDown(*exchange, int)       {}

func (e *errand) endDown(*exchange) {
	if e.check != nil {
		e.check.over(e)
	}
}
