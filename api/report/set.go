package report

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/weft-mesh/weft/model"
)

// EndpointState is what a balancer thinks of an endpoint. They ascend from the best to the worst.
type EndpointState uint8

// The states.
const (
	EndpointReady     EndpointState = iota
	EndpointSlowStart               // new: its weight grows
	EndpointReturning               // was ejected: its weight grows
	EndpointDraining                // takes nothing new if there is any other
	EndpointTrying                  // was ejected: one request is under way to it
	EndpointUnhealthy               // failed its health checks
	EndpointEjected                 // failed requests while the others did not: gets none for a while
)

// String gives the name that people see.
func (s EndpointState) String() string {
	if s > EndpointEjected {
		return "unknown"
	}
	return [...]string{"ready", "slow-start", "returning", "draining", "trying", "unhealthy", "ejected"}[s]
}

// Endpoint is an endpoint as a balancer sees it.
type Endpoint struct {
	Workload  model.Name
	Addr      netip.AddrPort
	State     EndpointState
	Since     time.Duration // how long it has been so, at the time of the report
	Latency   time.Duration // the balancer's estimate; 0: none yet
	InFlight  int           // requests that were started and have not ended
	Weight    float64       // what it is drawn by, 1 being the mean; 0: it gets nothing
	Success   float64       // share of successes lately, as far as is known
	Ejections uint64        // since the proxy knows it
	Loops     int           // event loops for which it is in State
}

// SetKey names the endpoints of a service port.
type SetKey struct {
	Service model.Name
	Port    uint16
}

// Compare orders keys by service and port.
func (k SetKey) Compare(o SetKey) int {
	return cmp.Or(cmp.Compare(k.Service.Namespace, o.Service.Namespace), cmp.Compare(k.Service.Name, o.Service.Name), cmp.Compare(k.Port, o.Port))
}

// Set is the endpoints of a service port as one proxy sees them.
type Set struct {
	SetKey
	Algorithm string // as in model.Algorithm.String
	Loops     int    // event loops that use it
	// Budget is how many retries and hedges could be made at once; BudgetKnown is false if the
	// proxy does not tell.
	Budget      float64
	BudgetKnown bool
	Endpoints   []Endpoint // ascending by workload and address; none: the set is not used any more
	Omitted     int        // endpoints that are not in the list
}

// Bounds of what is reported of sets.
const (
	MaxSetEndpoints = 64  // of one set
	MaxSets         = 512 // of one proxy
)

func compareEndpoints(a, b Endpoint) int {
	return cmp.Or(cmp.Compare(a.Workload.Namespace, b.Workload.Namespace), cmp.Compare(a.Workload.Name, b.Workload.Name), a.Addr.Compare(b.Addr))
}

// MergeSets makes one set of each that several loops have: requests in flight, ejections and
// budgets are added up, latencies, weights and shares of successes are means, and a
// state is the worst, with how many loops hold it and since when. The result ascends by key and
// shares nothing with loops.
func MergeSets(loops ...[]Set) []Set {
	byKey := map[SetKey]*merging{}
	for _, sets := range loops {
		for i := range sets {
			s := &sets[i]
			m := byKey[s.SetKey]
			if m == nil {
				m = &merging{set: Set{SetKey: s.SetKey, Algorithm: s.Algorithm}, of: map[endpointKey]*sum{}}
				byKey[s.SetKey] = m
			}
			m.add(s)
		}
	}
	out := make([]Set, 0, len(byKey))
	for _, m := range byKey {
		out = append(out, m.finish())
	}
	slices.SortFunc(out, func(a, b Set) int { return a.Compare(b.SetKey) })
	return out
}

type endpointKey struct {
	workload model.Name
	addr     netip.AddrPort
}

type merging struct {
	set Set
	of  map[endpointKey]*sum
}

// sum is an endpoint over loops, and how many of them told what is a mean.
type sum struct {
	Endpoint
	latencies, loops int // that have an estimate; all
}

func (m *merging) add(s *Set) {
	m.set.Loops += max(s.Loops, 1)
	m.set.Omitted = max(m.set.Omitted, s.Omitted)
	if s.BudgetKnown {
		m.set.Budget += s.Budget
		m.set.BudgetKnown = true
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		k := endpointKey{e.Workload, e.Addr}
		t := m.of[k]
		if t == nil {
			t = &sum{Endpoint: Endpoint{Workload: e.Workload, Addr: e.Addr, State: e.State}}
			m.of[k] = t
		}
		t.add(e)
	}
}

func (t *sum) add(e *Endpoint) {
	loops := max(e.Loops, 1)
	switch {
	case e.State > t.State:
		t.State, t.Since, t.Loops = e.State, e.Since, loops
	case e.State == t.State:
		t.Since, t.Loops = max(t.Since, e.Since), t.Loops+loops
	}
	t.InFlight += e.InFlight
	t.Ejections += e.Ejections
	if e.Latency > 0 {
		t.Latency += e.Latency
		t.latencies++
	}
	t.Weight += e.Weight
	t.Success += e.Success
	t.loops++
}

func (m *merging) finish() Set {
	for _, t := range m.of {
		t.Latency /= time.Duration(max(t.latencies, 1))
		t.Weight /= float64(t.loops)
		t.Success /= float64(t.loops)
		m.set.Endpoints = append(m.set.Endpoints, t.Endpoint)
	}
	slices.SortFunc(m.set.Endpoints, compareEndpoints)
	if more := len(m.set.Endpoints) - MaxSetEndpoints; more > 0 { // loops that differ in what they omit
		m.set.Endpoints = m.set.Endpoints[:MaxSetEndpoints]
		m.set.Omitted += more
	}
	return m.set
}
