package mesh

import (
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive/sim"
	"github.com/weft-mesh/weft/sim/invariant"
)

// faults makes things go wrong for a while.
func (w *world) faults() {
	for range 6 + w.rng.IntN(12) {
		w.net.After(between(w.rng, 1, changing*7/8), w.fault)
	}
}

// fault is one thing that goes wrong. It ends by itself after at most a second and a half, or by
// repair.
func (w *world) fault() {
	r := w.rng
	x := w.nodes[r.IntN(len(w.nodes))]
	for_ := between(r, time.Millisecond, 1500*time.Millisecond)
	kinds := []func(x *node, for_ time.Duration){
		w.appDies, w.hostDies, w.proxyDies, w.edgeDies, w.appSlows, w.appFails, w.appDozes, w.pathCut, w.pathCut, w.pathCutOneWay,
		w.pathCutLong, w.pathReset, w.pathNarrow, w.controlAway, w.controlParted, w.certificateBad, w.addressReused,
		w.addressReused, w.drainedUntold, w.leavesAndReturns, w.revised, w.revised, w.rolled,
	}
	kinds[r.IntN(len(kinds))](x, for_)
}

// path is one from a caller of x to it.
func (w *world) path(x *node) *sim.Path {
	from := w.edge.host
	if y := w.nodes[w.rng.IntN(len(w.nodes))]; y != x && tier[y.service.name] == x.service.name && w.rng.IntN(2) == 0 {
		from = y.host
	}
	return w.net.Path(from, x.host)
}

func (w *world) appDies(x *node, for_ time.Duration) {
	if x.down {
		return
	}
	w.net.Note("fault: the application of %s dies for %s", x.name, for_)
	w.saw(invariant.CalleeDied, x.app.busy() > 0)
	x.app.crash()
	w.net.After(for_, func() {
		if !x.down && !x.app.up {
			x.app.start()
		}
	})
}

func (w *world) hostDies(x *node, for_ time.Duration) {
	if x.down || x.taken {
		return
	}
	w.net.Note("fault: host %s dies for %s", x.name, for_)
	w.rush(x.service)
	x.taken = true
	w.net.After(rushing/2, func() {
		x.taken = false
		x.crash()
	})
	w.net.After(rushing+for_, func() {
		if x.down {
			x.boot()
		}
	})
}

func (w *world) proxyDies(x *node, for_ time.Duration) {
	if x.down || x.taken {
		return
	}
	w.net.Note("fault: the proxy of %s dies for %s", x.name, for_/5)
	x.taken = true
	w.killProxy(x.proxy, for_/5, func() { x.taken = false })
}

func (w *world) edgeDies(_ *node, for_ time.Duration) {
	if w.edge.down {
		return
	}
	w.net.Note("fault: the proxy of the edge dies for %s", for_/10)
	w.edge.down = true
	w.killProxy(w.edge.proxy, for_/10, func() { w.edge.down = false })
}

func (w *world) appSlows(x *node, for_ time.Duration) {
	w.net.Note("fault: the application of %s is slow for %s", x.name, for_)
	x.app.pace = between(w.rng, 20*time.Millisecond, 80*time.Millisecond)
	x.app.workers, x.app.room = 1, 1+w.rng.IntN(3)
	w.net.After(for_, x.app.well)
}

func (w *world) appFails(x *node, for_ time.Duration) {
	w.net.Note("fault: the application of %s fails for %s", x.name, for_)
	x.app.failing = 1 + w.rng.IntN(4)
	for range 3 {
		w.net.After(between(w.rng, 1, for_), func() { w.rush(x.service) })
	}
	w.net.After(for_, x.app.well)
}

func (w *world) appDozes(x *node, for_ time.Duration) {
	w.net.Note("fault: the application of %s reads slowly for %s", x.name, for_)
	x.app.slow = 1 + w.rng.IntN(3)
	w.net.After(for_, x.app.well)
}

func (w *world) pathCut(x *node, for_ time.Duration) {
	w.net.Note("fault: a path to %s is cut for %s", x.name, for_)
	p := w.path(x)
	p.Cut()
	w.net.After(for_, p.Heal)
}

func (w *world) pathCutOneWay(x *node, for_ time.Duration) {
	w.net.Note("fault: a path to %s is cut in one direction for %s", x.name, for_)
	w.saw(invariant.OneWay, true)
	p := w.net.Path(w.edge.host, x.host)
	if w.rng.IntN(2) == 0 {
		p.CutFrom(x.host)
	} else {
		p.CutFrom(w.edge.host)
	}
	w.net.After(for_, p.Heal)
}

// pathCutLong is until repair, so long that TCP gives up.
func (w *world) pathCutLong(x *node, _ time.Duration) {
	if w.longCut {
		return
	}
	w.net.Note("fault: a path to %s is cut for long", x.name)
	w.saw(invariant.LongCut, true)
	w.longCut = true
	w.path(x).Cut()
}

func (w *world) pathReset(x *node, _ time.Duration) {
	w.net.Note("fault: the connections of a path to %s are reset", x.name)
	w.path(x).Reset()
}

