package core

import (
	"bytes"
	"slices"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
)

// What joins exchanges and balancers: what a pick is told of the request, and what the endpoint is
// told of the end.

// peers is the proxy's place among the live proxies of its workload's identity.
type peers struct{ index, count int }

// SetPeers tells the place of a workload, by name, among the live ones of its identity, and how many
// there are; count 0: not known. Clients of very large services share its endpoints out by that. A
// proxy of several workloads uses all endpoints, since its connections serve all of them.
func (c *Core) SetPeers(workload, index, count int) {
	if len(c.locals) > 1 || workload != 0 || c.peers == (peers{index, count}) {
		return
	}
	c.peers = peers{index, count}
	for _, e := range c.setNames {
		e.set.Configure(c.balanceConfig(e.src))
	}
}

// balanceConfig is what the balancer of a set is told.
func (c *Core) balanceConfig(src *decide.EndpointSet) balance.Config {
	return balance.Config{Policy: src.Policy, Zone: c.locals[0].Zone, Index: c.peers.index, Count: c.peers.count}
}

// Backend names an endpoint set: a service's port.
type Backend struct {
	Service model.Name
	Port    uint16
}

// Balancers yields the balancer of each endpoint set in use, by service and port. They are read on
// the loop only, and not kept.
func (c *Core) Balancers(yield func(b Backend, s *balance.Set) bool) {
	names := make([]setName, 0, len(c.setNames))
	for n := range c.setNames {
		names = append(names, n)
	}
	slices.SortFunc(names, compareSets)
	for _, n := range names {
		if !yield(Backend{n.service, n.port}, &c.setNames[n].set) {
			return
		}
	}
}

// wanted is what the pick of an endpoint depends on.
func (x *exchange) wanted(r *message.Request) balance.Request {
	q := balance.Request{Rand: x.core.rand(), Avoid: x.avoid}
	b := &x.entry.set.Policy().Balance
	if b.Algorithm == model.RingHash || b.Algorithm == model.Maglev {
		q.Hash, q.Hashed = x.hash(b.Hash, r)
	}
	return q
}

// hash is that of what decides a request's endpoint. It is false if the request does not have it.
func (x *exchange) hash(h *model.Hash, r *message.Request) (uint64, bool) {
	switch {
	case h == nil || h.Source:
		v := balance.HashMore(balance.Hash([]byte(x.local.Name.Namespace)), []byte(x.local.Name.Name))
		if h != nil {
			if cn := x.downConn(); cn != nil && !cn.remote.Addr().IsLoopback() {
				a := cn.remote.Addr().As16()
				v = balance.HashMore(v, a[:])
			}
		}
		return v, true
	case h.Header != "":
		if v := message.Get(r.Fields, h.Header); len(v) > 0 {
			return balance.Hash(v), true
		}
	case h.Cookie != "":
		if v := cookie(r.Fields, h.Cookie); len(v) > 0 {
			return balance.Hash(v), true
		}
	}
	return 0, false
}

// downConn is the connection that the exchange came on, or nil.
func (x *exchange) downConn() *Conn {
	switch s := x.down.(type) {
	case *h1Server:
		return s.c
	case *h2Server:
		return s.c
	case *raw:
		return s.c
	case *sniffer:
		return s.c
	}
	return nil
}

// cookie finds the value of a cookie (RFC 6265 section 4.2.1).
func cookie(fields []message.Field, name string) []byte {
	for i := range fields {
		if string(fields[i].Name) != "cookie" {
			continue
		}
		rest := fields[i].Value
		for len(rest) > 0 {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, semicolon)
			pair = bytes.TrimSpace(pair)
			if n := len(name); len(pair) > n && pair[n] == '=' && string(pair[:n]) == name {
				return pair[n+1:]
			}
		}
	}
	return nil
}

var semicolon = []byte(";")

// picked follows a pick: probes of the balancer's, and health checks that had paused.
func (c *Core) picked(x *exchange) {
	e := x.entry
	e.usedAt = c.now
	if e.health != nil {
		e.health.resume(c, x.local)
	}
	if e.set.Policy().Balance.Algorithm == model.Prequal && !x.connect {
		if ep := e.set.NextProbe(c.now, c.rand()); ep != nil {
			c.ask(x.local, ep)
		}
	}
}

