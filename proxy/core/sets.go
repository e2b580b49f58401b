package core

import (
	"slices"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
)

// Sets tells how the balancer sees the endpoints of the service ports that requests were sent to:
// at most n of them, ascending by key and beyond after, so that many can be asked for in turns
// that hold nobody up. Fewer than n: there are no more. The result shares nothing with the core.
func (c *Core) Sets(after report.SetKey, n int) []report.Set {
	var keys []report.SetKey
	for name := range c.setNames {
		if k := (report.SetKey{Service: name.service, Port: name.port}); k.Compare(after) > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, report.SetKey.Compare)
	keys = keys[:min(n, len(keys))]
	out := make([]report.Set, 0, len(keys))
	for _, k := range keys {
		out = append(out, c.tellSet(k, c.setNames[setName{k.Service, k.Port}]))
	}
	return out
}

// tellSet copies the state of a set. If there are more endpoints than can be told of, those that
// somebody may wonder about come first.
func (c *Core) tellSet(k report.SetKey, e *setEntry) report.Set {
	out := report.Set{SetKey: k, Algorithm: model.PeakEWMA.String(), Loops: 1}
	if e.src != nil {
		out.Algorithm = e.src.Policy.Balance.Algorithm.String()
	}
	c.setRows = e.set.AppendState(c.now, c.setRows[:0])
	n := min(len(c.setRows), report.MaxSetEndpoints)
	out.Endpoints = make([]report.Endpoint, 0, n)
	for rank := 0; rank < ranks && len(out.Endpoints) < n; rank++ {
		for i := range c.setRows {
			if r := &c.setRows[i]; rankOf(r) == rank && len(out.Endpoints) < n {
				out.Endpoints = append(out.Endpoints, tellEndpoint(r, c.now))
			}
		}
	}
	out.Omitted = len(c.setRows) - n
	for _, s := range e.spent { // of all workloads and settings of the proxy
		out.Budget += float64(s.repeats.Left(c.now))
		out.BudgetKnown = true
	}
	return out
}

const ranks = 3

// rankOf orders endpoints for which there may be no room: what is not as it should be, what is in
// use, what is not.
func rankOf(r *balance.Row) int {
	switch {
	case r.State != balance.Ready:
		return 0
	case !r.Outside:
		return 1
	}
	return 2
}

func tellEndpoint(r *balance.Row, now time.Duration) report.Endpoint {
	return report.Endpoint{
		Workload: r.Workload, Addr: r.Addr, State: told(r.State), Since: max(now-r.Since, 0), Latency: r.Latency, InFlight: r.Inflight,
		Weight: r.Weight, Success: r.Success, Ejections: uint64(max(r.Ejections, 0)), Loops: 1,
	}
}

// told gives a state in the form of reports.
func told(s balance.State) report.EndpointState {
	switch s {
	case balance.Starting:
		return report.EndpointSlowStart
	case balance.Returning:
		return report.EndpointReturning
	case balance.Draining:
		return report.EndpointDraining
	case balance.Unhealthy:
		return report.EndpointUnhealthy
	case balance.Ejected:
		return report.EndpointEjected
	case balance.Trying:
		return report.EndpointTrying
	case balance.Ready:
	}
	return report.EndpointReady
}
