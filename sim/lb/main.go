// Command lb studies load balancing and its neighbours (further tries, ejection, apertures,
// overload) in a discrete-event model that runs the balancers' real code: see package fleet for what
// is modelled, and docs/reliability/README.md for what comes of it.
//
//	go run ./sim/lb -scenario finagle -svg docs/reliability/finagle.svg -json docs/reliability/finagle.json
//	go run ./sim/lb -list
//
// A scenario prints a table and its goals, and exits with 1 if one is missed. The same seeds give the
// same figures to the last digit.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/weft-mesh/weft/sim/lb/plot"
)

// scenario is one study.
type scenario struct {
	name, about string
	seeds       int // usually
	run         func(options) *report
}

var scenarios = []scenario{
	{"finagle", "eleven servers, one turns slow: the test of \"Beyond Round Robin\"", 8, finagle},
	{"prequal", "a hundred servers with antagonists, from 70 % to 170 % of their allocation", 1, prequal},
	{"candidates", "the same servers: what the default could be instead", 1, candidates},
	{"faults", "one of ten servers black-holed, failing, or slow", 4, faults},
	{"tiers", "total outage of the lowest of three tiers", 2, tiers},
	{"overload", "five times the load that a server can do", 4, overload},
	{"aperture", "a thousand clients and a thousand servers: all with all, or apertures", 1, aperture},
}

// options are what a run was asked for.
type options struct {
	seed     uint64 // the first
	seeds    int
	scale    float64 // of the lengths: tests take less than 1
	parallel int
}

// length scales a length.
func (o options) length(d time.Duration) time.Duration {
	return time.Duration(float64(d) * o.scale)
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	set := flag.NewFlagSet("lb", flag.ContinueOnError)
	set.SetOutput(out)
	name := set.String("scenario", "", "which study; -list names them")
	list := set.Bool("list", false, "list the studies")
	svg := set.String("svg", "", "write the plot to this file")
	jsonFile := set.String("json", "", "write the figures to this file")
	o := options{scale: 1}
	set.Uint64Var(&o.seed, "seed", 1, "the first seed")
	set.IntVar(&o.seeds, "seeds", 0, "how many seeds; 0: as many as the study usually has")
	set.IntVar(&o.parallel, "parallel", runtime.GOMAXPROCS(0), "how many worlds run at a time")
	set.Float64Var(&o.scale, "scale", 1, "run for this part of the usual length; goals are for 1")
	if err := set.Parse(args); err != nil {
		return err
	}
	if *list {
		for _, s := range scenarios {
			fmt.Fprintf(out, "%-11s %s\n", s.name, s.about)
		}
		return nil
	}
	if o.seeds < 0 || o.parallel < 1 || o.scale <= 0 {
		return fmt.Errorf("-parallel and -scale must be above 0, -seeds not below")
	}
	for _, s := range scenarios {
		if s.name != *name {
			continue
		}
		if o.seeds == 0 {
			o.seeds = s.seeds
		}
		begin := time.Now()
		r := s.run(o)
		r.Scenario, r.Seed, r.Seeds = s.name, o.seed, o.seeds
		if err := r.write(out); err != nil {
			return err
		}
		took := time.Since(begin)
		fmt.Fprintf(out, "\n%.1f million events in %.1f s\n", float64(r.events)/1e6, took.Seconds())
		return r.save(*svg, *jsonFile)
	}
	return fmt.Errorf("no study is called %q; -list names them", *name)
}

// save writes the files that were asked for. Missed goals are an error after that.
func (r *report) save(svg, figures string) error {
	if svg != "" {
		f, err := os.Create(svg)
		if err != nil {
			return err
		}
		if err := plot.SVG(f, &r.figure); err != nil {
			_ = f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	if figures != "" {
		b, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(figures, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	for _, g := range r.Goals {
		if !g.Met {
			return fmt.Errorf("missed: %s: %s", g.What, g.Got)
		}
	}
	return nil
}
