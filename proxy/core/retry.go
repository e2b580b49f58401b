package core

import (
	"strconv"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/h2"
	"github.com/weft-mesh/weft/proxy/resilience"
)

// Fields by which proxies, and the applications that pass them on, keep tiers from multiplying each
// other's tries.
const (
	// fieldAttempt is on a request that is not its caller's first try. The application is told, and if
	// it has it on what it calls in turn, that is not repeated but if it was not processed.
	fieldAttempt = "weft-attempt"
	// fieldAttempts is on a response that took more than one try.
	fieldAttempts = "weft-attempts"
	// fieldSpent is on a failure that comes of a failure further on, which that tier's proxy has tried to
	// help already: trying it again here would multiply.
	fieldSpent = "weft-spent"
)

var (
	nameAttempt  = []byte(fieldAttempt)
	nameAttempts = []byte(fieldAttempts)
	nameSpent    = []byte(fieldSpent)
)

// attemptOf reads which try a request is.
func attemptOf(f []message.Field) int {
	for i := range f {
		if len(f[i].Name) == len(fieldAttempt) && string(f[i].Name) == fieldAttempt {
			return resilience.Tries(f[i].Value)
		}
	}
	return 1
}

// nth is which try of the caller's the request is at present.
func (x *exchange) nth() int { return max(x.tries, x.attempt) }

// text gives a small number as text that is valid until the next call.
func (c *Core) text(n int) []byte {
	c.number = strconv.AppendInt(c.number[:0], int64(n), 10)
	return c.number
}

// beginTry is called when an endpoint was picked, before anything is sent to it.
func (x *exchange) beginTry(r *message.Request) {
	c := x.core
	x.tries++
	x.tryAt, x.tryUntil, x.resetCode = c.now, 0, h2.NoError
	if x.mirror { // nobody waits for it
		return
	}
	if x.tries == 1 { // a hedge begins with a later one
		calls := x.d.Calls()
		x.spending = x.entry.spendingOf(c, x.local, calls.Retry.Budget)
		x.spending.repeats.Request(c.now)
		x.spending.requeues.Request(c.now)
		x.holds = !x.connect && !x.upgrade && r.ContentLength <= int64(calls.Retry.Body)
	} else if x.series != nil {
		x.series.Retried()
	}
	if d := x.timeouts().BackendRequest; d > 0 {
		x.tryUntil = c.now + d
		x.armTry(x.tryUntil)
	}
}

// armTry wakes the exchange at the end of its try, or of the wait for the next one.
func (x *exchange) armTry(at time.Duration) {
	if x.try.fire == nil {
		x.try.fire = x.tryFired
	}
	x.core.wheel.arm(&x.try, at)
}

func (x *exchange) tryFired() {
	switch {
	case x.finished:
	case x.pausing:
		x.pausing = false
		x.pick(&x.saved)
	default:
		x.tryExpired()
	}
}

// tryExpired: the time for this try is over.
func (x *exchange) tryExpired() {
	x.core.leaveQueues(x)
	x.dropUp(h2.Cancel)
	if x.respHead {
		x.failed = true
		x.down.resetDown(x, h2.Cancel)
		x.finish()
		return
	}
	x.settleTry(true)
	if x.hedging != nil || x.again(resilience.Timeout) {
		return
	}
	x.failed = true
	x.fail(failTimeout)
}

// settleTry tells the endpoint how the try went, once.
func (x *exchange) settleTry(failed bool) {
	x.core.wheel.disarm(&x.try)
	if ep := x.ep; ep != nil {
		x.settle(ep, failed)
		x.leaveEndpoint(ep, failed)
	}
}

// abandonTry lets go of a try whose answer is not waited for any more: it would have taken this long at
// the least.
func (x *exchange) abandonTry() {
	c := x.core
	c.wheel.disarm(&x.try)
	if ep := x.ep; ep != nil {
		ep.Abandoned(c.now, c.now-x.tryAt)
		x.leaveEndpoint(ep, false)
	}
}

func (x *exchange) leaveEndpoint(ep *balance.Endpoint, failed bool) {
	x.ep, x.avoid = nil, ep
	if failed && x.series != nil {
		x.series.TryFailed()
	}
}

// cause is what the loss of an upstream means for another try.
func (g gone) cause() resilience.Cause {
	switch g {
	case goneConnect:
		return resilience.NotSent
	case goneUnprocessed:
		return resilience.NotProcessed
	case goneStale:
		return resilience.Stale
	}
	return resilience.Reset
}

