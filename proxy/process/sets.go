package process

import (
	"sync"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/proxy/core"
)

// setsATurn is how many endpoint sets a loop tells at once: some 40 µs of its time if each is full
// (BenchmarkSets of proxy/core: 82 µs for 16).
const setsATurn = 8

// allSets asks every loop how its balancers see the endpoints of the services in use, and makes
// one answer of them. It waits for the loops, and asks none while they end: one that has ended
// does not answer before all have.
func (p *proxy) allSets() []report.Set {
	if p.ending.Load() {
		return nil
	}
	var mu sync.Mutex // guards what follows
	var all [][]report.Set
	last := map[*core.Core]report.SetKey{}
	for range report.MaxSets / setsATurn {
		more := false
		p.onAllLoops(func(c *core.Core) {
			mu.Lock()
			after := last[c]
			mu.Unlock()
			sets := c.Sets(after, setsATurn)
			mu.Lock()
			defer mu.Unlock()
			if len(sets) > 0 {
				all = append(all, sets)
				last[c] = sets[len(sets)-1].SetKey
			}
			more = more || len(sets) == setsATurn
		})
		mu.Lock()
		done := !more
		mu.Unlock()
		if done {
			break
		}
	}
	mu.Lock()
	defer mu.Unlock()
	return report.MergeSets(all...)
}

// setReporter gives the sets that changed since it was last asked. One goroutine uses it.
type setReporter struct {
	p       *proxy
	began   time.Time
	changes report.SetChanges
}

func (r *setReporter) next() []report.Set {
	return r.changes.Next(time.Since(r.began), r.p.allSets())
}
