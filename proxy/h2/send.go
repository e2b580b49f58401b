package h2

import "github.com/weft-mesh/weft/message"

// Send sends a piece of the body. What windows and output permit goes out now; the rest is
// copied, and Send returns how many octets of the stream wait. The caller stops sending while
// that is more than it wants to have in memory, and goes on at OnWritable. On a stream that is
// over Send does nothing. p may be empty if end is true.
func (s *Stream) Send(p []byte, end bool) (pending int) {
	if !s.canSend() {
		return s.Pending()
	}
	c := s.c
	if c.ready.head != nil {
		c.pump() // the owner may have emptied the output since
	}
	if s.list == nil && (c.ready.head == nil || len(p) == 0) {
		p = p[c.writeData(s, p, end):]
		if len(p) == 0 {
			c.settle(s)
			return 0
		}
	}
	s.queue.put(c, p)
	s.endQueued = end
	if s.list == nil {
		c.park(s)
	}
	if s.Pending() > c.cfg.LowWater {
		s.aboveWater = true
	}
	c.pump()
	return s.Pending()
}

// SendTrailers sends the trailer section and ends the message, behind what waits of the body.
func (s *Stream) SendTrailers(fields []message.Field) {
	if !s.canSend() {
		return
	}
	if s.Pending() > 0 {
		s.trailers.put(fields)
		s.endQueued = true
		return
	}
	s.c.endWithTrailers(s, fields)
}

func (c *Conn) endWithTrailers(s *Stream, fields []message.Field) {
	if len(fields) == 0 { // a header block must not be empty of meaning; an empty DATA ends it too
		*c.out = appendHeader(*c.out, 0, frameData, flagEndStream, s.ID)
	} else {
		c.writeTrailers(s.ID, fields)
	}
	s.localEnd = true
	c.settle(s)
}

// Pending returns how many octets given to Send wait for a window or for room.
func (s *Stream) Pending() int { return s.queue.n }

// park puts a stream with pending octets where it belongs.
func (c *Conn) park(s *Stream) {
	if c.peerInitial+s.sendAdj > 0 {
		c.ready.push(s)
	} else {
		c.blocked.push(s)
	}
}

// worthPaying is the size from which a DATA frame pays for control frames in any case.
const worthPaying = 1024

// dataPays is how many control frames a DATA frame of ours pays for.
const dataPays = 4

// writeData appends DATA frames with as much of p as the windows and the output permit, and
// returns how much that was. If it is all of p, end ends the stream.
func (c *Conn) writeData(s *Stream, p []byte, end bool) (n int) {
	if len(p) == 0 {
		if end {
			*c.out = appendHeader(*c.out, 0, frameData, flagEndStream, s.ID)
			s.localEnd = true
		}
		return 0
	}
	out := *c.out
	for n < len(p) {
		size := min(int64(len(p)-n), c.sendWindow, c.peerInitial+s.sendAdj, int64(c.peerFrame), turnBytes)
		if size <= 0 || len(out) >= c.cfg.MaxOutput {
			break
		}
		var flags uint8
		if end && n+int(size) == len(p) {
			flags = flagEndStream
			s.localEnd = true
		}
		out = appendHeader(out, int(size), frameData, flags, s.ID)
		out = append(out, p[n:n+int(size)]...)
		n += int(size)
		c.sendWindow -= size
		s.sendAdj -= size
		if n == len(p) || size >= worthPaying {
			// Such a frame may bring WINDOW_UPDATEs and a PING that are worth it. Fragments that
			// only a tiny window makes do not count: the peer could dribble (CVE-2019-9511).
			c.control.pay(dataPays)
		}
	}
	*c.out = out
	return n
}

// Waiting reports whether body data waits for nothing but room in the output: without it, Flushed
// does nothing.
func (c *Conn) Waiting() bool { return c.ready.head != nil }

// Flushed says that the output has been emptied: body data that waited for room follows.
func (c *Conn) Flushed() {
	c.enter()
	c.pump()
	c.leave()
}

// pump gives each stream that may send its turn, until windows or output are used up. A turn is
// at most turnBytes, so that a large body does not hold up a small one.
func (c *Conn) pump() {
	if c.pumping || c.err != nil {
		return
	}
	c.pumping = true
	c.enter()
	for c.ready.head != nil && c.sendWindow > 0 && len(*c.out) < c.cfg.MaxOutput && c.err == nil {
		s := c.ready.head
		c.ready.remove(s)
		c.turn(s)
	}
	c.leave()
	c.pumping = false
}

// turn sends what a stream may send at once.
func (c *Conn) turn(s *Stream) {
	p := s.queue.first()
	last := len(p) == s.queue.n && s.endQueued && !s.trailers.set && !s.cut
	s.queue.took(c, c.writeData(s, p, last))
	rest := s.Pending()
	if rest > 0 {
		c.park(s)
	} else {
		switch {
		case s.cut:
			s.Reset(s.cutCode)
		case s.trailers.set:
			c.endWithTrailers(s, s.trailers.fields)
		default:
			c.settle(s)
		}
	}
	water := s.aboveWater && rest <= c.cfg.LowWater
	if water {
		s.aboveWater = false
	}
	if (water || rest == 0) && !s.closed && !s.released && !s.localEnd && !s.endQueued {
		c.h.OnWritable(s)
	}
}
