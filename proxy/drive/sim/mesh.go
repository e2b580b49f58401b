package sim

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
)

// Mesh is the control plane: what services there are, told to the proxies that ask.
type Mesh struct {
	// Delay bounds how long an answer, or the news of a change, takes. It may be changed.
	Delay time.Duration

	net     *Network
	rng     *rand.Rand
	known   map[model.Name]*fact
	proxies []*Proxy
	mute    bool
	after   []func() // what was not told while mute
	deaf    map[*Proxy][]func()
}

type fact struct {
	service   *model.Service
	endpoints *model.Endpoints
}

// subscription is what one proxy knows.
type subscription struct {
	wants    map[model.Name]bool
	ips      map[netip.Addr]bool
	absentIP map[netip.Addr]bool
	view     decide.View
	table    *decide.Table
}

func newSubscription() subscription {
	return subscription{
		wants: map[model.Name]bool{}, ips: map[netip.Addr]bool{}, absentIP: map[netip.Addr]bool{},
		view: decide.View{TrustDomain: "weft.local"},
	}
}

// Mesh makes a control plane that knows no service.
func (n *Network) Mesh() *Mesh {
	return &Mesh{net: n, rng: n.Rand("mesh"), known: map[model.Name]*fact{}, deaf: map[*Proxy][]func(){}, Delay: 2 * time.Millisecond}
}

// Set publishes a service and who answers for it. Both are not to be changed afterwards.
func (m *Mesh) Set(s *model.Service, e *model.Endpoints) {
	m.net.Note("mesh: %s has %d endpoints", s.Name, len(e.Endpoints))
	m.known[s.Name] = &fact{s, e}
	m.changed(s.Name)
}

// Remove takes a service away.
func (m *Mesh) Remove(n model.Name) {
	m.net.Note("mesh: %s is gone", n)
	delete(m.known, n)
	m.changed(n)
}

// Mute makes the control plane silent until it is called with false.
func (m *Mesh) Mute(on bool) {
	m.net.Note("mesh: mute %v", on)
	m.mute = on
	if on {
		return
	}
	after := m.after
	m.after = nil
	for _, f := range after {
		f()
	}
}

// Part cuts one proxy off from the control plane, until it is called with false: what it would have
// been told it is told then.
func (m *Mesh) Part(p *Proxy, on bool) {
	m.net.Note("mesh: parted from %s %v", p.host.Name, on)
	if on {
		if m.deaf[p] == nil {
			m.deaf[p] = []func(){}
		}
		return
	}
	after := m.deaf[p]
	delete(m.deaf, p)
	for _, f := range after {
		m.later(p, f)
	}
}

func (m *Mesh) changed(n model.Name) {
	for _, p := range m.proxies {
		m.tell(p, n)
	}
}

func (m *Mesh) subscribe(p *Proxy, n model.Name) {
	m.net.Note("%s asks for %s", p.host.Name, n)
	p.view.wants[n] = true
	m.tell(p, n)
}

func (m *Mesh) subscribeIP(p *Proxy, a netip.Addr) {
	p.view.ips[a] = true
	epoch := p.epoch
	m.later(p, func() {
		if p.epoch != epoch {
			return
		}
		for _, n := range slices.SortedFunc(maps.Keys(m.known), compareNames) {
			if slices.Contains(m.known[n].service.IPs, a) {
				p.view.wants[n] = true
				m.update(p, n)
				return
			}
		}
		p.view.absentIP[a] = true
	})
}

func compareNames(a, b model.Name) int {
	switch x, y := a.String(), b.String(); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// tell gives a proxy the present state of a service, soon.
func (m *Mesh) tell(p *Proxy, n model.Name) {
	epoch := p.epoch
	m.later(p, func() {
		if p.epoch == epoch && p.view.wants[n] {
			m.update(p, n)
		}
	})
}

// later makes p hear of something, soon, or once it can.
func (m *Mesh) later(p *Proxy, f func()) {
	d := time.Duration(1)
	if m.Delay > 0 {
		d += time.Duration(m.rng.Int64N(int64(m.Delay)))
	}
	m.net.After(d, func() { m.deliver(p, f) })
}

func (m *Mesh) deliver(p *Proxy, f func()) {
	waits, deaf := m.deaf[p]
	switch {
	case m.mute:
		m.after = append(m.after, func() { m.later(p, f) })
	case deaf:
		m.deaf[p] = append(waits, f)
	default:
		f()
	}
}

// update compiles a new table for the proxy, in which one service, and those that its routes refer
// to, are as they are at present.
func (m *Mesh) update(p *Proxy, n model.Name) {
	v := decide.View{
		TrustDomain: p.view.view.TrustDomain, Services: cloned(p.view.view.Services),
		Endpoints: cloned(p.view.view.Endpoints), Absent: cloned(p.view.view.Absent),
	}
	names := append([]model.Name{n}, m.referred(p, n)...)
	for _, n := range names {
		if f := m.known[n]; f != nil {
			v.Services[n], v.Endpoints[n] = f.service, f.endpoints
			delete(v.Absent, n)
		} else {
			delete(v.Services, n)
			delete(v.Endpoints, n)
			v.Absent[n] = true
		}
	}
	table, _ := decide.Compile(p.view.table, &v)
	p.view.view, p.view.table = v, table
	m.net.Note("%s learns of %s", p.host.Name, n)
	p.post(func() {
		p.Core.SetTable(table)
		if m.net.Learned != nil {
			for _, n := range names {
				m.net.Learned(p, n, v.Services[n], v.Endpoints[n])
			}
		}
	})
}

// referred gives the services that the routes of one refer to and the proxy does not know yet. From
// now on it is told of them too.
func (m *Mesh) referred(p *Proxy, n model.Name) (names []model.Name) {
	f := m.known[n]
	if f == nil {
		return nil
	}
	for _, r := range f.service.Routes {
		for _, rule := range r.Rules {
			for _, b := range rule.Backends {
				if b.Service != n && !p.view.wants[b.Service] {
					p.view.wants[b.Service] = true
					names = append(names, b.Service)
				}
			}
		}
	}
	return names
}

// cloned is a copy that may be written to.
func cloned[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}
