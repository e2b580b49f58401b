package core

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/resilience"
)

const (
	linkStreams = 1000 // streams that we let a peer open on one link
	maxLinks    = 8    // links between two proxies, per loop and security context
)

// poolKey is everything that makes connections interchangeable, the full security context
// included: whom we are, whom we expect.
type poolKey struct {
	addr netip.AddrPort
	host string
	port uint16
	h2   bool
	peer string
	self string
}

// pool is the connections of one loop to one place. HTTP/2 ones are shared by many exchanges,
// HTTP/1 ones are used by one at a time, the last used first.
type pool struct {
	core    *Core
	key     poolKey
	dial    Dial
	shared  []*h2Client
	idle    []*h1Client
	total   int // HTTP/1 connections, dialing ones included
	dialing int
	waiters queue
	users   int // endpoints that refer to the pool
	retired bool

	relieveAt time.Duration // when another link may be dialed beside those that carry bulk
}

// poolOf returns the pool for an exchange to a mesh endpoint.
func (c *Core) poolOf(x *exchange, ep *balance.Endpoint) *pool {
	if !ep.Meshed() {
		h2app := x.h2app || ep0Protocol(x) == model.ProtocolHTTP2 || ep0Protocol(x) == model.ProtocolGRPC
		return c.poolFor(poolKey{addr: ep.Addr, h2: h2app && !x.upgrade}, Dial{Addr: ep.Addr, Timeout: c.limits.ConnectTimeout})
	}
	l := x.local
	w := c.waysOf(ep)
	for _, p := range w.pools {
		if p.key.self == l.Identity || planted.On(planted.LinkForAnyCaller) {
			return p
		}
	}
	key := poolKey{addr: ep.Link, h2: true, peer: ep.Identity, self: l.Identity}
	if planted.On(planted.PoolForAnyPeer) {
		key.peer = "any"
	}
	p := c.poolFor(key, Dial{Addr: ep.Link, Timeout: c.limits.ConnectTimeout, Peer: ep.Identity, Self: l.Identity, Workload: l.index})
	p.users++
	p.retired = false
	w.pools = append(w.pools, p)
	return p
}

// ways are how an endpoint of the mesh is reached.
type ways struct {
	// pools of links, one for each identity that calls it: a link proves who the caller is, so
	// callers of two identities never share one.
	pools []*pool
	near  *local // whose link address it is, if it is one of this proxy
}

// waysOf gives those of an endpoint.
func (c *Core) waysOf(ep *balance.Endpoint) *ways {
	w, _ := ep.Pool.(*ways)
	if w == nil {
		w = new(ways)
		for _, l := range c.locals {
			if l.Link.IsValid() && l.Link == ep.Link {
				w.near = l
			}
		}
		ep.Pool = w
	}
	return w
}

func ep0Protocol(x *exchange) model.Protocol {
	if x.d.Backend != nil && x.d.Backend.Set != nil {
		return x.d.Backend.Set.Protocol
	}
	return model.ProtocolDetect
}

func (c *Core) poolFor(k poolKey, d Dial) *pool {
	p := c.pools[k]
	if p == nil {
		p = &pool{core: c, key: k, dial: d}
		c.pools[k] = p
	}
	return p
}

// link reports whether the pool's connections are links to peers.
func (p *pool) link() bool { return p.key.peer != "" }

// take gives the request to a connection, or parks it and makes sure that one is dialed.
func (p *pool) take(x *exchange, r *message.Request) {
	c := p.core
	x.pool = p
	if x.connect && !p.link() {
		x.pool = nil
		x.dialRaw(p.dial)
		return
	}
	if p.key.h2 {
		if cl := p.choose(); cl != nil {
			if x.keepable() { // the peer may refuse it, having begun to drain
				x.park(r, false)
			}
			x.attach(cl, r)
			return
		}
	} else if n := len(p.idle); n > 0 {
		cl := p.idle[n-1]
		p.idle = p.idle[:n-1]
		if x.holds || x.replayable(r) { // the server may be closing it this very moment
			x.park(r, false)
		}
		x.attach(cl, r)
		return
	}
	var y *exchange // makes room
	if p.waiters.n >= c.limits.MaxParked {
		if y = p.waiters.yields(x); y == nil {
			x.pool = nil
			x.fail(failOverload)
			return
		}
	}
	x.park(r, false)
	if y != nil {
		p.waiters.remove(y)
		y.pool = nil
		y.fail(failOverload)
	}
	p.waiters.add(x)
	if !x.deadline.armed() { // a route's timeout, if there is one, covers this wait too
		x.waits = true
		c.wheel.arm(&x.deadline, c.now+c.limits.QueueTimeout)
	}
	p.dialMore()
}

