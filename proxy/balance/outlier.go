package balance

import (
	"slices"
	"time"
)

// State says what is done with an endpoint.
type State uint8

// The states.
const (
	Ready     State = iota
	Starting        // new: its weight grows
	Returning       // was ejected: its weight grows
	Draining        // leaves: no new requests unless nothing else is left
	Unhealthy       // its health checks fail
	Ejected         // its requests failed: none until its time is over
	Trying          // was ejected: one request is under way to it
)

// String gives the name that people see.
func (s State) String() string {
	return [...]string{"ready", "starting", "returning", "draining", "unhealthy", "ejected", "trying"}[s]
}

const (
	minVolume   = 5                // requests within the window, for a share of successes to mean anything
	tryFor      = 10 * time.Second // how long one trying request may take until another is sent
	tryAgain    = time.Second      // after one that told nothing
	judgePause  = 100 * time.Millisecond
	refuseTime  = 2 * time.Second // without a success, that refusals mean an application that is not there
	jitterShare = 0.2             // of an ejection's length, either way
)

// accrual is what requests told of an endpoint (Finagle: failure accrual).
type accrual struct {
	state     State // Ready, Ejected, Trying or Returning
	since     time.Duration
	until     time.Duration // of Ejected and Trying: when a request may be sent, the next one
	fails     int           // in a row
	good      float64       // successes of the window, older ones less
	volume    float64       // requests of the window
	stamp     time.Duration // when both were right
	judged    time.Duration // when it was last compared with the others
	row       int           // ejections without a good while between them
	ejections int           // all
	refused   int           // refusals in a row
	refusedAt time.Duration // the last one; 0: none
	wellAt    time.Duration // the last success
}

// out reports whether the endpoint gets no ordinary requests.
func (a *accrual) out() bool { return a.state == Ejected || a.state == Trying }

func (a *accrual) turn(to State, now time.Duration) { a.state, a.since = to, now }

// untried: the request that was to try the endpoint told nothing; another one does, after a while.
func (e *Endpoint) untried(after time.Duration) {
	a := &e.accrual
	if a.state != Trying {
		return
	}
	a.state, a.until = Ejected, a.since+after
	if e.set != nil {
		e.set.stale = true
	}
}

// note counts an outcome.
func (a *accrual) note(now, window time.Duration, failed bool) {
	if window > 0 {
		w := remains(max(now-a.stamp, 0), window)
		a.good *= w
		a.volume *= w
	}
	a.stamp = now
	a.volume++
	if failed {
		a.fails++
		return
	}
	a.good++
	a.fails, a.refused, a.wellAt = 0, 0, now
}

// success is the share of successes, 1 if nothing is known.
func (a *accrual) success() float64 {
	if a.volume <= 0 {
		return 1
	}
	return a.good / a.volume
}

// judge applies an outcome to an endpoint of the set and reports whether that ejected it.
func (s *Set) judge(e *Endpoint, now time.Duration, failed bool) bool {
	o, a := &s.policy().Outlier, &e.accrual
	a.note(now, o.SuccessWindow, failed)
	switch {
	case a.state == Ejected: // of a request that was under way when it was ejected
		return false
	case a.state == Trying && !failed:
		s.ejected--
		a.turn(Returning, now)
		e.ramp.start(max(s.policy().Balance.SlowStart, o.Eject), now)
		a.good, a.fails = a.volume, 0 // the past is paid for
		s.stale = true
		return false
	case !failed:
		return false
	case a.state == Trying || a.state == Returning:
		return s.eject(e, now)
	case o.Consecutive > 0 && a.fails >= o.Consecutive:
		return s.otherStands(e) && s.eject(e, now)
	case o.SuccessRate > 0 && a.volume >= minVolume && a.success() < o.SuccessRate && now-a.judged >= judgePause:
		a.judged = now
		return s.othersSucceed(e, o.SuccessRate) && s.eject(e, now)
	}
	return false
}

// unreachable: no connection could be made.
func (s *Set) unreachable(e *Endpoint, now time.Duration) bool {
	e.accrual.note(now, s.policy().Outlier.SuccessWindow, true)
	return e.accrual.state != Ejected && s.eject(e, now)
}

// refuses takes a refusal: the endpoint's proxy gave the request back. Many in a row and no success
// between them mean that the application is not there, unless the others refuse too: then all are
// overloaded, and fewer of them would be more so.
func (s *Set) refuses(e *Endpoint, now time.Duration) bool {
	o, a := &s.policy().Outlier, &e.accrual
	a.refused++
	a.refusedAt = now
	if o.Consecutive == 0 || a.refused < 2*o.Consecutive || now-a.wellAt < refuseTime || a.out() {
		return false
	}
	for _, other := range s.all {
		if r := other.accrual.refusedAt; other != e && r > 0 && now-r < refuseTime {
			return false
		}
	}
	return s.eject(e, now)
}

