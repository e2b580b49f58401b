package core

import (
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/proxy/h2"
)

// h2Server takes HTTP/2: from a peer's proxy over a link, or from an application.
type h2Server struct {
	c        *Conn
	d        dest
	link     bool
	h        *h2.Conn
	blocked  []*exchange   // told to wait for the connection's backlog
	settings bool          // the peer's have come
	leaving  bool          // the peer was told to open no more streams
	left     time.Duration // when
	pings    uint64        // answered when that began
	asks     askBudget     // of a link
}

// serveH2 makes cn speak HTTP/2 as a server.
func serveH2(cn *Conn, link bool, d dest) {
	s := &h2Server{c: cn, d: d, link: link}
	cn.room()
	cfg := h2.Config{Role: h2.Server, EnableConnect: link, Link: link, MaxConcurrentStreams: 250, Huffman: !link, Growth: &cn.core.windowGrowth}
	if link {
		cfg.MaxConcurrentStreams = linkStreams
	}
	s.h = h2.NewConn(cfg, s, &cn.out)
	cn.h2 = s.h
	cn.h = s
	s.h.SetNow(cn.core.wallclock())
	s.h.Start()
	cn.touch()
	cn.watch.fire = s.begun
	cn.core.wheel.arm(&cn.watch, cn.core.now+cn.core.limits.HeadTimeout)
}

// begun ends a connection whose client did not get through what HTTP/2 begins with in the time for a
// head.
func (s *h2Server) begun() {
	switch {
	case s.c.closed || s.c.closing || s.leaving:
	case !s.settings:
		s.c.core.shard.Refused("W3010")
		s.c.close()
	default:
		s.c.watch.fire = s.look
		s.look()
	}
}

// shrinkAfter is the silence after which a connection gives back what it kept for use again.
const shrinkAfter = 10 * time.Second

// look sees after the connection when it may have become idle. It re-arms itself lazily, so that
// traffic costs no timer work.
func (s *h2Server) look() {
	if s.c.closed || s.c.closing || s.leaving {
		return
	}
	c := s.c.core
	next := s.c.active + shrinkAfter
	if c.now >= next {
		s.h.Shrink()
		s.c.account()
		if next = s.c.active + c.limits.IdleTimeout; c.now >= next {
			if s.idle(); s.c.h != handler(s) { // it says goodbye
				return
			}
			next = c.now + c.limits.IdleTimeout
		}
	}
	c.wheel.arm(&s.c.watch, next)
}

// idle ends a connection without streams; with streams, waiting is theirs. A peer's proxy has ended
// an unused link long before.
func (s *h2Server) idle() {
	if s.h.Streams() == 0 {
		s.finish()
	}
}

// finish says goodbye and closes.
func (s *h2Server) finish() {
	s.c.room()
	s.h.GoAway(h2.NoError)
	s.h.FinishGoAway()
	s.c.touch()
	s.endInPeace()
}

// wallclock is the core's time as a time.Time, for the rate limits of the h2 package. Its origin
// means nothing.
func (c *Core) wallclock() time.Time { return time.Unix(1, 0).Add(c.now) }

func (s *h2Server) connected() {}

func (s *h2Server) received(p []byte) {
	if s.c.closing {
		return
	}
	s.c.room()
	s.h.SetNow(s.c.core.wallclock())
	s.h.Probation(s.c.core.suspects.suspect(s.c.remote.Addr(), s.c.core.now))
	err := s.h.Feed(p)
	s.c.touch()
	s.c.account()
	if err != nil {
		s.c.core.shard.Refused("W3005")
		if abused(err) {
			s.c.core.suspects.offend(s.c.remote.Addr(), s.c.core.now)
		}
		s.c.core.warn("peer broke HTTP/2", "code", "W3005", "from", s.c.remote, "err", err)
		s.h.Closed(err)
		s.hangUp()
		return
	}
	s.afterBatch()
}

// hangUpGrace is how long a peer that broke the protocol has to read why.
const hangUpGrace = 200 * time.Millisecond

// hangUp ends the connection for the peer's fault. Closing at once would reset it, since there may be
// input that nobody has read, and the reset would overtake the GOAWAY that says why. Nothing is
// read any more meanwhile.
func (s *h2Server) hangUp() {
	s.c.h, s.c.h2 = &lingering{s.c}, nil
	s.c.setReading(false)
	s.c.closeWrite()
	s.c.watch.fire = s.c.close
	s.c.core.wheel.arm(&s.c.watch, s.c.core.now+hangUpGrace)
}

