package mesh

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/sim/invariant"
)

// EnoughForEvents is from how many lives on every invariant.Event must have happened.
const EnoughForEvents = 200

// Total is what came of many lives.
type Total struct {
	Lives, Calm int
	Requests    int
	Lived       time.Duration
	Seen        map[invariant.Event]int
	Failed      []Result // in the order of their seeds
}

// Many lives n lives from a seed on, some at a time, until stop says that one was enough.
func Many(first uint64, n, cores int, stop func(Result) bool) Total {
	t := Total{Seen: map[invariant.Event]int{}}
	var (
		next  atomic.Int64
		ended atomic.Bool
		mu    sync.Mutex // guards t and calls of stop
		wg    sync.WaitGroup
	)
	for range max(cores, 1) {
		wg.Go(func() {
			for !ended.Load() {
				i := next.Add(1) - 1
				if i >= int64(n) {
					return
				}
				r := Live(Options{Seed: first + uint64(i)})
				mu.Lock()
				t.add(r)
				if stop(r) {
					ended.Store(true)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(t.Failed, func(a, b Result) int { return cmp.Compare(a.Seed, b.Seed) })
	return t
}

func (t *Total) add(r Result) {
	t.Lives++
	if r.Calm {
		t.Calm++
	}
	t.Requests += r.Requests
	t.Lived += r.Lived
	for e, n := range r.Seen {
		t.Seen[e] += n
	}
	if len(r.Findings) > 0 {
		t.Failed = append(t.Failed, r)
	}
}

// Never lists the events that did not happen in any life.
func (t *Total) Never() (out []invariant.Event) {
	for _, e := range invariant.Events {
		if t.Seen[e] == 0 {
			out = append(out, e)
		}
	}
	return out
}

// maxTold bounds how many failed lives are told.
const maxTold = 10

// Tell writes what happened, and what should not have.
func (t *Total) Tell(out io.Writer) {
	fmt.Fprintln(out, "what happened, of what must happen sometimes:")
	for _, e := range invariant.Events {
		fmt.Fprintf(out, "%9d  %s\n", t.Seen[e], e)
	}
	for i, r := range t.Failed {
		if i == maxTold {
			fmt.Fprintf(out, "and %d more seeds\n", len(t.Failed)-i)
			break
		}
		fmt.Fprintf(out, "seed %d: %s\n", r.Seed, r.Findings[0])
	}
	if t.Lives >= EnoughForEvents {
		for _, e := range t.Never() {
			fmt.Fprintf(out, "never: %s: the simulation has become lazy\n", e)
		}
	}
}
