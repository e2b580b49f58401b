package core

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// rig is two cores, the caller's and the callee's, in one goroutine without sockets: what one
// writes the other receives in the next round. The application answers each request with answer.
type rig struct {
	t              testing.TB
	client, server *host
	counts         *telemetry.Registry // of the client
	now            time.Duration
	answer         []byte
	pipes          []*pipe
	later          []func()                 // answers of dials
	app            func(p *pipe, in []byte) // the application instead of answer
	mute           bool                     // the application says nothing by itself
	down           bool                     // nobody can be connected to
	noAnswer       bool                     // dials are never answered
	refuse         netip.AddrPort
	slow           bool          // what is written waits for the next round
	life           time.Duration // of certificates, from the link's start; 0: for ever
	links          int           // links made
	heard          []byte        // what the application was last sent
	applied        int           // how often it was

	askLimit func(h *host, q *Question, about LimitQuery) // instead of limits
	limits   map[string]LimitAnswer                       // what the rate limit service says, by the limit's name
}

// host is the driver of one core.
type host struct {
	rig   *rig
	core  *Core
	asked []model.Name
	reg   *telemetry.Registry
}

// pipe is one end of a connection in memory. One of core and app is set.
type pipe struct {
	host   *host
	conn   *Conn
	other  *pipe
	app    bool
	addr   netip.AddrPort // of an application: where it was dialed
	client bool           // the test's own end
	in     []byte
	eof    bool // the other end has closed its direction
	told   bool
	gone   bool
	paused bool

	queued   int
	draining bool
	stalled  bool // its reader takes nothing: what is written stays queued
}

var (
	rigService = model.Name{Namespace: "shop", Name: "cart"}
	rigApp     = netip.MustParseAddrPort("127.0.0.1:9000")
	rigLink    = netip.MustParseAddrPort("127.0.0.1:9001")
)

var rigLinks = &Listener{Kind: ListenLink}

// rigBegin is what the wall clock shows at the rig's begin.
var rigBegin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newRig(t testing.TB, svc *model.Service, limits Limits) *rig {
	t.Helper()
	return newRigOf(t, svc, limits, rigWeb)
}

// newNodeRig has the caller and the callee behind the client's core. The server's takes links that
// are made nevertheless.
func newNodeRig(t testing.TB, svc *model.Service, limits Limits) *rig {
	t.Helper()
	near := rigCart
	near.Link = rigLink
	return newRigOf(t, svc, limits, rigWeb, near)
}

var (
	rigWeb  = Workload{Name: model.Name{Namespace: "shop", Name: "web-1"}, Identity: "spiffe://m/ns/shop/sa/web"}
	rigCart = Workload{
		Name: model.Name{Namespace: "shop", Name: "cart-1"}, Service: rigService, Identity: "spiffe://m/ns/shop/sa/cart",
		Ports: []AppPort{{Addr: rigApp}},
	}
)

func newRigOf(t testing.TB, svc *model.Service, limits Limits, client ...Workload) *rig {
	t.Helper()
	r := &rig{t: t, answer: []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello")}
	r.client, r.server = &host{rig: r}, &host{rig: r}
	rnd := uint64(1)
	random := func() uint64 { rnd = rnd*6364136223846793005 + 1442695040888963407; return rnd }
	r.counts = telemetry.NewRegistry(1)
	r.client.reg, r.server.reg = r.counts, telemetry.NewRegistry(1)
	r.client.core = New(Config{Host: r.client, Rand: random, Shard: r.counts.Shard(0), Limits: limits,
		Workloads: client, Wall: func() time.Time { return rigBegin.Add(r.now) }})
	r.server.core = New(Config{Host: r.server, Rand: random, Shard: r.server.reg.Shard(0), Limits: limits,
		Workloads: []Workload{rigCart}})
	if svc == nil {
		svc = &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}
	}
	r.publish(svc, rigEndpoint)
	return r
}

var rigEndpoint = model.Endpoint{
	Port: 80, Addr: rigApp, Link: rigLink, Identity: "spiffe://m/ns/shop/sa/cart", Workload: model.Name{Namespace: "shop", Name: "cart-1"},
}

// publish tells the client's core who answers for the service.
func (r *rig) publish(svc *model.Service, eps ...model.Endpoint) {
	r.t.Helper()
	table, problems := decide.Compile(nil, &decide.View{
		TrustDomain: "m", Services: map[model.Name]*model.Service{rigService: svc},
		Endpoints: map[model.Name]*model.Endpoints{rigService: {Service: rigService, Endpoints: eps}},
	})
	for _, p := range problems {
		r.t.Fatal(p)
	}
	r.client.core.SetTable(table)
}

func (r *rig) connect(a, b *pipe) {
	a.other, b.other = b, a
	r.pipes = append(r.pipes, a, b)
}

// dial makes a client's connection to the service's listener and returns the client's end.
func (r *rig) dial() *pipe {
	mine, theirs := &pipe{client: true}, &pipe{host: r.client}
	r.connect(mine, theirs)
	theirs.conn = r.client.core.Accept(Accept{Listener: &Listener{Kind: ListenService, Service: rigService, Port: 80}, Driver: theirs})
	return mine
}

