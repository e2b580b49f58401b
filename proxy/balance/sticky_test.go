package balance

import (
	"net/netip"
	"testing"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

func TestASessionFindsItsEndpointAtEveryProxy(t *testing.T) {
	var here, there Set
	eps := endpoints(50)
	here.Update(0, eps)
	reversed := make([]model.Endpoint, len(eps))
	for i := range eps {
		reversed[len(eps)-1-i] = eps[i]
	}
	there.Update(0, reversed)
	for _, e := range here.all {
		other := there.BySession(e.SessionID())
		if other == nil || other.Addr != e.Addr {
			t.Fatalf("%v is %v elsewhere", e.Addr, other)
		}
	}
}

func TestASessionIDIsOfOneEndpointOnly(t *testing.T) {
	base := endpoint(1)
	seen := map[uint64]string{}
	for name, change := range map[string]func(*model.Endpoint){
		"itself":                         func(*model.Endpoint) {},
		"the address of another":         func(e *model.Endpoint) { e.Addr = netip.MustParseAddrPort("10.9.9.9:8080") },
		"the port of another":            func(e *model.Endpoint) { e.Addr = netip.AddrPortFrom(e.Addr.Addr(), 8081) },
		"another link":                   func(e *model.Endpoint) { e.Link = netip.MustParseAddrPort("10.9.9.9:15001") },
		"its address given to another":   func(e *model.Endpoint) { e.Workload.Name = "2" },
		"its name in another namespace":  func(e *model.Endpoint) { e.Workload.Namespace = "bank" },
		"another identity":               func(e *model.Endpoint) { e.Identity = "spiffe://mesh/ns/shop/sa/other" },
		"parts that are put together so": func(e *model.Endpoint) { e.Workload = model.Name{Namespace: "sho", Name: "p1"} },
	} {
		e := base
		change(&e)
		id := SessionID(&e)
		if id == 0 {
			t.Errorf("%s: the ID is 0", name)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same ID", name, other)
		}
		seen[id] = name
	}
	moved := base
	moved.Weight, moved.Zone, moved.Node = 7, "z", "n" // says nothing about who it is
	if SessionID(&moved) != SessionID(&base) {
		t.Error("the ID depends on weight, zone or node")
	}
}

func TestASessionIsNotKeptWithAnEndpointThatLeavesOrDrains(t *testing.T) {
	var s Set
	eps := endpoints(3)
	s.Update(0, eps)
	id := s.all[1].SessionID()
	eps[1].Draining = true
	s.Update(0, eps)
	if e := s.BySession(id); e != nil {
		t.Error("it is kept with one that drains")
	}
	s.Update(0, eps[1:2])
	if e := s.BySession(id); e == nil {
		t.Error("it is not kept with one that drains although nothing else is left")
	}
	s.Update(0, eps[2:])
	if e := s.BySession(id); e != nil {
		t.Error("it is kept with one that left")
	}
}

func TestFindingASessionsEndpointAllocatesNothing(t *testing.T) {
	var s Set
	s.Update(0, endpoints(100))
	id := s.all[99].SessionID()
	allocs.None(t, 1000, func() {
		if s.BySession(id) == nil {
			t.Fatal("not found")
		}
	})
}
