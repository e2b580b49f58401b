// Package core is the data path as one state machine: bytes, timers and tables go in; bytes,
// dials and timers come out. It does no I/O, starts no goroutine and reads no clock: a driver
// (proxy/drive/epoll, proxy/drive/net, sim) owns the sockets and calls the entry points of Core
// on one loop.
//
// The path of a request, each step in the file of its name:
//
//	detect  what is spoken                        sniff.go
//	head    a request is complete                 h1server.go, h2server.go
//	decide  route, backend, filters               outbound.go (callers' side), inbound.go (callees' side)
//	pick    an endpoint, a connection to it       picking.go, pool.go
//	send    upstream                              h1client.go, h2client.go, raw.go, hop.go
//	copy    bodies both ways, with back-pressure  exchange.go
//	finish  count, settle, reuse                  exchange.go
package core

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/override"
	"github.com/weft-mesh/weft/proxy/resilience"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// Limits bound what peers can make the core hold or wait for. Zero fields mean the defaults.
type Limits struct {
	ConnectTimeout   time.Duration // 1 s: TCP and TLS handshake of an upstream connection
	DiscoveryTimeout time.Duration // 2 s: first contact with a destination
	QueueTimeout     time.Duration // 10 s: a request that waits for a connection that can take it
	HeadTimeout      time.Duration // 10 s: from the first byte of a head to its last
	IdleTimeout      time.Duration // 5 min: a downstream connection without a byte
	AppIdle          time.Duration // 4 s: an unused connection to an application; below Node's 5 s
	LinkIdle         time.Duration // 90 s: an unused link
	ServerFirst      time.Duration // 2 ms: silence after which a client may be waiting for the server
	MaxParked        int           // 1000: requests waiting for one connection or discovery answer
	MaxPoolConns     int           // 1024: HTTP/1 connections to one application
	MaxConns         int           // 60,000: all connections of the loop
	MaxHeld          int           // 12 MiB: memory for what waits for peers to read it, on the loop
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.ConnectTimeout, time.Second)
	set(&l.DiscoveryTimeout, 2*time.Second)
	set(&l.QueueTimeout, 10*time.Second)
	set(&l.HeadTimeout, 10*time.Second)
	set(&l.IdleTimeout, 5*time.Minute)
	set(&l.AppIdle, 4*time.Second)
	set(&l.LinkIdle, 90*time.Second)
	set(&l.ServerFirst, 2*time.Millisecond)
	if l.MaxParked == 0 {
		l.MaxParked = 1000
	}
	if l.MaxPoolConns == 0 {
		l.MaxPoolConns = 1024
	}
	if l.MaxConns == 0 {
		l.MaxConns = 60_000
	}
	if l.MaxHeld == 0 {
		l.MaxHeld = 12 << 20
	}
	return l
}

// Config makes a Core.
type Config struct {
	Host Host
	Now  time.Duration // time of the driver's clock at the start
	Rand func() uint64
	// Wall reads the wall clock, for ages of sessions and ends of tokens only. Without it no session
	// with an age and no token holds.
	Wall   func() time.Time
	Shard  *telemetry.Shard
	Limits Limits
	Log    *slog.Logger
	// Workloads are those that the proxy serves; none: one that has no name. Listener.Workload and
	// Dial.Workload are places in it.
	Workloads []Workload
	// Loops is how many loops the proxy has, which share what it may give its applications; 0: one.
	Loops int
	// Own lists the proxy's own listening addresses: never a destination (loops).
	Own []netip.AddrPort
	// Shared is what the cores of the proxy's other loops were given too; nil: there are none.
	Shared *Shared
}

