package core

import (
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/proxy/h2"
)

// h2Client sends requests over HTTP/2: to a peer's proxy over a link, or to an application.
type h2Client struct {
	c       *Conn
	p       *pool
	h       *h2.Conn // nil until connected
	blocked []*exchange
	heard   time.Duration
	silence silence // what is done about it
	told    bool    // the peer's SETTINGS have come: how many streams it takes is known
	ending  bool    // no new streams
	refused bool    // the peer did not take us for who we say we are
	bulk    int     // large transfers on it
}

func (s *h2Client) usable() bool {
	return s.h != nil && !s.ending && !s.c.closed && s.h.CanOpen()
}

// untold reports whether the connection may soon take more streams than it does now.
func (s *h2Client) untold() bool { return !s.told }

func (s *h2Client) connected() {
	c := s.c.core
	p := s.p
	p.dialing--
	s.c.room()
	s.h = h2.NewConn(h2.Config{Role: h2.Client, Link: p.link(), Huffman: !p.link(), Growth: &c.windowGrowth}, s, &s.c.out)
	s.c.h2 = s.h
	s.h.SetNow(c.wallclock())
	s.h.Start()
	s.c.touch()
	s.heard = c.now
	s.c.watch.fire = s.tick
	s.silence.patience = s.patience()
	s.tickAt(c.now + pingTimeout)
	p.shared = append(p.shared, s)
	p.serve(s)
}

// tick looks after the connection from time to time: ends an unused one, asks a silent peer for a
// sign of life while streams wait for it (silence.go).
func (s *h2Client) tick() {
	c := s.c.core
	if s.c.closed || s.c.closing {
		return
	}
	late := c.now - s.silence.dueAt
	s.tickAt(c.now + pingTimeout)
	s.c.room()
	s.h.SetNow(c.wallclock())
	s.c.touch()
	switch {
	case s.h.Streams() == 0:
		if c.now-s.heard >= s.p.idleFor() || s.ending {
			s.end()
		} else if c.now-s.heard >= shrinkAfter {
			s.h.Shrink()
			s.c.account()
		}
	default:
		s.listen(late)
	}
}

// end closes an unused connection.
func (s *h2Client) end() {
	s.ending = true
	s.c.room()
	s.h.GoAway(h2.NoError)
	s.c.touch()
	s.p.removeShared(s)
	s.c.close()
}

// retireWhenIdle lets streams end and opens no new ones.
func (s *h2Client) retireWhenIdle() {
	s.ending = true
	s.p.removeShared(s) // or it would count against what the pool may have
	if s.h.Streams() == 0 {
		s.end()
	}
}

func (s *h2Client) received(p []byte) {
	if s.c.closing {
		return
	}
	s.hear()
	s.c.room()
	s.h.SetNow(s.c.core.wallclock())
	err := s.h.Feed(p)
	s.c.touch()
	s.c.account()
	if err != nil {
		s.c.core.warn("upstream broke HTTP/2", "code", "W3307", "to", s.p.where(), "err", err)
		s.ending = true
		s.h.Closed(err)
		s.p.removeShared(s)
		s.c.close()
		return
	}
	s.afterStream()
}

// afterStream ends a connection that is to go and has no stream left, and gives freed streams to
// those who wait.
func (s *h2Client) afterStream() {
	if s.c.closed || s.c.closing {
		return
	}
	if s.ending && s.h.Streams() == 0 {
		s.end()
		return
	}
	if s.p.waiters.n > 0 {
		s.p.serve(s)
	}
}

func (s *h2Client) eof() {
	s.closed(errReset)
	s.c.close()
}

func (s *h2Client) drained() {
	wakeBlocked(&s.blocked, func(x *exchange) {
		if x.us == nil || x.us.Pending() <= lowWater { // else OnWritable follows
			x.upWritable()
		}
	})
	s.afterStream()
}

