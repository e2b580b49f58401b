package core

import (
	"fmt"
	"net/netip"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/overload"
	"github.com/weft-mesh/weft/proxy/ratelimit"
)

// Guards say how the applications behind a proxy are guarded. Immutable, but for the buckets of rate
// limits, which all loops share; safe for concurrent use. A nil *Guards is the default everywhere.
type Guards struct {
	workloads [][]portGuard
}

// portGuard is for one port of a workload.
type portGuard struct {
	port  uint16
	guard *model.Guard
	rates *ratelimit.Set // nil: none
}

// NewGuards makes those of workloads, in the order of Config.Workloads, from what the mesh says of each
// (nil: nothing yet, so the default). seed is random and secret. Rate limits that are the same as in
// prev, which may be nil, keep their buckets. What cannot be compiled is left out and said.
func NewGuards(workloads []*model.Workload, seed uint64, prev *Guards) (*Guards, []error) {
	g := &Guards{workloads: make([][]portGuard, len(workloads))}
	var problems []error
	for i, w := range workloads {
		if w == nil {
			continue
		}
		for j := range w.Ports {
			p := &w.Ports[j]
			pg := portGuard{port: p.Port, guard: &model.PolicyOf(p.Policy).Guard}
			if len(pg.guard.RateLimits) > 0 {
				var errs []error
				pg.rates, errs = ratelimit.New(pg.guard.RateLimits, seed+uint64(i)<<32+uint64(p.Port), prev.of(i, p.Port).rates)
				for _, err := range errs {
					problems = append(problems, fmt.Errorf("workload %s, port %d: %w", w.Name, p.Port, err))
				}
			}
			g.workloads[i] = append(g.workloads[i], pg)
		}
	}
	return g, problems
}

// of gives the guard of a port of workload i.
func (g *Guards) of(i int, port uint16) portGuard {
	if g != nil && i < len(g.workloads) {
		for _, p := range g.workloads[i] {
			if p.port == port {
				return p
			}
		}
	}
	return portGuard{port: port, guard: &model.DefaultPolicy.Guard}
}

// SetGuards puts guards in force. What was learned of the applications stays.
func (c *Core) SetGuards(g *Guards) {
	c.guards = g
	for _, l := range c.locals {
		for _, d := range l.doors {
			d.configure(g.of(l.index, d.app.Addr.Port()))
		}
	}
}

// door is where requests enter one port of an application: its guard on this loop.
type door struct {
	portGuard
	core  *Core
	app   AppPort
	guard overload.Guard
	timer timer // when the first that waits has waited for too long
	ready bool  // listed in Core.doors: somebody may enter
}

// doorOf gives the door of a port of the local's.
func (c *Core) doorOf(l *local, app AppPort) *door {
	for _, d := range l.doors {
		if d.app.Addr == app.Addr {
			return d
		}
	}
	d := &door{core: c, app: app}
	d.timer.fire = d.expire
	d.portGuard = c.guards.of(l.index, app.Addr.Port())
	d.guard = *overload.New(d.portGuard.guard, c.loops)
	l.doors = append(l.doors, d)
	return d
}

func (d *door) configure(p portGuard) {
	if p.guard != d.portGuard.guard {
		d.guard.Configure(p.guard, d.core.loops)
	}
	d.portGuard = p
	d.core.open(d)
}

// DoorState is what there is to see of the guard of one port of an application, on one loop.
type DoorState struct {
	Workload model.Name
	Addr     netip.AddrPort
	overload.State
}

// DoorStates calls add for each port that requests came for.
func (c *Core) DoorStates(add func(DoorState)) {
	for _, l := range c.locals {
		for _, d := range l.doors {
			add(DoorState{l.Name, d.app.Addr, d.guard.State()})
		}
	}
}

// open lets in, at the end of the batch, whose turn it is.
func (c *Core) open(d *door) {
	if !d.ready {
		d.ready = true
		c.doors = append(c.doors, d)
	}
}

// serveDoors is open's turn.
func (c *Core) serveDoors() {
	for len(c.doors) > 0 {
		d := c.doors[len(c.doors)-1]
		c.doors = c.doors[:len(c.doors)-1]
		d.ready = false
		for t := d.guard.Next(c.now); t != nil; t = d.guard.Next(c.now) {
			x := t.Owner.(*exchange)
			x.toApplication(&x.saved)
		}
		d.watch()
	}
}

// watch arms the timer for the first that waits.
func (d *door) watch() {
	at, ok := d.guard.Deadline()
	if !ok {
		d.core.wheel.disarm(&d.timer)
		return
	}
	d.core.wheel.arm(&d.timer, at)
}

// expire turns away who has waited for too long.
func (d *door) expire() {
	for t := d.guard.Expired(d.core.now); t != nil; t = d.guard.Expired(d.core.now) {
		t.Owner.(*exchange).turnAway(overload.Waited)
	}
	d.watch()
}

// rateScratch is what checking rate limits needs.
type rateScratch struct {
	canon decide.Canonical
	query decide.Query
}
