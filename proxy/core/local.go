package core

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/override"
)

// Workload is an application instance that this proxy serves.
type Workload struct {
	Name     model.Name
	Service  model.Name     // the service that it stands for, for inbound counters; may be empty
	Identity string         // SPIFFE ID; empty until SetIdentity
	Link     netip.AddrPort // where peers are told to dial it; zero: nowhere
	Zone     string         // where it runs; empty: not known
	Ports    []AppPort
}

// AppPort is where an application listens.
type AppPort struct {
	Addr     netip.AddrPort
	Protocol model.Protocol
}

// local is one of the workloads behind this proxy, as a loop sees it. Every listener, and with it
// every accepted connection and every exchange, belongs to exactly one: what is done for it is done
// in its name, with its namespace, its counters and its certificate.
type local struct {
	Workload
	index    int           // in Config.Workloads
	idText   []byte        // Identity, for fields
	until    time.Duration // when its certificate ends; 0: not known to end
	draining bool          // takes nothing new from peers
	meter    balance.Meter // of its applications together

	tokens override.Allowance // for route tokens that it brings
	doors  []*door            // of the ports that requests came for
}

func newLocals(list []Workload) []*local {
	if len(list) == 0 {
		list = make([]Workload, 1)
	}
	out := make([]*local, len(list))
	for i := range list {
		out[i] = &local{Workload: list[i], index: i, idText: []byte(list[i].Identity)}
	}
	return out
}

// proven reports whether the workload could prove its identity to a peer at present.
func (l *local) proven(now time.Duration) bool {
	return l.Identity != "" && (l.until == 0 || now < l.until)
}

// appPort finds the application port that a peer asks for. Only declared ones are served, or a
// peer could reach anything on this host.
func (l *local) appPort(to []byte) (AppPort, bool) {
	for i := range l.Ports {
		p := &l.Ports[i]
		var b [64]byte
		if bytes.Equal(p.Addr.AppendTo(b[:0]), to) {
			return *p, true
		}
	}
	return AppPort{}, false
}

// SetIdentity tells who workload i is, once its certificate is there, and for how long that is
// good from now on; not above 0: it is not. Counters and connections that come after carry it.
func (c *Core) SetIdentity(i int, id string, life time.Duration) {
	l := c.locals[i]
	l.until = max(c.now+life, 1)
	if id != l.Identity {
		l.Identity, l.idText = id, []byte(id)
		clear(c.series)
	}
}
