package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/sim/lb/fleet"
	"github.com/weft-mesh/weft/sim/lb/plot"
)

// aperture compares connections of all clients with all servers to deterministic apertures.
func aperture(o options) *report {
	n := 1000
	if o.scale < 1 {
		n = 150
	}
	const perServer = 100 // requests a second
	// Half of what four cores can do.
	work := func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(20*time.Millisecond)) }
	kinds := []contender{
		{"all with all", ours(func(p *model.Policy) { p.Balance.ApertureMin = 0 })},
		{"weft, default", ours(nil)},
	}
	var jobs []job
	for _, k := range kinds {
		jobs = append(jobs, job{fmt.Sprintf("%d x %d", n, n), k.name, func(seed uint64) fleet.Config {
			return fleet.Config{
				Seed: seed, Clients: n, Rate: float64(n * perServer), Latency: 250 * time.Microsecond,
				Warm: o.length(6 * time.Second), Length: o.length(time.Minute),
				Tiers: []fleet.Tier{{Servers: n, Cores: 4, Work: work, Calls: fleet.Calls{Choose: k.choose, Timeout: 5 * time.Second}}},
			}
		}})
	}
	results := runAll(o, jobs)
	r := &report{figure: plot.Figure{
		Title: fmt.Sprintf("%d clients and %d servers", n, n),
		Notes: []string{
			fmt.Sprintf("Servers of 4 cores at half their load, requests of 20 ms on average, %d a second each; simulated, %d seeds.", perServer, o.seeds),
		},
		Names: []string{kinds[0].name, kinds[1].name}, Ours: "weft, default",
	}}
	ranks := plot.Panel{Title: "How long requests take, by rank", X: plot.Axis{Title: "share of the requests that take no longer", Min: 0, Max: 4, Format: nines},
		Y: plot.Axis{Title: "milliseconds", Log: true}}
	spread := plot.Panel{Title: "Requests that each server got", X: plot.Axis{Title: "servers, by what they got", Min: 0, Max: float64(n)}, Y: plot.Axis{Title: "times the mean", Min: 0.8, Max: 1.2}}
	links := plot.Panel{Title: "Connections", Bars: []plot.Bar{}}
	tails := plot.Panel{Title: "p99, ms", Bars: []plot.Bar{}}
	for i, j := range jobs {
		res := results[i]
		t := &res.Tiers[0]
		p99 := millis(res.Latency.Quantile(0.99))
		r.add(j.where, j.who, res, figure{"connections", float64(t.Links), ""}, figure{"a client", float64(t.Links) / float64(n), ""},
			figure{"p50", millis(res.Latency.Quantile(0.5)), "ms"}, figure{"p99", p99, "ms"}, figure{"p99.9", millis(res.Latency.Quantile(0.999)), "ms"}, figure{"max/mean load", t.Spread(), ""})
		ranks.Series = append(ranks.Series, byRank(j.who, &res.Latency))
		served := slices.Clone(t.Served)
		slices.Sort(served)
		s := plot.Series{Name: j.who}
		for k, v := range served {
			s.X, s.Y = append(s.X, float64(k)), append(s.Y, float64(v)*float64(n)/float64(t.Tries))
		}
		spread.Series = append(spread.Series, s)
		links.Bars = append(links.Bars, plot.Bar{Name: j.who, Value: float64(t.Links), Text: fmt.Sprint(t.Links)})
		tails.Bars = append(tails.Bars, plot.Bar{Name: j.who, Value: p99, Text: fmt.Sprintf("%.1f", p99)})
	}
	r.figure.Panels = []plot.Panel{ranks, spread, links, tails}
	a, b := &results[0].Tiers[0], &results[1].Tiers[0]
	cut := float64(a.Links) / float64(b.Links)
	pa, pb := millis(results[0].Latency.Quantile(0.99)), millis(results[1].Latency.Quantile(0.99))
	r.goal(cut >= 20 || n < 1000, "a twentieth of the connections at most", "%.1f times fewer", cut)
	r.goal(pb <= 1.05*pa, "at an equal p99", "%.1f and %.1f ms", pb, pa)
	r.goal(b.Spread() <= 1.1 || o.scale < 1, "no server gets more than 1.1 times the mean", "%.3f times", b.Spread())
	return r
}
