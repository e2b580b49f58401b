package plane

import (
	"testing"
	"testing/synctest"
	"time"
)

// Bounds of how soon things are known.
const (
	soon      = 6 * time.Second  // both gRPC and the agent wait up to 2 s and some before they try again
	forgotten = 18 * time.Second // a workload that died while the control plane was away is kept for 15 s
)

// live lives through some days in one bubble. What it returns is what was wrong, and for each member
// what it had in force.
func live(t *testing.T, seed uint64) (w *world) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, seed, dir)
		w.startControl()
		for _, s := range append(services, services[w.rng.IntN(len(services))], services[0]) {
			w.join(s)
			w.pass(time.Duration(w.rng.Int64N(int64(time.Second))) + 1)
		}
		w.pass(soon)
		w.current(true)
		for range 3 {
			w.trouble()
			w.repair()
			w.current(true)
		}
		w.pass(25 * time.Hour) // longer than any certificate
		w.current(true)
		for len(w.members) > 0 {
			w.leave(w.members[0], false)
		}
		w.stopControl(false)
	})
	return w
}

// trouble is some hours in which things go wrong.
func (w *world) trouble() {
	if w.rng.IntN(2) == 0 {
		w.stopControl(w.rng.IntN(2) == 0)
	}
	for range 1 + w.rng.IntN(3) {
		w.incident()
		w.pass(w.howLong())
	}
	if w.down == nil && w.rng.IntN(2) == 0 {
		w.quietOutage()
	}
}

// howLong draws from moments to hours; all of a trouble together stay below half of a certificate's
// life, which is what may be promised.
func (w *world) howLong() time.Duration {
	most := []time.Duration{time.Second, 30 * time.Second, 20 * time.Minute}[w.rng.IntN(3)]
	return 1 + time.Duration(w.rng.Int64N(int64(most)))
}

// quietOutage: while the control plane is away nobody forgets what it knows.
func (w *world) quietOutage() {
	before := map[*member]string{}
	for _, m := range w.members {
		if t := m.Table(); t != nil {
			before[m] = told(t)
		}
	}
	w.pass([]time.Duration{time.Minute, 9 * time.Hour}[w.rng.IntN(2)])
	for m, was := range before {
		if now := told(m.Table()); now != was {
			w.violated("L2", "%s knew %s and, without a control plane, knows %s", m.name, was, now)
		}
	}
}

func (w *world) incident() {
	m := w.members[w.rng.IntN(len(w.members))]
	switch w.rng.IntN(7) {
	case 0:
		w.note("%s is cut off", m.name)
		m.cut = true
		w.net.Cut(m.name, controlHost)
		w.net.Cut(controlHost, m.name)
	case 1:
		w.note("%s does not hear the control plane", m.name)
		m.cut = true
		w.net.Cut(controlHost, m.name)
	case 2:
		w.note("the connections of %s are reset", m.name)
		w.net.Reset(m.name)
	case 3, 4:
		if len(w.members) > 3 {
			w.leave(m, w.rng.IntN(2) == 0)
		}
	case 5:
		if len(w.members) < 9 {
			w.join(services[w.rng.IntN(len(services))])
		}
	case 6:
		w.stopControl(true)
		w.pass(w.howLong())
		w.startControl()
	}
}

// repair ends all that is wrong, and gives everybody the time that is promised.
func (w *world) repair() {
	w.note("everything is repaired")
	for _, m := range w.members {
		if m.cut {
			m.cut = false
			w.net.Heal(m.name, controlHost)
			w.net.Reset(m.name) // or TCP's own patience would be measured
		}
	}
	w.startControl()
	w.pass(soon)
	w.current(false)
	w.pass(forgotten)
}
