package core

import (
	"fmt"
	"testing"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

// BenchmarkSets is what telling of a turn of full sets costs a loop.
func BenchmarkSets(b *testing.B) {
	r := newRig(b, nil, Limits{})
	c := r.client.core
	var eps []model.Endpoint
	for i := range report.MaxSetEndpoints {
		e := rigEndpoint
		e.Workload.Name = fmt.Sprint("cart-", i)
		eps = append(eps, e)
	}
	const sets = 16
	for i := range sets {
		n := setName{model.Name{Namespace: "shop", Name: fmt.Sprint("s", i)}, 80}
		c.setNames[n] = &setEntry{name: n}
		c.setNames[n].set.Update(0, eps)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := c.Sets(report.SetKey{}, sets); len(got) != sets {
			b.Fatalf("%d sets", len(got))
		}
	}
}
