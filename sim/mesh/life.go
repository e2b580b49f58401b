package mesh

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/weft-mesh/weft/proxy/drive/sim"
	"github.com/weft-mesh/weft/sim/invariant"
)

// Options say which life to live.
type Options struct {
	Seed  uint64
	Story io.Writer // gets a line for each thing that happens; nil: not told
	All   bool      // tells what happens to single connections too
}

// Result is what came of a life.
type Result struct {
	Seed     uint64
	Calm     bool
	Findings []invariant.Finding
	Seen     map[invariant.Event]int
	Requests int
	Events   int    // of connections
	Hash     uint64 // of the whole history
	Lived    time.Duration
}

// Times of a life.
const (
	changing = 4 * time.Second  // faults, or changes in good order
	recovery = 2 * time.Second  // after which nothing may fail
	proving  = 5 * time.Second  // that nothing does
	pausing  = 75 * time.Second // in which what was avoided is forgiven: balance's tau, some times
	tcpWaits = 46 * time.Second // until both ends know of connections that a long cut has broken
	resting  = 400 * time.Second
	glance   = 20 * time.Millisecond // between two looks at what proxies hold
)

// world is a mesh and everybody in it.
type world struct {
	net       *sim.Network
	control   *sim.Mesh
	watch     *invariant.Watch
	rng       *rand.Rand
	seen      map[invariant.Event]int
	edge      *edge
	services  map[string]*service
	nodes     []*node
	calm      bool
	bulk      bool          // bodies may be large
	quiet     bool          // users ask for nothing more
	pause     time.Duration // until when users ask for nothing
	outage    bool          // it is away from everybody
	longCut   bool
	surprises int                      // workloads that drain and are still listed
	drained   map[string]time.Duration // when a service's proxy last began to drain
	versions  map[any]int              // by *model.Service
}

// Live lives one life.
func Live(o Options) (r Result) {
	n := sim.New(o.Seed, o.Story)
	if !o.All {
		n.Brief()
	}
	w := &world{
		net: n, control: n.Mesh(), rng: n.Rand("world"), seen: map[invariant.Event]int{}, services: map[string]*service{},
		drained: map[string]time.Duration{}, versions: map[any]int{},
	}
	w.watch = invariant.New(n.Now, func(line string) { n.Note("%s", line) })
	defer func() {
		if what := recover(); what != nil {
			w.watch.Broken(fmt.Sprintf("%v\n%s", what, debug.Stack()))
		}
		r = Result{
			Seed: o.Seed, Calm: w.calm, Findings: w.watch.Findings, Seen: w.seen, Requests: w.watch.Requests(),
			Events: n.Events(), Hash: n.Hash(), Lived: n.Now(),
		}
	}()
	w.live()
	return r
}

func (w *world) live() {
	w.calm = w.rng.IntN(3) == 0
	w.bulk = w.rng.IntN(8) == 0
	w.build()
	w.look()
	w.begin()
	if w.calm {
		w.net.Note("a calm life")
		w.watch.Fine()
		w.changes()
		w.net.Run(changing)
	} else {
		w.net.Note("a stormy life")
		w.faults()
		w.net.Run(changing)
		w.repair()
		w.net.Run(recovery)
		if w.longCut {
			w.pause = w.net.Now() + tcpWaits
			w.net.Run(tcpWaits)
		}
		w.watch.Fine()
	}
	w.watch.Settled()
	w.prove()
	w.net.Note("users leave")
	w.quiet = true
	w.net.Run(resting)
	w.rest()
}

// prove gives the mesh a while in which all must be well.
func (w *world) prove() {
	w.net.Note("from now on nothing may fail")
	w.net.Run(proving / 2)
	w.net.Note("users pause")
	w.pause = w.net.Now() + pausing
	w.net.Run(pausing)
	w.watch.Forgiven()
	w.net.Run(proving / 4)
	for _, s := range order { // a change while all is well
		w.services[s].revise()
	}
	w.net.Run(proving / 4)
	for _, p := range w.proxies() {
		w.watch.CheckCurrent(p.Host().Name)
	}
}

// rest checks that nothing is left.
func (w *world) rest() {
	w.watch.CheckOpen()
	for _, s := range order {
		var names []string
		for _, x := range w.services[s].nodes {
			names = append(names, x.name)
		}
		w.watch.CheckForgiven(s, names)
	}
	for _, p := range w.proxies() {
		w.saw(invariant.Joined, p.Joined > 0)
		w.watch.AtRest(p.Host().Name, holds(p))
	}
}

// keptPools is how many places a proxy may know without a connection to them: each endpoint, for
// each of its workloads' identities.
const keptPools = 2 * 11

// holds says what a proxy holds that should be over.
func holds(p *sim.Proxy) string {
	u := p.Core.Usage()
	switch {
	case p.Core.Busy():
		return "work"
	case u.Conns > 0 || u.Inflight > 0 || u.Waiters > 0 || u.Waiting > 0 || u.Dialing > 0 || u.Used > 0 || u.Links > 0 || u.Timers > 0 || u.Pools > keptPools:
		return fmt.Sprintf("%+v", u)
	case len(p.Sockets()) > 0:
		return fmt.Sprintf("%d sockets", len(p.Sockets()))
	}
	return ""
}

// look checks bounds all the time.
func (w *world) look() {
	for _, p := range w.proxies() {
		most, total := 0, 0
		for _, s := range p.Sockets() {
			q := s.Queued()
			total += q
			most = max(most, q)
		}
		w.watch.Holds(p.Host().Name, most, total)
	}
	if !w.quiet {
		w.net.After(glance, w.look)
	}
}

// saw counts an event, if it is one.
func (w *world) saw(e invariant.Event, yes bool) {
	if yes {
		w.seen[e]++
	}
}

// between draws a duration.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}
