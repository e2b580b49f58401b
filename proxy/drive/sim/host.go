package sim

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/identity"
)

// Host is a machine with one address. What runs on it listens and dials.
type Host struct {
	Name string
	Addr netip.Addr

	net       *Network
	listeners map[uint16]*listener
}

type listener struct {
	take func(s *Socket, peer string)
	id   func() Identity // of links
}

// Identity is what one end of a link proves.
type Identity struct {
	ID      string // SPIFFE ID
	Foreign bool   // signed by a root that nobody else knows
	Expired bool
}

// valid reports why nobody would believe it.
func (i Identity) valid() error {
	switch {
	case i.Foreign:
		return codes.New("W2113", "the certificate is of a foreign root")
	case i.Expired:
		return codes.New("W2111", "the certificate has expired")
	}
	return nil
}

// expect is the check of a link's other end that real drivers make too.
func expect(got, want string) error {
	id, err := identity.Parse(got)
	if err != nil {
		return err
	}
	return identity.Expect(id, want)
}

// Host makes a machine.
func (n *Network) Host(name string, addr netip.Addr) *Host {
	h := &Host{Name: name, Addr: addr, net: n, listeners: map[uint16]*listener{}}
	n.hosts[addr] = h
	return h
}

// Move gives the machine another address; connections that stand keep theirs. Whoever has it
// already is unreachable by it from now on.
func (h *Host) Move(to netip.Addr) {
	if h.net.hosts[h.Addr] == h {
		delete(h.net.hosts, h.Addr)
	}
	h.Addr = to
	h.net.hosts[to] = h
}

// Listen takes connections to a port: for each, take is called with a socket that needs Adopt.
func (h *Host) Listen(port uint16, take func(s *Socket)) {
	h.listeners[port] = &listener{take: func(s *Socket, _ string) { take(s) }}
}

// Unlisten makes dials to the port be refused.
func (h *Host) Unlisten(port uint16) { delete(h.listeners, port) }

// Adopt makes owner hear of the socket.
func (s *Socket) Adopt(owner Owner) {
	s.owner = owner
	s.ready()
}

// Dial connects to an address, a loopback one being the host itself; the answer is Handler.Opened.
func (h *Host) Dial(owner Owner, to netip.AddrPort, timeout time.Duration) *Socket {
	return h.dial(owner, to, timeout, nil, "")
}

// dial connects; with an identity it is a link to peer.
func (h *Host) dial(owner Owner, to netip.AddrPort, timeout time.Duration, self *Identity, peer string) *Socket {
	n := h.net
	target := n.hosts[to.Addr()]
	if to.Addr().IsLoopback() {
		target = h
	}
	exists := target != nil
	if !exists { // no such machine: packets vanish
		target = &Host{Name: to.Addr().String(), Addr: to.Addr(), net: n, listeners: map[uint16]*listener{}}
	}
	key := h.Name + ">" + target.Name
	n.dialed[key]++
	name := fmt.Sprintf("%s#%d", key, n.dialed[key])
	path := n.Path(h, target)
	s := &Socket{name: name + "a", host: h, owner: owner, remote: to, dialing: true, reading: true}
	t := &Socket{name: name + "b", host: target, remote: netip.AddrPortFrom(h.Addr, uint16(30000+n.dialed[key]%30000)), reading: true}
	s.other, t.other = t, s
	for _, e := range []*Socket{s, t} {
		e.out = flow{from: e, path: path, rng: n.Rand(e.name), window: max(path.Window, 1)}
	}
	path.add(s, t)
	n.history.socket(n.now, "dials", s, nil)
	if n.Dialed != nil {
		n.Dialed(h, to, peer)
	}
	if timeout > 0 {
		s.deadline = n.After(timeout, func() {
			if !s.closed && !s.opened {
				s.reset()
				s.fail(fmt.Errorf("connecting to %s: no answer in %s", to, timeout))
			}
		})
	}
	d := &opening{s: s, t: t, target: target, port: to.Port(), self: self, peer: peer}
	if exists {
		s.out.signal(d.syn)
	}
	return s
}

// opening is the making of one connection: SYN, SYN+ACK, for links two flights of a handshake,
// and the last message of the dialer, with which it exists for the listener.
type opening struct {
	s, t   *Socket
	target *Host
	port   uint16
	self   *Identity
	peer   string
}

func (d *opening) syn() {
	if d.listener() == nil {
		d.t.out.signal(func() { d.s.fail(errRefused) })
		return
	}
	if d.self == nil {
		d.t.out.signal(d.opened)
		return
	}
	d.t.out.signal(func() { // SYN+ACK
		if !d.alive() {
			return
		}
		d.s.out.signal(func() { d.t.out.signal(d.shaken) })
	})
}

func (d *opening) listener() *listener { return d.target.listeners[d.port] }

func (d *opening) alive() bool { return !d.s.closed && d.s.broken == nil }

// shaken: the dialer knows who the listener is.
func (d *opening) shaken() {
	l := d.listener()
	if !d.alive() {
		return
	}
	if l == nil {
		d.s.fail(errReset)
		return
	}
	var err error
	if l.id == nil {
		err = errors.New("first record does not look like a TLS handshake")
	} else if err = l.id().valid(); err == nil {
		err = expect(l.id().ID, d.peer)
	}
	if err != nil {
		d.s.reset()
		d.s.fail(err)
		return
	}
	d.opened()
}

// opened: for the dialer the connection stands.
func (d *opening) opened() {
	if !d.alive() {
		return
	}
	s := d.s
	s.opened = true
	s.deadline.Cancel()
	s.out.path.net.history.socket(s.out.path.net.now, "opens", s, nil)
	s.out.signal(d.accept)
	s.ready()
}

// accept: for the listener it does.
func (d *opening) accept() {
	l := d.listener()
	if l == nil {
		d.t.closed = true
		d.t.reset()
		return
	}
	peer := ""
	if d.self != nil {
		if d.self.valid() != nil { // the dialer hears of it after its side of the handshake was done
			d.t.closed = true
			d.t.out.stop()
			d.t.out.signal(func() { d.s.fail(tls.AlertError(42)) })
			return
		}
		peer = d.self.ID
	}
	l.take(d.t, peer)
}
