package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/sim/lb/fleet"
	"github.com/weft-mesh/weft/sim/lb/plot"
)

// tiers lets the lowest of three tiers fail as a whole for a while, and looks at what the callers make
// of it, and whether the system comes back when the cause is gone.
func tiers(o options) *report {
	const (
		each   = 10 // servers of a tier
		rate   = 2000
		window = 500 * time.Millisecond
		cores  = 4 // of a server of the lowest tier
	)
	from, to, length := o.length(10*time.Second), o.length(30*time.Second), o.length(50*time.Second)
	quick := func(r *rand.Rand) time.Duration { return logNormal(r.NormFloat64(), 2*time.Millisecond, 0.5) }
	work := func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(10*time.Millisecond)) }
	plain := func(try time.Duration) fleet.Calls {
		return fleet.Calls{
			Choose: bare(model.RoundRobin), Timeout: 4 * time.Second, TryTimeout: try, Attempts: 2,
			On: fleet.OnFailed | fleet.OnTimeout | fleet.OnBroken, Careless: true,
		}
	}
	careful := func(try time.Duration) fleet.Calls {
		c := defaultCalls(ours(nil), 4*time.Second)
		c.TryTimeout, c.On = try, fleet.OnFailed|fleet.OnTimeout|fleet.OnBroken
		return c
	}
	none := func(time.Duration) fleet.Calls {
		return fleet.Calls{Choose: bare(model.RoundRobin), Timeout: time.Second}
	}
	kinds := []struct {
		name  string
		calls func(time.Duration) fleet.Calls
	}{
		{"no retries", none},
		{"three tries at each tier", plain},
		{"weft, same retries", careful},
	}
	ways := []struct {
		name, title string
		mode        fleet.Mode
	}{
		{"fails", "the lowest tier answers 503", fleet.Failing},
		{"black hole", "the lowest tier swallows all", fleet.Black},
	}
	all := func(m fleet.Mode) func(*fleet.World) {
		return func(w *fleet.World) {
			for i := range each {
				w.SetMode(2, i, m)
			}
		}
	}
	var jobs []job
	for _, way := range ways {
		for _, k := range kinds {
			jobs = append(jobs, job{way.name, k.name, func(seed uint64) fleet.Config {
				return fleet.Config{
					Seed: seed, Clients: each, Rate: rate, Latency: 250 * time.Microsecond,
					Warm: o.length(5 * time.Second), Length: length, Window: window,
					Tiers: []fleet.Tier{
						{Servers: each, Work: quick, Calls: k.calls(2 * time.Second)},
						{Servers: each, Work: quick, Calls: k.calls(time.Second)},
						{Servers: each, Cores: cores, Work: work, Calls: k.calls(250 * time.Millisecond)},
					},
					Script: []fleet.Step{{At: from, Do: all(way.mode)}, {At: to, Do: all(fleet.Healthy)}},
				}
			}})
		}
	}
	results := runAll(o, jobs)
	r := &report{figure: plot.Figure{
		Title: "Total outage of the lowest of three tiers",
		Notes: []string{
			fmt.Sprintf("%d requests a second at the top, ten servers a tier, the lowest at half of what it can do; simulated, %d seeds.", rate, o.seeds),
			"Retries are of 503s and of timeouts: 2 s, 1 s and 0.25 s at the three tiers.",
		},
		Ours: "weft, same retries",
	}}
	for _, k := range kinds {
		r.figure.Names = append(r.figure.Names, k.name)
	}
	for w, way := range ways {
		span := []plot.Span{{From: from.Seconds(), To: to.Seconds(), Label: "outage"}}
		load := plot.Panel{
			Title: "Load of the lowest tier: " + way.title, X: plot.Axis{Title: "seconds"}, Spans: span,
			Y: plot.Axis{Title: "tries per request of a user", Log: true, Min: 0.5, Max: 50},
		}
		good := plot.Panel{Title: "Success: " + way.title, X: plot.Axis{Title: "seconds"}, Y: plot.Axis{Title: "percent", Min: 0, Max: 100}, Spans: span}
		for i, k := range kinds {
			res := results[w*len(kinds)+i]
			l, g := plot.Series{Name: k.name}, plot.Series{Name: k.name}
			sent, users := uint64(0), uint64(0)
			back := -1.0 // when all is well again
			for j := range res.Windows {
				v := &res.Windows[j]
				per := float64(v.Tries[2]) / float64(max(v.Calls, 1))
				l.X, l.Y = append(l.X, at(window, j)), append(l.Y, per)
				g.X, g.Y = append(g.X, at(window, j)), append(g.Y, percent(v.Success()))
				begin := time.Duration(j) * window
				if begin >= from && begin+window <= to {
					sent, users = sent+v.Tries[2], users+v.Calls
				}
				if begin >= to {
					switch ok := v.Success() > 0.999; {
					case !ok:
						back = -1
					case back < 0:
						back = (begin - to).Seconds()
					}
				}
			}
			load.Series, good.Series = append(load.Series, l), append(good.Series, g)
			amplified := float64(sent) / float64(max(users, 1))
			r.add(way.name, k.name, res, figure{"tries at the lowest tier", amplified, "per request, in the outage"},
				figure{"well again after", back, "s (-1: not)"}, figure{"success", percent(res.Success()), "% of all"})
			if i == 2 {
				r.goal(amplified < 1.25, way.name+": about 1.2 tries for each request of a user in the outage", "%.3f", amplified)
				r.goal(back >= 0 && back <= 2, way.name+": all well 2 s after healing", "after %.1f s", back)
			}
			if i == 1 && way.mode == fleet.Failing {
				r.goal(amplified > 3, "plain retries multiply", "%.1f tries a request", amplified)
			}
		}
		r.figure.Panels = append(r.figure.Panels, load, good)
	}
	return r
}
