package invariant

import "time"

// S4 is about endpoints that have left: their addresses will be somebody else's soon.
var S4 = &Invariant{
	Name: "S4", Says: "no link is dialed to an endpoint whose removal the proxy has known for a while",
	Harm: "requests go where nobody is, or a stranger",
}

// removedFor is how long a proxy may know of a removal and still dial: a dial may be decided in the
// batch of events that brings the news.
const removedFor = 20 * time.Millisecond

// Learned notes that a proxy has a version of a service in force, with the link address and identity
// of each endpoint. Version 0: the service does not exist.
func (w *Watch) Learned(name, service string, version int, places [][2]string) {
	p := w.proxy(name)
	w.checkLearned(name, service, version)
	p.known[service] = version
	before := p.byPlace[service]
	var now []place
	for _, x := range places {
		pl := place{x[0], x[1]}
		now = append(now, pl)
		p.places[pl] = true
		delete(p.left, pl)
	}
	p.byPlace[service] = now
	for _, pl := range before {
		if !p.knows(pl) && p.places[pl] {
			delete(p.places, pl)
			p.left[pl] = w.now()
		}
	}
}

func (p *proxy) knows(pl place) bool {
	for _, list := range p.byPlace {
		for _, x := range list {
			if x == pl {
				return true
			}
		}
	}
	return false
}

// Dialed notes a connection from a proxy's host to another; peer is the identity that is expected
// there, empty for a connection that is no link.
func (w *Watch) Dialed(name, addr, peer string) {
	p := w.proxy(name)
	if peer == "" {
		w.checkSealed(name, addr)
		return
	}
	p.dials++
	w.checkDials(name)
	pl := place{addr, peer}
	if at, gone := p.left[pl]; gone && w.now()-at > removedFor {
		w.violated(S4, "%s dials %s for %s, %s after it knew of its removal", name, addr, peer, w.now()-at)
	}
}
