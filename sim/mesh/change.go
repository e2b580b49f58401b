package mesh

import (
	"fmt"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/sim/invariant"
)

// changes are what a careful operator does: none of them may cost a request.
func (w *world) changes() {
	at := 300 * time.Millisecond
	for at < changing-800*time.Millisecond {
		w.net.After(at, w.change)
		at += between(w.rng, 50*time.Millisecond, 500*time.Millisecond)
	}
}

func (w *world) change() {
	s := w.services[order[w.rng.IntN(len(order))]]
	switch w.rng.IntN(5) {
	case 0:
		s.closed = !s.closed && s.name != "stock"
		s.revise()
	case 1:
		s.canary = !s.canary && s.name == "stock"
		s.revise()
	case 2:
		if x := s.nodes[w.rng.IntN(len(s.nodes))]; !s.opaque && w.surprises == 0 && w.mayLeave(x) {
			w.surprise(x)
		}
	default:
		x := s.nodes[w.rng.IntN(len(s.nodes))]
		if w.mayLeave(x) {
			w.roll(x)
		}
	}
}

// surprise makes a workload drain that the mesh still lists, as one does whose machine is stopped. What
// may be sent again must succeed nevertheless, elsewhere; of the rest only what was refused is.
func (w *world) surprise(x *node) {
	w.net.Note("%s drains, and is still listed", x.name)
	x.taken = true
	w.surprises++
	w.watch.ExcuseOpen()
	w.rush(x.service)
	w.net.After(rushing/2, func() {
		w.saw(invariant.DrainBusy, x.proxy.Core.Busy())
		w.drained[x.service.name] = w.net.Now()
		x.proxy.Do(func(c *core.Core) { c.DrainWorkload(0) })
		w.net.After(rushing, func() { w.awaitIdle(x, 0) })
	})
}

// rushing is how long a rush lasts.
const rushing = 6 * time.Millisecond

// rush is a burst of requests for a service, so that something is under way at a moment that matters.
// In a calm life each of them may be repeated.
func (w *world) rush(s *service) {
	if s.opaque || w.quiet {
		return
	}
	name := s.name
	if name == "next" { // which is asked for by way of stock
		name = "stock"
	}
	rng := w.net.Rand(fmt.Sprintf("rush %d", w.watch.Requests()))
	out := &outlet{w: w, host: w.edge.host, port: batchPort, rng: rng}
	for range 8 {
		w.net.After(between(rng, 1, rushing), func() {
			a := &ask{Request: &invariant.Request{Method: "GET", Service: name, Caller: idOf("batch"), Proxy: w.edge.host.Name, Download: rng.IntN(3000)}, done: func() {}}
			if !w.calm && rng.IntN(2) == 0 {
				a.Method = "POST"
			}
			w.number(a)
			out.send(a)
		})
	}
}

// mayLeave: there is another that serves, and nobody works on this one.
func (w *world) mayLeave(x *node) bool {
	if x.taken || x.down || x.gone {
		return false
	}
	others := 0
	for _, y := range x.service.nodes {
		if y != x && !y.taken && !y.gone && !y.down {
			others++
		}
	}
	return others > 0
}

// grace is how long proxies get to learn of a removal before the endpoint refuses what is new. The
// control plane tells them within 2 ms here.
const grace = 20 * time.Millisecond

// roll replaces a workload in good order: it leaves the mesh, finishes what it has, restarts and
// comes back. While it finishes, its own requests are served.
func (w *world) roll(x *node) {
	w.net.Note("%s is rolled", x.name)
	x.taken, x.gone = true, true
	x.service.publish()
	w.rush(x.service)
	w.net.After(grace, func() {
		w.saw(invariant.DrainBusy, x.proxy.Core.Busy())
		w.drained[x.service.name] = w.net.Now()
		x.proxy.Do(func(c *core.Core) { c.DrainWorkload(0) })
		w.net.After(time.Millisecond, func() { w.awaitIdle(x, 0) }) // it has heard of it by then
	})
}

// awaitIdle waits until a workload has finished.
func (w *world) awaitIdle(x *node, waited int) {
	if (x.app.busy() > 0 || x.proxy.Core.Busy()) && waited < 600 {
		w.net.After(10*time.Millisecond, func() { w.awaitIdle(x, waited+1) })
		return
	}
	w.net.Note("%s starts anew", x.name)
	x.boot()
	if x.taken = false; !x.gone {
		w.surprises--
		return
	}
	x.gone = false
	x.service.publish()
}