// again begins another try after one that got no answer, if there may be one: at once if the request
// was not processed, or on a connection that was used before, otherwise after a wait.
func (x *exchange) again(cause resilience.Cause) bool {
	wait, ok := x.mayTry(cause, nil)
	if !ok {
		return false
	}
	if cause <= resilience.Stale {
		x.pick(&x.saved)
	} else {
		x.pause(wait)
	}
	return true
}

// pause waits for the next try.
func (x *exchange) pause(wait time.Duration) {
	if x.waits {
		x.waits = false
		x.core.wheel.disarm(&x.deadline)
	}
	x.pausing = true
	x.armTry(x.core.now + wait)
}

// mayTry reports whether there may be another try, and after which wait, and takes it out of the
// budget. answer is the response of the last one, if there was one.
func (x *exchange) mayTry(cause resilience.Cause, answer *message.Response) (wait time.Duration, ok bool) {
	if x.spending == nil || !x.kept || x.respHead {
		return 0, false
	}
	c, r := x.core, &x.d.Calls().Retry
	tries := x.tries
	if planted.On(planted.TryForEver) {
		tries = 0
	}
	if !resilience.Wanted(r, cause, tries) || !cause.Unprocessed() && !x.repeatable(r) {
		return 0, false
	}
	if cause > resilience.Stale {
		wait = resilience.Backoff(r, x.tries, c.rand())
		if answer != nil {
			asked, never := resilience.Asked(answer.Fields)
			if never {
				return 0, false
			}
			wait = max(wait, asked)
		}
	}
	if wait > c.limits.QueueTimeout || x.until > 0 && c.now+wait >= x.until {
		return 0, false
	}
	b := &x.spending.repeats
	if cause <= resilience.Stale {
		b = &x.spending.requeues
	}
	if !b.Take(c.now) && !planted.On(planted.TryForEver) {
		c.shard.Refused(codeBudget)
		return 0, false
	}
	return wait, true
}

// codeBudget counts tries that were not made for want of a budget.
const codeBudget = "W3313"

// repeatable reports whether the request may be sent again although it may have been processed.
func (x *exchange) repeatable(r *model.Retry) bool {
	return !x.connect && !x.upgrade && x.attempt <= 1 && resilience.Repeatable(r, x.saved.Method)
}

// retryAnswer drops a failed response and tries again, if that may be done. It reports whether it did;
// otherwise the response is passed on as it is.
func (x *exchange) retryAnswer(r *message.Response, end bool) bool {
	if x.spending == nil {
		return false
	}
	p := &x.d.Calls().Retry
	if p.On == 0 {
		return false
	}
	cause, ok := resilience.Answered(p, r.Status, x.grpcStatus(r, end))
	if !ok {
		cause, ok = brokenThere(r)
	}
	if !ok || message.Get(r.Fields, fieldSpent) != nil {
		return false
	}
	wait := time.Duration(0)
	if x.hedging == nil { // or its answer is waited for
		if wait, ok = x.mayTry(cause, r); !ok {
			return false
		}
	}
	up := x.up
	x.up = nil
	x.unburden()
	if end {
		up.endUp(x)
	} else {
		up.resetUp(x, h2.Cancel)
	}
	x.settleTry(true)
	if x.hedging == nil {
		x.pause(wait) // never at once: the connection is still within the answer
	}
	return true
}

// brokenThere gives the cause that lies in an answer of the callee's proxy about its application. No
// application can write such a one.
func brokenThere(r *message.Response) (c resilience.Cause, ok bool) {
	if r.Status < 500 && r.Status != 200 { // 200: of gRPC
		return 0, false
	}
	switch string(message.Get(r.Fields, fieldCode)) {
	case failBroken.code:
		return resilience.Reset, true
	case failTimeout.code, failNoTime.code:
		return resilience.Timeout, true
	}
	return 0, false
}

// grpcStatus is that of a response without a body and trailers, or nil.
func (x *exchange) grpcStatus(r *message.Response, end bool) []byte {
	if !x.grpc || !end {
		return nil
	}
	return message.Get(r.Fields, "grpc-status")
}

// noteTries adds to a response what the next proxy, or the caller, should know about its tries.
func (x *exchange) noteTries(r *message.Response, end bool) {
	failing := r.Status >= 400 || x.grpc && end
	if x.inbound {
		if failing && x.framed() && (r.Status >= 400 || string(x.grpcStatus(r, end)) != "0") && x.core.shared.failedSince(x.local, x.start) {
			r.Fields = append(r.Fields, message.Field{Name: nameSpent, Value: valueYes})
		}
		return
	}
	if failing {
		r.Fields = message.Delete(r.Fields, fieldSpent)
	}
	if n := x.tries + x.hedges; n > 1 {
		r.Fields = append(r.Fields, message.Field{Name: nameAttempts, Value: x.core.text(n)})
	}
}
