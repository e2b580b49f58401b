package core

import (
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/h2"
)

// maxMirrored bounds the body bytes that a mirror may be behind; a slower one is dropped. The
// request itself never waits for its mirrors.
const maxMirrored = 256 << 10

// discard is the downstream of a mirrored request: nobody sees the response.
type discard struct{}

func (discard) respond(*exchange, *message.Response, bool) {}
func (discard) sendDown(*exchange, []byte, bool) int       { return 0 }
func (discard) trailersDown(*exchange, []message.Field)    {}
func (discard) resetDown(*exchange, h2.ErrCode)            {}
func (discard) creditDown(*exchange, int)                  {}
func (discard) endDown(x *exchange)                        { x.unmirror() }

// startMirrors starts the copies that the decision asks for, and one more for a comparison with the
// first of them. A copy is the request as it came, before the rule's other filters.
func (c *Core) startMirrors(x *exchange, r *message.Request) {
	if x.mirror || x.upgrade {
		return
	}
	if x.d.Faulty() {
		if f := x.d.Fault(x.grpc); f.Aborts(x.grpc) {
			return // nobody gets it
		}
	}
	for b := range x.d.Mirrors {
		m := c.mirrorTo(x, b, r)
		var p *comparison
		if len(x.mirrors) == 1 {
			p = c.compare(x, m, r)
		}
		m.pick(&m.saved)
		if p != nil {
			m = c.mirrorTo(x, x.d.Baseline(), r)
			p.join(m, baseline)
			m.pick(&m.saved)
		}
	}
}

// mirrorTo makes the copy for a backend. It is ready for its endpoint.
func (c *Core) mirrorTo(x *exchange, b *decide.Backend, r *message.Request) *exchange {
	m := c.newExchange(x.local, discard{})
	m.mirror, m.of = true, x
	m.grpc, m.h2app, m.isHEAD, m.overH2 = x.grpc, x.h2app, x.isHEAD, x.cameOverH2()
	m.dest, m.port = x.dest, x.port
	m.heldEnd, m.reqDone = x.heldEnd, x.reqDone
	m.held = append(m.held, x.held...) // what came while the original waited for discovery
	m.sent, m.owedDown = uint64(len(x.held)), len(x.held)
	m.d.Backend = b
	m.park(r, x.heldEnd)
	m.entry = c.set(b.Set)
	x.mirrors = append(x.mirrors, m)
	c.wheel.arm(&m.deadline, c.now+c.limits.IdleTimeout/10)
	return m
}

// mirrorData gives a piece of the body to the copies. One that is too far behind is given up.
func (x *exchange) mirrorData(p []byte, end bool) {
	for i := len(x.mirrors) - 1; i >= 0; i-- { // backwards: one that ends leaves the list
		m := x.mirrors[i]
		m.reqData(p, end)
		if len(m.held) > maxMirrored || m.owedDown > maxMirrored {
			m.downGone()
		}
	}
}

// unmirror takes a finished copy out of its original's list.
func (x *exchange) unmirror() {
	of := x.of
	if of == nil {
		return
	}
	for i := range of.mirrors {
		if of.mirrors[i] == x {
			of.mirrors = append(of.mirrors[:i], of.mirrors[i+1:]...)
			return
		}
	}
}

// mirrorEnd: the original is over. A copy whose request is complete goes on by itself.
func (x *exchange) mirrorEnd(complete bool) {
	x.of = nil
	if !complete {
		x.downGone()
	}
}
