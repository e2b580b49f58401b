package report

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

func cart(n int) Endpoint {
	return Endpoint{
		Workload: model.Name{Namespace: "shop", Name: fmt.Sprintf("cart-%03d", n)}, Addr: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(n)),
		Weight: 1, Loops: 1, Latency: time.Millisecond,
	}
}

func cartSet(es ...Endpoint) Set {
	return Set{SetKey: SetKey{model.Name{Namespace: "shop", Name: "cart"}, 80}, Algorithm: "PeakEWMA", Loops: 1, Endpoints: es}
}

func TestSetsOfLoopsAreOneSet(t *testing.T) {
	a, b := cartSet(cart(1), cart(2)), cartSet(cart(2), cart(1))
	a.Budget, a.BudgetKnown, b.Budget, b.BudgetKnown = 3, true, 4, true
	a.Endpoints[0] = Endpoint{Workload: cart(1).Workload, Addr: cart(1).Addr, Weight: 1, Latency: 4 * time.Millisecond, InFlight: 2, Success: 1, Since: 9 * time.Second}
	b.Endpoints[1].Latency, b.Endpoints[1].InFlight, b.Endpoints[1].Success = 2*time.Millisecond, 1, 0.5
	b.Endpoints[0].State, b.Endpoints[0].Since, b.Endpoints[0].Ejections = EndpointEjected, 2*time.Second, 1
	other := Set{SetKey: SetKey{model.Name{Namespace: "shop", Name: "a"}, 80}, Endpoints: []Endpoint{cart(7)}}
	got := MergeSets([]Set{a}, []Set{b, other}, nil)
	if len(got) != 2 || got[0].Service.Name != "a" || got[1].Service.Name != "cart" {
		t.Fatalf("%+v", got)
	}
	s := got[1]
	if s.Loops != 2 || s.Budget != 7 || !s.BudgetKnown || len(s.Endpoints) != 2 {
		t.Errorf("%+v", s)
	}
	if e := s.Endpoints[0]; e.Latency != 3*time.Millisecond || e.InFlight != 3 || e.Success != 0.75 || e.State != EndpointReady || e.Loops != 2 || e.Since != 9*time.Second {
		t.Errorf("first endpoint %+v", e)
	}
	if e := s.Endpoints[1]; e.State != EndpointEjected || e.Loops != 1 || e.Since != 2*time.Second || e.Ejections != 1 || e.Weight != 1 {
		t.Errorf("second endpoint %+v", e)
	}
}

func TestAMergedSetIsBounded(t *testing.T) {
	a, b := cartSet(), cartSet()
	for i := range MaxSetEndpoints {
		a.Endpoints = append(a.Endpoints, cart(i))
		b.Endpoints = append(b.Endpoints, cart(i+100))
	}
	if got := MergeSets([]Set{a}, []Set{b})[0]; len(got.Endpoints) != MaxSetEndpoints || got.Omitted != MaxSetEndpoints {
		t.Errorf("%d endpoints, %d omitted", len(got.Endpoints), got.Omitted)
	}
}

func TestOnlyWhatChangedIsTold(t *testing.T) {
	var c SetChanges
	now := time.Duration(0)
	tell := func(what string, want int, sets ...Set) []Set {
		t.Helper()
		now += time.Second
		got := c.Next(now, sets)
		if len(got) != want {
			t.Errorf("%s: %d sets are told, want %d", what, len(got), want)
		}
		return got
	}
	change := func(f func(*Endpoint)) Set {
		s := cartSet(cart(1), cart(2))
		f(&s.Endpoints[1])
		return s
	}
	still := func(*Endpoint) {}
	tell("a set without endpoints is not used", 0, cartSet())
	tell("the first time", 1, change(still))
	tell("nothing new", 0, change(still))
	busy := change(func(e *Endpoint) { e.InFlight, e.Latency = 3, 9*time.Millisecond })
	tell("mere numbers wait", 0, busy)
	tell("a state does not", 1, change(func(e *Endpoint) { e.State = EndpointEjected }))
	tell("nor does the way back", 1, change(still))
	now += setEvery
	tell("after a while, numbers", 1, busy)
	now += setEvery
	tell("the same numbers after a while", 0, busy)
	tiny := change(func(e *Endpoint) { e.Latency = 50 * time.Microsecond })
	now += setEvery
	tell("back to what it was", 1, tiny)
	now += setEvery
	tell("an estimate that decays to nothing", 0, change(func(e *Endpoint) { e.Latency = time.Microsecond }))
	tell("a weight", 1, change(func(e *Endpoint) { e.Weight = 2 }))
	tell("an ejection that is over already", 1, change(func(e *Endpoint) { e.Ejections = 1 }))
	tell("an endpoint more", 1, cartSet(cart(1), cart(2), cart(3)))
	if got := tell("not used any more", 1); len(got) == 1 && (len(got[0].Endpoints) != 0 || got[0].Service.Name != "cart") {
		t.Errorf("%+v, want cart without endpoints", got[0])
	}
	tell("still not", 0)
}

func TestSetsBeyondTheBoundAreNotTold(t *testing.T) {
	var c SetChanges
	var sets []Set
	for i := range MaxSets + 100 {
		s := cartSet(cart(1))
		s.Port = uint16(i)
		sets = append(sets, s)
	}
	if got := c.Next(0, sets); len(got) != MaxSets {
		t.Errorf("%d are told, want %d", len(got), MaxSets)
	}
	if got := c.Next(time.Hour, nil); len(got) != MaxSets || !slices.ContainsFunc(got, func(s Set) bool { return len(s.Endpoints) == 0 }) {
		t.Errorf("%d are taken back, want %d", len(got), MaxSets)
	}
}