// goAwayGrace bounds the wait for a peer to have seen our GOAWAY.
const goAwayGrace = time.Second

// afterBatch closes a connection that is to go whose last stream ended, once the peer has seen that it
// is to open no more: the answer to a PING behind the GOAWAY proves that (RFC 9113 section 6.8).
// Closing earlier would lose the requests that are on their way.
func (s *h2Server) afterBatch() {
	if s.leaving && !s.c.closed && !s.c.closing && s.h.Streams() == 0 && s.seen() {
		s.h.FinishGoAway()
		s.c.touch()
		s.endInPeace()
	}
}

// endInPeace ends the connection so that the peer can read all of it: FIN first, then a wait for
// the peer's, as long as it is not silent. What the peer still sends, window updates for the last
// response at the least, would meet a closed socket otherwise, and be answered with a reset that
// takes what is under way along.
func (s *h2Server) endInPeace() {
	s.c.h, s.c.h2 = &lingering{s.c}, nil
	s.c.setReading(true)
	s.c.closeWrite()
	s.c.watchIdle(s.c.core.limits.ConnectTimeout, s.c.close) // a peer that reads goes on to acknowledge
}

// seen reports whether the peer knows that it is to open no more, or has had its time to.
func (s *h2Server) seen() bool {
	_, n := s.h.LastPong()
	return n > s.pings || s.c.core.now-s.left >= goAwayGrace
}

// eof: an HTTP/2 peer that ends its direction has nothing more to say, not even window updates.
func (s *h2Server) eof() {
	s.h.Closed(nil)
	s.c.close()
}

func (s *h2Server) drained() {
	wakeBlocked(&s.blocked, func(x *exchange) {
		if x.ds == nil || x.ds.Pending() <= lowWater { // else OnWritable follows
			x.downWritable()
		}
	})
	s.afterBatch()
}

// addBlocked lists an exchange that has to wait, once; gaps are filled, so that the list stays as
// short as what waits.
func addBlocked(list []*exchange, x *exchange) []*exchange {
	gap := -1
	for i := range list {
		switch list[i] {
		case x:
			return list
		case nil:
			gap = i
		}
	}
	if gap >= 0 {
		list[gap] = x
		return list
	}
	return append(list, x)
}

// wakeBlocked calls each waiting exchange once and empties the list. What is added meanwhile stays.
func wakeBlocked(list *[]*exchange, wake func(*exchange)) {
	now := *list
	*list = nil
	for i, x := range now {
		now[i] = nil
		if x != nil {
			wake(x)
		}
	}
	if *list == nil {
		*list = now[:0]
	}
}

// dropBlocked forgets a finished exchange.
func dropBlocked(list []*exchange, x *exchange) {
	for i := range list {
		if list[i] == x {
			list[i] = nil
		}
	}
}

func (s *h2Server) closed(err error) { s.h.Closed(err) }

func (s *h2Server) drain() { s.leave() }

// leave asks the peer to open no more streams and ends the connection when the last one has.
func (s *h2Server) leave() {
	if s.leaving || s.c.closing {
		return
	}
	s.leaving, s.left = true, s.c.core.now
	if planted.On(planted.DrainAtOnce) {
		s.c.close()
		return
	}
	_, s.pings = s.h.LastPong()
	s.c.room()
	s.h.GoAway(h2.NoError)
	s.h.Ping([8]byte{'d', 'r', 'a', 'i', 'n'})
	s.c.touch()
	s.c.watch.fire = func() { s.c.resumeLater() } // a peer that does not answer
	s.c.core.wheel.arm(&s.c.watch, s.c.core.now+goAwayGrace)
}

func (s *h2Server) busy() bool { return s.h.Streams() > 0 || s.leaving && !s.seen() }

// The events of the codec.

// OnRequest implements h2.Handler.
func (s *h2Server) OnRequest(st *h2.Stream, r *message.Request, end bool) {
	c := s.c.core
	x := c.newExchange(s.c.local, s)
	x.ds = st
	st.User = x
	x.dest = s.d
	x.isHEAD = string(r.Method) == "HEAD"
	x.connect = string(r.Method) == "CONNECT" && len(r.Protocol) == 0
	x.upgrade = len(r.Protocol) > 0
	x.reqDone, x.heldEnd = end, end
	x.h2app = true
	if s.link {
		x.peer, x.peerText = s.c.peer, s.c.peerText
		x.startInbound(r)
		return
	}
	if x.connect || x.upgrade {
		x.fail(failAmbiguous)
		return
	}
	x.startOutbound(r)
}

