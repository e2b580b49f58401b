package main

import (
	"fmt"
	"math"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/sim/lb/fleet"
	"github.com/weft-mesh/weft/sim/lb/plot"
)

// faults breaks one of ten servers, in three ways.
func faults(o options) *report {
	const (
		servers = 10
		clients = 4
		rate    = 2000
		timeout = 2 * time.Second
		window  = 250 * time.Millisecond
		grace   = time.Second // in which it may be felt
	)
	from, to, length := o.length(5*time.Second), o.length(35*time.Second), o.length(40*time.Second)
	if from < 2*window {
		from = 2 * window
	}
	again := defaultCalls(ours(nil), timeout)
	again.On = fleet.OnFailed | fleet.OnBroken
	plain := func(a model.Algorithm) fleet.Calls {
		return fleet.Calls{Choose: bare(a), Timeout: timeout}
	}
	kinds := []struct {
		name  string
		calls fleet.Calls
	}{
		{"round robin", plain(model.RoundRobin)},
		{"least loaded of two", plain(model.LeastRequest)},
		{"peak EWMA of two", plain(model.PeakEWMA)},
		{"weft, default", defaultCalls(ours(nil), timeout)},
		{"weft, with retries", again},
	}
	ways := []struct {
		name, title string
		do          func(*fleet.World)
	}{
		{"black hole", "One of ten is a black hole", func(w *fleet.World) { w.SetMode(0, 3, fleet.Black) }},
		{"fails", "One of ten answers 503 at once", func(w *fleet.World) { w.SetMode(0, 3, fleet.Failing) }},
		{"slow", "One of ten is ten times as slow", func(w *fleet.World) { w.SetSpeed(0, 3, 0.1) }},
	}
	heal := func(w *fleet.World) { w.SetMode(0, 3, fleet.Healthy); w.SetSpeed(0, 3, 1) }
	var jobs []job
	for _, way := range ways {
		for _, k := range kinds {
			jobs = append(jobs, job{way.name, k.name, func(seed uint64) fleet.Config {
				return fleet.Config{
					Seed: seed, Clients: clients, Rate: rate, Latency: 250 * time.Microsecond,
					Warm: o.length(5 * time.Second), Length: length, Window: window,
					Tiers:  []fleet.Tier{{Servers: servers, Work: fiveMillis, Calls: k.calls}},
					Script: []fleet.Step{{At: from, Do: way.do}, {At: to, Do: heal}},
				}
			}})
		}
	}
	results := runAll(o, jobs)
	r := &report{figure: plot.Figure{
		Title: "One of ten servers breaks",
		Notes: []string{
			fmt.Sprintf("%d clients, %d requests a second in all, servers of about 5 ms, callers wait for 2 s; simulated, %d seeds.", clients, rate, o.seeds),
		},
		Ours: "weft, default",
	}}
	for _, k := range kinds {
		r.figure.Names = append(r.figure.Names, k.name)
	}
	for w, way := range ways {
		seconds := plot.Axis{Title: "seconds"}
		span := []plot.Span{{From: from.Seconds(), To: to.Seconds(), Label: "broken"}}
		failing := plot.Panel{Title: way.title + ": requests that fail", X: seconds, Y: plot.Axis{Title: "percent"}, Spans: span}
		slow := plot.Panel{Title: way.title + ": p99 of those that succeed", X: seconds, Y: plot.Axis{Title: "milliseconds", Log: true}, Spans: span}
		for i, k := range kinds {
			res := results[w*len(kinds)+i]
			f, p := plot.Series{Name: k.name}, plot.Series{Name: k.name}
			var calls, good uint64
			var after fleet.Histogram
			for j := range res.Windows {
				v := &res.Windows[j]
				f.X, f.Y = append(f.X, at(window, j)), append(f.Y, percent(1-v.Success()))
				p.X, p.Y = append(p.X, at(window, j)), append(p.Y, millis(v.Latency.Quantile(0.99)))
				if begin := time.Duration(j) * window; begin >= from+grace && begin+window <= to {
					calls, good = calls+v.Calls, good+v.Good
					after.Merge(&v.Latency)
				}
			}
			failing.Series, slow.Series = append(failing.Series, f), append(slow.Series, p)
			success := 1.0
			if calls > 0 {
				success = float64(good) / float64(calls)
			}
			added := percent(tries(res, 0) - 1)
			r.add(way.name, k.name, res, figure{"success", percent(res.Success()), "%"}, figure{"after 1 s", percent(success), "%"},
				figure{"p99 after 1 s", millis(after.Quantile(0.99)), "ms"}, figure{"added load", math.Round(added*1000) / 1000, "%"})
			if i >= 3 {
				r.goal(percent(success) >= 99.99 && added <= 20, fmt.Sprintf("%s, %s: at least 99.99 %% after 1 s, at most 20 %% added", way.name, k.name),
					"%.4f %%, %.2f %%", percent(success), added)
			}
		}
		r.figure.Panels = append(r.figure.Panels, failing, slow)
	}
	return r
}