func (p *pipe) send(b []byte) { p.other.in = append(p.other.in, b...) }

// settle moves bytes until nothing moves any more.
func (r *rig) settle() {
	for moved := true; moved; {
		moved = false
		r.now += 10 * time.Microsecond
		for _, h := range []*host{r.client, r.server} {
			h.core.SetNow(r.now)
		}
		later := r.later
		r.later = nil
		for _, f := range later {
			moved = true
			f()
		}
		for i := 0; i < len(r.pipes); i++ {
			if r.pipes[i].step() {
				moved = true
			}
		}
		for _, h := range []*host{r.client, r.server} {
			h.core.Tick()
			h.core.Flush()
		}
	}
}

// step delivers what has arrived at one end.
func (p *pipe) step() bool {
	r := p.rig()
	switch {
	case p.gone || p.client || p.paused:
		return false
	case len(p.in) > 0 && p.app:
		in := p.in
		r.heard = append(r.heard[:0], in...)
		r.applied++
		p.in = p.in[:0]
		switch {
		case r.app != nil:
			r.app(p, in)
		case !r.mute:
			p.send(r.answer)
		}
		return true
	case len(p.in) > 0:
		p.host.core.Received(p.conn, p.in)
		p.in = p.in[:0]
		return true
	case p.eof && !p.told:
		p.told = true
		if p.host != nil {
			p.host.core.EOF(p.conn)
		}
		return true
	}
	return false
}

// until is when a certificate of this moment ends.
func (r *rig) until() time.Duration {
	if r.life == 0 {
		return 0
	}
	return r.now + r.life
}

func (p *pipe) rig() *rig {
	if p.host != nil {
		return p.host.rig
	}
	return p.other.host.rig
}

// Dial implements Host.
func (h *host) Dial(c *Conn, d Dial) {
	mine := &pipe{host: h, conn: c}
	c.Driver = mine
	if h.rig.noAnswer {
		mine.other = &pipe{}
		return
	}
	if h.rig.down || d.Addr == h.rig.refuse {
		mine.other = &pipe{}
		h.rig.later = append(h.rig.later, func() { h.core.Connected(c, errors.New("refused")) })
		return
	}
	if d.Peer == "" {
		h.rig.connect(mine, &pipe{app: true, addr: d.Addr})
	} else {
		theirs := &pipe{host: h.rig.server}
		h.rig.connect(mine, theirs)
		theirs.conn = h.rig.server.core.Accept(Accept{Listener: rigLinks, Peer: d.Self, Driver: theirs, Until: h.rig.until()})
		h.rig.links++
		h.rig.later = append(h.rig.later, func() { h.core.ConnectedUntil(c, h.rig.until()) })
		return
	}
	h.rig.later = append(h.rig.later, func() { h.core.Connected(c, nil) })
}

// release makes the reader of a stalled pipe take all.
func (p *pipe) release() {
	p.stalled, p.queued = false, 0
	p.host.core.Drained(p.conn)
}

// Write implements Host: everything goes at once, though with slow only the next round says so.
func (h *host) Write(c *Conn, p []byte) int {
	e := c.Driver.(*pipe)
	e.other.in = append(e.other.in, p...)
	if !h.rig.slow && !e.stalled {
		return 0
	}
	e.queued += len(p)
	if e.stalled {
		return e.queued
	}
	if !e.draining {
		e.draining = true
		h.rig.later = append(h.rig.later, func() {
			e.draining, e.queued = false, 0
			if !e.gone {
				h.core.Drained(c)
			}
		})
	}
	return e.queued
}

// CloseWrite implements Host.
func (h *host) CloseWrite(c *Conn) { c.Driver.(*pipe).other.eof = true }

// Close implements Host.
func (h *host) Close(c *Conn, _ bool) {
	e := c.Driver.(*pipe)
	e.gone = true
	e.other.eof = true
	for i, p := range h.rig.pipes {
		if p == e {
			h.rig.pipes = append(h.rig.pipes[:i:i], h.rig.pipes[i+1:]...)
		}
	}
}

// SetReading implements Host.
func (h *host) SetReading(c *Conn, on bool) { c.Driver.(*pipe).paused = !on }

// Join implements Host: everything passes the core.
func (h *host) Join(_, _ *Conn) bool { return false }

// AskLimit implements Host.
func (h *host) AskLimit(q *Question, about LimitQuery) {
	if h.rig.askLimit != nil {
		h.rig.askLimit(h, q, about)
		return
	}
	h.rig.later = append(h.rig.later, func() { h.core.LimitAnswered(q, about, h.rig.limits[about.Limit.Name], 0) })
}

// Subscribe implements Host.
func (h *host) Subscribe(n model.Name) { h.asked = append(h.asked, n) }

// SubscribeIP implements Host.
func (h *host) SubscribeIP(netip.Addr) {}

// AddrAbsent implements Host.
func (h *host) AddrAbsent(netip.Addr) bool { return true }

// ServiceOfIP implements Host.
func (h *host) ServiceOfIP(netip.Addr) (model.Name, bool) { return model.Name{}, false }
