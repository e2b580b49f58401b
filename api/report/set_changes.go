package report

import (
	"math"
	"time"
)

// setEvery is how often a set is told again in which only numbers changed.
const setEvery = 5 * time.Second

// SetChanges finds what is worth telling of the sets of a proxy: changes of state, membership and
// policy at once; mere numbers now and then; nothing of what stays as it is. The zero value has told nothing. Not safe for concurrent use.
type SetChanges struct{ told map[SetKey]toldSet }

type toldSet struct {
	set Set
	at  time.Duration
}

// Next takes all sets that are used at a time and gives those to be told; one that is not used any
// more is told without endpoints.
func (c *SetChanges) Next(now time.Duration, sets []Set) []Set {
	if c.told == nil {
		c.told = map[SetKey]toldSet{}
	}
	var out []Set
	used := make(map[SetKey]bool, len(sets))
	for _, s := range sets {
		if len(s.Endpoints) == 0 {
			continue
		}
		used[s.SetKey] = true
		old, there := c.told[s.SetKey]
		if there && (!differ(&old.set, &s) && (now-old.at < setEvery || !moved(&old.set, &s))) {
			continue
		}
		if !there && len(c.told) >= MaxSets {
			continue
		}
		c.told[s.SetKey] = toldSet{s, now}
		out = append(out, s)
	}
	for k := range c.told {
		if !used[k] {
			delete(c.told, k)
			out = append(out, Set{SetKey: k})
		}
	}
	return out
}

// differ reports whether something changed that somebody waits for.
func differ(a, b *Set) bool {
	if a.Algorithm != b.Algorithm || a.Loops != b.Loops || a.Omitted != b.Omitted || len(a.Endpoints) != len(b.Endpoints) {
		return true
	}
	for i := range a.Endpoints {
		x, y := &a.Endpoints[i], &b.Endpoints[i]
		if x.Workload != y.Workload || x.Addr != y.Addr || x.State != y.State || x.Ejections != y.Ejections || x.Loops != y.Loops {
			return true
		}
	}
	return false
}

// moved reports whether a number is not what it was. Estimates decay by themselves; below the
// last tenth of a millisecond nobody looks.
func moved(a, b *Set) bool {
	if !near(a.Budget, b.Budget) {
		return true
	}
	for i := range a.Endpoints {
		x, y := &a.Endpoints[i], &b.Endpoints[i]
		slow := max(x.Latency, y.Latency) >= 100*time.Microsecond
		if x.InFlight != y.InFlight || slow && !near(float64(x.Latency), float64(y.Latency)) || !near(x.Weight, y.Weight) || !near(x.Success, y.Success) {
			return true
		}
	}
	return false
}

// near reports whether two numbers differ by less than a tenth.
func near(a, b float64) bool { return math.Abs(a-b) <= 0.1*max(math.Abs(a), math.Abs(b)) }
