package core

import (
	"errors"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/h1"
	"github.com/weft-mesh/weft/proxy/h2"
)

// h1Server takes HTTP/1 requests from a downstream connection, one exchange after the other.
// Pipelined requests wait as bytes until the response before them is complete.
type h1Server struct {
	c *Conn
	d dest
	p *h1.Parser // lent while a request is being read
	x *exchange

	in       []byte // bytes not parsed yet; from the loop's buffers
	headAt   time.Duration
	inHead   bool // a head has begun, at headAt, and is not complete
	parsing  bool
	paused   bool // the upstream is behind: nothing is read
	raw      bool // after 101
	reqDone  bool // the current request was parsed to its end
	headSent bool // of the current response
	chunked  bool // the current response
	toClose  bool // the current response ends with the connection
	closing  bool // the connection ends with the current response
	v10      bool
	isHEAD   bool
	token    []byte // Upgrade token of the current request
}

// maxPipelined bounds the unparsed bytes behind a request that is under way.
const maxPipelined = 64 << 10

// serveH1 makes cn speak HTTP/1; early (may be nil) was read already.
func serveH1(cn *Conn, d dest, early []byte) {
	s := &h1Server{c: cn, d: d}
	cn.h = s
	cn.setReading(true)
	cn.watch.fire = s.watch
	cn.core.wheel.arm(&cn.watch, cn.core.now+cn.core.limits.IdleTimeout)
	if len(early) > 0 {
		s.received(early)
	}
	if cn.eof && !cn.closed && cn.h == handler(s) {
		s.eof()
	}
}

// watch is the connection's only timer. It bounds the time for a head, and for silence; it re-arms
// itself lazily, so that traffic costs no timer work.
func (s *h1Server) watch() {
	c := s.c.core
	if s.c.closed || s.c.closing || s.raw || s.handedOver() {
		return
	}
	next := s.c.active + c.limits.IdleTimeout
	if s.inHead {
		next = min(next, s.headAt+c.limits.HeadTimeout)
	}
	switch {
	case c.now < next:
		c.wheel.arm(&s.c.watch, next)
	case s.inHead && s.x == nil:
		c.shard.Refused("W3010")
		s.c.close()
	case s.x == nil:
		s.c.close()
	default: // nothing moves: not the request, not the response
		s.closing = true
		s.x.expire()
	}
}

func (s *h1Server) connected() {}

func (s *h1Server) received(p []byte) {
	if s.c.closing {
		return
	}
	if s.raw {
		if s.x != nil {
			s.x.reqData(p, false)
			s.pauseIfBehind()
		}
		return
	}
	if len(s.in) > 0 {
		s.in = append(s.in, p...)
		s.parse()
		return
	}
	n := s.run(p)
	if n < len(p) && !s.c.closed && !s.handedOver() && !s.raw {
		s.keep(p[n:])
	}
	s.limitInput()
}

// smallInput is the size up to which bytes that wait have memory of their own instead of a buffer
// of the loop: heads that come in pieces, or never end, must not take 16 KiB each.
const smallInput = 2 << 10

// keep keeps bytes that cannot be parsed yet.
func (s *h1Server) keep(p []byte) {
	if len(p) <= smallInput {
		s.in = append([]byte(nil), p...)
		return
	}
	s.in = append(s.c.core.bufs.get(), p...)
}

// pauseIfBehind stops reading a tunnel whose other end is behind.
func (s *h1Server) pauseIfBehind() {
	if x := s.x; x != nil && x.owedDown > 0 {
		s.c.setReading(false)
	}
}

// handedOver: the connection has another handler now (CONNECT, lingering).
func (s *h1Server) handedOver() bool { return s.c.h != handler(s) }

// parse works on the kept bytes.
func (s *h1Server) parse() {
	if s.parsing || s.raw || len(s.in) == 0 {
		return
	}
	n := s.run(s.in)
	if s.handedOver() || s.c.closed {
		s.dropInput()
		return
	}
	if n == len(s.in) {
		s.dropInput()
	} else if n > 0 {
		s.in = s.in[:copy(s.in, s.in[n:])]
	}
	s.limitInput()
}

