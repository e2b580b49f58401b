package core

import (
	"bytes"
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strconv"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/override"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// startOutbound carries a request of our workload from its head to an endpoint. r is borrowed:
// whatever has to wait is copied by park.
func (x *exchange) startOutbound(r *message.Request) {
	c := x.core
	if r == &x.saved {
		x.owned = false // what follows may make it point into scratch
	}
	if len(r.Authority) == 0 {
		r.Authority = x.dest.authority() // HTTP/1.0 may leave it out
	}
	if err := decide.Canonicalize(&c.canon, r); err != nil {
		x.refuseAmbiguous(err)
		return
	}
	x.speaks(r.Fields)
	if n := attemptOf(r.Fields); n > 1 {
		x.attempt = n
	}
	r.Fields = stripOurs(r.Fields)
	if !x.takeDeadline(r.Fields) {
		return
	}
	svc, port, state := x.destination()
	switch state {
	case destService:
		x.route(r, svc, port)
	case destUnknown:
		x.awaitDiscovery(r)
	case destAbsent:
		x.fail(failUnknown)
	case destOutside:
		x.passThrough(r)
	case destLoop:
		x.fail(failLoop)
	}
}

func (x *exchange) refuseAmbiguous(err error) {
	status, code, reason := failAmbiguous.status, failAmbiguous.code, err.Error()
	var a *decide.Ambiguous
	if errors.As(err, &a) {
		status, code, reason = a.Status, a.Code, a.Reason
	}
	x.refuse(status, code, "http_request_error", reason)
}

// stripOurs removes the fields that only proxies may set (CVE-2023-27487), in every spelling that
// an application might take for one.
func stripOurs(f []message.Field) []message.Field {
	for i := range f {
		if reserved(f[i].Name) && !planted.On(planted.ForgedIdentity) {
			out := f[:i]
			for _, g := range f[i+1:] {
				if !reserved(g.Name) {
					out = append(out, g)
				}
			}
			return out
		}
	}
	return f
}

// authority is what to call a destination whose client did not say.
func (d *dest) authority() []byte {
	switch {
	case d.service.Name != "":
		return []byte(d.service.Name + "." + d.service.Namespace)
	case d.host != "":
		return []byte(d.host)
	case d.addr.IsValid():
		return []byte(d.addr.String())
	}
	return nil
}

// outsideName reports whether a host that reads like name.namespace, and is no service, may be a
// name outside the mesh ("example.com").
func outsideName(host []byte) bool {
	return bytes.IndexByte(host, '.') > 0 &&
		!bytes.HasSuffix(host, []byte(".svc.cluster.local")) && !bytes.HasSuffix(host, []byte(".weft.localhost"))
}

type destState uint8

const (
	destService destState = iota
	destUnknown
	destAbsent
	destOutside
	destLoop
)

// destination finds the service and port that the exchange is for. The canonical form of the
// request is in c.canon.
func (x *exchange) destination() (*decide.Service, uint16, destState) {
	c := x.core
	if !x.dest.any {
		if x.dest.service.Name == "" {
			return nil, x.dest.port, destOutside
		}
		s, known := c.table.Service(x.dest.service)
		switch {
		case s != nil:
			return s, x.dest.port, destService
		case known && x.dest.addr.IsValid():
			return nil, x.dest.port, destOutside
		case known:
			return nil, 0, destAbsent
		}
		return nil, 0, destUnknown
	}
	x.dest.port = c.canon.Port
	if x.dest.port == 0 {
		x.dest.port = 80
	}
	s, name, state := c.table.Lookup(c.canon.Host, x.local.Name.Namespace)
	switch state {
	case decide.Found:
		x.dest.service = s.Model.Name
		return s, x.dest.port, destService
	case decide.Unknown:
		x.dest.service = name
		return nil, 0, destUnknown
	case decide.Absent:
		x.dest.service = name
		if outsideName(c.canon.Host) {
			return nil, x.dest.port, destOutside
		}
		return nil, 0, destAbsent
	}
	if a, err := netip.ParseAddr(string(bytes.Trim(c.canon.Host, "[]"))); err == nil {
		x.dest.addr = netip.AddrPortFrom(a.Unmap(), x.dest.port)
		if c.isOwn(x.dest.addr) {
			return nil, 0, destLoop
		}
		if s := c.table.ServiceByIP(a); s != nil {
			x.dest.service = s.Model.Name
			return s, x.dest.port, destService
		}
	}
	return nil, x.dest.port, destOutside
}

// connectDest names the destination of a CONNECT request, or says why it is refused.
func (c *Core) connectDest(l *local, r *message.Request) (dest, *failure) {
	if err := decide.Canonicalize(&c.canon, r); err != nil || c.canon.Port == 0 {
		f := failAmbiguous
		return dest{}, &f
	}
	d := dest{port: c.canon.Port}
	svc, ns, ok := decide.ServiceName(c.canon.Host, l.Name.Namespace)
	if ok {
		n := model.Name{Namespace: ns, Name: svc}
		if s, known := c.table.Service(n); s != nil || !known || !outsideName(c.canon.Host) {
			d.service = n
			d.host = string(c.canon.Host)
			return d, nil
		}
	}
	if a, err := netip.ParseAddr(string(bytes.Trim(c.canon.Host, "[]"))); err == nil {
		d.addr = netip.AddrPortFrom(a.Unmap(), d.port)
		if c.isOwn(d.addr) {
			f := failLoop
			return dest{}, &f
		}
		if s := c.table.ServiceByIP(a); s != nil {
			d.service = s.Model.Name
		}
		return d, nil
	}
	d.host = string(c.canon.Host)
	return d, nil
}

// awaitDiscovery parks a request until its destination is known: the only time that a request
// waits for the control plane.
func (x *exchange) awaitDiscovery(r *message.Request) {
	x.park(r, x.heldEnd)
	x.await(x.dest.service)
}

// await waits for the answer about a service.
func (x *exchange) await(n model.Name) {
	c := x.core
	if !c.waitFor(n, x) {
		x.fail(failOverload)
		return
	}
	x.waitSvc = n
	until := c.now + c.limits.DiscoveryTimeout
	if x.until > 0 {
		until = min(until, x.until)
	}
	c.wheel.arm(&x.deadline, until)
}

// wake: the control plane answered.
func (x *exchange) wake() {
	if x.finished {
		return
	}
	x.waitSvc = model.Name{}
	x.core.wheel.disarm(&x.deadline)
	if x.connect && !x.inbound {
		x.startTunnel(x.sni)
		return
	}
	x.startOutbound(&x.saved)
}

// route asks the decision and acts on it.
func (x *exchange) route(r *message.Request, svc *decide.Service, port uint16) {
	c := x.core
	sp := svc.Port(port)
	if sp == nil {
		x.fail(failPort)
		return
	}
	x.port = sp
	q := &c.query
	*q = decide.Query{
		Port: sp, ClientNamespace: x.local.Name.Namespace, GRPC: x.grpc,
		Method: r.Method, Scheme: r.Scheme, Host: c.canon.Host, Path: c.canon.Path, RawQuery: c.canon.RawQuery,
		Fields: r.Fields, Rand: c.rand(), Now: c.unix(),
	}
	x.d = c.table.Decide(q, nil)
	if o := x.d.Calls().Override; o != nil && x.divert(r, o) {
		return
	}
	c.scratch.Reset()
	if origin := decide.Origin(r.Fields); len(origin) > 0 {
		x.origin = append(x.origin[:0], origin...)
	}
	switch x.d.Action {
	case decide.Redirect, decide.Respond:
		x.count(sp.Port.Protocol, overPlain)
		resp := x.d.Response(r, &c.canon, &c.scratch)
		x.answer(&resp)
		return
	case decide.Refuse:
		x.count(sp.Port.Protocol, overPlain)
		x.refuse(x.d.Status, x.d.Code, "http_request_denied", x.d.Reason)
		return
	}
	c.startMirrors(x, r)
	x.d.ApplyRequest(r, &c.canon, &c.scratch)
	if t := x.timeouts(); t.Request > 0 {
		x.limit(t.Request)
		x.armDeadline()
	}
	x.entry = c.set(x.d.Backend.Set)
	if x.d.Faulty() && x.breakOnPurpose(r) {
		return
	}
	x.pick(r)
}

// answer sends a response of the decision's and ends the exchange.
func (x *exchange) answer(r *message.Response) {
	x.status = r.Status
	x.respHead = true
	r.ContentLength = 0
	x.down.respond(x, r, true)
	x.endResponse()
}

// pick chooses an endpoint and a connection to it, or parks.
func (x *exchange) pick(r *message.Request) {
	c := x.core
	ep := x.sessionEndpoint()
	if ep == nil {
		ep = x.entry.set.Pick(c.now, x.wanted(r))
	}
	if ep == nil {
		x.count(x.port.Port.Protocol, overPlain)
		x.fail(failNoEndpoint)
		return
	}
	x.beginTry(r)
	x.ep = ep
	ep.Start()
	if planted.On(planted.CountTwice) {
		ep.Start()
	}
	c.picked(x)
	if l := c.near(x, ep); l != nil {
		x.count(x.port.Port.Protocol, overHop)
		x.hopTo(l, r)
		return
	}
	x.count(x.port.Port.Protocol, overOf(ep))
	c.poolOf(x, ep).take(x, r)
}

// startTunnel carries an opaque connection of our workload.
func (x *exchange) startTunnel(sni []byte) {
	c := x.core
	if x.dest.service.Name == "" {
		x.passThroughTunnel()
		return
	}
	svc, known := c.table.Service(x.dest.service)
	switch {
	case !known:
		x.sni = append(x.sni[:0], sni...)
		x.await(x.dest.service)
		return
	case svc == nil:
		if x.dest.addr.IsValid() || outsideName([]byte(x.dest.host)) {
			x.passThroughTunnel()
			return
		}
		x.fail(failUnknown)
		return
	}
	sp := svc.Port(x.dest.port)
	if sp == nil {
		x.fail(failPort)
		return
	}
	x.port = sp
	q := &c.query
	*q = decide.Query{Port: sp, ClientNamespace: x.local.Name.Namespace, Opaque: true, SNI: sni, Rand: c.rand()}
	x.d = c.table.Decide(q, nil)
	if x.d.Action != decide.Forward {
		x.count(model.ProtocolTCP, overPlain)
		x.refuse(x.d.Status, x.d.Code, "connection_refused", x.d.Reason)
		return
	}
	x.entry = c.set(x.d.Backend.Set)
	x.saved = message.Request{Method: methodConnect, ContentLength: -1}
	x.kept, x.owned = true, true
	x.pick(&x.saved)
}

var methodConnect = []byte("CONNECT")

// commit makes a speculative tunnel count.
func (x *exchange) commit() {
	over := overPlain
	if _, hop := x.up.(*localHop); hop {
		over = overHop
	} else if x.ep != nil {
		over = overOf(x.ep)
	}
	x.count(model.ProtocolTCP, over)
}

// passThrough forwards a plain request to a destination outside the mesh, by name or address.
func (x *exchange) passThrough(r *message.Request) {
	c := x.core
	d := Dial{Addr: x.dest.addr, Port: x.dest.port, Timeout: c.limits.ConnectTimeout * 5}
	if !d.Addr.IsValid() {
		d.Host = string(c.canon.Host)
	}
	x.countOutside(model.ProtocolHTTP)
	r.Fields = message.Delete(r.Fields, override.Field) // means nothing there, and is nobody's business
	c.poolFor(poolKey{addr: d.Addr, host: d.Host, port: d.Port, h2: x.h2app}, d).take(x, r)
}

// passThroughTunnel connects an opaque connection to where it was going.
func (x *exchange) passThroughTunnel() {
	c := x.core
	d := Dial{Addr: x.dest.addr, Host: x.dest.host, Port: x.dest.port, Timeout: c.limits.ConnectTimeout * 5}
	if d.Addr.IsValid() {
		d.Host = ""
	} else if d.Host == "" {
		x.fail(failUnknown)
		return
	}
	x.countOutside(model.ProtocolTCP)
	x.dialRaw(d)
}

// dialRaw opens a connection of its own for a tunnel.
func (x *exchange) dialRaw(d Dial) {
	c := x.core
	cn := c.newConn(d.Addr)
	cn.connecting = true
	r := &raw{c: cn, x: x, asUp: true, dial: d}
	cn.h, x.up = r, r
	c.host.Dial(cn, d)
}

// seriesKey finds the counters of an exchange without building strings. Pointers are those of
// the table in force; the map is emptied with it.
type seriesKey struct {
	local    *local
	port     *decide.ServicePort
	rule     *decide.Rule
	backend  *decide.Backend
	protocol model.Protocol
	over     over
}

// over is what lies between the caller's proxy and the callee.
type over uint8

const (
	overPlain over = iota // nothing of ours: the endpoint is not in the mesh, or there is none
	overLink              // mutual TLS
	overHop               // a localHop: nothing leaves the process
)

func overOf(ep *balance.Endpoint) over {
	if ep.Meshed() {
		return overLink
	}
	return overPlain
}

// count starts counting the exchange, once.
func (x *exchange) count(p model.Protocol, how over) {
	if x.series != nil || x.mirror || x.isHedge() || x.speculative() {
		return
	}
	c := x.core
	if p == model.ProtocolDetect {
		p = model.ProtocolHTTP
		if x.connect {
			p = model.ProtocolTCP
		}
	}
	if x.grpc {
		p = model.ProtocolGRPC
	}
	k := seriesKey{x.local, x.port, x.d.Rule, x.d.Backend, p, how}
	s := c.series[k]
	if s == nil {
		key := telemetry.Key{
			Direction: telemetry.Outbound, Source: x.local.Name, SourceIdentity: x.local.Identity,
			Protocol: p, TLS: how == overLink, Local: how == overHop,
		}
		if x.port != nil {
			key.Service, key.Port = x.port.Service.Model.Name, x.port.Port.Port
		}
		if x.d.Rule != nil {
			key.Route = x.d.Rule.Label
		}
		if x.d.Backend != nil {
			key.Backend = x.d.Backend.Service()
		}
		s = c.shard.Get(key)
		c.series[k] = s
	}
	x.series = s
	s.Start()
}

// speculative reports whether the exchange is a tunnel that nothing was committed to.
func (x *exchange) speculative() bool {
	_, ok := x.down.(*sniffer)
	return ok
}

// countOutside counts traffic that leaves the mesh; all of it in one series.
func (x *exchange) countOutside(p model.Protocol) {
	if x.series != nil || x.speculative() {
		return
	}
	x.series = x.core.shard.Get(telemetry.Key{
		Direction: telemetry.Outbound, Source: x.local.Name, SourceIdentity: x.local.Identity,
		Service: model.Name{Name: "outside"}, Protocol: p,
	})
	x.series.Start()
}

// set returns the balancer state of an endpoint set of the table.
func (c *Core) set(src *decide.EndpointSet) *setEntry {
	if e := c.sets[src]; e != nil {
		return e
	}
	n := setName{src.Service, src.Port}
	e := c.setNames[n]
	if e == nil {
		e = &setEntry{name: n}
		c.setNames[n] = e
	}
	delete(c.sets, e.src)
	c.mirrorSet(e, src)
	return e
}

// mirrorSet brings a balancer set up to the table's.
func (c *Core) mirrorSet(e *setEntry, src *decide.EndpointSet) {
	e.src = src
	c.sets[src] = e
	if planted.On(planted.StaleEndpoints) && e.set.Len() > 0 {
		return
	}
	e.set.Configure(c.balanceConfig(src))
	for _, left := range e.set.Update(c.now, src.Endpoints) {
		c.retire(left)
	}
	c.watchHealth(e)
}

// retire closes the pools of an endpoint that left: nothing is sent to it any more.
func (c *Core) retire(e *balance.Endpoint) {
	w, _ := e.Pool.(*ways)
	if w == nil {
		return
	}
	e.Pool = nil
	for _, p := range w.pools {
		p.retire()
	}
}

func compareSets(a, b setName) int {
	return cmp.Or(compareNames(a.service, b.service), cmp.Compare(a.port, b.port))
}

// refreshSets follows a new table.
func (c *Core) refreshSets() {
	seen := make(map[setName]bool, len(c.setNames))
	var changed []*decide.EndpointSet
	for src := range c.table.Sets {
		n := setName{src.Service, src.Port}
		e := c.setNames[n]
		if e == nil {
			continue // never used
		}
		seen[n] = true
		if e.src != src {
			changed = append(changed, src)
		}
	}
	var gone []setName
	for n := range c.setNames {
		if !seen[n] {
			gone = append(gone, n)
		}
	}
	// In a fixed order, or a seed would not repeat its history.
	slices.SortFunc(changed, func(a, b *decide.EndpointSet) int {
		return compareSets(setName{a.Service, a.Port}, setName{b.Service, b.Port})
	})
	slices.SortFunc(gone, compareSets)
	for _, src := range changed {
		e := c.setNames[setName{src.Service, src.Port}]
		delete(c.sets, e.src)
		c.mirrorSet(e, src)
	}
	for _, n := range gone {
		e := c.setNames[n]
		for _, left := range e.set.Update(c.now, nil) {
			c.retire(left)
		}
		e.health.stop(c)
		delete(c.sets, e.src)
		delete(c.setNames, n)
	}
}

// portText is used in authorities.
func portText(p uint16) string { return strconv.Itoa(int(p)) }
