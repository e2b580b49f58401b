package core

import (
	"strconv"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/h2"
	"github.com/weft-mesh/weft/proxy/overload"
)

// The failures of guarded applications. Those of the callee's proxy are counted there; towards the
// caller's proxy they are a stream that was not processed, which tries elsewhere.
var (
	failOverloaded = failure{503, "W3320", "connection_limit_reached", "every endpoint that was tried is overloaded"}
	failShed       = failure{503, "W3321", "connection_limit_reached", "the application is overloaded, and others are more important or have had less"}
	failFull       = failure{503, "W3322", "connection_limit_reached", "the application is overloaded, and as many requests wait for it as may"}
	failWaited     = failure{503, "W3323", "connection_limit_reached", "the application is overloaded, and the request has waited for as long as it may"}
	failLate       = failure{503, "W3324", "connection_limit_reached", "the application is overloaded, and cannot answer in the time that is left"}
)

// refusedBusy is the error code of a stream that an overloaded proxy has not processed. On a link it says
// what REFUSED_STREAM says, and why. It is none of RFC 9113's: those that would fit are also used for
// streams that were processed.
const refusedBusy h2.ErrCode = 0x77650001

// knock brings a request to its application's guard, which lets it in, makes it wait or turns it away.
func (x *exchange) knock(r *message.Request) {
	c, d := x.core, x.door
	claim := overload.ReadClaim(r.Fields)
	p := overload.Bound(d.portGuard.guard.Priorities, x.peer, &claim)
	if claim.Claimed && claim.Priority != p { // what counts here counts further down, too
		r.Fields = overload.SetPriority(r.Fields, p)
	}
	q := overload.Request{
		Kind: overload.KindOf(r.Path), Caller: x.peer, Priority: p, Tree: claim.Tree, Traced: claim.Traced,
		Rand: c.rand, Left: claim.Left,
	}
	x.turn.Owner = x
	v, yields := d.guard.Arrive(c.now, &x.turn, &q)
	switch v {
	case overload.Enter:
		x.toApplication(r)
	case overload.Wait:
		x.park(r, false)
		c.open(d)
	default:
		x.turnAway(v)
	}
	if yields != nil {
		yields.Owner.(*exchange).turnAway(overload.Full)
	}
}

// turnAway refuses a request that the guard does not let in.
func (x *exchange) turnAway(v overload.Verdict) {
	if x.finished {
		return
	}
	f := failWaited
	switch v {
	case overload.Shed:
		f = failShed
	case overload.Full:
		f = failFull
	case overload.Late:
		f = failLate
	}
	x.failed = true
	if !x.framed() {
		x.retryAfter = time.Second
		x.fail(f)
		return
	}
	x.countRefusal(f.code)
	x.status = f.status
	x.down.resetDown(x, refusedBusy)
	x.finish()
}

// answers tells the guard that the application begins to answer.
func (x *exchange) answers() {
	d := x.door
	if d == nil {
		return
	}
	// What says nothing of its load: errors, which are often quick; a tunnel; a request whose end its
	// caller has not sent.
	measure := x.reqDone && !x.tunnel && !x.failed && !x.grpcFailed && x.status != 429
	d.guard.Answered(x.core.now, &x.turn, x.askedAt, measure)
	if d.guard.Waiting() > 0 {
		x.core.open(d)
	}
}

// leaveDoor gives up the place at the guard.
func (x *exchange) leaveDoor() {
	if q := x.question; q != nil {
		q.x, x.question = nil, nil
	}
	d := x.door
	if d == nil {
		return
	}
	x.door = nil
	d.guard.Leave(x.core.now, &x.turn)
	if d.guard.Waiting() > 0 {
		x.core.open(d)
	}
}

// withPriority gives the fields of a request to a peer with the priority that the caller's side gives it, if the
// application has named none. A mirrored copy is the first to be shed, whatever the original is; a health
// check is not, or an application that has much to do would be taken for a dead one.
func (x *exchange) withPriority(f []message.Field) []message.Field {
	if x.errand != nil {
		return overload.SetPriority(f, model.PriorityCritical)
	}
	if x.mirror {
		return overload.SetPriority(f, model.PrioritySheddable)
	}
	p := x.d.Calls().Priority
	if p == model.PriorityDefault {
		return f
	}
	if claim := overload.ReadClaim(f); claim.Claimed {
		return f
	}
	return overload.SetPriority(f, p)
}

// sayWhen adds when it makes sense to try again to a response of our own.
func (x *exchange) sayWhen(s *fieldScratch, code string) {
	after := x.retryAfter
	if code == failOverloaded.code {
		after = time.Second
	}
	if after <= 0 {
		return
	}
	seconds := int64((after + time.Second - 1) / time.Second)
	s.add("retry-after", strconv.FormatInt(seconds, 10))
	if x.limited != "" { // draft-ietf-httpapi-ratelimit-headers
		s.add("ratelimit", strconv.Quote(printable(x.limited))+";r=0;t="+strconv.FormatInt(seconds, 10))
	}
}
