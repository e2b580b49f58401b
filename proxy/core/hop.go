package core

import (
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/h2"
)

// localHop stands for a link when the endpoint that was picked is another workload of this very
// proxy: it is the upstream of the caller's exchange and the downstream of a second, inbound one,
// and hands on what each does in a plain call. The decisions are those of a link, the caller's route
// and the callee's admission, each made once; between them are no bytes, no TLS, no system call.
//
// What is handed on is borrowed for the call only, as from a codec. Back-pressure is the credit of
// the two exchanges: bytes are credited on one side when they are on the other. An inbound exchange
// has an application's connection as its upstream, never another hop, so calls nest to a fixed depth.
//
// It is part of the inbound exchange, so that it costs no allocation and ends with it.
type localHop struct {
	x     *exchange // the caller's; nil once it has nothing to do with us any more
	y     *exchange // the callee's
	ended bool      // the response's end was handed on
}

// near gives the local workload that an endpoint stands for, or nil if it is to be reached over a
// link: it is elsewhere, or one of the two could not prove to a peer who it is.
func (c *Core) near(x *exchange, ep *balance.Endpoint) *local {
	if !ep.Meshed() {
		return nil
	}
	l := c.waysOf(ep).near
	if l == nil || l.Identity != ep.Identity || !l.proven(c.now) || !x.local.proven(c.now) {
		return nil
	}
	return l
}

// hopTo gives a request to a workload of this proxy.
func (x *exchange) hopTo(l *local, r *message.Request) {
	x.pool = nil
	if l.draining { // what a link says with GOAWAY
		x.park(r, false)
		x.upGone(goneUnprocessed, failConnect)
		return
	}
	if x.keepable() { // its application may not be there
		x.park(r, false)
	}
	y := x.core.newExchange(l, nil)
	y.hop = localHop{x: x, y: y}
	y.down = &y.hop
	x.attach(&y.hop, r)
}

// The upstream side, of x.

// request begins the callee's exchange, with the head that a link would have delivered.
func (h *localHop) request(x *exchange, r *message.Request, end bool) {
	c, y := x.core, h.y
	y.inbound = true
	y.peer, y.peerText = x.local.Identity, x.local.idText
	y.isHEAD, y.connect, y.upgrade, y.h2app = x.isHEAD, x.connect, x.upgrade, x.h2app
	y.reqDone, y.heldEnd = end, end
	// Filters of a route may have set fields that only proxies may. r's own list stays as it is: the
	// request may have to be sent again.
	f := c.hopFields[:0]
	for i := range r.Fields {
		if !reserved(r.Fields[i].Name) {
			f = append(f, r.Fields[i])
		}
	}
	f = append(f, message.Field{Name: nameClient, Value: y.peerText})
	if y.attempt = x.nth(); y.attempt > 1 {
		f = append(f, message.Field{Name: nameAttempt, Value: c.text(y.attempt)})
	}
	c.hopFields = x.withPriority(f)
	c.hopRequest = *r
	q := &c.hopRequest
	q.Fields = c.hopFields
	if !x.connect && len(q.Scheme) == 0 {
		q.Scheme = schemeHTTP
	}
	if x.upgrade {
		q.ContentLength = -1
	}
	y.admit(q, x.ep.AddrText)
}

func (h *localHop) sendUp(_ *exchange, p []byte, end bool) int {
	h.y.reqData(p, end)
	if !h.y.finished && h.y.owedDown > 0 {
		return highWater + 1
	}
	return 0
}

func (h *localHop) trailersUp(_ *exchange, f []message.Field) { h.y.reqTrailers(f) }

func (h *localHop) resetUp(*exchange, h2.ErrCode) {
	h.x = nil
	h.y.downGone()
}

func (h *localHop) creditUp(*exchange, int) { h.y.downWritable() }

func (h *localHop) endUp(*exchange) {
	h.x = nil
	if !h.ended {
		h.y.downGone()
	}
}

// The downstream side, of y.

func (h *localHop) respond(_ *exchange, r *message.Response, end bool) {
	h.ended = h.ended || end
	if h.x != nil {
		h.tellLoad(r)
		h.x.response(r, end)
	}
}

func (h *localHop) sendDown(_ *exchange, p []byte, end bool) int {
	x := h.x
	if x == nil {
		return 0
	}
	h.ended = h.ended || end
	x.respData(p, end)
	if !x.finished && x.owedUp > 0 {
		return highWater + 1
	}
	return 0
}

func (h *localHop) trailersDown(_ *exchange, f []message.Field) {
	h.ended = true
	if h.x != nil {
		h.x.respTrailers(f)
	}
}

func (h *localHop) resetDown(_ *exchange, code h2.ErrCode) {
	x := h.x
	if x == nil {
		return
	}
	h.x = nil
	x.resetCode = code
	switch code {
	case h2.RefusedStream:
		x.upGone(goneUnprocessed, failConnect)
	case refusedBusy:
		x.upGone(goneUnprocessed, failOverloaded)
	default:
		x.upGone(goneBroken, failBroken)
	}
}

func (h *localHop) creditDown(*exchange, int) {
	if h.x != nil {
		h.x.upWritable()
	}
}

// endDown: the callee's exchange is over. If the caller's is not, and is not about to be, it has
// lost its upstream.
func (h *localHop) endDown(*exchange) {
	if h.x != nil && !h.ended {
		h.resetDown(h.y, h2.Cancel)
	}
}

// framed reports whether the exchange's downstream is a stream that can be reset by itself.
func (x *exchange) framed() bool { return x.ds != nil || x.hop.x != nil }

// cameOverH2 reports whether the request was spoken in HTTP/2 by whoever sent it to this proxy.
func (x *exchange) cameOverH2() bool {
	return x.ds != nil || x.overH2 || x.hop.x != nil && x.hop.x.cameOverH2()
}

// answeredOverH2 reports whether the upstream speaks HTTP/2, and what it says goes to one that may not.
func (x *exchange) answeredOverH2() bool {
	switch up := x.up.(type) {
	case *localHop:
		return up.y.us != nil
	case *hedge:
		return up.y.answeredOverH2()
	}
	return x.us != nil && x.hop.x == nil
}

// DrainWorkload makes workload i take no more requests from peers. What is under way is finished;
// what it sends itself is served as before. Its peers are told by GOAWAY, the workloads beside it
// behave as if they were.
func (c *Core) DrainWorkload(i int) {
	l := c.locals[i]
	if l.draining {
		return
	}
	l.draining = true
	var links []*Conn // draining one may end another
	for cn := c.conns.head; cn != nil; cn = cn.next {
		if cn.accepted && cn.link && cn.local == l {
			links = append(links, cn)
		}
	}
	for _, cn := range links {
		if !cn.closed {
			cn.h.drain()
		}
	}
}
