package main

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/weft-mesh/weft/sim/lb/fleet"
	"github.com/weft-mesh/weft/sim/lb/plot"
)

// report is what came of a study.
type report struct {
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	Seeds    int    `json:"seeds"`
	Rows     []row  `json:"rows"`
	Goals    []goal `json:"goals"`

	figure plot.Figure
	events uint64
}

// row is the figures of one kind of client under one condition.
type row struct {
	Case    string   `json:"case"`
	Who     string   `json:"who"`
	Figures []figure `json:"figures"`
	Hash    string   `json:"hash"` // of the history
}

// figure is a number with a name.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// goal is a claim and whether it holds.
type goal struct {
	What string `json:"what"`
	Got  string `json:"got"`
	Met  bool   `json:"met"`
}

func (r *report) add(where, who string, res *fleet.Result, figures ...figure) {
	r.Rows = append(r.Rows, row{where, who, figures, fmt.Sprintf("%016x", res.Hash)})
	r.events += res.Events
}

func (r *report) goal(met bool, what, got string, a ...any) {
	r.Goals = append(r.Goals, goal{what, fmt.Sprintf(got, a...), met})
}

// write prints the tables, one for each set of names of figures, and the goals.
func (r *report) write(out io.Writer) error {
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	last := ""
	for _, row := range r.Rows {
		head := ""
		for _, f := range row.Figures {
			name := f.Name
			if f.Unit != "" {
				name += " " + f.Unit
			}
			head += name + "\t"
		}
		if head != last {
			fmt.Fprintf(tw, "\ncase\twho\t%s\n", head)
			last = head
		}
		fmt.Fprintf(tw, "%s\t%s\t", row.Case, row.Who)
		for _, f := range row.Figures {
			fmt.Fprintf(tw, "%s\t", number(f.Value))
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, g := range r.Goals {
		mark := "met"
		if !g.Met {
			mark = "MISSED"
		}
		fmt.Fprintf(out, "%-6s  %s: %s\n", mark, g.What, g.Got)
	}
	return nil
}

// number prints with the digits that matter.
func number(v float64) string {
	switch {
	case v == float64(int64(v)):
		return fmt.Sprintf("%d", int64(v))
	case v > 99 && v < 100:
		return fmt.Sprintf("%.4f", v)
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// job is a world to run, once for each seed.
type job struct {
	where, who string
	config     func(seed uint64) fleet.Config
}

// runAll runs all jobs with all seeds, some at a time, and merges the seeds of each. The order of the
// results, and of merging, does not depend on who finishes first.
func runAll(o options, jobs []job) []*fleet.Result {
	type one struct{ job, seed int }
	work := make(chan one)
	results := make([][]*fleet.Result, len(jobs))
	for i := range results {
		results[i] = make([]*fleet.Result, o.seeds)
	}
	var wg sync.WaitGroup
	for range o.parallel {
		wg.Go(func() {
			for w := range work {
				results[w.job][w.seed] = fleet.New(jobs[w.job].config(o.seed + uint64(w.seed))).Run()
			}
		})
	}
	for s := range o.seeds { // the first seeds of all: similar lengths end together
		for j := range jobs {
			work <- one{j, s}
		}
	}
	close(work)
	wg.Wait()
	out := make([]*fleet.Result, len(jobs))
	for i, rs := range results {
		out[i] = rs[0]
		for _, r := range rs[1:] {
			out[i].Merge(r)
		}
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func percent(v float64) float64 { return 100 * v }

// at is the median moment of a window, in seconds.
func at(window time.Duration, i int) float64 { return (float64(i) + 0.5) * window.Seconds() }

// logNormal draws around a median with the given spread (the standard deviation of the logarithm).
func logNormal(norm float64, median time.Duration, sigma float64) time.Duration {
	return time.Duration(float64(median) * exp(norm*sigma))
}
