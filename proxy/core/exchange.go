package core

import (
	"bytes"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/h1"
	"github.com/weft-mesh/weft/proxy/h2"
	"github.com/weft-mesh/weft/proxy/overload"
	"github.com/weft-mesh/weft/proxy/resilience"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// downSide is where an exchange came from: it takes the response.
type downSide interface {
	respond(x *exchange, r *message.Response, end bool) // also 1xx, with end false
	sendDown(x *exchange, p []byte, end bool) (pending int)
	trailersDown(x *exchange, f []message.Field)
	resetDown(x *exchange, code h2.ErrCode) // the response cannot be completed
	creditDown(x *exchange, n int)          // n bytes of the request's body were passed on
	endDown(x *exchange)                    // the exchange is over; forget it
}

// upSide is where an exchange goes: it takes the request.
type upSide interface {
	request(x *exchange, r *message.Request, end bool)
	sendUp(x *exchange, p []byte, end bool) (pending int)
	trailersUp(x *exchange, f []message.Field)
	resetUp(x *exchange, code h2.ErrCode) // nobody wants the response any more; forget x
	creditUp(x *exchange, n int)          // n bytes of the response's body were passed on
	endUp(x *exchange)                    // the exchange is over; forget it
}

// exchange joins one downstream request, or tunnel, to one upstream. It is the unit of
// accounting: each accepted exchange ends exactly once, in finish.
type exchange struct {
	core  *Core
	local *local // for whom: the caller, inbound the callee
	down  downSide
	up    upSide
	ds    *h2.Stream // down is HTTP/2
	us    *h2.Stream // up is HTTP/2

	dest     dest
	inbound  bool // callee's side of a link
	isHEAD   bool
	connect  bool // CONNECT: a tunnel from its start
	upgrade  bool // asked for an upgrade; a tunnel after 101
	declined bool // asked for an upgrade and got an ordinary response
	tunnel   bool // bytes both ways, ends are independent
	h2app    bool // downstream spoke HTTP/2, so the application is spoken to in HTTP/2
	grpc     bool
	kind     grpcKind  // of grpc
	mirror   bool      // a copy whose response nobody sees
	of       *exchange // the original of a mirror
	peer     string    // inbound: who calls, and the same for fields
	peerText []byte
	hop      localHop // inbound, from a workload of this proxy

	d     decide.Decision
	port  *decide.ServicePort
	entry *setEntry
	ep    *balance.Endpoint
	pool  *pool

	// Of its tries, see retry.go, hedge.go, deadline.go.
	tries    int
	attempt  int               // which try of its caller's the request is, as far as it says
	avoid    *balance.Endpoint // the one that failed last
	tryAt    time.Duration     // when the present try began
	tryUntil time.Duration     // and when it is given up; 0: with the exchange
	try      timer             // until then, or until the next try begins
	pausing  bool              // the latter
	holds    bool              // held is kept when it has been sent
	spending *spending         // what its tries are paid from; nil: it is not tried again
	late     timer             // then a hedge begins
	hedging  *exchange
	hedges   int
	hedge    hedge         // that the exchange is
	until    time.Duration // when the request is given up; 0: never
	told     bool          // the request says so
	overH2   bool          // a copy of a request that was spoken in HTTP/2

	errand  *errand // the proxy's own; nil: somebody asked for it
	asked   bool    // inbound: the caller's proxy wants to know the load
	metered bool    // inbound: the meter knows of it
	level   int     // of the meter

	start      time.Duration
	reqDone    bool // the request's end was received
	respHead   bool // a final response head was sent down
	respDone   bool // the response's end was sent down
	finished   bool
	status     int
	headAt     time.Duration // when the response's head came; 0: it did not
	failed     bool
	grpcFailed bool // grpc-status was not 0
	sent, got  uint64
	weighAgain uint64 // when sent and got together are so many, see weigh
	weighedAt  time.Duration
	burdens    *h2Client // the link on which it counts as bulk
	series     *telemetry.Series
	deadline   timer
	waits      bool // deadline is for the wait in a pool
	mirrors    []*exchange
	compared   *comparison // its response is compared; nil: it is not
	role       uint8       // in compared
	fault      *faulted    // what is done to it on purpose; nil: nothing

	// While there is no upstream the request waits here.
	kept    bool // saved and held are the whole request
	owned   bool // all that saved points to is in arena and sfields
	waitSvc model.Name
	saved   message.Request
	arena   []byte
	sfields []message.Field
	held    []byte
	parked  int   // bytes of held that the core counts
	queued  *line // of a pool, while it waits for a connection
	heldEnd bool
	trailed []message.Field // trailers that came meanwhile, behind held

	owedDown  int        // request bytes that are not yet credited to the downstream
	resetCode h2.ErrCode // of the upstream's reset
	owedUp    int        // response bytes that are not yet credited to the upstream

	// Inbound, of a request to the application that is not a tunnel from its start.
	door       *door
	turn       overload.Turn
	askedAt    time.Duration // when the request's end was received, if it was not with its head
	question   *Question     // to rate limit services
	retryAfter time.Duration // of a refusal; 0: not said
	limited    string        // the name of the rate limit that refused

	sni    []byte // of a TLS tunnel that waits for discovery
	origin []byte // Origin of the request as it came, for CORS
}

func (c *Core) newExchange(l *local, down downSide) *exchange {
	var x *exchange
	if n := len(c.freeX); n > 0 {
		x = c.freeX[n-1]
		c.freeX = c.freeX[:n-1]
	} else {
		x = &exchange{core: c}
		x.deadline.fire = x.expire
	}
	x.local, x.down = l, down
	x.start, x.weighedAt, x.weighAgain = c.now, c.now, bulkBytes
	return x
}

// recycle returns the exchanges that ended in this batch to the pool. It waits for the end of the
// batch because frames of the call stack, and events of the same batch, may still hold a pointer to
// one; until then it says that it is finished.
func (c *Core) recycle() {
	for i, x := range c.spent {
		c.spent[i] = nil
		x.release()
	}
	c.spent = c.spent[:0]
}

// maxSpare is the scratch that an exchange may keep for its next use, each of two; 1024 are kept.
const maxSpare = 4 << 10

// release returns x to the pool. Nobody may refer to it any more.
func (x *exchange) release() {
	c := x.core
	keep := exchange{core: c, arena: x.arena[:0], sfields: x.sfields[:0], held: x.held[:0], sni: x.sni[:0], origin: x.origin[:0], mirrors: x.mirrors[:0]}
	keep.deadline.fire, keep.try.fire, keep.late.fire = x.deadline.fire, x.try.fire, x.late.fire
	keep.dropHeld()
	if cap(keep.arena) > maxSpare {
		keep.arena = nil
	}
	clear(x.mirrors)
	*x = keep
	if len(c.freeX) < 1024 {
		c.freeX = append(c.freeX, x)
	}
}

// park keeps a copy of the request: while there is nothing to send it to, or to be able to send it
// again. A request that is saved already is copied anew if deciding has made it point elsewhere
// since, into scratch that the next request will use.
func (x *exchange) park(r *message.Request, end bool) {
	if r == &x.saved {
		if x.owned {
			return
		}
		x.arena, x.sfields = nil, nil
	}
	x.kept, x.owned = true, true
	n := len(r.Method) + len(r.Scheme) + len(r.Authority) + len(r.Path) + len(r.Protocol)
	for i := range r.Fields {
		n += len(r.Fields[i].Name) + len(r.Fields[i].Value)
	}
	if cap(x.arena) < n {
		x.arena = make([]byte, 0, n+256)
	}
	a := x.arena[:0]
	keep := func(p []byte) []byte {
		if len(p) == 0 {
			return nil
		}
		at := len(a)
		a = append(a, p...)
		return a[at:len(a):len(a)]
	}
	s := *r
	s.Method, s.Scheme, s.Authority = keep(r.Method), keep(r.Scheme), keep(r.Authority)
	s.Path, s.Protocol = keep(r.Path), keep(r.Protocol)
	f := x.sfields[:0]
	for i := range r.Fields {
		f = append(f, message.Field{Name: keep(r.Fields[i].Name), Value: keep(r.Fields[i].Value), Sensitive: r.Fields[i].Sensitive})
	}
	x.arena, x.sfields = a, f
	s.Fields = f
	x.saved = s
	x.heldEnd = x.heldEnd || end
}

// attach gives the request to an upstream that is ready.
func (x *exchange) attach(up upSide, r *message.Request) {
	if x.finished {
		return
	}
	if x.waits {
		x.waits = false
		x.core.wheel.disarm(&x.deadline)
	}
	x.up = up
	trailed := x.trailed
	end := x.heldEnd && len(x.held) == 0 && trailed == nil && !x.upgrade && !x.connect
	up.request(x, x.withTime(up, r), end)
	if x.finished || x.up != up {
		return
	}
	if end {
		x.awaitHedge()
		return
	}
	if len(x.held) > 0 || x.heldEnd {
		held, heldEnd := x.held, x.heldEnd && trailed == nil && !x.upgrade
		if planted.On(planted.LoseHeldBody) {
			held = nil
		}
		x.trailed = nil
		if !x.stillHolds(trailed) {
			x.kept = x.kept && len(held) == 0 && trailed == nil
			x.held = x.held[:0]
			x.countParked(0)
		}
		if up.sendUp(x, held, heldEnd) <= highWater {
			x.creditRequest()
		}
		if trailed != nil && x.up == up {
			up.trailersUp(x, trailed)
		}
		if x.up == up {
			x.awaitHedge()
		}
	}
}

// reqData takes a piece of the request's body, or of a tunnel.
func (x *exchange) reqData(p []byte, end bool) {
	if x.finished || x.reqDone {
		return
	}
	if x.sent += uint64(len(p)); x.sent+x.got >= x.weighAgain {
		x.weigh()
	}
	if x.reqDone = end; end {
		x.askedAt = x.core.now
	}
	x.mirrorData(p, end)
	if x.up == nil {
		x.held = append(x.held, p...)
		x.heldEnd = x.heldEnd || end
		x.owedDown += len(p)
		x.countParked(len(x.held))
		return
	}
	x.owedDown += len(p)
	if x.holds {
		x.hold(p, end)
	} else {
		x.kept = x.kept && len(p) == 0
	}
	if x.up.sendUp(x, p, end) <= highWater && !x.finished {
		x.creditRequest()
	}
	if end {
		x.awaitHedge()
	}
	x.checkDone()
}

// countParked notes how much of the body waits with the request, and refuses what would be too
// much: each request may bring a window's worth while there is nowhere to send it.
func (x *exchange) countParked(n int) {
	c := x.core
	c.parked += n - x.parked
	x.parked = n
	if n > 0 && c.parked > c.limits.MaxHeld/2 {
		x.fail(failOverload)
	}
}

// reqTrailers ends the request with trailers.
func (x *exchange) reqTrailers(f []message.Field) {
	if x.finished || x.reqDone {
		return
	}
	if x.up == nil {
		x.trailed = cloneFields(f)
		x.reqData(nil, true)
		return
	}
	x.reqDone, x.askedAt = true, x.core.now
	x.mirrorData(nil, true)
	x.letGo()
	x.kept = false // they are not
	x.up.trailersUp(x, f)
	x.checkDone()
}

func cloneFields(f []message.Field) []message.Field {
	out := make([]message.Field, len(f))
	for i := range f {
		out[i] = message.Field{Name: bytes.Clone(f[i].Name), Value: bytes.Clone(f[i].Value), Sensitive: f[i].Sensitive}
	}
	return out
}

// creditRequest lets the downstream send more.
func (x *exchange) creditRequest() {
	if n := x.owedDown; n > 0 && !x.finished {
		x.owedDown = 0
		x.down.creditDown(x, n)
	}
}

// upWritable: the upstream has room again.
func (x *exchange) upWritable() {
	if !x.finished {
		x.creditRequest()
	}
}

// downWritable: the downstream has room again.
func (x *exchange) downWritable() {
	if x.fault != nil && x.fault.holds() {
		return
	}
	if n := x.owedUp; n > 0 && !x.finished && x.up != nil {
		x.owedUp = 0
		if planted.On(planted.LoseCredit) && n > 8<<10 {
			return
		}
		x.up.creditUp(x, n)
	}
}

// response takes a response head from the upstream, 1xx included.
func (x *exchange) response(r *message.Response, end bool) {
	if x.finished {
		return
	}
	if r.Status < 200 && r.Status != 101 {
		x.down.respond(x, r, false)
		return
	}
	if x.ds == nil && !x.isHedge() && x.answeredOverH2() { // what came over HTTP/2 may not be sayable in HTTP/1
		if err := h1.CheckResponse(r); err != nil {
			x.dropUp(h2.Cancel)
			x.fail(failBadResponse.because(err))
			return
		}
	}
	x.noteHead(r)
	if x.retryAnswer(r, end) {
		return
	}
	x.endHedge()
	x.letGo()
	x.status = r.Status
	x.respHead = true
	x.headAt = x.core.now
	if r.Status == 101 || x.connect && r.Status/100 == 2 {
		x.tunnel = true
		x.core.wheel.disarm(&x.deadline) // a route's timeout is for a response, not for a conversation
		x.core.wheel.disarm(&x.try)
	} else if x.upgrade { // declined: an ordinary response; the request has ended with its head
		x.upgrade, x.declined = false, true
		x.reqDone = true
	}
	if x.compared != nil {
		x.compared.head(x.role, r)
	}
	if x.grpc {
		x.noteGRPC(r.Fields)
	}
	if r.Status >= 500 {
		x.failed = true
	}
	x.answers()
	if !x.isHedge() { // or they are done with when the first has the answer
		if !x.inbound {
			x.noteLatency()
			x.d.ApplyResponse(r, x.origin, &x.core.scratch)
			x.tellSession(r)
		}
		x.noteTries(r, end)
	}
	x.down.respond(x, r, end)
	if end {
		x.endResponse()
	}
}

// respData takes a piece of the response's body, or of a tunnel.
func (x *exchange) respData(p []byte, end bool) {
	if x.finished || x.respDone {
		return
	}
	if x.compared != nil {
		x.compared.data(x.role, p)
	}
	if x.fault != nil && x.fault.slows(p, end) {
		return
	}
	if x.got += uint64(len(p)); x.sent+x.got >= x.weighAgain {
		x.weigh()
	}
	x.owedUp += len(p)
	if (x.down.sendDown(x, p, end) <= highWater || planted.On(planted.NoBackPressure)) && !x.finished && x.owedUp > 0 {
		x.downWritable()
	}
	if end {
		x.endResponse()
	}
}

// respTrailers ends the response with trailers.
func (x *exchange) respTrailers(f []message.Field) {
	if x.finished || x.respDone {
		return
	}
	if x.compared != nil {
		x.compared.trailers(x.role, f)
	}
	if x.fault != nil && x.fault.slowsTrailers(f) {
		return
	}
	if x.grpc {
		x.noteGRPC(f)
	}
	x.noteReports(f)
	if x.ds == nil && !x.isHedge() && x.answeredOverH2() && h1.CheckTrailers(f) != nil {
		f = nil
	}
	x.down.trailersDown(x, f)
	x.endResponse()
}

func (x *exchange) endResponse() {
	if x.finished {
		return
	}
	x.respDone = true
	if x.tunnel {
		x.checkDone()
		return
	}
	x.finish()
}

// checkDone finishes a tunnel whose both directions have ended.
func (x *exchange) checkDone() {
	if x.tunnel && x.reqDone && x.respDone {
		x.finish()
	}
}

// noteGRPC counts a failed call by its grpc-status: those that the server's side is to blame for.
func (x *exchange) noteGRPC(f []message.Field) {
	v := message.Get(f, "grpc-status")
	x.grpcFailed = x.grpcFailed || len(v) > 0 && string(v) != "0"
	switch string(v) {
	case "2", "4", "8", "13", "14", "15":
		x.failed = true
	}
}

// finish ends the exchange once: counts it, settles the endpoint, frees both sides.
func (x *exchange) finish() {
	if x.finished {
		return
	}
	x.finished = true
	c := x.core
	c.wheel.disarm(&x.deadline)
	x.endFault()
	if x.compared != nil {
		x.compared.over(x)
	}
	c.parked -= x.parked
	x.parked = 0
	c.leaveQueues(x)
	x.leaveDoor()
	x.unburden()
	took := c.now - x.start
	if x.series != nil {
		x.series.End(x.status, x.failed, x.grpcFailed, took, x.sent, x.got)
	}
	if planted.On(planted.LeakEndpointCount) && x.status == statusGaveUp {
		c.wheel.disarm(&x.try)
		x.ep = nil
	}
	x.settleTry(x.failed)
	x.endHedge()
	if x.failed && x.spending != nil {
		c.shared.callFailed(x.local, c.now)
	}
	x.unmeter()
	for _, m := range x.mirrors {
		m.mirrorEnd(x.reqDone)
	}
	if up := x.up; up != nil {
		x.up = nil
		up.endUp(x)
	}
	down := x.down
	x.down = nil
	down.endDown(x)
	c.spent = append(c.spent, x)
}

// downGone: the caller went away or gave up; nobody waits for the response any more.
func (x *exchange) downGone() {
	if x.finished {
		return
	}
	x.dropUp(h2.Cancel)
	if x.status == 0 {
		x.status = 499 // the caller's doing, not the service's
	}
	x.finish()
}

// dropUp lets go of the upstream before its end.
func (x *exchange) dropUp(code h2.ErrCode) {
	x.unburden()
	if up := x.up; up != nil {
		x.up = nil
		up.resetUp(x, code)
	}
}

// gone says how an upstream was lost, and so what may be done.
type gone uint8

const (
	goneConnect     gone = iota // never connected: nothing was sent
	goneUnprocessed             // the peer says that it did not process the request
	goneStale                   // a reused connection was closed before a byte of response: an unlucky moment
	goneBroken                  // the request may have been processed
)

// maxTries bounds the connections to an application on which one request meets its end.
const maxTries = 3

// upGone: the upstream broke or was never there. What was provably not processed is tried again
// elsewhere, other requests as far as the policy says (see retry.go); on a stale connection to an
// application what may be repeated (see pool.take).
func (x *exchange) upGone(why gone, f failure) {
	if x.finished {
		return
	}
	x.up = nil
	x.us = nil
	x.unburden()
	if x.isHedge() {
		x.hedge.lost(why, f)
		return
	}
	x.settleGone(why)
	cause := why.cause()
	if planted.On(planted.RetryBroken) && why == goneBroken || planted.On(planted.RetryStalePost) && why == goneStale {
		cause = resilience.NotProcessed
	}
	switch {
	case x.hedging != nil: // its answer is waited for
	case x.again(cause):
	case why == goneStale && x.entry == nil && x.kept && !x.respHead && x.tries+1 < maxTries && x.attempt <= 1 && x.replayable(&x.saved):
		x.tries++
		p := x.core.poolFor(x.pool.key, x.pool.dial) // the last connection may have taken its pool along
		p.take(x, &x.saved)
	default:
		x.failed = true
		if x.respHead {
			code := x.resetCode
			// A response that breaks off is not to be taken for one that ended. gRPC's cannot be, without
			// trailers, and its clients tell apart what servers mean by the code.
			if code == h2.NoError && !x.grpc {
				code = h2.InternalError
			}
			x.down.resetDown(x, code)
			x.finish()
			return
		}
		x.tellGone(why, f)
	}
}

// tellGone tells the downstream of a lost upstream before there was a response.
func (x *exchange) tellGone(why gone, f failure) {
	switch {
	case x.inbound && (why == goneConnect || why == goneUnprocessed) && x.framed() && !x.connect:
		// Nothing reached the application, or it has said that it will not look at it (REFUSED_STREAM, or
		// a GOAWAY that the request crossed): the caller's proxy may safely try again, elsewhere if it can.
		x.countRefusal(f.code)
		x.status = f.status
		x.down.resetDown(x, h2.RefusedStream)
		x.finish()
	case x.grpc && x.resetCode == h2.Cancel && x.framed():
		// A gRPC server cancels at the deadline; the client makes the right status of it by itself.
		x.status = 499
		x.down.resetDown(x, h2.Cancel)
		x.finish()
	default:
		x.fail(f)
	}
}

// expire: the deadline passed.
func (x *exchange) expire() {
	if x.finished {
		return
	}
	x.failed = true
	if x.waits {
		x.core.leaveQueues(x)
		f := failOverload
		f.text = "no connection could take the request for " + x.core.limits.QueueTimeout.String()
		x.fail(f)
		return
	}
	if x.waitSvc != (model.Name{}) && (x.until == 0 || x.core.now < x.until) {
		x.core.leaveQueues(x)
		x.fail(failDiscovery)
		return
	}
	x.dropUp(h2.Cancel)
	if x.respHead {
		x.down.resetDown(x, h2.Cancel)
		x.finish()
		return
	}
	x.fail(x.overdue())
}
