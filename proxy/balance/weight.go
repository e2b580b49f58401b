package balance

import (
	"slices"
	"time"
)

// What an endpoint is drawn by is its weight in the configuration times factors that change: it has
// just come or come back (ramp), it says how busy it is (report), it asked to be left alone.

const (
	rampFrom    = 0.1 // of its weight is what a new endpoint begins with
	rampFast    = 3   // times as fast as said grows the weight of one that is not slower than the others
	rampMargin  = 1.25
	behindShare = 0.1 // of its weight is left to one that asked to be left alone
)

// ramp is the growth of a new endpoint's weight. The zero value is over.
type ramp struct {
	window time.Duration // how long it takes; 0: it is over
	done   float64       // 0 to 1
	at     time.Duration // when done was right
}

func (r *ramp) start(window, now time.Duration) { *r = ramp{window: window, at: now} }

func (r *ramp) factor() float64 {
	if r.window <= 0 {
		return 1
	}
	return rampFrom + (1-rampFrom)*r.done
}

// step lets time pass. It reports whether the growth goes on.
func (r *ramp) step(now time.Duration, fast bool) bool {
	if r.window <= 0 {
		return false
	}
	d := float64(max(now-r.at, 0)) / float64(r.window)
	if fast {
		d *= rampFast
	}
	r.at = now
	if r.done += d; r.done >= 1 {
		*r = ramp{}
		return false
	}
	return true
}

// grown lets an endpoint's weight grow, faster if its latency is no worse than that of the others.
func (s *Set) grown(e *Endpoint, now time.Duration, usual float64) float64 {
	if e.ramp.step(now, e.ewma > 0 && usual > 0 && e.latency(now) <= usual*rampMargin) {
		s.again(now + rampStep)
	} else if e.accrual.state == Returning {
		e.accrual.turn(Ready, now)
	}
	return e.ramp.factor()
}

// usual is the mean latency of the endpoints that are in full use; 0: none is known, or nobody wants
// to know, since no weight grows.
func (s *Set) usual(now time.Duration) float64 {
	if !slices.ContainsFunc(s.all, func(e *Endpoint) bool { return e.ramp.window > 0 }) {
		return 0
	}
	sum, n := 0.0, 0
	for _, e := range s.all {
		if e.ewma > 0 && e.ramp.window <= 0 && e.ok() {
			sum += e.latency(now)
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// spared is the factor of one that asked to be left alone.
func (e *Endpoint) spared(now time.Duration) float64 {
	if now >= e.behind {
		return 1
	}
	if e.set != nil {
		e.set.again(e.behind)
	}
	return behindShare
}
