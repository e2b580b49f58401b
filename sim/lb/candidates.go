package main

import (
	"math/rand/v2"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/sim/lb/fleet"
	"github.com/weft-mesh/weft/sim/lb/plot"
)

// candidates looks at what the default could be instead, in the testbed of prequal: with clients that
// all send the same, and with clients of which some send much more than others. The latter is what
// an aperture that is too small does not stand.
func candidates(o options) *report {
	narrow := func(a model.Algorithm, n int) fleet.Maker {
		return ours(func(p *model.Policy) {
			p.Balance.Algorithm, p.Balance.ApertureMin, p.Balance.ApertureAbove = a, n, n
		})
	}
	all := []contender{
		{"weft, default", ours(nil)},
		{"peak EWMA over all", narrow(model.PeakEWMA, 0)},
		{"aperture 12", narrow(model.PeakEWMA, 12)},
		{"aperture 16", narrow(model.PeakEWMA, 16)},
		{"aperture 24", narrow(model.PeakEWMA, 24)},
		{"aperture 32", narrow(model.PeakEWMA, 32)},
		{"Prequal, weft's", narrow(model.Prequal, 0)},
		{"Prequal, as in its paper", fleet.PaperPrequal},
	}
	loads := []float64{0.70, 1.07, 1.45, 1.70}
	if o.scale < 1 {
		loads = []float64{0.70, 1.45}
	}
	r := &report{figure: testbedFigure(o, all)}
	r.figure.Title = "What the default could be"
	r.figure.Notes = append(r.figure.Notes, "Apertures are of peak EWMA. Uneven clients send shares that are spread log-normally: the largest of a hundred ten times the mean.")
	worst := make([]float64, len(all))
	for _, group := range []struct {
		name, title string
		shares      []float64
	}{
		{"", "clients alike", nil},
		{"uneven, ", "uneven clients", uneven(o.replicas())},
	} {
		results := underLoads(o, all, loads, group.shares)
		panels := []plot.Panel{{Title: "p99, " + group.title, X: loadAxis, Y: tailAxis}, {Title: "p99.9, " + group.title, X: loadAxis, Y: tailAxis}}
		draw(panels, all, loads, results, func(res *fleet.Result) []float64 {
			return []float64{millis(res.All.Quantile(0.99)), millis(res.All.Quantile(0.999))}
		})
		r.figure.Panels = append(r.figure.Panels, panels...)
		addTestbed(r, group.name, all, loads, results)
		for l := range loads {
			best := results[l*len(all)].All.Quantile(0.99)
			for c := range all {
				best = min(best, results[l*len(all)+c].All.Quantile(0.99))
			}
			for c := range all {
				worst[c] = max(worst[c], float64(results[l*len(all)+c].All.Quantile(0.99))/float64(best))
			}
		}
	}
	for c := range all {
		r.Rows = append(r.Rows, row{Case: "against the best", Who: all[c].name, Figures: []figure{{"p99", worst[c], "times, at worst"}}})
	}
	r.goal(worst[0] <= 1.1, "p99 of the default is at most 1.1 times the best at every load, whether clients are alike or not", "%.2f times at worst", worst[0])
	return r
}

// uneven draws what clients send.
func uneven(n int) []float64 {
	r := rand.New(rand.NewPCG(4, 4))
	out := make([]float64, n)
	for i := range out {
		out[i] = exp(r.NormFloat64())
	}
	return out
}