// otherStands reports whether any other endpoint does not fail again and again at present. If none does,
// what they all depend on is broken, and to leave some of them out would only load the others.
func (s *Set) otherStands(e *Endpoint) bool {
	for _, o := range s.all {
		if o != e && !o.Draining && o.ok() && o.accrual.fails < 2 {
			return true
		}
	}
	return false
}

// othersSucceed reports whether the other endpoints, taken together, are above a share of successes.
// If they are not, the fault is not the endpoint's.
func (s *Set) othersSucceed(e *Endpoint, rate float64) bool {
	good, volume := 0.0, 0.0
	for _, o := range s.all {
		if o != e && !o.accrual.out() {
			good += o.accrual.good
			volume += o.accrual.volume
		}
	}
	return volume >= minVolume && good/volume >= rate
}

// mayEject is how many of the endpoints may be ejected: the share that is set, one at least, never
// all.
func (s *Set) mayEject() int {
	percent := s.policy().Outlier.MaxPercent
	if percent == 0 {
		return 0
	}
	return min(max(len(s.all)*percent/100, 1), len(s.all)-1)
}

// eject takes an endpoint out for a while, longer each time. It reports whether it did.
func (s *Set) eject(e *Endpoint, now time.Duration) bool {
	o, a := &s.policy().Outlier, &e.accrual
	if !a.out() {
		if s.ejected >= s.mayEject() {
			s.counts.Spared++
			return false
		}
		s.ejected++
		if a.row > 0 && a.state == Ready && now-a.since >= o.EjectMax { // it was well for long
			a.row = 0
		}
	}
	d := o.EjectMax
	if a.row < 32 && o.Eject<<a.row > 0 {
		d = min(o.Eject<<a.row, o.EjectMax)
	}
	a.row++
	a.ejections++
	a.fails = 0
	s.counts.Ejections++
	a.turn(Ejected, now)
	jitter := 1 - jitterShare + 2*jitterShare*float64(mix(s.salt^e.place^uint64(a.ejections))>>11)/(1<<53)
	a.until = now + time.Duration(float64(d)*jitter)
	e.ramp = ramp{}
	s.stale = true
	return true
}

// try gives the endpoint whose ejection has ended, if there is one, for the one request that finds
// out whether it is well.
func (s *Set) try(now time.Duration, avoid *Endpoint) *Endpoint {
	var due *Endpoint
	for _, e := range s.all {
		a := &e.accrual
		if a.out() && e != avoid && !e.Draining && !e.active.unhealthy && now >= a.until && (due == nil || a.until < due.accrual.until) {
			due = e
		}
	}
	if due != nil {
		due.accrual.turn(Trying, now)
		due.accrual.until = now + tryFor
	}
	s.nextDue(now)
	return due
}

// nextDue finds the end of the next ejection. After a clock that went back none is waited for longer
// than it was to last.
func (s *Set) nextDue(now time.Duration) {
	s.dueAt = never
	if s.ejected == 0 {
		return
	}
	for _, e := range s.all {
		if a := &e.accrual; a.out() && !e.Draining && !e.active.unhealthy {
			if now < a.since {
				a.since, a.until = now, now+(a.until-a.since)
			}
			s.dueAt = min(s.dueAt, a.until)
		}
	}
}

// fewer lets endpoints come back if the set has shrunk so that too many of it are ejected: those
// first whose time is over soonest.
func (s *Set) fewer(now time.Duration) {
	for s.ejected > max(s.mayEject(), 0) {
		var first *Endpoint
		for _, e := range s.all {
			if e.accrual.out() && (first == nil || e.accrual.until < first.accrual.until) {
				first = e
			}
		}
		s.ejected--
		first.accrual.turn(Returning, now)
		first.ramp.start(s.policy().Outlier.Eject, now)
	}
}

// slow ejects endpoints whose latency is many times that of the others, if that is asked for.
func (s *Set) slow(now time.Duration) {
	factor := s.policy().Outlier.SlowFactor
	if factor == 0 {
		return
	}
	s.again(now + judgeStep)
	s.scratch = s.scratch[:0]
	for _, e := range s.all {
		if e.ewma > 0 && e.ok() {
			s.scratch = append(s.scratch, e.latency(now))
		}
	}
	if len(s.scratch) < 3 { // of two, either could be the odd one
		return
	}
	slices.Sort(s.scratch)
	limit := s.scratch[len(s.scratch)/2] * factor
	for _, e := range s.all {
		if e.accrual.state == Ready && e.accrual.volume >= minVolume && e.ok() && e.latency(now) > limit {
			s.eject(e, now)
		}
	}
}
