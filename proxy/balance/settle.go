package balance

import (
	"math"
	"time"

	"github.com/weft-mesh/weft/planted"
)

const (
	tau        = 10 * time.Second       // how slowly good news is believed
	firstRTT   = 30 * time.Millisecond  // what a new endpoint is thought to take while its first request runs
	penaltyRTT = 1 * time.Second        // what a failure is thought to have taken, at least
	refusedRTT = 100 * time.Millisecond // what a refusal adds to the estimate: it is busy, not broken
	maxBehind  = time.Minute            // as long as an endpoint may ask to be left alone
)

// cost is the expected wait behind the requests that are already there.
//
// An endpoint without a sample is tried at once, by one request: with a guess in place of a
// sample, a new endpoint of a fast service would get next to nothing for tau times the logarithm
// of guess by truth, some 30 s (Finagle, loadbalancer/PeakEwma, does the same).
func (e *Endpoint) cost(now time.Duration) float64 {
	busy := float64(e.Inflight)*e.share + 1
	v := e.ewma
	switch {
	case now < e.behind:
		v = max(v, float64(penaltyRTT))
	case v == 0 && e.Inflight == 0:
		return 0
	case v == 0:
		v = float64(firstRTT)
	default:
		v = e.latency(now)
	}
	return (v + 1) * busy
}

// latency is the estimate at a time. It decays without samples, or a slow endpoint would never be
// tried again.
func (e *Endpoint) latency(now time.Duration) float64 {
	if dt := now - e.stamp; dt > 0 && !planted.On(planted.NeverForgive) {
		return e.ewma * remains(dt, tau)
	}
	return e.ewma
}

// Settle applies one finished request: rtt is how long it took until its response began. It reports
// whether that ejected the endpoint.
//
// A sample above the estimate replaces it at once, one below pulls it down with time constant
// tau: fast to fear, slow to forgive. A failure counts as penaltyRTT at least, or a server that
// fails fast would look best.
func (e *Endpoint) Settle(now, rtt time.Duration, failed bool) (ejected bool) {
	e.end()
	sample := float64(max(rtt, 1))
	if failed {
		sample = max(sample, float64(penaltyRTT))
	}
	e.learn(now, sample)
	if e.set == nil {
		return false
	}
	e.set.observe(now)
	return e.set.judge(e, now, failed)
}

// remains is what is left of a weight of 1 that decays with a time constant: exp(-d/tau). Most of the
// time little has passed, and three terms of the series are exact to a millionth, in a tenth of the time.
func remains(d, tau time.Duration) float64 {
	x := float64(d) / float64(tau)
	if x < 0.01 {
		return 1 - x + x*x/2
	}
	return math.Exp(-x)
}

// learn takes a sample into the estimate.
func (e *Endpoint) learn(now time.Duration, sample float64) {
	old := remains(max(now-e.stamp, 0), tau) // what the estimate still weighs
	e.stamp = now
	if sample > e.ewma {
		e.ewma = sample
		return
	}
	e.ewma = e.ewma*old + sample*(1-old)
}

// Unreachable applies a request for which no connection could be made. It counts at once, where
// other failures have to be several. It reports whether that ejected the endpoint.
func (e *Endpoint) Unreachable(now time.Duration) (ejected bool) {
	e.end()
	e.learn(now, float64(penaltyRTT))
	if e.set == nil {
		return false
	}
	e.set.observe(now)
	return e.set.unreachable(e, now)
}

// Refused applies a request that the endpoint said it did not process: it is busy, or about to go.
// That makes it dearer for a while, and is no failure of its. It reports whether it ejected the
// endpoint, see refuses.
func (e *Endpoint) Refused(now time.Duration) (ejected bool) {
	e.end()
	e.learn(now, min(e.latency(now)+float64(refusedRTT), float64(penaltyRTT)))
	e.untried(tryAgain)
	if e.set == nil {
		return false
	}
	e.set.observe(now)
	return e.set.refuses(e, now)
}

// Abandoned applies a request that its caller gave up after a wait without a response: it would
// have taken that long at least. Whose fault that was is not known.
func (e *Endpoint) Abandoned(now, waited time.Duration) {
	e.end()
	if w := float64(waited); w > e.latency(now) {
		e.learn(now, w)
	}
	e.untried(tryAgain)
}

// LeaveAlone makes the endpoint get little for a while, at most a minute: it said so itself
// (Retry-After with 429 or 503).
func (e *Endpoint) LeaveAlone(now, d time.Duration) {
	if d <= 0 {
		return
	}
	e.behind = now + min(d, maxBehind)
	if e.set != nil {
		e.set.observe(now)
		e.set.stale = true
	}
}
