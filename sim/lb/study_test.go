package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/sim/lb/fleet"
	"github.com/weft-mesh/weft/sim/lb/plot"
)

// small is a run that a test can afford.
func small(parallel int) options {
	return options{seed: 1, seeds: 1, scale: 0.04, parallel: parallel}
}

func figures(t *testing.T, r *report) string {
	t.Helper()
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Figures that differ from run to run, or with the number of cores, prove nothing.
func TestTheSameSeedsGiveTheSameFigures(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			a, b := s.run(small(1)), s.run(small(3))
			if x, y := figures(t, a), figures(t, b); x != y {
				t.Errorf("one at a time:\n%s\nthree at a time:\n%s", x, y)
			}
			var p, q bytes.Buffer
			if err := plot.SVG(&p, &a.figure); err != nil {
				t.Fatal(err)
			}
			if err := plot.SVG(&q, &b.figure); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p.Bytes(), q.Bytes()) {
				t.Error("the plots differ")
			}
		})
	}
	other := small(1)
	other.seed = 77
	if figures(t, faults(other)) == figures(t, faults(small(1))) {
		t.Error("another seed gives the same figures")
	}
}

// value finds a figure of a row.
func value(t *testing.T, r *report, where, who, name string) float64 {
	t.Helper()
	for _, row := range r.Rows {
		if row.Case != where || row.Who != who {
			continue
		}
		for _, f := range row.Figures {
			if f.Name == name {
				return f.Value
			}
		}
	}
	t.Fatalf("there is no %s of %s, %s", name, where, who)
	return 0
}

func TestTheOrderOfFinaglesTestIsReproduced(t *testing.T) {
	o := small(2)
	o.scale, o.seeds = 1, 2
	r := finagle(o)
	last := 0.0
	for _, who := range []string{"round robin", "least loaded of two", "peak EWMA of two", "weft, hedged"} {
		v := value(t, r, "one slow", who, "success")
		if v < last {
			t.Errorf("%s: %.3f %%, less than the one before (%.3f %%)", who, v, last)
		}
		last = v
	}
	for _, g := range r.Goals {
		if !g.Met {
			t.Errorf("%s: %s", g.What, g.Got)
		}
	}
}

// Small, and short: thirty servers, at a load that antagonists leave room for, but not evenly.
func TestTheOrderOfThePrequalPaperIsReproduced(t *testing.T) {
	o := small(2)
	o.scale = 0.4
	all := []contender{
		{"weighted round robin", fleet.WeightedRoundRobin}, {"least loaded of two", bare(model.LeastRequest)}, {"Prequal", fleet.PaperPrequal},
	}
	results := underLoads(o, all, []float64{1.45}, nil)
	for i, factor := range []float64{1: 2, 2: 1.1} {
		if i == 0 {
			continue
		}
		if a, b := results[i-1].All.Quantile(0.99), results[i].All.Quantile(0.99); float64(a) < factor*float64(b) {
			t.Errorf("p99 of %s is %v, of %s %v", all[i-1].name, a, all[i].name, b)
		}
	}
	if n := results[2].Calls - results[2].Good; n > 0 {
		t.Errorf("Prequal lets %d requests fail", n)
	}
	if n := results[0].Calls - results[0].Good; n < results[0].Calls/100 {
		t.Errorf("weighted round robin lets only %d of %d requests fail", n, results[0].Calls)
	}
}

func TestAnApertureCutsConnectionsAndNotTheTail(t *testing.T) {
	o := small(2)
	o.scale = 0.1
	r := aperture(o)
	const where = "150 x 150"
	all, mine := value(t, r, where, "all with all", "connections"), value(t, r, where, "weft, default", "connections")
	if all < 0.9*150*150 || mine > all/5 {
		t.Errorf("%.0f connections, without apertures %.0f", mine, all)
	}
	for _, g := range r.Goals {
		if !g.Met {
			t.Errorf("%s: %s", g.What, g.Got)
		}
	}
}

func TestRetriesOfThreeTiersDoNotMultiply(t *testing.T) {
	o := small(2)
	o.scale = 0.2
	r := tiers(o)
	for _, where := range []string{"fails", "black hole"} {
		plain, ours := value(t, r, where, "three tries at each tier", "tries at the lowest tier"), value(t, r, where, "weft, same retries", "tries at the lowest tier")
		if plain < 5 || ours > 1.6 { // the outage is shorter than a budget's window here
			t.Errorf("%s: %.2f tries a request, with plain retries %.1f", where, ours, plain)
		}
	}
}

func TestPlotsAndFiguresAreWritten(t *testing.T) {
	dir := t.TempDir()
	svg, figs := filepath.Join(dir, "a.svg"), filepath.Join(dir, "a.json")
	var out bytes.Buffer
	if err := run([]string{"-scenario", "finagle", "-seeds", "1", "-svg", svg, "-json", figs}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for file, want := range map[string]string{svg: "<svg", figs: `"goals"`} {
		b, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, %d bytes", file, err, len(b))
		}
	}
	if !strings.Contains(out.String(), "round robin") || !strings.Contains(out.String(), "million events") {
		t.Errorf("it printed\n%s", out.String())
	}
}

func TestWhatIsAskedWronglyIsRefused(t *testing.T) {
	for _, args := range [][]string{{}, {"-scenario", "none"}, {"-scenario", "finagle", "-seeds", "-2"}, {"-scenario", "finagle", "-scale", "-1"}, {"-no"}} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	var out bytes.Buffer
	if err := run([]string{"-list"}, &out); err != nil || strings.Count(out.String(), "\n") != len(scenarios) {
		t.Errorf("-list: %v, printed %q", err, out.String())
	}
}

// A server whose requests share it answers nothing at all any more when callers give up sooner than
// it gets round to them: that must not be taken for an application that is slow for its own reasons.
func TestAFloodedServerGoesOnAnswering(t *testing.T) {
	o := small(2)
	o.scale = 0.5
	r := overload(o)
	for _, where := range []string{"3 x", "5 x"} {
		if v := value(t, r, where, "weft, adaptive", "answered in time"); v < 90 {
			t.Errorf("%s: %.1f %% of what the server can do is answered in time", where, v)
		}
		if v := value(t, r, where, "weft, adaptive", "critical"); v < 100 {
			t.Errorf("%s: %.2f %% of the critical requests succeed", where, v)
		}
	}
}
