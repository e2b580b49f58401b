package demo

import (
	"slices"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/demo/shop"
)

// sound is what a good run looks like.
func sound() ([]mesh.Edge, shop.Ledger) {
	var edges []mesh.Edge
	for _, w := range graph {
		edges = append(edges, mesh.Edge{From: w.from, To: w.to, Backend: w.backend, Requests: 1000, Success: 1, MTLS: 1, Route: "default"})
	}
	for i := range edges {
		switch edges[i].Backend {
		case "shop/ratings-v1":
			edges[i].Requests = 905
		case "shop/ratings-v2":
			edges[i].Requests, edges[i].Success, edges[i].Failures = 95, 0.7, 28
		case "shop/stock":
			edges[i].Requests, edges[i].Connections = 0, 150 // opaque bytes
		}
	}
	return edges, shop.Ledger{Sent: 1000, OK: 1000}
}

func TestJudge(t *testing.T) {
	edge := func(es []mesh.Edge, backend string) *mesh.Edge {
		return &es[slices.IndexFunc(es, func(e mesh.Edge) bool { return e.Backend == backend })]
	}
	for _, c := range []struct {
		name  string
		spoil func(es *[]mesh.Edge, l *shop.Ledger)
		want  string // part of the only reason; "" means healthy
	}{
		{"a sound run is healthy in spite of the planted fault", func(*[]mesh.Edge, *shop.Ledger) {}, ""},
		{"an edge that loses 2 in 1000 is not healthy", func(es *[]mesh.Edge, _ *shop.Ledger) { edge(*es, "shop/cart").Success = 0.998 }, "shop/web to shop/cart: 99.80 %"},
		{"an edge that loses 1 in 1000 is healthy", func(es *[]mesh.Edge, _ *shop.Ledger) { edge(*es, "shop/cart").Success = 0.999 }, ""},
		{"plain text is not healthy", func(es *[]mesh.Edge, _ *shop.Ledger) { edge(*es, "shop/stock").MTLS = 0.99 }, "over mTLS"},
		{"plain text is not healthy on the planted edge either", func(es *[]mesh.Edge, _ *shop.Ledger) { edge(*es, "shop/ratings-v2").MTLS = 0 }, "over mTLS"},
		{"an edge without traffic is not healthy", func(es *[]mesh.Edge, _ *shop.Ledger) { edge(*es, "shop/stock").Connections = 0 }, "no traffic"},
		{"an edge that is missing is not healthy", func(es *[]mesh.Edge, _ *shop.Ledger) { *es = (*es)[1:] }, "shop/load to shop/web: no traffic"},
		{"a weight that is not kept is not healthy", func(es *[]mesh.Edge, _ *shop.Ledger) {
			edge(*es, "shop/ratings-v1").Requests, edge(*es, "shop/ratings-v2").Requests = 800, 200
		}, "by its weight"},
		{"failures that only the load generator saw count", func(_ *[]mesh.Edge, l *shop.Ledger) {
			l.OK, l.Failed, l.Reasons = 900, 100, map[string]uint64{"GET /: 502": 99, "EOF": 1}
		}, "mostly: GET /: 502 (99)"},
		{"nothing sent is not healthy", func(_ *[]mesh.Edge, l *shop.Ledger) { *l = shop.Ledger{} }, "sent nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			edges, ledger := sound()
			c.spoil(&edges, &ledger)
			r := judge(edges, ledger)
			if r.Healthy != (c.want == "") {
				t.Fatalf("healthy = %v, reasons %q", r.Healthy, r.Reasons)
			}
			all := strings.Join(r.Reasons, "\n")
			if c.want != "" && !strings.Contains(all, c.want) {
				t.Errorf("no reason contains %q:\n%s", c.want, all)
			}
		})
	}
}

func TestTheReportShowsTheSharesOfTheVersions(t *testing.T) {
	edges, ledger := sound()
	r := judge(edges, ledger)
	if len(r.Versions) != 2 || r.Versions[0].Share != 0.905 || r.Versions[1].Share != 0.095 {
		t.Errorf("versions = %+v", r.Versions)
	}
	if r.MTLSShare != 1 {
		t.Errorf("mTLS share = %v", r.MTLSShare)
	}
}