// Core is the machine of one loop. Not safe for concurrent use: its driver calls it from one
// goroutine at a time.
type Core struct {
	host   Host
	limits Limits
	locals []*local
	own    []netip.AddrPort
	shared *Shared
	rand   func() uint64
	shard  *telemetry.Shard
	log    *slog.Logger

	now   time.Duration
	wall  wall
	wheel wheel
	table *decide.Table

	conns         connList
	nconns        int
	held          int     // bytes that wait for peers to read them
	parked        int     // bytes of bodies whose requests have nowhere to go yet
	shedding      []*Conn // scratch of shed
	dirty         []*Conn // have output or something to do at the end of the batch
	bufs          buffers
	parsers       parsers
	suspects      suspects
	sets          map[*decide.EndpointSet]*setEntry
	setNames      map[setName]*setEntry
	setRows       []balance.Row // scratch of Sets
	pools         map[poolKey]*pool
	series        map[seriesKey]*telemetry.Series
	inboundSeries map[inboundKey]*telemetry.Series
	waiting       map[model.Name][]waiter        // parked for discovery
	opaque        map[model.Name]map[uint16]bool // ports whose server was seen to speak first

	canon      decide.Canonical
	scratch    decide.Scratch
	query      decide.Query
	fields     fieldScratch
	linkFields []message.Field // of the request that goes to a peer
	loadText   []byte          // scratch of withLoad
	loaded     message.Response
	loadFields []message.Field
	checking   int   // health checks under way
	peers      peers // for apertures

	// windowGrowth is what HTTP/2 windows of this loop may still grow by.
	windowGrowth int

	comparisons map[comparisonKey]*Comparison // nil until there is one
	comparing   int                           // under way

	tokens override.Cache

	hopRequest message.Request // of the localHop that is being given one
	hopFields  []message.Field
	timed      [2]timed // of callers' and of callees' sides
	number     []byte   // scratch of text
	bodies     bodies

	freeX   []*exchange
	spent   []*exchange // ended in this batch
	serving []*pool     // have idle connections for waiters

	guards *Guards
	doors  []*door // where somebody may enter
	rates  rateScratch
	asked  int // questions to rate limit services under way
	loops  int

	draining bool

	warnSecond time.Duration // of warned and unwarned
	warned     int
	unwarned   int
}

// maxWarnings bounds what a loop tells its log in a second: a destination that is down must not
// fill a disk with a line for each request. What is left out is counted.
const maxWarnings = 10

// Warn logs at level Warn, sparingly, for the driver: on the loop's goroutine only.
func (c *Core) Warn(msg string, args ...any) { c.warn(msg, args...) }

// warn logs at level Warn.
func (c *Core) warn(msg string, args ...any) {
	if second := c.now / time.Second; second != c.warnSecond {
		if c.unwarned > 0 {
			c.log.Warn("warnings were left out", "count", c.unwarned)
		}
		c.warnSecond, c.warned, c.unwarned = second, 0, 0
	}
	if c.warned++; c.warned > maxWarnings {
		c.unwarned++
		return
	}
	c.log.Warn(msg, args...)
}

type setName struct {
	service model.Name
	port    uint16
}

// setEntry is a balancer set and the table's set that it mirrors.
type setEntry struct {
	name setName
	src  *decide.EndpointSet
	set  balance.Set

	usedAt    time.Duration // the last pick
	health    *healthWatch  // nil: no health checks
	spent     []*spending
	latencies *resilience.Latencies // of answers, if requests are hedged
}

// maxWindowGrowth bounds, beyond the base windows, what bulk transfers of a loop may have under way
// in all.
const maxWindowGrowth = 16 << 20

