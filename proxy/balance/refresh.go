package balance

import (
	"time"

	"github.com/weft-mesh/weft/model"
)

// How often what changes with time is looked at, while there is any.
const (
	rampStep  = 250 * time.Millisecond // weights that grow
	spillStep = 100 * time.Millisecond // load of zones
	judgeStep = time.Second            // load reports and latencies against each other
)

// refresh works out who may be picked, and by which weights. It is called by the first pick after
// something changed, and now and then while something changes with time; with equal weights and no
// ejection there is nothing to do until the next Update. It allocates only when a set has grown.
func (s *Set) refresh(now time.Duration) {
	p := s.policy()
	s.stale, s.panic, s.refreshAt, s.dueAt = false, false, never, never

	local := s.zoned()
	reported, usual := s.reports(now), s.usual(now)
	s.slow(now)
	healthy, ready := 0, 0
	draining := s.drained()
	for _, e := range s.all {
		e.in = false
		if e.Draining && !draining {
			continue
		}
		ready++
		if e.ok() {
			healthy++
		}
	}
	s.panic = healthy < ready && healthy*100 < p.Balance.PanicPercent*ready
	s.usable, s.near.eps, s.far.eps = s.usable[:0], s.near.eps[:0], s.far.eps[:0]
	s.narrow(local, draining)
	for _, e := range s.all {
		if e.Draining && !draining || e.arc == 0 || !s.panic && !e.ok() {
			continue
		}
		e.in = true
		e.weight = float64(weightOf(e)) * e.arc * s.grown(e, now, usual) * e.trusted(now, reported) * e.spared(now)
		s.usable = append(s.usable, e)
		if local && e.Zone != s.cfg.Zone {
			s.far.eps = append(s.far.eps, e)
		} else {
			s.near.eps = append(s.near.eps, e)
		}
	}
	if hashes(p.Balance.Algorithm) {
		s.total.eps = s.usable
		s.total.weigh()
		s.hashed.count(s.usable)
	} else {
		s.total.eps = nil
		s.near.weigh()
		s.far.weigh()
	}
	s.adapt(now, draining)
	s.nextDue(now)
}

// hashes reports whether an algorithm chooses by a hash of the request. It needs the same endpoints
// at each client, so zones, apertures and weights that change by themselves are not for it.
func hashes(a model.Algorithm) bool { return a == model.RingHash || a == model.Maglev }

// drained reports whether all endpoints are draining: then they are used all the same.
func (s *Set) drained() bool {
	for _, e := range s.all {
		if !e.Draining {
			return false
		}
	}
	return true
}

// zoned reports whether endpoints of the client's zone are preferred.
func (s *Set) zoned() bool {
	b := &s.policy().Balance
	if !b.Locality || s.cfg.Zone == "" || hashes(b.Algorithm) {
		return false
	}
	for _, e := range s.all {
		if e.Zone == s.cfg.Zone {
			return true
		}
	}
	return false
}

// ok reports whether the endpoint is taken for healthy.
func (e *Endpoint) ok() bool { return !e.active.unhealthy && !e.accrual.out() }

// again makes refresh come at a time at the latest.
func (s *Set) again(at time.Duration) { s.refreshAt = min(s.refreshAt, at) }
