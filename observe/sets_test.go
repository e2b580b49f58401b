package observe

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

func endpointSet(service string, n int) report.Set {
	s := report.Set{SetKey: report.SetKey{Service: name(service), Port: 80}}
	for i := range n {
		s.Endpoints = append(s.Endpoints, report.Endpoint{Workload: name(fmt.Sprintf("%s-%d", service, i))})
	}
	return s
}

func all(string, string, report.SetKey) bool { return true }

// shown writes sets as "proxy service endpoints".
func shown(s *Store) []string {
	var out []string
	for _, p := range s.Sets(all) {
		out = append(out, fmt.Sprintf("%s %s %d", p.Proxy, p.Service.Name, len(p.Endpoints)))
	}
	return out
}

func TestTheLastOfEachProxyIsKept(t *testing.T) {
	s, c := newStore()
	s.AddSets("i1", "web-1", []report.Set{endpointSet("cart", 2), endpointSet("stock", 1)})
	s.AddSets("i2", "api-1", []report.Set{endpointSet("cart", 3)})
	c.t = c.t.Add(time.Minute)
	s.AddSets("i1", "web-1", []report.Set{endpointSet("cart", 1)})
	if got, want := shown(s), []string{"api-1 cart 3", "web-1 cart 1", "web-1 stock 1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, p := range s.Sets(func(proxy, _ string, k report.SetKey) bool { return proxy == "web-1" && k.Service.Name == "stock" }) {
		if p.At != c.t.Add(-time.Minute) || p.Reporter != "i1" {
			t.Errorf("%+v, want what was told a minute ago", p)
		}
	}
	s.AddSets("i1", "web-1", []report.Set{endpointSet("stock", 0)})
	if got, want := shown(s), []string{"api-1 cart 3", "web-1 cart 1"}; !slices.Equal(got, want) {
		t.Errorf("after the end of a set %q, want %q", got, want)
	}
	s.Gone("i2")
	s.Gone("i2")
	s.Gone("nobody")
	if got, want := shown(s), []string{"web-1 cart 1"}; !slices.Equal(got, want) || s.rows != 1 {
		t.Errorf("after a proxy went %q and %d rows, want %q and 1", got, s.rows, want)
	}
}

func TestSetsTakeBoundedMemoryWhoeverTells(t *testing.T) {
	s, _ := newStore()
	s.maxRows = 100
	for i := range 50 {
		s.AddSets(fmt.Sprint(i), "p", []report.Set{endpointSet("cart", 10)})
	}
	if n := len(shown(s)); n != 10 || s.rows != 100 || s.setsDropped != 40 {
		t.Errorf("%d sets with %d rows are kept and %d dropped, want 10, 100 and 40", n, s.rows, s.setsDropped)
	}
	s.Gone("0")
	s.maxRows = 1_000_000
	for i := range 2 * report.MaxSets {
		x := endpointSet("cart", 1)
		x.Service = model.Name{Namespace: "made-up", Name: fmt.Sprint(i)}
		s.AddSets("x", "p", []report.Set{x})
	}
	if n := len(s.told["x"].sets); n != report.MaxSets {
		t.Errorf("%d sets of one proxy are kept, want %d", n, report.MaxSets)
	}
}
