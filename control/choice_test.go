package control

import (
	"math"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

func TestChancesAreThoseOfTheAlgorithm(t *testing.T) {
	e := func(state report.EndpointState, weight float64, ms int) report.Endpoint {
		return report.Endpoint{State: state, Weight: weight, Latency: time.Duration(ms) * time.Millisecond}
	}
	busy := func(n int, e report.Endpoint) report.Endpoint {
		e.InFlight = n
		return e
	}
	ready, ejected, draining := report.EndpointReady, report.EndpointEjected, report.EndpointDraining
	for _, c := range []struct {
		what      string
		algorithm model.Algorithm
		es        []report.Endpoint
		want      []float64
	}{
		{"the dearest of three is never the better of two", model.PeakEWMA, []report.Endpoint{e(ready, 1, 3), e(ready, 1, 1), e(ready, 1, 2)}, []float64{0, 2. / 3, 1. / 3}},
		{"equals share", model.LeastRequest, []report.Endpoint{e(ready, 1, 1), e(ready, 1, 1)}, []float64{0.5, 0.5}},
		{"an ejected one gets nothing, however cheap", model.PeakEWMA, []report.Endpoint{e(ejected, 1, 0), e(ready, 1, 9)}, []float64{0, 1}},
		{"if all are draining, they serve", model.PeakEWMA, []report.Endpoint{e(draining, 1, 1), e(draining, 1, 2)}, []float64{1, 0}},
		{"weights draw, also the same one twice", model.PeakEWMA, []report.Endpoint{e(ready, 3, 1), e(ready, 1, 2)}, []float64{15. / 16, 1. / 16}},
		{"what is in flight counts", model.PeakEWMA, []report.Endpoint{busy(3, e(ready, 1, 1)), e(ready, 1, 3)}, []float64{0, 1}},
		{"what is in flight is all that counts", model.LeastRequest, []report.Endpoint{busy(1, e(ready, 1, 1)), e(ready, 1, 99)}, []float64{0, 1}},
		{"one without an estimate is tried by one request", model.PeakEWMA, []report.Endpoint{e(ready, 1, 0), e(ready, 1, 1)}, []float64{1, 0}},
		{"and by no second one at the same time", model.PeakEWMA, []report.Endpoint{busy(1, e(ready, 1, 0)), e(ready, 1, 1)}, []float64{0, 1}},
		{"in turn by weight", model.RoundRobin, []report.Endpoint{e(ready, 3, 0), e(ready, 1, 0), e(ejected, 1, 0)}, []float64{0.75, 0.25, 0}},
		{"a hash needs the request", model.Maglev, []report.Endpoint{e(ready, 1, 0), e(ready, 1, 0)}, []float64{0, 0}},
		{"weights of nothing", model.Random, []report.Endpoint{e(ready, 0, 0)}, []float64{0}},
		{"nobody", model.PeakEWMA, nil, nil},
	} {
		got := chancesOf(&report.Set{Algorithm: c.algorithm.String(), Endpoints: c.es})
		if len(got) != len(c.want) {
			t.Fatalf("%s: %v", c.what, got)
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-9 {
				t.Errorf("%s: %v, want %v", c.what, got, c.want)
				break
			}
		}
	}
}
