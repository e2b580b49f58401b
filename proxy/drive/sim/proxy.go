package sim

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// Proxy is a core on a host. Events reach it in batches, as a loop meets them that was busy.
type Proxy struct {
	// Identities are what its workloads' links prove, in the order of core.Config.Workloads. They
	// may be changed; links that stand stay.
	Identities []Identity
	// Busy bounds how long the loop takes to notice an event.
	Busy time.Duration
	// Limits stands for the services that keep global rate limits; nil: none answers.
	Limits func(core.LimitQuery) core.LimitAnswer
	// Core is replaced by Start.
	Core *core.Core
	// Telemetry is of the present Core.
	Telemetry *telemetry.Registry
	// Joined counts the tunnels whose bytes the driver carried, of all its cores.
	Joined int

	cfg       core.Config
	host      *Host
	mesh      *Mesh
	rng       *rand.Rand
	joins     *rand.Rand
	seams     map[*Socket]*seam
	view      subscription
	listeners map[uint16]*core.Listener
	sockets   []*Socket // open ones
	ready     []*Socket
	inbox     []func()
	running   bool
	waking    bool
	timer     *Event
	timerAt   time.Duration
	epoch     int // of starts
}

// Proxy makes a proxy on a host; Start starts it. The core's Host, Now, Rand and Shard are set
// here. The listeners are by port.
func (n *Network) Proxy(h *Host, m *Mesh, cfg core.Config, listeners map[uint16]*core.Listener) *Proxy {
	p := &Proxy{
		Busy: 200 * time.Microsecond,
		cfg:  cfg, host: h, mesh: m, rng: n.Rand("proxy " + h.Name), joins: n.Rand("joins " + h.Name),
		seams: map[*Socket]*seam{}, listeners: listeners,
	}
	for _, w := range cfg.Workloads {
		p.Identities = append(p.Identities, Identity{ID: w.Identity})
	}
	if n.history.out != nil {
		p.cfg.Log = slog.New(&tellLog{n: n, who: h.Name})
	}
	m.proxies = append(m.proxies, p)
	return p
}

// Host is where the proxy runs.
func (p *Proxy) Host() *Host { return p.host }

// wallStart is what the wall clocks of hosts show when the simulation begins.
var wallStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Start makes a new core that knows nothing and listens.
func (p *Proxy) Start() {
	n := p.host.net
	n.Note("%s: proxy starts", p.host.Name)
	p.epoch++
	p.running = true
	p.Telemetry = telemetry.NewRegistry(1)
	cfg := p.cfg
	cfg.Host, cfg.Now, cfg.Shard = &driver{p, p.epoch}, n.now, p.Telemetry.Shard(0)
	cfg.Rand = n.Rand(fmt.Sprint("core ", p.host.Name, p.epoch)).Uint64
	if cfg.Wall == nil {
		cfg.Wall = func() time.Time { return wallStart.Add(n.now) }
	}
	p.Core = core.New(cfg)
	p.view = newSubscription()
	for port, l := range p.listeners {
		p.host.listeners[port] = &listener{
			id:   p.linkIdentity(l),
			take: func(s *Socket, peer string) { p.accept(s, l, peer) },
		}
	}
}

func (p *Proxy) linkIdentity(l *core.Listener) func() Identity {
	if l.Kind != core.ListenLink {
		return nil
	}
	return func() Identity { return p.Identities[l.Workload] }
}

// Drain stops listening and begins a graceful end.
func (p *Proxy) Drain() {
	p.host.net.Note("%s: proxy drains", p.host.Name)
	p.unlisten()
	p.post(p.Core.Drain)
}

// Crash ends the proxy like kill -9: its connections are reset.
func (p *Proxy) Crash() {
	p.host.net.Note("%s: proxy dies", p.host.Name)
	p.unlisten()
	p.epoch++ // what its core asked for meets nobody
	p.running = false
	p.timer.Cancel()
	p.timer = nil
	p.ready, p.inbox = nil, nil
	for _, s := range p.sockets {
		s.Close(true)
	}
	p.sockets = nil
	clear(p.seams)
}

func (p *Proxy) unlisten() {
	for port := range p.listeners {
		p.host.Unlisten(port)
	}
}

// Sockets are the connections that the proxy has, as its kernel sees it; those that only send
// their rest are not listed.
func (p *Proxy) Sockets() []*Socket {
	p.prune()
	return p.sockets
}

func (p *Proxy) prune() {
	open := p.sockets[:0]
	for _, s := range p.sockets {
		if !s.closed {
			open = append(open, s)
		}
	}
	clear(p.sockets[len(open):])
	p.sockets = open
}

// Do runs f on the loop, soon, unless the proxy ends before.
func (p *Proxy) Do(f func(*core.Core)) { p.post(func() { f(p.Core) }) }

// post runs f on the loop, soon.
func (p *Proxy) post(f func()) {
	epoch := p.epoch
	p.inbox = append(p.inbox, func() {
		if p.epoch == epoch {
			f()
		}
	})
	p.wakeSoon()
}

// Ready implements Owner.
func (p *Proxy) Ready(s *Socket) {
	p.ready = append(p.ready, s)
	p.wakeSoon()
}

func (p *Proxy) wakeSoon() {
	if p.waking {
		return
	}
	p.waking = true
	d := time.Duration(1)
	if p.Busy > 0 {
		d += time.Duration(p.rng.Int64N(int64(p.Busy)))
	}
	p.host.net.After(d, p.wake)
}

