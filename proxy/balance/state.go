package balance

import (
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
)

// Row is what is known of one endpoint, for people.
type Row struct {
	Addr      netip.AddrPort
	Workload  model.Name
	Zone      string
	State     State
	Since     time.Duration // when the state began
	Until     time.Duration // of Ejected: when one request will try it
	Latency   time.Duration // the estimate; 0: none yet
	Inflight  int
	Weight    float64 // what it is drawn by, 1 being the mean of those in use; 0: it gets nothing
	Success   float64 // share of successes lately
	Ejections int     // so far
	Outside   bool    // of the aperture
}

// AppendState appends a row for each endpoint, in the order of the last Update.
func (s *Set) AppendState(now time.Duration, rows []Row) []Row {
	mean := 0.0
	for _, e := range s.Usable(now) {
		mean += e.weight / float64(len(s.usable))
	}
	for _, e := range s.all {
		r := Row{
			Addr: e.Addr, Workload: e.Workload, Zone: e.Zone, Latency: time.Duration(e.latency(now)), Inflight: e.Inflight,
			Success: e.accrual.success(), Ejections: e.accrual.ejections, Outside: e.arc == 0,
		}
		r.State, r.Since = e.State()
		if r.State == Ejected {
			r.Until = e.accrual.until
		}
		if e.in {
			r.Weight = e.weight / mean
		}
		rows = append(rows, r)
	}
	return rows
}

// State tells what is done with the endpoint, and since when.
func (e *Endpoint) State() (State, time.Duration) {
	switch {
	case e.accrual.out():
		return e.accrual.state, e.accrual.since
	case e.active.unhealthy:
		return Unhealthy, e.active.since
	case e.Draining:
		return Draining, e.drains
	case e.accrual.state == Returning:
		return Returning, e.accrual.since
	case e.ramp.window > 0:
		return Starting, e.accrual.since
	}
	return Ready, e.accrual.since
}

// Spill is the share of requests that go beyond the client's zone at present.
func (s *Set) Spill() float64 { return s.spill.share }

// Inflight is how many requests to the endpoints of the set were started and not settled.
func (s *Set) Inflight() int {
	n := 0
	for _, e := range s.all {
		n += e.Inflight
	}
	return n
}
