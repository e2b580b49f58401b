package invariant

import (
	"maps"
	"slices"
	"time"
)

// L1 is how soon a change is everywhere once nothing is in the way.
var L1 = &Invariant{
	Name: "L1", Says: "a second after all faults have ended, every proxy acts by the newest configuration",
	Harm: "a change of a route or a rule reaches some, and nobody can tell whom",
}

// Currency is how long proxies have after the last fault to be current.
const Currency = time.Second

// Settled tells that from now on no change may be unknown to anybody.
func (w *Watch) Settled() { w.settled = w.now() }

func (w *Watch) checkCurrent(r *Request, a Arrival) {
	if w.settled < 0 || r.Begun < w.settled || a.Version == 0 {
		return
	}
	if h := w.services[r.Service]; a.Version < r.latest && w.now()-h.at[r.latest-1] > Currency {
		w.violated(L1, "%v was sent by version %d of %s, %s after version %d", r, a.Version, r.Service, w.now()-h.at[r.latest-1], r.latest)
	}
}

// CheckCurrent looks at what each proxy that asked for a service has in force.
func (w *Watch) CheckCurrent(name string) {
	known := w.proxy(name).known
	for _, service := range slices.Sorted(maps.Keys(known)) {
		version := known[service]
		if latest := w.version(service); version != latest {
			w.violated(L1, "%s has version %d of %s in force, the newest is %d", name, version, service, latest)
		}
	}
}
