package core

import (
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/h1"
	"github.com/weft-mesh/weft/proxy/h2"
)

// h1Server takes HTTP/1 requests from a downstream connection, one exchange after the other.
// Pipelined requests wait as bytes until the response before them is complete.
type h1Server struct {
	c *Conn
	d dest
	p h1.Parser
	x *exchange

	in       []byte // bytes not parsed yet; from the loop's buffers
	parsing  bool
	paused   bool // the upstream is behind: no more body is parsed
	raw      bool // after 101
	reqDone  bool // the current request was parsed to its end
	headSent bool // of the current response
	chunked  bool // the current response
	closing  bool // the connection ends with the current response
	v10      bool
	isHEAD   bool
	served   int
	token    []byte // Upgrade token of the current request
}

// maxPipelined bounds the unparsed bytes behind a request that is under way.
const maxPipelined = 64 << 10

// serveH1 makes cn speak HTTP/1; early (may be nil) was read already.
func serveH1(cn *Conn, d dest, early []byte) {
	s := &h1Server{c: cn, d: d}
	s.p.ResetRequest(h1.Limits{})
	cn.h = s
	cn.watchIdle(cn.core.limits.IdleTimeout, s.idle)
	if len(early) > 0 {
		s.received(early)
	}
	if cn.eof && !cn.closed {
		s.eof()
	}
}

// idle ends a connection on which nothing moves. A head that is not complete has its own, shorter
// limit in slowHead.
func (s *h1Server) idle() {
	if s.x == nil {
		s.c.close()
		return
	}
	if s.raw {
		return
	}
	s.closed(nil)
	s.c.abort()
}

func (s *h1Server) connected() {}

func (s *h1Server) received(p []byte) {
	if s.raw {
		s.x.reqData(p, false)
		if s.x != nil && s.x.owedDown > 0 {
			s.c.setReading(false)
		}
		return
	}
	if len(s.in) > 0 {
		s.in = append(s.in, p...)
		s.parse()
		return
	}
	n := s.run(p)
	if n < len(p) && !s.c.closed && !s.handedOver() {
		s.in = append(s.c.core.bufs.get(), p[n:]...)
		s.limitInput()
	}
}

// handedOver: the connection has another handler now (CONNECT).
func (s *h1Server) handedOver() bool { return s.c.h != handler(s) }

// parse works on the kept bytes.
func (s *h1Server) parse() {
	if s.parsing || len(s.in) == 0 {
		return
	}
	n := s.run(s.in)
	if s.handedOver() || s.c.closed {
		return
	}
	if n == len(s.in) {
		s.c.core.bufs.put(s.in)
		s.in = nil
	} else if n > 0 {
		s.in = s.in[:copy(s.in, s.in[n:])]
	}
	s.limitInput()
}

// limitInput stops reading while enough bytes wait.
func (s *h1Server) limitInput() {
	if !s.raw {
		s.c.setReading(!s.paused && len(s.in) < maxPipelined)
	}
}

// run parses p as far as it may and returns how much it took.
func (s *h1Server) run(p []byte) (taken int) {
	s.parsing = true
	defer func() { s.parsing = false }()
	for !s.c.closed && !s.c.closing && !s.paused && !s.raw {
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
			return taken
		case h1.Head:
			if s.c.core.draining {
				s.closing = true
			}
			s.head()
			if s.handedOver() {
				// CONNECT: what follows belongs to the tunnel
				rest := p[taken:]
				if len(rest) > 0 {
					s.c.h.received(rest)
				}
				return len(p)
			}
		case h1.Data:
			if x := s.x; x != nil {
				x.reqData(s.p.Data, false)
				if s.x != nil && s.x.owedDown > 0 {
					s.paused = true
				}
			}
		case h1.End:
			s.requestEnd()
		}
	}
	return taken
}

