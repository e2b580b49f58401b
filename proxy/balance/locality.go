package balance

import (
	"slices"
	"time"
)

// Requests stay in the client's zone as far as its endpoints can take them. Only the excess goes
// further. What they can take shows in three ways, and the largest excess counts: too few of them
// are healthy; they report more use than they should have; or, reports or not, their latency has
// risen well above what is usual there, and above that of the others.

const (
	provision  = 1.4              // a zone can take so many times its share (Envoy's overprovisioning factor)
	fullUse    = 0.8              // reported utilization that a zone is filled to
	fullFactor = 2                // times the usual latency, and
	fullMargin = time.Millisecond // more, means that a zone is full
	spillUp    = 0.05             // what a step adds while it is full
	spillDown  = 0.9              // what a step leaves when it is not
	spillLeast = 0.01             // below that nothing is spilled
	baseGrowth = 1.0 / (5 * 60)   // of the distance, a second: how soon what was unusual becomes usual
	fresh      = 10 * time.Second // how long the latency of other zones counts
	sampled    = 64               // endpoints at most are looked at for the latency of a zone
	unitScale  = 1.0 / (1 << 53)  // of 53 random bits
)

// spill is how much goes beyond the client's zone.
type spill struct {
	share float64 // of requests
	load  float64 // the part of it that follows latency
	base  float64 // the zone's usual latency; 0: not known
	at    time.Duration
}

// zone gives the endpoints among which a request's is chosen.
func (s *Set) zone(r uint64, avoid *Endpoint) *group {
	switch {
	case len(s.far.eps) == 0:
		return &s.near
	case len(s.near.eps) > 1 || len(s.near.eps) == 1 && s.near.eps[0] != avoid:
		if s.spill.share == 0 || float64(mix(r)>>11)*unitScale >= s.spill.share {
			return &s.near
		}
	}
	s.counts.Spilled++
	return &s.far
}

// adapt works out the excess.
func (s *Set) adapt(now time.Duration, draining bool) {
	if len(s.near.eps) == 0 || len(s.far.eps) == 0 {
		s.spill.share = 0
		return
	}
	s.again(now + spillStep)
	s.follow(now)
	s.spill.share = max(s.spill.load, s.lacking(draining), s.overused(now))
	if s.spill.share < spillLeast {
		s.spill.share = 0
	}
}

// lacking is the excess for want of healthy endpoints in the zone.
func (s *Set) lacking(draining bool) float64 {
	all := 0
	for _, e := range s.all {
		if e.Zone == s.cfg.Zone && e.arc > 0 && (draining || !e.Draining) {
			all++
		}
	}
	return max(1-provision*float64(len(s.near.eps))/float64(max(all, 1)), 0)
}

// overused is the excess by what the endpoints of the zone report.
func (s *Set) overused(now time.Duration) float64 {
	sum, n := 0.0, 0
	for _, e := range s.near.eps {
		if e.report.usable(now) {
			sum += e.report.used
			n++
		}
	}
	if n == 0 || sum <= fullUse*float64(n) {
		return 0
	}
	return 1 - fullUse*float64(n)/sum
}

// follow moves the excess by latency: up while the zone is slower than usual and than the others,
// down otherwise.
func (s *Set) follow(now time.Duration) {
	p := &s.spill
	if now < p.at {
		p.at = now
	}
	dt := now - p.at
	if dt < spillStep {
		return
	}
	p.at = now
	near, known := s.median(&s.near, now, never)
	if !known {
		p.load = 0
		return
	}
	if p.base == 0 || near < p.base {
		p.base = near
	} else {
		p.base += (near - p.base) * min(dt.Seconds()*baseGrowth, 1)
	}
	far, heard := s.median(&s.far, now, fresh)
	if near > fullFactor*p.base+float64(fullMargin) && (!heard || near > far) {
		p.load = min(p.load+spillUp, 1)
		return
	}
	if p.load *= spillDown; p.load < spillLeast {
		p.load = 0
	}
}

// median is that of the latencies of a group's endpoints which have one not older than an age.
func (s *Set) median(g *group, now, age time.Duration) (v float64, known bool) {
	s.scratch = s.scratch[:0]
	for i := 0; i < len(g.eps); i += 1 + len(g.eps)/sampled {
		if e := g.eps[i]; e.ewma > 0 && now-e.stamp <= age {
			s.scratch = append(s.scratch, e.latency(now))
		}
	}
	if len(s.scratch) == 0 {
		return 0, false
	}
	slices.Sort(s.scratch)
	return s.scratch[len(s.scratch)/2], true
}