// streamGone looks at the end of the batch what the end of a stream makes possible.
func (s *h2Client) streamGone() {
	if s.ending || s.p.waiters.n > 0 {
		s.c.resumeLater()
	}
}

func (s *h2Client) closed(err error) {
	if s.h == nil {
		s.p.dialFailed(err)
		return
	}
	if s.ending && s.h.Streams() == 0 {
		return // it was of no use any more
	}
	s.ending = true
	// A peer that refuses our certificate says so only after our side of the handshake is done
	// (RFC 8446 section 4.4.2): it has processed nothing.
	s.refused = s.p.link() && isTLS(err)
	if s.refused {
		s.p.core.whyNot(&s.p.dial, err)
	} else if err != nil && s.h.Streams() > 0 {
		s.c.core.warn("connection lost", "code", failBroken.code, "to", s.p.where(), "peer", s.p.key.peer, "err", err)
	}
	s.h.Closed(err)
	s.p.removeShared(s)
}

func (s *h2Client) drain() {
	if s.h != nil && s.h.Streams() == 0 {
		s.end()
	}
}

func (s *h2Client) busy() bool { return s.h != nil && s.h.Streams() > 0 }

// isTLS reports whether an error of a link is about identities: ours, the peer's, or TLS itself.
func isTLS(err error) bool {
	var (
		alert tls.AlertError
		verif *tls.CertificateVerificationError
		coded *codes.Error
	)
	return errors.As(err, &alert) || errors.As(err, &verif) || errors.As(err, &coded) && strings.HasPrefix(coded.Code, "W21")
}

// The upstream side.

func (s *h2Client) request(x *exchange, r *message.Request, end bool) {
	req := *r
	if s.p.link() {
		if x.connect {
			req.Method, req.Authority = methodConnect, x.ep.AddrText
			req.Scheme, req.Path = nil, nil
		} else {
			req.Fields = s.c.core.forPeer(req.Fields, x)
		}
	}
	if x.upgrade {
		req.Method = methodConnect // extended CONNECT (RFC 8441)
		req.ContentLength = -1
	}
	if !x.connect && len(req.Scheme) == 0 {
		req.Scheme = schemeHTTP
	}
	s.c.room()
	st, err := s.h.Open(&req, end)
	s.c.touch()
	if err != nil {
		x.upGone(goneUnprocessed, failOverload)
		return
	}
	x.us = st
	st.User = x
	s.expect()
}

// forPeer gives the fields of a request with those that tell the peer's proxy where it goes. They
// are copied: the codec's own slice often has no room, and would be grown for each request anew.
// What it returns lives until the next call.
func (c *Core) forPeer(fields []message.Field, x *exchange) []message.Field {
	f := append(append(c.linkFields[:0], fields...), message.Field{Name: nameTo, Value: x.ep.AddrText})
	if x.h2app {
		f = append(f, message.Field{Name: nameProto, Value: valueH2})
	}
	if x.asksForLoad() {
		f = append(f, message.Field{Name: nameLoadAsk, Value: valueYes})
	}
	if n := x.nth(); n > 1 {
		f = append(f, message.Field{Name: nameAttempt, Value: c.text(n)})
	}
	f = x.withPriority(f)
	c.linkFields = f
	return f
}

var (
	nameTo     = []byte(fieldTo)
	nameProto  = []byte(fieldProto)
	valueH2    = []byte("h2")
	valueYes   = []byte("1")
	schemeHTTP = []byte("http")
)

func (s *h2Client) sendUp(x *exchange, p []byte, end bool) int {
	if x.us == nil || s.c.closed {
		return 0
	}
	s.c.room()
	pending := x.us.Send(p, end)
	s.c.touch()
	s.c.account()
	if b := s.c.backlog(); b > highWater {
		s.blocked = addBlocked(s.blocked, x)
		s.c.awaitDrain()
		pending += b
	}
	return pending
}