func (s *h1Server) dropInput() {
	if s.in != nil {
		s.c.core.bufs.put(s.in)
		s.in = nil
	}
}

// limitInput stops reading while enough bytes wait.
func (s *h1Server) limitInput() {
	if !s.raw && !s.handedOver() {
		s.c.setReading(!s.paused && len(s.in) < maxPipelined)
	}
}

// run parses p as far as it may and returns how much it took.
func (s *h1Server) run(p []byte) (taken int) {
	if s.p == nil {
		s.p = s.c.core.parsers.request()
	}
	s.parsing = true
	taken = s.feed(p)
	s.parsing = false
	s.giveBack()
	return taken
}

// giveBack returns the parser as soon as the request that it read is over, or will never be.
func (s *h1Server) giveBack() {
	switch {
	case s.p == nil || s.parsing:
		return
	case s.c.closed || s.handedOver():
	case s.x != nil && !s.reqDone:
		return
	default:
		if s.p.Next(); !s.p.Reusable() {
			return // a part of a head
		}
	}
	s.c.core.parsers.putRequest(s.p)
	s.p = nil
}

func (s *h1Server) feed(p []byte) (taken int) {
	for !s.c.closed && !s.c.closing && !s.raw && !s.handedOver() {
		if s.x != nil && s.reqDone { // the next request waits for this one's response
			return taken
		}
		n, ev, err := s.p.Feed(p[taken:])
		taken += n
		if err != nil {
			s.malformed(err)
			return len(p)
		}
		switch ev {
		case h1.NeedMore:
			if s.x == nil && taken < len(p) {
				s.watchHead()
			}
			if s.c.eof {
				s.truncated()
			}
			return taken
		case h1.Head:
			s.inHead = false
			s.closing = s.closing || s.c.core.draining
			s.head()
			if s.handedOver() { // CONNECT: what follows belongs to the tunnel
				if rest := p[taken:]; len(rest) > 0 {
					s.c.h.received(rest)
				}
				return len(p)
			}
		case h1.Data:
			if x := s.x; x != nil {
				x.reqData(s.p.Data, false)
				s.paused = s.x != nil && x.owedDown > 0 // what is here already goes on
			}
		case h1.End:
			s.requestEnd()
		}
	}
	return taken
}

// truncated: the client's direction ended within a request, or between two.
func (s *h1Server) truncated() {
	if x := s.x; x != nil {
		s.x = nil
		x.downGone()
	}
	s.c.close()
}

// head starts an exchange.
func (s *h1Server) head() {
	c := s.c.core
	r := &s.p.Request
	s.v10 = s.p.Version10
	s.isHEAD = string(r.Method) == "HEAD"
	s.reqDone, s.headSent, s.chunked, s.toClose = false, false, false, false
	s.closing = s.closing || !s.p.KeepAlive
	if s.d.any && string(r.Method) == "CONNECT" {
		s.connect(r)
		return
	}
	x := c.newExchange(s.c.local, s)
	s.x = x
	x.dest = s.d
	x.isHEAD = s.isHEAD
	x.upgrade = len(r.Protocol) > 0
	s.token = append(s.token[:0], r.Protocol...)
	x.heldEnd = !s.p.HasBody
	if !s.p.HasBody {
		x.reqDone = !x.upgrade
		s.reqDone = true // the parser's End follows without a byte; Next skips it
	}
	x.startOutbound(r)
}

// connect answers a CONNECT of a client that was told to use us as its proxy and starts over on
// the connection with what is inside. No byte goes up before the 200 (CVE-2025-64763).
func (s *h1Server) connect(r *message.Request) {
	d, f := s.c.core.connectDest(s.c.local, r)
	if f != nil {
		x := s.c.core.newExchange(s.c.local, s)
		s.x = x
		s.closing = true
		x.reqDone = true
		x.fail(*f)
		return
	}
	s.c.room()
	s.c.out = append(s.c.out, "HTTP/1.1 200 Connection established\r\n\r\n"...)
	s.c.touch()
	s.c.core.wheel.disarm(&s.c.watch)
	s.c.setReading(true)
	sniff(s.c, d)
}

