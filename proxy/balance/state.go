package balance

import (
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
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

// Row is what is known of one endpoint, for people.
type Row struct {
	Addr      netip.AddrPort
	Workload  model.Name
	State     State
	Since     time.Duration // when the state began
	Latency   time.Duration // the estimate; 0: none yet
	Inflight  int
	Weight    float64 // what it is drawn by, 1 being the mean of those in use; 0: it gets nothing
	Success   float64 // share of successes lately
	Ejections int     // so far
	Outside   bool    // of the aperture
}

// AppendState appends a row for each endpoint, in the order of the last Update.
func (s *Set) AppendState(now time.Duration, rows []Row) []Row {
	for _, e := range s.all {
		r := Row{
			Addr: e.Addr, Workload: e.Workload, Since: e.stamp, Latency: time.Duration(e.ewma), Inflight: e.Inflight,
			Weight: 1 / max(e.share, 1e-9), Success: 1,
		}
		if e.Draining {
			r.State = Draining
		}
		rows = append(rows, r)
	}
	return rows
}
