package core

import (
	"errors"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/h1"
	"github.com/weft-mesh/weft/proxy/h2"
)

// h1Client sends requests to an application over HTTP/1, one at a time.
type h1Client struct {
	c *Conn
	p *pool
	r *h1.Parser // lent while a response is being read
	x *exchange

	in      []byte // unparsed bytes of a head
	chunked bool   // request body
	raw     bool   // after 101
	up      bool   // connected
	keep    bool   // the connection may serve another exchange
	used    bool   // it served one before
	heard   bool   // bytes of the current response arrived
	isHEAD  bool   // the current request
	upgrade bool   // the current request asked for one
}

func newH1Client(cn *Conn, p *pool) *h1Client {
	return &h1Client{c: cn, p: p}
}

func (s *h1Client) connected() {
	p := s.p
	s.up = true
	p.dialing--
	s.c.watchIdle(p.idleFor(), s.idle)
	if x := p.next(); x != nil {
		x.attach(s, &x.saved)
		return
	}
	if p.core.draining {
		s.retire()
		return
	}
	p.idle = append(p.idle, s)
}

func (s *h1Client) idle() {
	if s.x == nil {
		s.retire()
	}
}

// retire ends an unused connection.
func (s *h1Client) retire() {
	if s.p != nil {
		s.p.removeIdle(s)
		s.forget()
	}
	s.c.close()
}

// forget takes the connection out of the pool's count.
func (s *h1Client) forget() {
	if s.p != nil {
		s.p.total--
		p := s.p
		s.p = nil
		p.dropIfEmpty()
		p.dialMore()
	}
}

func (s *h1Client) received(p []byte) {
	switch {
	case s.c.closing:
		return
	case s.raw:
		if s.x != nil {
			s.x.respData(p, false)
			s.pauseIfBehind()
		}
		return
	case s.x == nil: // an application that speaks unasked cannot be trusted with the next request
		s.retire()
		return
	}
	s.heard = true
	buffered := len(s.in) > 0
	if buffered {
		s.in = append(s.in, p...)
		p = s.in
	}
	n := s.run(p)
	if s.c.closed || s.c.closing {
		return
	}
	switch {
	case n == len(p):
		if buffered {
			s.c.core.bufs.put(s.in)
			s.in = nil
		}
	case buffered:
		s.in = s.in[:copy(s.in, s.in[n:])]
	default:
		s.in = append(s.c.core.bufs.get(), p[n:]...)
	}
}

func (s *h1Client) pauseIfBehind() {
	if x := s.x; x != nil && x.owedUp > 0 {
		s.c.setReading(false)
	}
}

// run parses p and returns how much it took.
func (s *h1Client) run(p []byte) (taken int) {
	if s.r == nil {
		s.r = s.c.core.parsers.response()
		method := methodGet
		if s.isHEAD {
			method = methodHead
		}
		s.r.ExpectResponseTo(method, s.upgrade)
	}
	taken = s.feed(p)
	if s.x == nil || s.raw {
		s.giveBack()
	}
	return taken
}

// giveBack returns the parser.
func (s *h1Client) giveBack() {
	if s.r != nil {
		s.c.core.parsers.putResponse(s.r)
		s.r = nil
	}
}

func (s *h1Client) feed(p []byte) (taken int) {
	for s.x != nil && !s.c.closed {
		n, ev, err := s.r.Feed(p[taken:])
		taken += n
		if err != nil {
			s.c.core.warn("bad response", "code", failBadResponse.code, "from", s.c.remote, "err", err)
			s.broken(failBadResponse.because(err))
			return len(p)
		}
		switch ev {
		case h1.NeedMore:
			s.pauseIfBehind()
			return taken
		case h1.Head:
			noBody := !s.r.HasBody
			s.head()
			if noBody && !s.raw { // its end needs no byte; the next response must not meet it
				s.r.Feed(nil) //nolint:errcheck // reports End
				s.r.Next()
			}
			if s.raw {
				if rest := p[taken:]; len(rest) > 0 && s.x != nil {
					s.x.respData(rest, false)
					s.pauseIfBehind()
				}
				return len(p)
			}
		case h1.Data:
			s.x.respData(s.r.Data, false)
		case h1.End:
			s.end()
		}
	}
	if taken < len(p) && !s.c.closed { // bytes behind the response: desynchronised
		s.keep = false
		s.retire()
		return len(p)
	}
	return taken
}

func (s *h1Client) head() {
	x := s.x
	r := &s.r.Response
	r.Fields = stripOurs(r.Fields) // an application cannot speak for a proxy
	s.keep = s.r.KeepAlive
	if s.r.Tunnel {
		s.raw = true
		s.keep = false
		x.response(r, false)
		return
	}
	if s.r.Interim {
		x.response(r, false)
		return
	}
	x.response(r, !s.r.HasBody)
}