// head starts an exchange.
func (s *h1Server) head() {
	c := s.c.core
	r := &s.p.Request
	s.v10 = s.p.Version10
	s.isHEAD = string(r.Method) == "HEAD"
	s.reqDone, s.headSent, s.chunked = false, false, false
	s.closing = s.closing || !s.p.KeepAlive
	s.served++
	if s.d.any && string(r.Method) == "CONNECT" {
		s.connect(r)
		return
	}
	x := c.newExchange(s)
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
	d, f := s.c.core.connectDest(r)
	if f != nil {
		x := s.c.core.newExchange(s)
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
	status, code, reason := 400, "W3002", err.Error()
	if e, ok := err.(*h1.Error); ok {
		status = e.Status
		reason = e.Reason
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
	x := c.newExchange(s)
	s.x = x
	s.closing = true
	s.reqDone, s.headSent, s.chunked, s.isHEAD = true, false, false, false
	x.reqDone = true
	x.refuse(status, code, "http_request_error", reason)
}

// watchHead bounds the time for a head that has begun.
func (s *h1Server) watchHead() {
	c := s.c.core
	start := c.now
	limit := c.limits.HeadTimeout
	if s.c.watch.armed() && s.c.watch.at*int64(tick) <= int64(start+limit) {
		return // already bounded this closely
	}
	served := s.served
	s.c.watch.fire = func() {
		switch {
		case s.c.closed || s.handedOver():
		case s.x == nil && served == s.served:
			c.shard.Refused("W3010")
			s.c.close()
		default:
			s.c.watchIdle(c.limits.IdleTimeout, s.idle)
		}
	}
	c.wheel.arm(&s.c.watch, start+limit)
}

// eof: no more requests. A response that is under way is still delivered; a request that is not
// complete is given up.
func (s *h1Server) eof() {
	if s.raw {
		s.x.reqData(nil, true)
		return
	}
	if s.x == nil && len(s.in) == 0 {
		s.c.close()
		return
	}
	s.closing = true
	if s.x == nil || !s.reqDone {
		if x := s.x; x != nil {
			s.x = nil
			x.downGone()
		}
		s.c.close()
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
	if s.in != nil {
		s.c.core.bufs.put(s.in)
		s.in = nil
	}
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
	if s.c.closed {
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
		if s.in != nil { // bytes that waited for the 101
			in := s.in
			s.in = nil
			x.reqData(in, false)
			s.c.core.bufs.put(in)
		}
		if s.c.eof && s.x != nil {
			x.reqData(nil, true)
		}
		return
	}
	noBody := end || s.isHEAD || r.Status == 204 || r.Status == 304
	s.chunked = !noBody && r.ContentLength < 0 && !s.v10
	if !noBody && r.ContentLength < 0 && s.v10 {
		s.closing = true
	}
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

func (s *h1Server) sendDown(x *exchange, p []byte, end bool) int {
	if s.c.closed {
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

func (s *h1Server) trailersDown(x *exchange, f []message.Field) {
	if s.c.closed {
		return
	}
	if s.chunked {
		s.c.room()
		s.c.out = h1.AppendLastChunk(s.c.out, f)
		s.c.touch()
	}
}

// resetDown: the response cannot be completed; only the end of the connection can say so.
func (s *h1Server) resetDown(*exchange, h2.ErrCode) {
	s.closing = true
	s.x = nil
	s.c.abort()
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
			if len(s.in) > 0 {
				s.c.resumeLater()
			}
		}
	}
}

// endDown: the exchange is over; the next request may come.
func (s *h1Server) endDown(*exchange) {
	s.x = nil
	s.paused = false
	if s.c.closed {
		return
	}
	if s.raw || s.closing || !s.reqDone && s.headSent {
		s.finishConn()
		return
	}
	if s.reqDone {
		s.p.Next()
		s.reqDone = false
	}
	s.c.active = s.c.core.now
	if s.c.eof && len(s.in) == 0 {
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
func (l *lingering) busy() bool      { return false }