// requestEnd: the request was parsed to its end.
func (s *h1Server) requestEnd() {
	x := s.x
	if x == nil { // answered already
		s.p.Next()
		s.reqDone = false
		return
	}
	if x.upgrade {
		return // nothing more is parsed until the answer is known
	}
	s.reqDone = true
	if !x.reqDone {
		if len(s.p.Trailers) > 0 {
			x.reqTrailers(s.p.Trailers)
		} else {
			x.reqData(nil, true)
		}
	}
}

// malformed answers what cannot be understood. It is never forwarded.
func (s *h1Server) malformed(err error) {
	c := s.c.core
	status, code, reason := 400, failMalformed.code, err.Error()
	if e := (*h1.Error)(nil); errors.As(err, &e) {
		status = e.Status
		reason = e.Code + ": " + e.Reason
	}
	if x := s.x; x != nil { // in the middle of a body
		s.closing = true
		if x.respHead {
			c.shard.Refused(code)
			x.downGone()
			s.c.close()
			return
		}
		x.reqDone = true
		x.refuse(status, code, "http_request_error", reason)
		return
	}
	x := c.newExchange(s.c.local, s)
	s.x = x
	s.closing = true
	s.reqDone, s.headSent, s.chunked, s.isHEAD = true, false, false, false
	x.reqDone = true
	x.refuse(status, code, "http_request_error", reason)
}

// watchHead bounds the time for a head that has begun.
func (s *h1Server) watchHead() {
	if s.inHead {
		return
	}
	c := s.c.core
	s.inHead, s.headAt = true, c.now
	if at := c.now + c.limits.HeadTimeout; !s.c.watch.armed() || time.Duration(s.c.watch.at)*tick > at {
		c.wheel.arm(&s.c.watch, at)
	}
}

// eof: no more bytes. What was received wholly is still answered; a request that is not complete
// is given up.
func (s *h1Server) eof() {
	switch {
	case s.raw:
		if s.x != nil {
			s.x.reqData(nil, true)
		}
	case len(s.in) > 0:
		s.parse() // finds out, now or when the response under way is complete
	case s.x == nil || !s.reqDone:
		s.truncated()
	}
}

func (s *h1Server) drained() {
	if s.raw {
		if s.x != nil {
			s.x.downWritable()
		}
		return
	}
	if x := s.x; x != nil {
		x.downWritable()
	}
	s.parse()
}

func (s *h1Server) closed(error) {
	if x := s.x; x != nil {
		s.x = nil
		x.downGone()
	}
	s.dropInput()
	s.giveBack()
}

func (s *h1Server) drain() {
	s.closing = true
	if s.x == nil && len(s.in) == 0 {
		s.c.close()
	}
}

func (s *h1Server) busy() bool { return s.x != nil || len(s.in) > 0 }

// The downstream side.

func (s *h1Server) respond(x *exchange, r *message.Response, end bool) {
	if s.c.closed || s.handedOver() {
		return
	}
	s.c.room()
	if r.Status < 200 && r.Status != 101 {
		if !s.v10 { // 1xx may not be sent to HTTP/1.0 (RFC 9110 section 15.2)
			s.c.out = h1.AppendResponse(s.c.out, r, h1.ResponseOptions{})
			s.c.touch()
		}
		return
	}
	s.headSent = true
	if x.tunnel {
		s.raw = true
		x.reqDone = false
		s.c.core.wheel.disarm(&s.c.watch)
		up := *r
		up.Status = 101
		s.c.out = h1.AppendResponse(s.c.out, &up, h1.ResponseOptions{Upgrade: s.token})
		s.c.touch()
		s.c.setReading(true)
		if in := s.in; in != nil { // bytes that waited for the 101
			s.in = nil
			x.reqData(in, false)
			s.pauseIfBehind()
			s.c.core.bufs.put(in)
		}
		if s.c.eof {
			x.reqData(nil, true)
		}
		return
	}
	noBody := end || s.isHEAD || r.Status == 204 || r.Status == 304
	s.chunked = !noBody && r.ContentLength < 0 && !s.v10
	s.toClose = !noBody && r.ContentLength < 0 && s.v10
	s.closing = s.closing || s.toClose
	// A response that overtakes its request leaves bytes that could be taken for the next one.
	if !x.reqDone {
		s.closing = true
	}
	resp := r
	if end && r.ContentLength < 0 && !s.isHEAD && r.Status != 204 && r.Status != 304 {
		fixed := *r
		fixed.ContentLength = 0
		resp = &fixed
	}
	s.c.out = h1.AppendResponse(s.c.out, resp, h1.ResponseOptions{Chunked: s.chunked, Close: s.closing, KeepAlive10: s.v10 && !s.closing})
	s.c.touch()
}

