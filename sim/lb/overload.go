package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/sim/lb/fleet"
	"github.com/weft-mesh/weft/sim/lb/plot"
)

// overload gives a server up to five times the load that it can do.
func overload(o options) *report {
	const (
		cores    = 8
		service  = 10 * time.Millisecond
		capacity = 800.0 // requests a second
		clients  = 20
		timeout  = time.Second
		window   = 500 * time.Millisecond
		settled  = 5 * time.Second // for how long there is the load before anything is counted
	)
	work := func(r *rand.Rand) time.Duration { // a fixed part and a random one
		return service/2 + time.Duration(r.ExpFloat64()*float64(service/2))
	}
	class := func(r *rand.Rand) int8 {
		switch v := r.Float64(); {
		case v < 0.1:
			return int8(model.PriorityCritical)
		case v < 0.4:
			return int8(model.PrioritySheddable)
		}
		return int8(model.PriorityDefault)
	}
	calls := defaultCalls(ours(nil), timeout)
	calls.Class = class
	kinds := []struct {
		name  string
		guard func() fleet.Guard
	}{
		{"no guard", nil},
		{"weft, adaptive", fleet.WeftGuard(adaptiveGuard())},
	}
	multiples := []float64{0.5, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5}
	var jobs []job
	under := func(where, who string, guard func() fleet.Guard, m float64, since time.Duration) {
		jobs = append(jobs, job{where, who, func(seed uint64) fleet.Config {
			return fleet.Config{
				Seed: seed, Clients: clients, Rate: capacity / 2, Latency: 250 * time.Microsecond,
				Warm: o.length(10*time.Second + since), Length: o.length(30 * time.Second), Window: window,
				Tiers:  []fleet.Tier{{Servers: 1, Cores: cores, Work: work, Guard: guard, Calls: calls}},
				Script: []fleet.Step{{At: -o.length(since), Do: func(w *fleet.World) { w.SetRate(capacity * m) }}},
			}
		}})
	}
	for _, m := range multiples {
		for _, k := range kinds {
			under(fmt.Sprintf("%g x", m), k.name, k.guard, m, settled)
		}
	}
	for _, k := range kinds {
		under("5 x, with its beginning", k.name, k.guard, 5, 0)
	}
	results := runAll(o, jobs)
	r := &report{figure: plot.Figure{
		Title: "A server with more load than it can do",
		Notes: []string{
			fmt.Sprintf("One server of %d cores, %.0f requests a second at most, %d clients that wait for 1 s; simulated, %d seeds.", cores, capacity, clients, o.seeds),
			"Of the requests a tenth is critical, three tenths are sheddable. It is half load first; but for the last panel, what is counted begins 5 s after the step.",
		},
		Names: []string{"no guard", "weft, adaptive"}, Ours: "weft, adaptive",
	}}
	x := plot.Axis{Title: "load, times what the server can do"}
	goodput := plot.Panel{Title: "Answered in time", X: x, Y: plot.Axis{Title: "percent of what the server can do"}, Goals: []plot.Goal{{Y: 90, Label: "goal"}}}
	tail := plot.Panel{Title: "p99 of what is answered in time", X: x, Y: plot.Axis{Title: "milliseconds", Log: true, Min: 10, Max: 1000}}
	critical := plot.Panel{Title: "Critical requests that succeed", X: x, Y: plot.Axis{Title: "percent"}}
	onTime := plot.Panel{Title: "Answered in time after a step to five times the load", X: plot.Axis{Title: "seconds"}, Y: plot.Axis{Title: "percent of what the server can do"}}
	panels := []*plot.Panel{&goodput, &tail, &critical}
	for _, p := range panels {
		for _, k := range kinds {
			p.Series = append(p.Series, plot.Series{Name: k.name, Dots: true})
		}
	}
	seconds := o.length(30*time.Second).Seconds() * float64(o.seeds)
	for i, j := range jobs {
		res := results[i]
		who := i % len(kinds)
		urgent := res.Classes[int8(model.PriorityCritical)]
		values := []float64{percent(float64(res.Good) / seconds / capacity), millis(res.Latency.Quantile(0.99)), percent(float64(urgent.Good) / float64(urgent.Calls))}
		r.add(j.where, j.who, res, figure{"answered in time", values[0], "% of capacity"}, figure{"p50", millis(res.Latency.Quantile(0.5)), "ms"}, figure{"p99", values[1], "ms"},
			figure{"critical", values[2], "%"}, figure{"most in the server", float64(res.Tiers[0].MaxQueue), ""})
		if i/len(kinds) < len(multiples) {
			for p, v := range values {
				s := &panels[p].Series[who]
				s.X, s.Y = append(s.X, multiples[i/len(kinds)]), append(s.Y, v)
			}
			continue
		}
		s := plot.Series{Name: j.who}
		for k := range res.Windows {
			s.X, s.Y = append(s.X, at(window, k)), append(s.Y, percent(float64(res.Windows[k].Good)/window.Seconds()/float64(o.seeds)/capacity))
		}
		onTime.Series = append(onTime.Series, s)
	}
	r.figure.Panels = []plot.Panel{goodput, tail, critical, onTime}
	last := len(multiples) - 1
	mine := func(p *plot.Panel) float64 { return p.Series[1].Y[last] }
	unloaded := tail.Series[0].Y[0]
	r.goal(mine(&goodput) >= 90, "at five times the load at least 90 % of what the server can do is answered in time", "%.1f %%", mine(&goodput))
	r.goal(mine(&tail) > 0 && mine(&tail) <= 2*unloaded, "with at most twice the p99 of half the load", "%.1f and %.1f ms", mine(&tail), unloaded)
	r.goal(mine(&critical) == 100, "critical requests lose nothing", "%.3f %%", mine(&critical))
	return r
}

// adaptiveGuard is the default with a limit that follows the latency.
func adaptiveGuard() model.Guard {
	g := model.DefaultPolicy.Guard
	g.Concurrency.Adaptive = true
	return g
}