// New makes a Core that knows no service yet.
func New(cfg Config) *Core {
	c := &Core{
		host: cfg.Host, limits: cfg.Limits.withDefaults(), locals: newLocals(cfg.Workloads), own: cfg.Own, shared: cfg.Shared,
		rand: cfg.Rand, shard: cfg.Shard, log: cfg.Log, now: cfg.Now, loops: cfg.Loops,
		sets:          map[*decide.EndpointSet]*setEntry{},
		setNames:      map[setName]*setEntry{},
		pools:         map[poolKey]*pool{},
		series:        map[seriesKey]*telemetry.Series{},
		waiting:       map[model.Name][]waiter{},
		inboundSeries: map[inboundKey]*telemetry.Series{},
		opaque:        map[model.Name]map[uint16]bool{},
		windowGrowth:  maxWindowGrowth,
		wall:          wall{read: cfg.Wall},
	}
	if c.shared == nil {
		c.shared = NewShared(1, len(c.locals))
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.wheel.init(cfg.Now)
	c.table, _ = decide.Compile(nil, &decide.View{})
	return c
}

// SetNow tells the time of the batch that follows. Time never goes back.
func (c *Core) SetNow(now time.Duration) {
	if now > c.now {
		c.now = now
	}
}

// Tick fires the timers that are due.
func (c *Core) Tick() { c.wheel.advance(c.now) }

// NextTimer tells when Tick should be called again at the latest.
func (c *Core) NextTimer() (at time.Duration, ok bool) { return c.wheel.next() }

// SetTable replaces what the core knows of the mesh. Requests that are under way keep the
// decision they were given; those that waited for discovery are decided now.
func (c *Core) SetTable(t *decide.Table) {
	if planted.On(planted.LostTable) && c.rand()%4 == 0 {
		return
	}
	c.table = t
	clear(c.series)
	c.refreshSets()
	c.wakeWaiting()
}

// Flush writes everything that the batch produced. The driver calls it once after the events of
// one wake-up, so that all frames of a batch share a record and a system call.
func (c *Core) Flush() {
	for len(c.dirty) > 0 || len(c.serving) > 0 || len(c.doors) > 0 || c.shed() {
		c.serveDoors()
		c.serveWaiters()
		if len(c.dirty) == 0 {
			continue
		}
		cn := c.dirty[len(c.dirty)-1]
		c.dirty = c.dirty[:len(c.dirty)-1]
		cn.dirty = false
		cn.flush()
	}
	c.recycle()
}

// Conns is the number of open connections.
func (c *Core) Conns() int { return c.nconns }

// Drain begins a graceful end: idle connections close, busy ones finish what they have
// (GOAWAY, Connection: close). The driver has closed its listeners, or does so after the peers
// know. Work is left while Busy reports true.
func (c *Core) Drain() {
	c.draining = true
	all := make([]*Conn, 0, c.nconns) // draining one may end another
	for cn := c.conns.head; cn != nil; cn = cn.next {
		all = append(all, cn)
	}
	for _, cn := range all {
		if !cn.closed && !cn.connecting {
			cn.h.drain()
		}
	}
}

// Busy reports whether exchanges are under way.
func (c *Core) Busy() bool {
	for cn := c.conns.head; cn != nil; cn = cn.next {
		if cn.h.busy() {
			return true
		}
	}
	return false
}

// Accept takes a new downstream connection. It returns nil if the core will not have it; the
// driver then closes it. The core may already write to the connection or close it from within
// Accept, so a.Driver must be ready for that.
func (c *Core) Accept(a Accept) *Conn {
	if c.nconns >= c.limits.MaxConns {
		c.shard.Refused("W3011")
		return nil
	}
	cn := c.newConn(a.Remote)
	cn.Driver = a.Driver
	cn.local = c.locals[a.Listener.Workload]
	cn.peer, cn.peerText = a.Peer, []byte(a.Peer)
	cn.until = a.Until
	cn.accepted = true
	c.shard.Conn(true)
	switch a.Listener.Kind {
	case ListenLink:
		cn.link = true
		serveH2(cn, true, dest{})
		cn.limitLife()
		if s, ok := cn.h.(*h2Server); ok && cn.local.draining {
			s.finish()
		}
	case ListenProxy:
		serveH1(cn, dest{any: true}, nil)
	case ListenService:
		sniff(cn, dest{service: a.Listener.Service, port: a.Listener.Port})
	case ListenTransparent:
		sniff(cn, c.destOf(a.OrigDst))
	}
	return cn
}

// Own reports whether an address is one of the proxy's own listeners. Drivers ask it of the
// addresses that a name was resolved to, and answer with ErrLoop. Safe for concurrent use.
func (c *Core) Own(a netip.AddrPort) bool { return c.isOwn(a) }

// ErrLoop is the error of Connected for a destination that turned out to be the proxy itself.
var ErrLoop = errors.New("the destination is this proxy itself")

// destOf names an original destination.
func (c *Core) destOf(ap netip.AddrPort) dest {
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	d := dest{addr: ap, port: ap.Port()}
	if n, ok := c.host.ServiceOfIP(ap.Addr()); ok {
		d.service = n
	} else if s := c.table.ServiceByIP(ap.Addr()); s != nil {
		d.service = s.Model.Name
	}
	return d
}

// ConnectedUntil is Connected for a link that must end with the peer's certificate, at the given
// time of the core's clock.
func (c *Core) ConnectedUntil(cn *Conn, until time.Duration) {
	cn.until, cn.link = until, true
	c.Connected(cn, nil)
	if !cn.closed {
		cn.limitLife()
	}
}

// Connected tells that a dialed connection is up (err nil) or will never be.
func (c *Core) Connected(cn *Conn, err error) {
	if cn.closed {
		return
	}
	cn.connecting = false
	if err != nil {
		cn.gone()
		cn.h.closed(err)
		return
	}
	cn.touch()
	cn.h.connected()
}

// Received gives bytes of a connection. p belongs to the core until it returns and may be
// changed by it.
func (c *Core) Received(cn *Conn, p []byte) {
	if cn.closed {
		return
	}
	cn.active = c.now
	cn.h.received(p)
}

// EOF tells that the peer has ended its sending direction.
func (c *Core) EOF(cn *Conn) {
	if cn.closed || cn.eof {
		return
	}
	cn.eof = true
	cn.h.eof()
}

// Drained tells that everything written has gone to the kernel.
func (c *Core) Drained(cn *Conn) {
	if cn.closed {
		return
	}
	cn.queued = 0
	cn.active = c.now
	cn.markDirty()
}

// Closed tells that the connection broke.
func (c *Core) Closed(cn *Conn, err error) {
	if cn.closed {
		return
	}
	cn.gone()
	cn.h.closed(err)
}
