package core

import (
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/h1"
	"github.com/weft-mesh/weft/proxy/h2"
)

// What is done on purpose is counted as refusals are, under codes of its own, and not among the
// requests of the service: nobody shall take a fault that was asked for for one that was not.
const (
	codeFaultAbort = "W3330" // answered instead of the backend
	codeFaultReset = "W3332"
	codeFaultDelay = "W3333"
	codeFaultSlow  = "W3334" // the response is slowed down
)

// Slow responses are passed on in pieces, no more often than this.
const faultStep = 20 * time.Millisecond

// faulted is what is done on purpose to an exchange (model.Fault). It is made for those that get a
// fault only.
type faulted struct {
	x     *exchange
	plan  decide.Fault
	timer timer

	// A response that is slowed down waits here. The upstream is not credited for it before, so what
	// waits is bounded by its window.
	slow     bool
	queue    []byte
	paid     time.Duration // up to when the rate is used up
	behind   bool          // the downstream has no room
	ended    bool          // the rest is in queue and trailers
	trailers []message.Field
}

// breakOnPurpose does what the decision says to a request that is ready to be sent. It reports true
// if the request goes nowhere for now, or for good.
func (x *exchange) breakOnPurpose(r *message.Request) bool {
	c := x.core
	f := &faulted{x: x, plan: x.d.Fault(x.grpc)}
	f.timer.fire = f.fire
	x.fault = f
	if f.plan.Delay > 0 {
		c.shard.Refused(codeFaultDelay)
		x.park(r, false)
		c.wheel.arm(&f.timer, c.now+f.plan.Delay)
		return true
	}
	return f.abort()
}

// fire: the delay is over, or it is time for the next piece.
func (f *faulted) fire() {
	x := f.x
	switch {
	case x.finished:
	case f.slow:
		f.step()
	case !f.abort():
		x.pick(&x.saved)
	}
}

// abort ends the exchange if the fault says so.
func (f *faulted) abort() bool {
	x, p := f.x, &f.plan
	status, grpc := p.Status, p.GRPC
	switch {
	case p.Reset:
		x.core.shard.Refused(codeFaultReset)
		x.failed = true
		x.down.resetDown(x, h2.InternalError)
		x.finish()
		return true
	case x.grpc && grpc > 0:
		status = 503 // not seen by anybody
	case status > 0:
		grpc = grpcStatus(status)
	default:
		return false // nothing for this kind of request
	}
	x.refuseAs(status, grpc, codeFaultAbort, "proxy_internal_response", "a fault that the policy asks for answered instead of the service")
	return true
}

// slows takes a piece of a response that is to be slowed down.
func (f *faulted) slows(p []byte, end bool) bool {
	if !f.takes() {
		return false
	}
	f.x.owedUp += len(p)
	f.queue = append(f.queue, p...)
	if end {
		f.letGo()
	}
	f.step()
	return true
}

// slowsTrailers takes the trailers of such a response.
func (f *faulted) slowsTrailers(t []message.Field) bool {
	if !f.takes() {
		return false
	}
	x := f.x
	if x.ds == nil && x.answeredOverH2() && h1.CheckTrailers(t) != nil {
		t = nil
	}
	f.trailers = cloneFields(t)
	f.letGo()
	f.step()
	return true
}

// takes reports whether the response is slowed down, and begins with it.
func (f *faulted) takes() bool {
	x := f.x
	if f.plan.BytesPS <= 0 || x.tunnel {
		return false
	}
	if !f.slow {
		f.slow = true
		x.core.shard.Refused(codeFaultSlow)
	}
	if len(f.queue) == 0 {
		f.paid = max(f.paid, x.core.now) // a pause of the sender's is not made up for
	}
	return true
}

// letGo: the response is here as a whole; its connection is free for others.
func (f *faulted) letGo() {
	x := f.x
	f.ended = true
	x.unburden()
	if up := x.up; up != nil {
		x.up = nil
		up.endUp(x)
	}
}

// step passes on what the rate allows by now.
func (f *faulted) step() {
	x := f.x
	c := x.core
	rate := time.Duration(min(f.plan.BytesPS, 1<<30))
	if !f.behind && len(f.queue) > 0 {
		n := min(int(min(c.now-f.paid, time.Second)*rate/time.Second), len(f.queue))
		if n > 0 {
			f.paid = max(f.paid+time.Duration(n)*time.Second/rate, c.now-time.Second)
			piece := f.queue[:n]
			f.queue = f.queue[n:]
			f.behind = f.pass(piece)
		}
	}
	switch {
	case x.finished:
		return
	case len(f.queue) == 0 && f.ended:
		f.finish()
		return
	case len(f.queue) <= lowWater && !f.behind:
		x.downWritable()
	}
	if len(f.queue) > 0 && !x.finished && !f.timer.armed() {
		c.wheel.arm(&f.timer, max(c.now+faultStep, f.paid+time.Second/rate))
	}
}

// pass sends a piece down and reports whether the downstream has enough for now.
func (f *faulted) pass(p []byte) (behind bool) {
	x := f.x
	if x.got += uint64(len(p)); x.sent+x.got >= x.weighAgain {
		x.weigh()
	}
	return x.down.sendDown(x, p, false) > highWater
}

// finish passes on the end.
func (f *faulted) finish() {
	x := f.x
	f.plan.BytesPS = 0
	if f.trailers != nil {
		x.respTrailers(f.trailers)
		return
	}
	x.respData(nil, true)
}

// holds reports whether the upstream is to wait although the downstream has room again.
func (f *faulted) holds() bool {
	f.behind = false
	return f.slow && len(f.queue) > lowWater
}

// endFault lets go of what is done on purpose.
func (x *exchange) endFault() {
	if f := x.fault; f != nil {
		x.core.wheel.disarm(&f.timer)
		f.queue = nil
	}
}
