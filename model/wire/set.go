package wire

import (
	"fmt"
	"math"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
)

// Set encodes what a balancer thinks of the endpoints of a service port.
func Set(s *report.Set) *pb.BalanceSet {
	return &pb.BalanceSet{
		Service: Name(s.Service), Port: uint32(s.Port), Algorithm: s.Algorithm, Loops: uint32(s.Loops),
		Budget: s.Budget, BudgetKnown: s.BudgetKnown, Omitted: uint32(s.Omitted),
		Endpoints: eachPtr(s.Endpoints, func(e *report.Endpoint) *pb.BalanceEndpoint {
			return &pb.BalanceEndpoint{
				Workload: Name(e.Workload), Address: AddrPort(e.Addr), State: pb.EndpointState(e.State), StateMs: e.Since.Milliseconds(),
				LatencyUs: uint64(max(e.Latency.Microseconds(), 0)), InFlight: uint32(max(e.InFlight, 0)), Weight: e.Weight, Success: e.Success,
				Ejections: e.Ejections, Loops: uint32(e.Loops),
			}
		}),
	}
}

// ToSet decodes a set. Texts that are too long, too many endpoints, unknown states, and numbers
// that are negative or none are errors.
func ToSet(s *pb.BalanceSet) (report.Set, error) {
	var d decoder
	number := func(v float64) float64 {
		if !(v >= 0) || math.IsInf(v, 0) {
			d.fail("%v is not a number from 0 on", v)
			return 0
		}
		return v
	}
	small := func(v uint32) int { return int(min(v, math.MaxInt32)) }
	if len(s.GetEndpoints()) > report.MaxSetEndpoints {
		return report.Set{}, fmt.Errorf("%d endpoints of a set, want at most %d", len(s.GetEndpoints()), report.MaxSetEndpoints)
	}
	label := func(texts ...string) {
		for _, text := range texts {
			if len(text) > maxLabel {
				d.fail("a label has %d bytes, want at most %d", len(text), maxLabel)
			}
		}
	}
	label(s.GetService().GetNamespace(), s.GetService().GetName(), s.GetAlgorithm())
	out := report.Set{
		SetKey:    report.SetKey{Service: d.name(s.GetService()), Port: d.port(s.GetPort())},
		Algorithm: s.GetAlgorithm(), Loops: small(s.GetLoops()), Budget: number(s.GetBudget()), BudgetKnown: s.GetBudgetKnown(),
		Omitted: small(s.GetOmitted()),
		Endpoints: each(s.GetEndpoints(), func(e *pb.BalanceEndpoint) report.Endpoint {
			label(e.GetWorkload().GetNamespace(), e.GetWorkload().GetName())
			if e.GetState() < 0 || e.GetState() > pb.EndpointState(report.EndpointEjected) {
				d.fail("endpoint state %d is not known", e.GetState())
			}
			const most = math.MaxInt64 / int64(time.Millisecond)
			return report.Endpoint{
				Workload: ToName(e.GetWorkload()), Addr: d.addrPort(e.GetAddress()), State: report.EndpointState(e.GetState()),
				Since:   time.Duration(min(max(e.GetStateMs(), 0), most)) * time.Millisecond,
				Latency: time.Duration(min(e.GetLatencyUs(), uint64(most))) * time.Microsecond, InFlight: small(e.GetInFlight()),
				Weight: number(e.GetWeight()), Success: min(number(e.GetSuccess()), 1), Ejections: e.GetEjections(), Loops: small(e.GetLoops()),
			}
		}),
	}
	if d.err != nil {
		return report.Set{}, fmt.Errorf("set: %w", d.err)
	}
	return out, nil
}
