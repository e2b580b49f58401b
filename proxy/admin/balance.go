package admin

import "github.com/weft-mesh/weft/api/report"

// set is how /balance shows the endpoints of a service port.
type set struct {
	Service   string     `json:"service"` // "namespace/name"
	Port      uint16     `json:"port"`
	Algorithm string     `json:"algorithm"`
	Loops     int        `json:"loops"`            // event loops that use it
	Budget    *float64   `json:"budget,omitempty"` // retries and hedges that could be made at once
	Endpoints []endpoint `json:"endpoints"`
	Omitted   int        `json:"omitted,omitempty"` // endpoints for which there was no room
}

type endpoint struct {
	Workload  string  `json:"workload"` // "namespace/name"
	Address   string  `json:"address"`
	State     string  `json:"state"`
	StateMS   int64   `json:"stateMs"`   // how long it has been so
	LatencyMS float64 `json:"latencyMs"` // the balancer's estimate; 0: none yet
	InFlight  int     `json:"inFlight"`
	Weight    float64 `json:"weight"`
	Success   float64 `json:"success"` // share of successes lately
	Ejections uint64  `json:"ejections"`
	Loops     int     `json:"loops"` // event loops for which it is in that state
}

// balance gives the form that is marshalled.
func balance(sets []report.Set) map[string][]set {
	out := []set{}
	for i := range sets {
		s := &sets[i]
		one := set{Service: s.Service.String(), Port: s.Port, Algorithm: s.Algorithm, Loops: s.Loops, Omitted: s.Omitted, Endpoints: []endpoint{}}
		if s.BudgetKnown {
			one.Budget = &s.Budget
		}
		for _, e := range s.Endpoints {
			one.Endpoints = append(one.Endpoints, endpoint{
				Workload: e.Workload.String(), Address: e.Addr.String(), State: e.State.String(), StateMS: e.Since.Milliseconds(),
				LatencyMS: float64(e.Latency.Microseconds()) / 1e3, InFlight: e.InFlight, Weight: e.Weight, Success: e.Success, Ejections: e.Ejections, Loops: e.Loops,
			})
		}
		out = append(out, one)
	}
	return map[string][]set{"sets": out}
}