// wake is one turn of the loop.
func (p *Proxy) wake() {
	n := p.host.net
	p.waking = false
	ready, inbox := p.ready, p.inbox
	p.ready, p.inbox = nil, nil
	if !p.running {
		return
	}
	p.Core.SetNow(n.now)
	h := handler{p}
	for _, s := range ready {
		s.Poll(h)
	}
	for _, f := range inbox {
		f()
	}
	p.Core.Tick()
	p.Core.Flush()
	if len(p.sockets) > 64 && len(p.sockets) > 2*p.Core.Conns() {
		p.prune()
	}
	p.setTimer()
}

// setTimer wakes the loop when the core wants to be.
func (p *Proxy) setTimer() {
	at, ok := p.Core.NextTimer()
	switch {
	case !ok:
		p.timer.Cancel()
		p.timer = nil
	case p.timer == nil || p.timer.gone || p.timerAt != at:
		p.timer.Cancel()
		p.timerAt = at
		epoch := p.epoch
		p.timer = p.host.net.After(at-p.host.net.now, func() {
			if p.epoch == epoch && !p.waking {
				p.wake()
			}
		})
	}
}

// accept takes a connection on a later turn of the loop, as accept(2) does.
func (p *Proxy) accept(s *Socket, l *core.Listener, peer string) {
	p.sockets = append(p.sockets, s) // its bytes wait until it has an owner
	p.post(func() {
		if s.broken != nil { // reset before it was accepted
			s.closed = true
			return
		}
		s.Adopt(p)
		a := core.Accept{Listener: l, Remote: s.remote, Peer: peer, Driver: s}
		if l.Kind == core.ListenTransparent {
			a.OrigDst, _ = s.other.User.(netip.AddrPort)
		}
		cc := p.Core.Accept(a)
		if cc == nil {
			s.Close(false)
			return
		}
		s.User = cc
	})
}

// handler hands events of sockets to the core.
type handler struct{ p *Proxy }

func (h handler) conn(s *Socket) *core.Conn { return s.User.(*core.Conn) }

func (h handler) Opened(s *Socket, err error) { h.p.Core.Connected(h.conn(s), err) }
func (h handler) EOF(s *Socket)               { h.p.Core.EOF(h.conn(s)) }

func (h handler) Data(s *Socket, p []byte) {
	if !h.p.carry(s, p) {
		h.p.Core.Received(h.conn(s), p)
	}
}

func (h handler) Drained(s *Socket) {
	if !h.p.carried(s) {
		h.p.Core.Drained(h.conn(s))
	}
}

func (h handler) Closed(s *Socket, err error) {
	h.p.part(s)
	h.p.Core.Closed(h.conn(s), err)
}

// driver is the core's Host.
type driver struct {
	p     *Proxy
	epoch int
}

var _ core.Host = (*driver)(nil)

// Dial implements core.Host.
func (d *driver) Dial(cc *core.Conn, o core.Dial) {
	p := d.p
	if o.Host == "" {
		d.connect(cc, o)
		return
	}
	p.host.net.After(time.Millisecond, func() { // resolves the name
		if p.epoch != d.epoch {
			return
		}
		p.post(func() {
			a, known := p.host.net.names[o.Host]
			o.Addr = netip.AddrPortFrom(a, o.Port)
			switch {
			case cc.Gone():
			case !known:
				p.Core.Connected(cc, fmt.Errorf("no such host: %s", o.Host))
			case p.Core.Own(o.Addr):
				p.Core.Connected(cc, core.ErrLoop)
			default:
				d.connect(cc, o)
			}
		})
	})
}

func (d *driver) connect(cc *core.Conn, o core.Dial) {
	p := d.p
	var self *Identity
	if o.Peer != "" {
		id := p.Identities[o.Workload]
		self = &id
	}
	s := p.host.dial(p, o.Addr, o.Timeout, self, o.Peer)
	s.User = cc
	cc.Driver = s
	p.sockets = append(p.sockets, s)
}

func socketOf(cc *core.Conn) *Socket {
	s, _ := cc.Driver.(*Socket)
	return s
}

// Write implements core.Host.
func (d *driver) Write(cc *core.Conn, p []byte) int {
	if s := socketOf(cc); s != nil {
		return s.Write(p)
	}
	return 0
}

// CloseWrite implements core.Host.
func (d *driver) CloseWrite(cc *core.Conn) {
	if s := socketOf(cc); s != nil {
		s.CloseWrite()
	}
}

// Close implements core.Host.
func (d *driver) Close(cc *core.Conn, abort bool) {
	if s := socketOf(cc); s != nil {
		d.p.part(s)
		s.Close(abort)
	}
}

// SetReading implements core.Host.
func (d *driver) SetReading(cc *core.Conn, on bool) {
	if s := socketOf(cc); s != nil {
		s.SetReading(on)
	}
}

// AskLimit implements core.Host.
func (d *driver) AskLimit(q *core.Question, about core.LimitQuery) {
	p := d.p
	p.host.net.After(time.Millisecond, func() {
		if p.epoch != d.epoch {
			return
		}
		p.post(func() {
			answer := core.LimitError
			if p.Limits != nil {
				answer = p.Limits(about)
			}
			p.Core.LimitAnswered(q, about, answer, 0)
		})
	})
}

// Subscribe implements core.Host.
func (d *driver) Subscribe(n model.Name) { d.p.mesh.subscribe(d.p, n) }

// SubscribeIP implements core.Host.
func (d *driver) SubscribeIP(a netip.Addr) { d.p.mesh.subscribeIP(d.p, a) }

// AddrAbsent implements core.Host.
func (d *driver) AddrAbsent(a netip.Addr) bool { return d.p.view.absentIP[a] }

// ServiceOfIP implements core.Host.
func (d *driver) ServiceOfIP(netip.Addr) (model.Name, bool) { return model.Name{}, false }
