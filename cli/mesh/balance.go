package mesh

import (
	"context"
	"slices"
	"strings"

	discoverypb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/model/wire"
)

// BalanceQuery chooses endpoint sets.
type BalanceQuery struct {
	To        Ref    // service; empty fields match everything
	From      string // only of proxies of this workload, "name" or "ns/name"; empty: of all
	Namespace string // of From without one
}

// BalanceList is how proxies choose among the endpoints of services.
type BalanceList struct {
	Sets []EndpointSet `json:"sets"`
}

// EndpointSet is the endpoints of a service port as one caller's proxy sees them.
type EndpointSet struct {
	Proxy     string            `json:"proxy"`
	Workloads []string          `json:"workloads,omitempty"` // that it serves, "ns/name"
	Service   string            `json:"service"`             // "ns/name"
	Port      uint32            `json:"port"`
	Algorithm string            `json:"algorithm"`
	Budget    *float64          `json:"budget,omitempty"` // retries and hedges that could be made at once
	Loops     uint32            `json:"loops"`            // event loops that use it, each with an opinion of its own
	AgeMS     int64             `json:"ageMs"`            // since the proxy told
	Endpoints []EndpointBalance `json:"endpoints"`
	Omitted   uint32            `json:"omitted,omitempty"` // endpoints that are not in the list
}

// EndpointBalance is an endpoint as a proxy's balancer sees it.
type EndpointBalance struct {
	Workload  string  `json:"workload"` // "ns/name"
	Address   string  `json:"address"`
	State     string  `json:"state"`     // "ready", "slow-start", "returning", "draining", "trying", "unhealthy", "ejected"
	StateMS   int64   `json:"stateMs"`   // how long it has been so
	LatencyMS float64 `json:"latencyMs"` // estimate; 0: none yet
	InFlight  uint32  `json:"inFlight"`
	Weight    float64 `json:"weight"`
	Success   float64 `json:"success"` // share of successes lately
	Ejections uint64  `json:"ejections"`
	Loops     uint32  `json:"loops"` // event loops for which it is in State
}

// Balance implements Client.
func (r *remote) Balance(ctx context.Context, q BalanceQuery) (*BalanceList, error) {
	reply, err := r.mesh.Balance(ctx, &discoverypb.BalanceRequest{Service: refName(q.To), From: q.From, Namespace: q.Namespace})
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	out := &BalanceList{Sets: []EndpointSet{}}
	for _, x := range reply.GetSets() {
		s := x.GetSet()
		one := EndpointSet{
			Proxy: x.GetProxy(), Service: name(s.GetService()), Port: s.GetPort(), Algorithm: s.GetAlgorithm(), Loops: s.GetLoops(),
			AgeMS: x.GetAge().AsDuration().Milliseconds(), Endpoints: []EndpointBalance{}, Omitted: s.GetOmitted(),
		}
		if s.GetBudgetKnown() {
			budget := s.GetBudget()
			one.Budget = &budget
		}
		for _, w := range x.GetWorkloads() {
			one.Workloads = append(one.Workloads, name(w))
		}
		slices.Sort(one.Workloads)
		for _, e := range s.GetEndpoints() {
			one.Endpoints = append(one.Endpoints, *endpointBalance(e))
		}
		out.Sets = append(out.Sets, one)
	}
	return out, nil
}

// endpointBalance gives the published form; nil for nil.
func endpointBalance(e *discoverypb.BalanceEndpoint) *EndpointBalance {
	if e == nil {
		return nil
	}
	out := &EndpointBalance{
		Workload: name(e.GetWorkload()), State: stateName(e.GetState()), StateMS: e.GetStateMs(), LatencyMS: float64(e.GetLatencyUs()) / 1e3,
		InFlight: e.GetInFlight(), Weight: e.GetWeight(), Success: e.GetSuccess(), Ejections: e.GetEjections(), Loops: e.GetLoops(),
	}
	if a, err := wire.ToAddrPort(e.GetAddress()); err == nil {
		out.Address = a.String()
	}
	return out
}

// stateName gives "slow-start" for ENDPOINT_SLOW_START.
func stateName(s discoverypb.EndpointState) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.String(), "ENDPOINT_")), "_", "-")
}
