package balance

import (
	"slices"
	"time"
)

// Load is what an application says about itself in a response (ORCA, gRFC A51).
type Load struct {
	QPS         float64 // requests a second that it serves
	EPS         float64 // errors a second of them
	Utilization float64 // 1 is all that it can do; above 1 it is overloaded. Its own figure, or else CPU
}

// The parameters of gRFC A58 with their defaults there, and what of a report is believed.
const (
	blackout     = 10 * time.Second // reports of an endpoint that just began say little
	reportLife   = 3 * time.Minute
	errorPenalty = 1.0
	maxQPS       = 1e7
	maxUsed      = 100.0
	leastTrusted = 0.25 // of the median weight, and
	mostTrusted  = 4.0  // times it, is what reports can make of an endpoint
)

// report is what an endpoint said last.
type report struct {
	weight float64 // requests a second that it could serve
	used   float64
	first  time.Duration // of those that came without a long pause
	last   time.Duration
	known  bool
}

// Report takes what an endpoint says about itself. What cannot be true is counted and ignored, which it
// reports; what may be a lie changes its weight within bounds.
func (e *Endpoint) Report(now time.Duration, l Load) (believed bool) {
	s := e.set
	if s == nil || !s.policy().Balance.LoadReports {
		return true
	}
	if !believable(l.QPS, maxQPS) || !believable(l.EPS, maxQPS) || !believable(l.Utilization, maxUsed) || l.EPS > l.QPS*2+1 {
		s.counts.Lies++
		return false
	}
	if l.QPS == 0 || l.Utilization == 0 {
		return true // it does not say
	}
	r := &e.report
	if !r.known || now-r.last >= reportLife || now < r.first {
		*r = report{known: true, first: now}
		s.again(now + blackout)
	}
	r.last, r.used = now, l.Utilization
	r.weight = l.QPS / (l.Utilization + l.EPS/l.QPS*errorPenalty)
	return true
}

// believable reports whether a figure is a number from 0 to a bound.
func believable(v, most float64) bool { return v >= 0 && v <= most } // false for NaN

// usable reports whether the report counts at a time.
func (r *report) usable(now time.Duration) bool {
	return r.known && now-r.first >= blackout && now-r.last < reportLife
}

// reports gives the median of the weights that endpoints reported, which one that lies does not move;
// 0: there are not two, and none counts.
func (s *Set) reports(now time.Duration) float64 {
	s.scratch = s.scratch[:0]
	for _, e := range s.all {
		r := &e.report
		switch {
		case !r.known:
		case r.usable(now):
			s.scratch = append(s.scratch, r.weight)
			s.again(now + judgeStep)
		case now-r.first < blackout:
			s.again(r.first + blackout)
		}
	}
	n := len(s.scratch)
	if n < 2 {
		return 0
	}
	slices.Sort(s.scratch)
	return (s.scratch[(n-1)/2] + s.scratch[n/2]) / 2
}

// trusted is what the endpoint's report makes of its weight, given the median of all. One that does
// not report is like the median.
func (e *Endpoint) trusted(now time.Duration, median float64) float64 {
	if median == 0 || !e.report.usable(now) {
		return 1
	}
	return min(max(e.report.weight/median, leastTrusted), mostTrusted)
}