// OnResponse implements h2.Handler; servers get none.
func (s *h2Server) OnResponse(*h2.Stream, *message.Response, bool) {}

// OnData implements h2.Handler.
func (s *h2Server) OnData(st *h2.Stream, p []byte, end bool) {
	if x, _ := st.User.(*exchange); x != nil {
		x.reqData(p, end)
		return
	}
	st.Consumed(len(p))
}

// OnTrailers implements h2.Handler.
func (s *h2Server) OnTrailers(st *h2.Stream, f []message.Field) {
	if x, _ := st.User.(*exchange); x != nil {
		x.reqTrailers(stripOurs(f)) // neither an application nor a peer speaks for a proxy there
	}
}

// OnReset implements h2.Handler.
func (s *h2Server) OnReset(st *h2.Stream, _ h2.ErrCode) {
	if x, _ := st.User.(*exchange); x != nil {
		x.ds = nil
		st.Release()
		x.downGone()
	}
}

// OnWritable implements h2.Handler.
func (s *h2Server) OnWritable(st *h2.Stream) {
	if x, _ := st.User.(*exchange); x != nil {
		x.downWritable()
	}
}

// OnGoAway implements h2.Handler.
func (s *h2Server) OnGoAway(uint32, h2.ErrCode) {}

// OnSettings implements h2.Handler.
func (s *h2Server) OnSettings() { s.settings = true }

// The downstream side.

func (s *h2Server) respond(x *exchange, r *message.Response, end bool) {
	if x.ds == nil || s.c.closed {
		return
	}
	if x.asked && r.Status >= 200 {
		r = x.withLoad(r)
	}
	s.c.room()
	switch {
	case r.Status == 101: // over HTTP/2 an upgrade is an extended CONNECT, answered 200 (RFC 8441 section 5)
		ok := *r
		ok.Status = 200
		x.ds.Respond(&ok, false)
	case x.declined && r.Status == 200: // and this one is none (CVE-2024-23326)
		no := *r
		no.Fields = append(no.Fields, message.Field{Name: nameDeclined, Value: valueYes})
		x.ds.Respond(&no, end)
	default:
		x.ds.Respond(r, end)
	}
	s.c.touch()
}

func (s *h2Server) sendDown(x *exchange, p []byte, end bool) int {
	if x.ds == nil || s.c.closed {
		return 0
	}
	s.c.room()
	pending := x.ds.Send(p, end)
	s.c.touch()
	s.c.account()
	if b := s.c.backlog(); b > highWater {
		s.blocked = addBlocked(s.blocked, x)
		s.c.awaitDrain()
		pending += b
	}
	return pending
}

func (s *h2Server) trailersDown(x *exchange, f []message.Field) {
	if x.ds == nil || s.c.closed {
		return
	}
	s.c.room()
	x.ds.SendTrailers(f)
	s.c.touch()
}

// resetDown: the response cannot be completed. What there is of it is delivered first, as it would
// have been without us, unless nobody wants it any more.
func (s *h2Server) resetDown(x *exchange, code h2.ErrCode) {
	if st := x.ds; st != nil && !s.c.closed {
		x.ds = nil
		s.c.room()
		if code == h2.Cancel {
			st.Reset(code)
		} else {
			st.Cut(code)
		}
		st.Release()
		s.c.touch()
	}
}

func (s *h2Server) creditDown(x *exchange, n int) {
	if x.ds != nil && !s.c.closed {
		s.c.room()
		x.ds.Consumed(n)
		s.c.touch()
	}
}

func (s *h2Server) endDown(x *exchange) {
	dropBlocked(s.blocked, x)
	st := x.ds
	if st == nil {
		return
	}
	x.ds = nil
	if s.c.closed {
		st.Release()
		return
	}
	s.c.room()
	st.Release() // answered before the request was complete: asks the peer to stop (RFC 9113 section 8.1)
	s.c.touch()
	if s.leaving {
		s.c.resumeLater()
	}
}
