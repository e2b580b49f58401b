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

// The testbed after section 5 of "Load is not what you should balance: Introducing Prequal"
// (Wydrowski et al., NSDI 2024): a hundred clients and a hundred replicas, which share their
// machines with antagonists. A replica is guaranteed its allocation and gets what the antagonist
// leaves beyond it.
const (
	allocation = 4                     // cores of a replica
	meanWork   = 80 * time.Millisecond // of core time
)

// queryWork draws as the paper does: from a normal distribution whose deviation is its mean, cut off
// at zero.
func queryWork(r *rand.Rand) time.Duration {
	const stretch = 1.0833 // the mean of what is cut off at zero, for a mean of 1
	return time.Duration(max(0, 1+r.NormFloat64()) * float64(meanWork) / stretch)
}

// antagonist draws what a replica has for a while. Three of ten machines are busy nearly always, four
// partly, three leave much.
func antagonist(r *rand.Rand, server int) (cores float64, hold time.Duration) {
	free := 1.0 // in allocations
	switch server % 10 {
	case 0, 1, 2:
		if r.Float64() < 0.2 {
			free = 1 + r.Float64()
		}
	case 3, 4, 5, 6:
		free = 1 + 2*r.Float64()
	default:
		free = 2 + 3*r.Float64()
	}
	return free * allocation, time.Duration(r.ExpFloat64() * float64(5*time.Second))
}

// testbed is the configuration at a load, in shares of the sum of the allocations. shares is what the
// clients send, nil: all the same.
func testbed(o options, choose fleet.Maker, load float64, shares []float64) func(uint64) fleet.Config {
	return func(seed uint64) fleet.Config {
		n := o.replicas()
		return fleet.Config{
			Seed: seed, Clients: n, Rate: load * float64(n) * allocation / meanWork.Seconds(),
			Latency: 100 * time.Microsecond, Warm: o.length(15 * time.Second), Length: o.length(20 * time.Second),
			ReportEvery: 5 * time.Second, Shares: shares,
			Tiers: []fleet.Tier{{
				Servers: n, Cores: allocation, Allocation: allocation, Work: queryWork, Vary: antagonist,
				Calls: fleet.Calls{Choose: choose, Timeout: 5 * time.Second},
			}},
		}
	}
}

// contender is a way to choose.
type contender struct {
	name   string
	choose fleet.Maker
}

func contenders() []contender {
	return []contender{
		{"round robin", bare(model.RoundRobin)},
		{"weighted round robin", fleet.WeightedRoundRobin},
		{"least loaded of all", fleet.LeastLoaded},
		{"least loaded of two", bare(model.LeastRequest)},
		{"peak EWMA of two", bare(model.PeakEWMA)},
		{"Prequal, as in its paper", fleet.PaperPrequal},
		{"Prequal, weft's", bare(model.Prequal)},
		{"weft, default", ours(nil)},
	}
}

// loads are around what is guaranteed, and up to what the antagonists leave.
func (o options) loads() []float64 {
	if o.scale < 1 {
		return []float64{0.70, 1.07, 1.45}
	}
	return []float64{0.70, 0.85, 0.95, 1.07, 1.19, 1.45, 1.70}
}

// replicas are as many as the clients.
func (o options) replicas() int {
	if o.scale < 1 {
		return 30
	}
	return 100
}

func prequal(o options) *report {
	all, loads := contenders(), o.loads()
	results := underLoads(o, all, loads, nil)
	r := &report{figure: testbedFigure(o, all)}
	r.figure.Title = "A hundred servers that share their machines with others"
	panels := []plot.Panel{
		{Title: "p50", Y: plot.Axis{Title: "milliseconds", Log: true, Min: 50, Max: 500}},
		{Title: "p99", Y: tailAxis},
		{Title: "p99.9", Y: tailAxis},
		{Title: "Requests that fail", Y: plot.Axis{Title: "percent", Log: true, Min: 0.001, Max: 50}},
	}
	for i := range panels {
		panels[i].X = loadAxis
	}
	draw(panels, all, loads, results, func(res *fleet.Result) []float64 {
		return []float64{millis(res.All.Quantile(0.5)), millis(res.All.Quantile(0.99)), millis(res.All.Quantile(0.999)), percent(1 - res.Success())}
	})
	r.figure.Panels = panels
	addTestbed(r, "", all, loads, results)
	prequalGoals(r, all, loads, results)
	return r
}

