package wire

import (
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

func TestSetsSurviveTheWire(t *testing.T) {
	s := report.Set{
		SetKey:    report.SetKey{Service: model.Name{Namespace: "shop", Name: "cart"}, Port: 80},
		Algorithm: "PeakEWMA", Loops: 2, Budget: 1.5, BudgetKnown: true, Omitted: 3,
		Endpoints: []report.Endpoint{{
			Workload: model.Name{Namespace: "shop", Name: "cart-1"}, Addr: netip.MustParseAddrPort("10.0.0.1:8080"), State: report.EndpointEjected,
			Since: 4 * time.Second, Latency: 5 * time.Millisecond, InFlight: 6, Weight: 0.7, Success: 0.8, Ejections: 9, Loops: 1,
		}, {Workload: model.Name{Namespace: "shop", Name: "cart-2"}, Addr: netip.MustParseAddrPort("[fd00::1]:1"), State: report.EndpointSlowStart}},
	}
	got, err := ToSet(Set(&s))
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("sent     %+v\nreceived %+v, %v", s, got, err)
	}
	cart := &pb.Name{Namespace: "shop", Name: "cart"}
	one := func(e *pb.BalanceEndpoint) *pb.BalanceSet {
		return &pb.BalanceSet{Service: cart, Port: 80, Endpoints: []*pb.BalanceEndpoint{e}}
	}
	for name, bad := range map[string]*pb.BalanceSet{
		"no service":                 {Port: 80},
		"a port out of range":        {Service: cart, Port: 1 << 16},
		"a budget that is no number": {Service: cart, Budget: math.NaN()},
		"a thousand endpoints":       {Service: cart, Endpoints: make([]*pb.BalanceEndpoint, 1000)},
		"an algorithm of a megabyte": {Service: cart, Algorithm: string(make([]byte, 1<<20))},
		"an unknown state":           one(&pb.BalanceEndpoint{State: 99}),
		"a negative state":           one(&pb.BalanceEndpoint{State: -1}),
		"a negative weight":          one(&pb.BalanceEndpoint{Weight: -1}),
		"a success without end":      one(&pb.BalanceEndpoint{Success: math.Inf(1)}),
		"an address that is none":    one(&pb.BalanceEndpoint{Address: &pb.AddrPort{Addr: []byte{1}}}),
		"a name of a megabyte":       one(&pb.BalanceEndpoint{Workload: &pb.Name{Name: string(make([]byte, 1<<20))}}),
	} {
		if _, err := ToSet(bad); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	huge := one(&pb.BalanceEndpoint{StateMs: math.MaxInt64, LatencyUs: math.MaxUint64, InFlight: math.MaxUint32})
	if got, err := ToSet(huge); err != nil || got.Endpoints[0].Since < 0 || got.Endpoints[0].Latency < 0 || got.Endpoints[0].InFlight < 0 {
		t.Errorf("numbers that are large wrapped around: %+v, %v", got, err)
	}
}