// dialMore dials if those who wait need it: one link at a time, so that a burst at start makes
// no herd, and the next only when the last one's peer has told how many streams it takes; for
// HTTP/1 one connection for each.
func (p *pool) dialMore() {
	c := p.core
	if p.key.h2 {
		if p.dialing > 0 || len(p.shared) >= maxLinks || slices.ContainsFunc(p.shared, (*h2Client).untold) {
			return
		}
		cn := c.newConn(p.dial.Addr)
		cn.connecting = true
		p.dialing++
		if p.link() {
			cn.local = c.locals[p.dial.Workload]
		}
		cn.h = &h2Client{c: cn, p: p}
		c.host.Dial(cn, p.dial)
		return
	}
	for p.dialing < p.waiters.n && p.total < c.limits.MaxPoolConns {
		cn := c.newConn(p.dial.Addr)
		cn.connecting = true
		p.dialing++
		p.total++
		cn.h = newH1Client(cn, p)
		c.host.Dial(cn, p.dial)
	}
}

// next takes the waiter whose turn it is.
func (p *pool) next() *exchange { return p.waiters.next() }

// serve gives waiters to a shared connection as long as it takes them.
func (p *pool) serve(cl *h2Client) {
	for cl.usable() {
		x := p.next()
		if x == nil {
			return
		}
		x.attach(cl, &x.saved)
	}
	if p.waiters.n > 0 {
		p.dialMore()
	}
}

// whyNot is the failure that an error of a dial stands for. It tells the log.
func (c *Core) whyNot(d *Dial, err error) failure {
	f := failConnect
	switch {
	case errors.Is(err, ErrLoop):
		f = failLoop
	case d.Peer != "" && isTLS(err):
		f = failTLS
	}
	c.warn("cannot connect", "code", f.code, "to", d.where(), "peer", d.Peer, "err", err)
	return f
}

// dialFailed tells those who waited for the connection.
func (p *pool) dialFailed(err error) {
	p.dialing--
	f := p.core.whyNot(&p.dial, err)
	if planted.On(planted.PlaintextFallback) && f.code == failTLS.code {
		p.dial.Peer = ""
	}
	defer p.dropIfEmpty()
	if p.key.h2 && planted.On(planted.ForgetWaiters) {
		return
	}
	if p.key.h2 {
		var waiters []*exchange // those who try again here wait for the next dial
		for x := p.next(); x != nil; x = p.next() {
			waiters = append(waiters, x)
		}
		for _, x := range waiters {
			if !x.finished { // the end of one may have ended another
				x.pool = nil
				x.upGone(goneConnect, f)
			}
		}
		return
	}
	p.total--
	if x := p.next(); x != nil {
		x.pool = nil
		x.upGone(goneConnect, f)
	}
	p.dialMore()
}

func (p *pool) where() string { return p.dial.where() }

// where names the destination for people.
func (d *Dial) where() string {
	if d.Host != "" {
		return d.Host + ":" + portText(d.Port)
	}
	return d.Addr.String()
}

// retire lets go of the pool: its last endpoint left. Streams under way end in peace.
func (p *pool) retire() {
	if p.users--; p.users > 0 {
		return
	}
	p.retired = true
	for _, cl := range slices.Clone(p.shared) {
		cl.retireWhenIdle()
	}
	p.dropIfEmpty() // it may have had no link at all
}

// removeShared takes a broken or ended connection out.
func (p *pool) removeShared(cl *h2Client) {
	for i := range p.shared {
		if p.shared[i] == cl && (!cl.c.closed || !planted.On(planted.KeepDeadLink)) {
			p.shared = append(p.shared[:i], p.shared[i+1:]...)
			break
		}
	}
	p.dropIfEmpty()
	if p.waiters.n > 0 {
		p.dialMore()
	}
}

// removeIdle takes an idle HTTP/1 connection out.
func (p *pool) removeIdle(cl *h1Client) {
	for i := range p.idle {
		if p.idle[i] == cl {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return
		}
	}
}

// dropIfEmpty forgets a pool that nobody uses, so that hostile destinations do not pile up.
func (p *pool) dropIfEmpty() {
	if p.users == 0 && p.total == 0 && p.dialing == 0 && len(p.shared) == 0 && p.waiters.n == 0 && p.core.pools[p.key] == p {
		delete(p.core.pools, p.key)
	}
}

// leaveQueues takes an exchange out of everything that it may wait in.
func (c *Core) leaveQueues(x *exchange) {
	if x.waitSvc != (model.Name{}) {
		c.leaveWaiting(x.waitSvc, x)
		x.waitSvc = model.Name{}
	}
	if p := x.pool; p != nil && x.up == nil {
		p.waiters.remove(x)
	}
	x.pool = nil
}

// replayable reports whether sending the request twice does no harm and the copy is whole: no
// body, and a method that is idempotent (RFC 9110 section 9.2.2).
func (x *exchange) replayable(r *message.Request) bool {
	return x.reqDone && x.heldEnd && !x.upgrade && !x.connect && resilience.Idempotent(r.Method)
}

// idleFor is how long a connection of the pool may stay unused.
func (p *pool) idleFor() time.Duration {
	if p.link() {
		return p.core.limits.LinkIdle
	}
	return p.core.limits.AppIdle
}
