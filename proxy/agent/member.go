package agent

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/proxy/config"
)

// Workload is one whom the agent keeps an identity and a registration for.
type Workload struct {
	config.Workload
	Link netip.AddrPort // where peers dial it; needed if it has ports

	// Handover, if not nil, is read to its end at the start of Run for an initial identity
	// (identity.WriteHandover). If it cannot be used, that is logged and the control plane asked.
	Handover io.Reader
}

func (w *Workload) account() string {
	switch {
	case w.ServiceAccount != "":
		return w.ServiceAccount
	case w.Service != "":
		return w.Service
	}
	return w.Name
}

func (w *Workload) path() string { return w.Namespace + "/" + w.Name }

// check says what of a workload cannot work.
func (w *Workload) check() error {
	if len(w.Ports) > 0 && !w.Link.IsValid() {
		return badOptions("workload " + w.path() + " has ports and no link address")
	}
	if err := identity.ValidLabel("workload", w.Name); err != nil {
		return badOptions(err.Error())
	}
	for _, p := range w.Ports {
		if _, ok := wire.ProtocolByName(p.Protocol); !ok {
			return badOptions(fmt.Sprintf("port %s speaks %q; want detect, http, http2, grpc, tcp or tls", p.Addr, p.Protocol))
		}
	}
	return nil
}

// member is one workload as the agent keeps it up. It registers on a stream of its own, so that
// the mesh sees it come, drain and go by itself.
type member struct {
	Workload
	keeper   *Keeper // of its identity; workloads of one identity share it
	channel  *channel
	enrolled latch // registered at least once
	drain    latch // is to take no new requests
	drained  latch // the control plane settled that

	refusal string // why it was refused, empty if it was not; guarded by the agent's mu
}

// enlist makes the members and the keepers of their identities, and the channels on which they are
// known to the control plane.
func (a *Agent) enlist() error {
	type account struct{ namespace, name string }
	keepers := map[account]*Keeper{}
	names := map[string]bool{}
	for i := range a.opt.Workloads {
		w := a.opt.Workloads[i]
		who := account{w.Namespace, w.account()}
		k := keepers[who]
		if k == nil {
			control := a.opt.Control
			if w.Token != "" {
				control.Token = w.Token
			}
			var err error
			k, err = NewKeeper(KeeperOptions{
				Control: control, Namespace: who.namespace, ServiceAccount: who.name, Log: a.log, Now: a.opt.Now, Rand: a.opt.Rand,
				Dial: a.opt.Dial,
			})
			if err != nil {
				return err
			}
			keepers[who] = k
			a.keepers = append(a.keepers, k)
			// The control plane knows who calls by the uid behind the Unix socket, which is that of
			// all; over TCP by the certificate, so that each identity needs a connection.
			if len(a.channels) == 0 || a.opt.Control.Socket == "" {
				ch := &channel{keeper: k}
				ch.reports.init()
				a.channels = append(a.channels, ch)
			}
		}
		if err := w.check(); err != nil {
			return err
		}
		if names[w.path()] {
			return badOptions("workload " + w.path() + " is there twice")
		}
		names[w.path()] = true
		m := &member{Workload: w, keeper: k, channel: a.channels[0], enrolled: newLatch(), drain: newLatch(), drained: newLatch()}
		for _, ch := range a.channels {
			if ch.keeper == k {
				m.channel = ch
			}
		}
		a.members = append(a.members, m)
	}
	return nil
}

// handoverTimeout bounds the wait for a supervisor that was to write at once.
const handoverTimeout = 5 * time.Second

// takeHandover reads the initial identity, if one is given.
func (m *member) takeHandover(now time.Time) error {
	if m.Handover == nil {
		return nil
	}
	// A supervisor that forgets to close its end must not hold the proxy up. Not every descriptor
	// takes a deadline, and then its owner is trusted.
	if d, ok := m.Handover.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = d.SetReadDeadline(time.Now().Add(handoverTimeout))
	}
	p, b, err := identity.ReadHandover(m.Handover, now)
	if err != nil {
		return err
	}
	return m.keeper.adopt(p, b)
}