func (s *h1Server) sendDown(_ *exchange, p []byte, end bool) int {
	if s.c.closed || s.handedOver() {
		return 0
	}
	s.c.room()
	switch {
	case s.raw:
		s.c.out = append(s.c.out, p...)
		if end {
			s.c.closeWrite()
		}
	case s.isHEAD:
	case s.chunked:
		if len(p) > 0 {
			s.c.out = h1.AppendChunk(s.c.out, p)
		}
		if end {
			s.c.out = h1.AppendLastChunk(s.c.out, nil)
		}
	default:
		s.c.out = append(s.c.out, p...)
	}
	s.c.touch()
	n := s.c.backlog()
	if n > highWater {
		s.c.awaitDrain()
	}
	return n
}

func (s *h1Server) trailersDown(_ *exchange, f []message.Field) {
	if s.c.closed || s.handedOver() {
		return
	}
	if s.chunked {
		s.c.room()
		s.c.out = h1.AppendLastChunk(s.c.out, f)
		s.c.touch()
	}
}

// resetDown: the response cannot be completed; only the end of the connection can say so. Where
// its framing shows that something is missing, what there is of it is delivered first.
func (s *h1Server) resetDown(*exchange, h2.ErrCode) {
	s.closing = true
	s.x = nil
	switch {
	case s.raw:
		s.c.breakOff()
	case s.toClose || s.isHEAD:
		s.c.abort()
	default:
		s.c.close()
	}
}

func (s *h1Server) creditDown(*exchange, int) {
	if s.raw {
		s.c.setReading(true)
		return
	}
	if s.paused {
		s.paused = false
		if !s.parsing {
			s.limitInput()
		}
	}
}

// endDown: the exchange is over; the next request may come.
func (s *h1Server) endDown(*exchange) {
	s.x = nil
	s.paused = false
	if s.c.closed || s.c.closing || s.handedOver() {
		return
	}
	if s.raw || s.closing || !s.reqDone {
		s.finishConn()
		return
	}
	if s.p != nil {
		s.p.Next()
	}
	s.reqDone = false
	s.c.active = s.c.core.now
	if s.c.eof && !s.parsing && len(s.in) == 0 {
		s.c.close()
		return
	}
	if !s.parsing && len(s.in) > 0 {
		s.c.resumeLater()
	}
	s.limitInput()
}

// finishConn ends the connection so that the client can read the response to its end: FIN first,
// then a bounded wait for the client's, since closing with unread bytes would reset what it has
// not read yet (RFC 9112 section 9.6).
func (s *h1Server) finishConn() {
	if s.c.eof || s.reqDone {
		s.c.close()
		return
	}
	if !s.parsing {
		s.dropInput()
	}
	s.c.h = &lingering{s.c}
	s.c.setReading(true)
	s.c.closeWrite()
	s.c.watch.fire = func() { s.c.close() }
	s.c.core.wheel.arm(&s.c.watch, s.c.core.now+s.c.core.limits.ConnectTimeout)
}

// lingering discards what a client still sends after its response.
type lingering struct{ c *Conn }

func (l *lingering) connected()      {}
func (l *lingering) received([]byte) {}
func (l *lingering) eof()            { l.c.close() }
func (l *lingering) drained()        {}
func (l *lingering) closed(error)    {}
func (l *lingering) drain()          {}
func (l *lingering) busy() bool      { return true }