// underLoads runs the testbed at all loads with each contender.
func underLoads(o options, all []contender, loads, shares []float64) []*fleet.Result {
	var jobs []job
	for _, load := range loads {
		for _, c := range all {
			jobs = append(jobs, job{config: testbed(o, c.choose, load, shares)})
		}
	}
	return runAll(o, jobs)
}

var (
	loadAxis = plot.Axis{Title: "load, percent of what is guaranteed", Min: 60, Max: 180}
	tailAxis = plot.Axis{Title: "milliseconds", Log: true, Min: 200, Max: 5000}
)

func testbedFigure(o options, all []contender) plot.Figure {
	n := o.replicas()
	f := plot.Figure{
		Notes: []string{
			fmt.Sprintf("%d clients, %d servers of %d cores each, guaranteed; what antagonists leave beyond that varies. Requests take 80 ms of one core on average.", n, n, allocation),
			fmt.Sprintf("The testbed of Wydrowski et al., NSDI 2024, simulated, %d seeds. Callers wait for 5 s; what fails counts as that.", o.seeds),
		},
		Ours: "weft, default",
	}
	for _, c := range all {
		f.Names = append(f.Names, c.name)
	}
	return f
}

// draw adds a curve of each contender to panels, of the values that are given for each result.
func draw(panels []plot.Panel, all []contender, loads []float64, results []*fleet.Result, values func(*fleet.Result) []float64) {
	for c := range all {
		for p := range panels {
			s := plot.Series{Name: all[c].name, Dots: true}
			for l, load := range loads {
				s.X, s.Y = append(s.X, percent(load)), append(s.Y, values(results[l*len(all)+c])[p])
			}
			panels[p].Series = append(panels[p].Series, s)
		}
	}
}

func addTestbed(r *report, group string, all []contender, loads []float64, results []*fleet.Result) {
	for l, load := range loads {
		for c := range all {
			res := results[l*len(all)+c]
			r.add(fmt.Sprintf("%s%.0f %%", group, percent(load)), all[c].name, res,
				figure{"p50", millis(res.All.Quantile(0.5)), "ms"}, figure{"p99", millis(res.All.Quantile(0.99)), "ms"},
				figure{"p99.9", millis(res.All.Quantile(0.999)), "ms"}, figure{"failed", percent(1 - res.Success()), "%"},
				figure{"probes", float64(res.Tiers[0].Probes) / float64(max(res.Calls, 1)), "per request"},
				figure{"most in a server", float64(res.Tiers[0].MaxQueue), ""})
		}
	}
}

func prequalGoals(r *report, all []contender, loads []float64, results []*fleet.Result) {
	find := func(load int, name string) *fleet.Result {
		for i, c := range all {
			if c.name == name {
				return results[load*len(all)+i]
			}
		}
		panic("no contender is called " + name)
	}
	worst, where := 0.0, ""
	failed := 0.0
	for l, load := range loads {
		best := find(l, all[0].name).All.Quantile(0.99)
		for _, c := range all {
			best = min(best, find(l, c.name).All.Quantile(0.99))
		}
		mine := find(l, "weft, default")
		if v := float64(mine.All.Quantile(0.99)) / float64(best); v > worst {
			worst, where = v, fmt.Sprintf("%.0f %%", percent(load))
		}
		failed = max(failed, percent(1-mine.Success()))
	}
	at := func(l int, name string, q float64) float64 { return millis(find(l, name).All.Quantile(q)) }
	const theirs, weighted, two = "Prequal, as in its paper", "weighted round robin", "least loaded of two"
	beyond := slices.Index(loads, 1.07)
	last := len(loads) - 1
	r.goal(worst <= 1.1, "p99 of the default is at most 1.1 times the best at every load", "%.2f times at worst, at %s", worst, where)
	r.goal(at(beyond, weighted, 0.999) > 3*at(beyond, theirs, 0.999), "beyond what is guaranteed the tail of weighted round robin is several times Prequal's",
		"p99.9 at 107 %%: %.0f and %.0f ms", at(beyond, weighted, 0.999), at(beyond, theirs, 0.999))
	r.goal(at(last, theirs, 0.99) < at(last, two, 0.99), "Prequal's p99 is below that of two choices by the client's own requests",
		"at %.0f %%: %.0f and %.0f ms", percent(loads[last]), at(last, theirs, 0.99), at(last, two, 0.99))
	r.goal(failed < 0.01, "the default fails nothing at any load", "%.4f %% at worst", failed)
}