func (s *h2Client) trailersUp(x *exchange, f []message.Field) {
	if x.us != nil && !s.c.closed {
		s.c.room()
		x.us.SendTrailers(f)
		s.c.touch()
	}
}

func (s *h2Client) resetUp(x *exchange, code h2.ErrCode) {
	if st := x.us; st != nil {
		x.us = nil
		dropBlocked(s.blocked, x)
		if planted.On(planted.ForgetReset) {
			return
		}
		if !s.c.closed {
			s.c.room()
			st.Reset(code)
			s.c.touch()
		}
		st.Release()
		s.streamGone()
	}
}

func (s *h2Client) creditUp(x *exchange, n int) {
	if x.us != nil && !s.c.closed {
		s.c.room()
		x.us.Consumed(n)
		s.c.touch()
	}
}

func (s *h2Client) endUp(x *exchange) {
	dropBlocked(s.blocked, x)
	st := x.us
	if st == nil {
		return
	}
	x.us = nil
	if s.c.closed {
		st.Release()
		return
	}
	s.c.room()
	st.Release() // if the request is not complete, the rest of it is not wanted
	s.c.touch()
	s.streamGone()
}

// The events of the codec.

// OnRequest implements h2.Handler; clients get none.
func (s *h2Client) OnRequest(*h2.Stream, *message.Request, bool) {}

// OnResponse implements h2.Handler.
func (s *h2Client) OnResponse(st *h2.Stream, r *message.Response, end bool) {
	x, _ := st.User.(*exchange)
	if x == nil {
		return
	}
	if !s.p.link() {
		r.Fields = stripOurs(r.Fields) // an application cannot speak for a proxy
	}
	if x.upgrade && r.Status == 200 {
		if message.Get(r.Fields, fieldDeclined) == nil { // extended CONNECT was accepted
			up := *r
			up.Status = 101
			x.response(&up, false)
			return
		}
		r.Fields = message.Delete(r.Fields, fieldDeclined)
	}
	if x.upgrade && r.Status >= 200 {
		x.us.Send(nil, true) // declined: the request ends with its head
	}
	x.response(r, end)
}

// OnData implements h2.Handler.
func (s *h2Client) OnData(st *h2.Stream, p []byte, end bool) {
	if x, _ := st.User.(*exchange); x != nil {
		x.respData(p, end)
		return
	}
	st.Consumed(len(p))
}

// OnTrailers implements h2.Handler.
func (s *h2Client) OnTrailers(st *h2.Stream, f []message.Field) {
	if x, _ := st.User.(*exchange); x != nil {
		if !s.p.link() {
			f = stripOurs(f)
		}
		x.respTrailers(f)
	}
}

// OnReset implements h2.Handler.
func (s *h2Client) OnReset(st *h2.Stream, code h2.ErrCode) {
	x, _ := st.User.(*exchange)
	if x == nil {
		return
	}
	x.us = nil
	st.Release()
	dropBlocked(s.blocked, x)
	x.resetCode = code
	switch {
	case s.refused:
		x.upGone(goneConnect, failTLS)
	case code == h2.RefusedStream:
		x.upGone(goneUnprocessed, failConnect)
	case code == refusedBusy && s.p.link():
		x.upGone(goneUnprocessed, failOverloaded)
	default:
		x.upGone(goneBroken, failBroken)
	}
}

// OnWritable implements h2.Handler.
func (s *h2Client) OnWritable(st *h2.Stream) {
	if x, _ := st.User.(*exchange); x != nil {
		x.upWritable()
	}
}

// OnGoAway implements h2.Handler.
func (s *h2Client) OnGoAway(uint32, h2.ErrCode) {
	s.ending = true
	s.p.removeShared(s)
	if s.h.Streams() == 0 {
		s.c.close()
	}
}

// OnSettings implements h2.Handler.
func (s *h2Client) OnSettings() {
	s.told = true
	s.p.serve(s)
}
