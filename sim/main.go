// Command sim lives many lives of a simulated mesh and looks for one in which an invariant does not
// hold (see docs/simulator.md).
//
//	go run ./sim -seeds 1000                      many lives, on all cores
//	go run ./sim -seed 17                         one, with its story
//	go run -tags plantedbugs ./sim -bugs          whether planted bugs are found, each within 1000 seeds
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/weft-mesh/weft/sim/mesh"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout)) }

func run(args []string, out io.Writer) int {
	f := flag.NewFlagSet("sim", flag.ContinueOnError)
	f.SetOutput(out)
	var (
		seed  = f.Uint64("seed", 0, "live this life only, and tell its story")
		all   = f.Bool("all", false, "with -seed: tell what happens to single connections too")
		seeds = f.Int("seeds", 200, "live so many lives")
		first = f.Uint64("first", 1, "the first seed of -seeds and -bugs")
		cores = f.Int("cores", runtime.GOMAXPROCS(0), "live so many at once")
		bugs  = f.Bool("bugs", false, "plant one bug after the other and find it (needs -tags plantedbugs)")
		only  = f.String("bug", "", "with -bugs or -seed: this bug only")
	)
	if err := f.Parse(args); err != nil {
		return 2
	}
	switch {
	case *bugs:
		return findBugs(out, *first, *seeds, *cores, *only)
	case *seed > 0:
		return tellOne(out, *seed, *all, *only)
	}
	return manySeeds(out, *first, *seeds, *cores)
}

// tellOne lives one life with its story.
func tellOne(out io.Writer, seed uint64, all bool, bug string) int {
	if bug != "" && !plant(out, bug) {
		return 2
	}
	r := mesh.Live(mesh.Options{Seed: seed, Story: out, All: all})
	fmt.Fprintf(out, "\nseed %d: %d requests in %s, history %016x\n", seed, r.Requests, r.Lived, r.Hash)
	if len(r.Findings) == 0 {
		fmt.Fprintln(out, "every invariant holds")
		return 0
	}
	for _, x := range r.Findings {
		fmt.Fprintf(out, "VIOLATED %s\n  harm: %s\n", x, x.Harm)
	}
	return 1
}

// manySeeds lives many lives and sums up.
func manySeeds(out io.Writer, first uint64, n, cores int) int {
	began := time.Now()
	t := mesh.Many(first, n, cores, func(mesh.Result) bool { return false })
	fmt.Fprintf(out, "%d lives (%d calm), %d requests, %s of simulated time in %s\n",
		t.Lives, t.Calm, t.Requests, t.Lived.Round(time.Minute), time.Since(began).Round(100*time.Millisecond))
	t.Tell(out)
	if len(t.Failed) > 0 || n >= mesh.EnoughForEvents && len(t.Never()) > 0 {
		return 1
	}
	fmt.Fprintln(out, "every invariant holds")
	return 0
}