func (s *h1Client) end() {
	trailers := s.r.Trailers
	if x := s.x; x != nil && !x.respDone {
		if len(trailers) > 0 {
			x.respTrailers(trailers)
		} else {
			x.respData(nil, true)
		}
	}
	s.r.Next()
}

func (s *h1Client) eof() {
	if s.x == nil {
		s.retire()
		return
	}
	if s.raw {
		s.x.respData(nil, true)
		return
	}
	s.keep = false
	if s.r != nil {
		if ev, err := s.r.EOF(); err == nil && ev == h1.End {
			s.end()
			s.giveBack()
			return
		}
	}
	s.broken(failBroken)
}

// broken: no response will come any more from this connection.
func (s *h1Client) broken(f failure) {
	x := s.x
	s.x = nil
	s.forget()
	s.c.abort()
	if x == nil {
		return
	}
	why := goneBroken
	if s.used && !s.heard && f.code == failBroken.code {
		why = goneStale
	}
	x.upGone(why, f)
}

func (s *h1Client) drained() {
	if x := s.x; x != nil {
		x.upWritable()
	}
}

func (s *h1Client) closed(err error) {
	if s.in != nil {
		s.c.core.bufs.put(s.in)
		s.in = nil
	}
	s.giveBack()
	p := s.p
	if p == nil {
		if x := s.x; x != nil {
			s.x = nil
			x.upGone(goneBroken, failBroken)
		}
		return
	}
	if !s.up {
		s.p = nil
		p.dialFailed(err)
		return
	}
	p.removeIdle(s)
	s.broken(failBroken)
}

func (s *h1Client) drain() {
	if s.x == nil {
		s.retire()
	}
}
func (s *h1Client) busy() bool { return s.x != nil }

// The upstream side.

func (s *h1Client) request(x *exchange, r *message.Request, end bool) {
	s.x = x
	s.heard, s.keep = false, false
	s.c.active = s.c.core.now
	if x.cameOverH2() {
		if err := h1.CheckRequest(r); err != nil { // what came over HTTP/2 may not be sayable in HTTP/1
			s.x = nil
			x.up = nil
			s.release()
			x.fail(failMalformed.because(err))
			return
		}
	}
	s.chunked = !end && !x.upgrade && r.ContentLength < 0
	s.isHEAD, s.upgrade = string(r.Method) == "HEAD", x.upgrade
	s.c.room()
	s.c.out = h1.AppendRequest(s.c.out, r, h1.RequestOptions{Chunked: s.chunked})
	s.c.touch()
}

func (s *h1Client) sendUp(x *exchange, p []byte, end bool) int {
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
	case s.chunked:
		s.c.out = h1.AppendChunk(s.c.out, p)
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

func (s *h1Client) trailersUp(x *exchange, f []message.Field) {
	if s.c.closed {
		return
	}
	if s.chunked {
		if x.cameOverH2() && h1.CheckTrailers(f) != nil {
			f = nil
		}
		s.c.room()
		s.c.out = h1.AppendLastChunk(s.c.out, f)
		s.c.touch()
	}
}

// resetUp: HTTP/1 can only be told by closing.
func (s *h1Client) resetUp(*exchange, h2.ErrCode) {
	s.x = nil
	s.forget()
	if s.raw {
		s.c.breakOff()
	} else {
		s.c.abort()
	}
}

func (s *h1Client) creditUp(*exchange, int) { s.c.setReading(true) }

// endUp: the exchange is over; keep the connection if both messages were complete.
func (s *h1Client) endUp(x *exchange) {
	s.x = nil
	if s.c.closed {
		s.forget()
		return
	}
	if s.raw || !s.keep || !x.reqDone || s.c.eof {
		s.forget()
		s.c.close()
		return
	}
	s.release()
}

// release returns the connection to the pool, or to the next who waits.
func (s *h1Client) release() {
	s.used = true
	s.c.setReading(true)
	s.c.active = s.c.core.now
	if s.p.waiters.n > 0 {
		s.p.core.serveLater(s.p) // not within this call: the parser is still in the old response
	} else if s.p.core.draining {
		s.retire()
		return
	}
	s.p.idle = append(s.p.idle, s)
}

var errReset = errors.New("connection reset")

// serveLater gives idle connections to waiters at the end of the batch.
func (c *Core) serveLater(p *pool) {
	for _, q := range c.serving {
		if q == p {
			return
		}
	}
	c.serving = append(c.serving, p)
}

// serveWaiters is serveLater's turn.
func (c *Core) serveWaiters() {
	for len(c.serving) > 0 {
		p := c.serving[len(c.serving)-1]
		c.serving = c.serving[:len(c.serving)-1]
		for len(p.idle) > 0 {
			x := p.next()
			if x == nil {
				break
			}
			cl := p.idle[len(p.idle)-1]
			p.idle = p.idle[:len(p.idle)-1]
			x.attach(cl, &x.saved)
		}
	}
}