func (w *world) pathNarrow(x *node, for_ time.Duration) {
	w.net.Note("fault: a path to %s is narrow for %s", x.name, for_)
	p := w.path(x)
	p.Bandwidth = 100_000 + w.rng.IntN(2_000_000)
	p.Window = 2000 + w.rng.IntN(30_000)
	w.net.After(for_, func() { p.Bandwidth, p.Window = 0, 128<<10 })
}

func (w *world) controlAway(x *node, for_ time.Duration) {
	if w.outage {
		return
	}
	w.net.Note("fault: the control plane is away for %s", 2*for_)
	w.outage = true
	w.control.Mute(true)
	w.net.After(2*for_, w.controlBack)
	if w.rng.IntN(3) == 0 {
		w.certificateBad(x, for_)
	}
}

func (w *world) controlBack() {
	if w.outage {
		w.outage = false
		w.control.Mute(false)
	}
}

func (w *world) controlParted(x *node, for_ time.Duration) {
	p := x.proxy
	if w.rng.IntN(3) == 0 {
		p = w.edge.proxy
	}
	w.control.Part(p, true)
	w.net.After(for_, func() { w.control.Part(p, false) })
}

// certificateBad: what it proves is good for nobody, for a while.
func (w *world) certificateBad(x *node, for_ time.Duration) {
	w.net.Note("fault: the certificate of %s is no good for %s", x.name, for_)
	mine := &x.proxy.Identities[0]
	mine.Expired = w.rng.IntN(2) == 0
	mine.Foreign = !mine.Expired
	w.saw(invariant.ExpiredInOutage, mine.Expired && w.outage)
	x.proxy.Do(func(c *core.Core) { c.SetIdentity(0, x.id(), 0) })
	w.net.Path(w.edge.host, x.host).Reset()
	w.net.After(for_, func() { w.certify(x) })
}

func (w *world) certify(x *node) {
	x.proxy.Identities[0] = sim.Identity{ID: x.id()}
	x.proxy.Do(func(c *core.Core) { c.SetIdentity(0, x.id(), time.Hour) })
}

// addressReused: two hosts die, and each comes back at once with the other's address. The control
// plane hears of it late.
func (w *world) addressReused(x *node, for_ time.Duration) {
	y := w.nodes[w.rng.IntN(len(w.nodes))]
	if x.service == y.service || x.taken || y.taken || x.down || y.down {
		return
	}
	w.net.Note("fault: %s and %s come back with each other's addresses, told in %s", x.name, y.name, for_/2)
	w.saw(invariant.AddressReused, true)
	x.crash()
	y.crash()
	a, b := x.host.Addr, y.host.Addr
	x.host.Move(b)
	y.host.Move(a)
	x.taken, y.taken = true, true
	w.net.After(for_/20, func() {
		x.boot()
		y.boot()
	})
	tell := func() {
		x.told, y.told = x.host.Addr, y.host.Addr
		x.service.publish()
		y.service.publish()
		x.taken, y.taken = false, false
	}
	w.net.After(for_/2, tell)
}

// drainedUntold: a proxy leaves of which the control plane did not tell.
func (w *world) drainedUntold(x *node, for_ time.Duration) {
	if x.down || x.taken {
		return
	}
	w.net.Note("fault: the proxy of %s drains, and nobody was told; back in %s", x.name, for_/3)
	x.taken = true
	w.rush(x.service)
	w.net.After(rushing/2, func() {
		w.saw(invariant.DrainBusy, x.proxy.Core.Busy())
		w.drained[x.service.name] = w.net.Now()
		x.proxy.Drain()
	})
	w.net.After(rushing+for_/3, func() {
		x.boot()
		x.taken = false
	})
}

func (w *world) leavesAndReturns(x *node, for_ time.Duration) {
	if x.taken || x.gone {
		return
	}
	x.gone = true
	x.service.publish()
	w.net.After(for_, func() {
		x.gone = false
		x.service.publish()
	})
}

func (w *world) revised(x *node, _ time.Duration) {
	s := x.service
	if s.name == "next" {
		s = w.services["stock"]
	}
	if s.opaque {
		return
	}
	if w.rng.IntN(2) == 0 && s.name != "stock" {
		s.closed = !s.closed
	} else if s.name == "stock" {
		s.canary = !s.canary
	}
	s.revise()
}

func (w *world) rolled(x *node, _ time.Duration) {
	if w.mayLeave(x) {
		w.roll(x)
	}
}

// repair ends all that is wrong.
func (w *world) repair() {
	w.net.Note("everything is repaired")
	hosts := []*sim.Host{w.edge.host}
	for _, x := range w.nodes {
		hosts = append(hosts, x.host)
	}
	for i, a := range hosts {
		for _, b := range hosts[:i] {
			p := w.net.Path(a, b)
			p.Heal()
			p.Bandwidth, p.Window = 0, 128<<10
		}
	}
	w.controlBack()
	for _, p := range w.proxies() {
		w.control.Part(p, false)
	}
	for _, x := range w.nodes {
		x.app.well()
		w.certify(x)
	}
	w.net.After(1600*time.Millisecond, w.repaired) // what ends by itself has ended
}

// repaired looks that everybody is up, which the ends of faults see to.
func (w *world) repaired() {
	for _, x := range w.nodes {
		if x.down || !x.app.up {
			x.boot()
		}
	}
}
