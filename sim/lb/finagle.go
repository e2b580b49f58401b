package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/sim/lb/fleet"
	"github.com/weft-mesh/weft/sim/lb/plot"
)

// finagle is the test of "Beyond Round Robin: Load Balancing for Latency" (Jenson and Oanta, 2016):
// eleven servers, of which one begins to take 2 s for what took 5 ms, and callers that wait for 1 s.
func finagle(o options) *report {
	const (
		servers = 11
		rate    = 120
		timeout = time.Second
		window  = time.Second
		before  = 15 * time.Second
		during  = 30 * time.Second
	)
	length := o.length(60 * time.Second)
	from, to := o.length(before), o.length(before+during)
	plain := func(a model.Algorithm) fleet.Calls { return fleet.Calls{Choose: bare(a), Timeout: timeout} }
	hedged := defaultCalls(ours(nil), timeout)
	hedged.Hedge = fleet.WeftHedge(model.Hedge{Percentile: 95, Min: time.Millisecond})
	kinds := []struct {
		name  string
		calls fleet.Calls
	}{
		{"round robin", plain(model.RoundRobin)},
		{"least loaded of two", plain(model.LeastRequest)},
		{"peak EWMA of two", plain(model.PeakEWMA)},
		{"weft, default", defaultCalls(ours(nil), timeout)},
		{"weft, hedged", hedged},
	}
	var jobs []job
	for _, k := range kinds {
		jobs = append(jobs, job{"one slow", k.name, func(seed uint64) fleet.Config {
			slow := int(seed % servers)
			return fleet.Config{
				Seed: seed, Clients: 1, Rate: rate, Latency: 250 * time.Microsecond,
				Warm: 5 * time.Second, Length: length, Window: window,
				Tiers: []fleet.Tier{{Servers: servers, Work: fiveMillis, Calls: k.calls}},
				Script: []fleet.Step{
					{At: from, Do: func(w *fleet.World) { w.SetSpeed(0, slow, 0.005/2) }},
					{At: to, Do: func(w *fleet.World) { w.SetSpeed(0, slow, 1) }},
				},
			}
		}})
	}
	results := runAll(o, jobs)
	r := &report{figure: plot.Figure{
		Title: "Eleven servers, one of them slow",
		Notes: []string{
			fmt.Sprintf("Servers take about 5 ms; one takes 2 s from %.0f s to %.0f s of %.0f s. Callers wait for 1 s. One client, %d requests a second.", from.Seconds(), to.Seconds(), length.Seconds(), rate),
			fmt.Sprintf("The setting of \"Beyond Round Robin\" (Jenson and Oanta, 2016), simulated, %d seeds.", o.seeds),
		},
		Ours: "weft, default",
	}}
	quantiles := plot.Panel{
		Title: "How long requests take, by rank",
		X:     plot.Axis{Title: "share of the requests that take no longer", Min: 0, Max: 4, Format: nines},
		Y:     plot.Axis{Title: "milliseconds", Log: true, Min: 2, Max: 2000},
		Goals: []plot.Goal{{Y: 1000, Label: "timeout"}},
	}
	failing := plot.Panel{
		Title: "Requests that fail, by the second",
		X:     plot.Axis{Title: "seconds"},
		Y:     plot.Axis{Title: "percent"},
		Spans: []plot.Span{{From: from.Seconds(), To: to.Seconds(), Label: "one server takes 2 s"}},
	}
	bars := plot.Panel{Title: "Requests that fail, of all", Bars: []plot.Bar{}}
	tail := plot.Panel{Title: "p99, ms", Bars: []plot.Bar{}}
	for i, k := range kinds {
		res := results[i]
		r.figure.Names = append(r.figure.Names, k.name)
		r.add("one slow", k.name, res, figure{"success", percent(res.Success()), "%"},
			figure{"p50", millis(res.All.Quantile(0.5)), "ms"}, figure{"p99", millis(res.All.Quantile(0.99)), "ms"},
			figure{"p99.9", millis(res.All.Quantile(0.999)), "ms"}, figure{"tries", tries(res, 0), "per request"})
		q, f := byRank(k.name, &res.All), plot.Series{Name: k.name}
		for j, v := range res.Windows {
			f.X, f.Y = append(f.X, at(window, j)), append(f.Y, percent(1-v.Success()))
		}
		quantiles.Series, failing.Series = append(quantiles.Series, q), append(failing.Series, f)
		bars.Bars = append(bars.Bars, plot.Bar{Name: k.name, Value: 1 - res.Success(), Text: share(1 - res.Success())})
		p99 := millis(res.All.Quantile(0.99))
		tail.Bars = append(tail.Bars, plot.Bar{Name: k.name, Value: p99, Text: number(p99)})
	}
	r.figure.Panels = []plot.Panel{quantiles, failing, bars, tail}
	success := func(i int) float64 { return percent(results[i].Success()) }
	r.goal(success(0) > 94 && success(0) < 97, "round robin about 95 %", "%.2f %%", success(0))
	r.goal(success(1) > 98.5 && success(1) < 99.7, "least loaded about 99 %", "%.2f %%", success(1))
	r.goal(success(2) > 99.8, "peak EWMA about 99.9 %", "%.3f %%", success(2))
	r.goal(success(3) >= success(2), "the default is no worse than peak EWMA alone", "%.3f %%", success(3))
	r.goal(success(4) >= 99.99, "hedged, at least 99.99 %", "%.4f %%", success(4))
	return r
}

// fiveMillis draws 5 ms at the median, three times that at p99.
func fiveMillis(r *rand.Rand) time.Duration {
	return logNormal(r.NormFloat64(), 5*time.Millisecond, 0.47)
}

// tries is how many tries a tier got for each call.
func tries(r *fleet.Result, tier int) float64 {
	if r.Calls == 0 {
		return 0
	}
	return float64(r.Tiers[tier].Tries) / float64(r.Calls)
}

// share writes a share in percent with the digits that matter.
func share(v float64) string {
	switch {
	case v == 0:
		return "none"
	case v < 0.001:
		return fmt.Sprintf("%.4f %%", 100*v)
	}
	return fmt.Sprintf("%.2f %%", 100*v)
}

// byRank is the curve of an axis of ranks: how long those take that so many do not exceed.
func byRank(name string, h *fleet.Histogram) plot.Series {
	s := plot.Series{Name: name}
	for x := 0.0; x <= 4.0001; x += 0.05 {
		s.X, s.Y = append(s.X, x), append(s.Y, millis(h.Quantile(1-math.Pow(10, -x))))
	}
	return s
}

// nines writes a tick of an axis of ranks.
func nines(v float64) string {
	if v == 0 {
		return "none"
	}
	return "p" + fmt.Sprintf("%.6g", 100*(1-math.Pow(10, -v)))
}
