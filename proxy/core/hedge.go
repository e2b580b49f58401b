package core

import (
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/h2"
	"github.com/weft-mesh/weft/proxy/resilience"
)

// hedge joins a request whose answer takes longer than that of most to a second exchange, which asks
// another endpoint the same: it is the downstream of that one, y, and becomes the upstream of the
// first, x, when y's answer comes first (Dean and Barroso, "The Tail at Scale", 2013). Until then each
// goes its own way; the head of the first good answer decides, and who is slower is cancelled.
//
// It hands on what the two do in plain calls, as localHop does, and is part of y.
type hedge struct {
	x     *exchange // whose request it is; nil: it has nothing to do with us any more
	y     *exchange // nil: the exchange that this is a part of is no hedge
	won   bool      // x has its answer from us
	ended bool      // the answer's end was handed on
}

// isHedge reports whether the exchange repeats another's request while that waits.
func (x *exchange) isHedge() bool { return x.hedge.y != nil }

// awaitHedge arms the wait after which a request that is sent completely is hedged, if it may be.
func (x *exchange) awaitHedge() {
	if x.spending == nil || x.finished || x.up == nil {
		return
	}
	calls := x.d.Calls()
	if calls.Hedge == nil || x.hedges > 0 || x.respHead || x.d.Session.Endpoint != 0 || !x.reqDone || !x.kept || !x.repeatable(&calls.Retry) {
		return
	}
	if x.entry.latencies == nil {
		return
	}
	d, ok := x.entry.latencies.Above(calls.Hedge.Percentile)
	if !ok {
		return
	}
	if x.late.fire == nil {
		x.late.fire = x.startHedge
	}
	x.core.wheel.arm(&x.late, x.tryAt+max(d, calls.Hedge.Min))
}

// noteLatency counts how long an answer took, where hedges depend on it.
func (x *exchange) noteLatency() {
	if x.spending == nil || x.status >= 500 || x.d.Calls().Hedge == nil {
		return
	}
	if x.entry.latencies == nil {
		x.entry.latencies = new(resilience.Latencies)
	}
	x.entry.latencies.Observe(x.core.now, x.core.now-x.tryAt)
}

// startHedge sends the request to another endpoint too.
func (x *exchange) startHedge() {
	c := x.core
	if x.finished || x.respHead || x.up == nil || !x.kept || x.entry.set.Len() < 2 {
		return
	}
	if !x.spending.repeats.Take(c.now) {
		c.shard.Refused(codeBudget)
		return
	}
	y := c.newExchange(x.local, nil)
	y.hedge = hedge{x: x, y: y}
	y.down = &y.hedge
	y.dest, y.d, y.port, y.entry, y.avoid = x.dest, x.d, x.port, x.entry, x.ep
	y.isHEAD, y.h2app, y.grpc, y.overH2 = x.isHEAD, x.h2app, x.grpc, x.cameOverH2()
	y.until, y.told, y.tries, y.attempt = x.until, x.told, x.tries, x.attempt
	y.reqDone, y.heldEnd = true, true
	y.park(&x.saved, true)
	x.hedging = y
	x.hedges++
	if x.series != nil {
		x.series.Hedged()
	}
	y.held = append(y.held[:0], x.held...)
	if y.countParked(len(y.held)); !y.finished {
		y.pick(&y.saved)
	}
}

// endHedge lets go of a second exchange that is not needed any more.
func (x *exchange) endHedge() {
	x.core.wheel.disarm(&x.late)
	if y := x.hedging; y != nil {
		x.hedging = nil
		y.hedge.x = nil
		y.downGone()
	}
}

// lost: y will bring no answer.
func (h *hedge) lost(why gone, f failure) {
	x, y := h.x, h.y
	h.x = nil
	y.failed = true
	y.settleGone(why)
	waited := x != nil && (h.won || x.up == nil) // the first has failed already
	if x != nil {
		x.hedging = nil
		if x.series != nil {
			x.series.TryFailed()
		}
	}
	code := y.resetCode
	y.finish()
	if waited {
		x.resetCode = code
		x.upGone(why, f)
	}
}

// win makes y the upstream of x.
func (h *hedge) win() {
	x := h.x
	h.won = true
	x.hedging = nil
	x.dropUp(h2.Cancel)
	x.abandonTry()
	x.up = h
	if x.series != nil {
		x.series.HedgeWon()
	}
}

// The downstream side, of y.

func (h *hedge) respond(y *exchange, r *message.Response, end bool) {
	x := h.x
	h.ended = h.ended || end
	if x == nil {
		return
	}
	if !h.won {
		if r.Status < 200 {
			return
		}
		if x.up != nil && y.failed { // the first may do better
			h.x, x.hedging = nil, nil
			if !end {
				y.downGone()
			}
			return
		}
		h.win()
	}
	x.response(r, end)
}

func (h *hedge) sendDown(_ *exchange, p []byte, end bool) int {
	x := h.x
	if x == nil {
		return 0
	}
	h.ended = h.ended || end
	x.respData(p, end)
	if !x.finished && x.owedUp > 0 {
		return highWater + 1
	}
	return 0
}

func (h *hedge) trailersDown(_ *exchange, f []message.Field) {
	h.ended = true
	if h.x != nil {
		h.x.respTrailers(f)
	}
}

// resetDown: the response of y breaks off, which is x's if it has begun.
func (h *hedge) resetDown(y *exchange, code h2.ErrCode) {
	x := h.x
	h.x = nil
	if x == nil {
		return
	}
	x.hedging = nil
	if h.won || x.up == nil {
		x.resetCode = code
		x.upGone(goneBroken, failBroken)
	}
}

func (h *hedge) creditDown(*exchange, int) {} // the request was complete

func (h *hedge) endDown(y *exchange) {
	if h.x != nil && !h.ended {
		h.resetDown(y, h2.Cancel)
	}
}

// The upstream side, of x.

func (h *hedge) request(*exchange, *message.Request, bool) {}
func (h *hedge) sendUp(*exchange, []byte, bool) int        { return 0 }
func (h *hedge) trailersUp(*exchange, []message.Field)     {}
func (h *hedge) creditUp(*exchange, int)                   { h.y.downWritable() }

func (h *hedge) resetUp(*exchange, h2.ErrCode) {
	h.x = nil
	h.y.downGone()
}

func (h *hedge) endUp(*exchange) {
	h.x = nil
	if !h.ended {
		h.y.downGone()
	}
}
