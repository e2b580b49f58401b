package core

import (
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/proxy/h2"
)

// raw carries opaque bytes: the downstream end of a tunnel, or the upstream end towards an
// application or a destination outside the mesh. Ends of the two directions are independent
// (half-close); what was read before an end is delivered before it.
type raw struct {
	c     *Conn
	x     *exchange
	asUp  bool
	dial  Dial // asUp
	up    bool // connected
	joint joint
}

func (r *raw) connected() {
	if r.x == nil {
		return
	}
	r.up = true
	r.established()
}

// established: the upstream is there; tell downstream, then move what was held.
func (r *raw) established() {
	x := r.x
	x.respond200()
	if x.finished {
		return
	}
	r.c.setReading(true)
	if len(x.held) > 0 || x.heldEnd {
		held, end := x.held, x.heldEnd
		pending := r.write(held, end)
		x.held = x.held[:0]
		if pending <= highWater {
			x.creditRequest()
		}
		x.checkDone()
	}
}

func (r *raw) received(p []byte) {
	x := r.x
	if x == nil || r.c.closing {
		return // a direction that nobody listens to any more
	}
	if r.asUp {
		x.respData(p, false)
		if r.x != nil && x.owedUp > 0 {
			r.c.setReading(false)
		}
		return
	}
	x.reqData(p, false)
	if r.x != nil && x.owedDown > 0 {
		r.c.setReading(false)
	}
}

func (r *raw) eof() {
	x := r.x
	if x == nil {
		r.c.close()
		return
	}
	if r.asUp {
		x.respData(nil, true)
	} else {
		x.reqData(nil, true)
	}
	if r.x != nil { // the other direction may go on, but not for ever
		r.c.watchIdle(r.c.core.limits.IdleTimeout, r.halfOpenTooLong)
	}
}

func (r *raw) halfOpenTooLong() {
	if r.x != nil {
		r.closed(nil)
	}
	r.c.abort()
}

func (r *raw) drained() {
	if r.x == nil {
		return
	}
	if r.asUp {
		r.x.upWritable()
	} else {
		r.x.downWritable()
	}
	r.tryJoin()
}

func (r *raw) closed(err error) {
	x := r.x
	if x == nil {
		return
	}
	r.x = nil
	switch {
	case r.asUp && r.up:
		x.upGone(goneBroken, failBroken)
		return
	case r.asUp:
		x.upGone(goneConnect, x.core.whyNot(&r.dial, err))
		return
	}
	x.downGone()
}

func (r *raw) drain()     {}
func (r *raw) busy() bool { return r.x != nil }

// write sends bytes and, at the end, FIN.
func (r *raw) write(p []byte, end bool) int {
	if len(p) > 0 {
		r.c.room()
		r.c.out = append(r.c.out, p...)
		r.c.touch()
		r.awaitJoin()
	}
	if end && !planted.On(planted.DropHalfClose) {
		r.c.closeWrite()
	}
	n := r.c.backlog()
	if n > highWater {
		r.c.awaitDrain()
	}
	return n
}

// The downstream side.

func (r *raw) respond(x *exchange, resp *message.Response, _ bool) {
	if resp.Status >= 300 { // a tunnel cannot be told why; its connection is reset
		r.x = nil
		r.c.abort()
	}
}

func (r *raw) sendDown(_ *exchange, p []byte, end bool) int {
	if r.c.closed {
		return 0
	}
	return r.write(p, end)
}

func (r *raw) trailersDown(x *exchange, _ []message.Field) { r.sendDown(x, nil, true) }
func (r *raw) resetDown(*exchange, h2.ErrCode)             { r.x = nil; r.c.breakOff() }
func (r *raw) creditDown(*exchange, int)                   { r.c.setReading(true) }
func (r *raw) endDown(*exchange)                           { r.end() }

// The upstream side.

func (r *raw) request(*exchange, *message.Request, bool) {}

func (r *raw) sendUp(x *exchange, p []byte, end bool) int {
	if r.c.connecting {
		x.held = append(x.held, p...)
		x.heldEnd = x.heldEnd || end
		return len(x.held) + highWater // no credit before there is a connection
	}
	return r.write(p, end)
}

func (r *raw) trailersUp(x *exchange, _ []message.Field) { r.sendUp(x, nil, true) }
func (r *raw) resetUp(*exchange, h2.ErrCode)             { r.x = nil; r.c.breakOff() }
func (r *raw) creditUp(*exchange, int)                   { r.c.setReading(true) }
func (r *raw) endUp(*exchange)                           { r.end() }

func (r *raw) end() {
	r.x = nil
	if !r.c.closed {
		r.c.close()
	}
}

// respond200 tells the downstream of a CONNECT that the tunnel stands.
func (x *exchange) respond200() {
	x.response(&message.Response{Status: 200, ContentLength: -1}, false)
}