// settle tells an endpoint how the try there ended.
func (x *exchange) settle(ep *balance.Endpoint, failed bool) {
	c := x.core
	took := c.now - x.tryAt
	if x.headAt > 0 { // streams and tunnels last as long as they like: what tells is how soon they begin
		took = x.headAt - x.tryAt
	}
	switch {
	case x.errand != nil: // the balancer does not know of it
	case x.headAt == 0 && x.status == statusGaveUp:
		ep.Abandoned(c.now, took)
	case ep.Settle(c.now, took, failed):
		c.tellEjected(ep, "its requests failed")
	}
}

// statusGaveUp is what an exchange is counted as whose caller went away.
const statusGaveUp = 499

// settleGone tells the endpoint that the try is lost.
func (x *exchange) settleGone(why gone) {
	c, ep := x.core, x.ep
	c.wheel.disarm(&x.try)
	if ep == nil {
		return
	}
	switch {
	case x.errand != nil: // the balancer does not know of it
	case why == goneStale: // says nothing about the endpoint
		ep.Cancel()
	case why == goneConnect:
		if ep.Unreachable(c.now) {
			c.tellEjected(ep, "it could not be connected to")
		}
	case why == goneUnprocessed:
		if ep.Refused(c.now) {
			c.tellEjected(ep, "it refuses everything")
		}
	default:
		x.settle(ep, true)
	}
	x.leaveEndpoint(ep, true)
}

// tellEjected tells the log.
func (c *Core) tellEjected(ep *balance.Endpoint, why string) {
	c.warn("endpoint ejected", "code", "W3342", "workload", ep.Workload, "addr", ep.Addr, "why", why)
}

// noteHead reads what a response's head says about the load of its endpoint.
func (x *exchange) noteHead(r *message.Response) {
	if x.inbound || x.ep == nil {
		return
	}
	x.noteReports(r.Fields)
	if r.Status == 503 || r.Status == 429 {
		x.ep.LeaveAlone(x.core.now, retryAfter(message.Get(r.Fields, "retry-after")))
	}
	if v := message.Get(r.Fields, fieldLoad); v != nil {
		if n, took, ok := parseLoad(v); !ok || !x.ep.Reply(x.core.now, n, took) {
			x.core.shard.Refused("W3341")
		}
		r.Fields = message.Delete(r.Fields, fieldLoad) // it was for us
	}
}

// noteReports reads load reports of the application (ORCA). They come with the response's head or
// in its trailers, and are passed on: applications may want them too.
func (x *exchange) noteReports(fields []message.Field) {
	ep := x.ep
	if x.inbound || ep == nil || !x.reports() {
		return
	}
	for i := range fields {
		name := fields[i].Name
		if len(name) < len(balance.ReportField) || string(name[:len(balance.ReportField)]) != balance.ReportField {
			continue
		}
		var (
			l   balance.Load
			err error
		)
		switch string(name) {
		case balance.ReportField:
			l, err = balance.ParseReport(fields[i].Value)
		case balance.ReportFieldBinary:
			l, err = balance.ParseBinaryReport(fields[i].Value)
		default:
			continue
		}
		if err != nil || !ep.Report(x.core.now, l) {
			x.core.shard.Refused("W3341")
		}
	}
}

// reports reports whether the endpoint's load reports are wanted.
func (x *exchange) reports() bool {
	return x.entry != nil && x.errand == nil && x.entry.set.Policy().Balance.LoadReports
}

// retryAfter reads a number of seconds; the form with a date would need a wall clock. 0: none.
func retryAfter(v []byte) time.Duration {
	n := 0
	if len(v) == 0 || len(v) > 9 {
		return 0
	}
	for _, b := range v {
		if b < '0' || b > '9' {
			return 0
		}
		n = n*10 + int(b-'0')
	}
	return time.Duration(n) * time.Second
}
