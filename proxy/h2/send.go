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
	s.enqueue(p)
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
func (s *Stream) Pending() int { return len(s.queue) - s.queueAt }

// enqueue copies p behind what waits.
func (s *Stream) enqueue(p []byte) {
	if s.queue == nil {
		s.queue = s.c.takeQueue(len(p))
		s.c.lent += cap(s.queue)
	}
	if s.queueAt > 0 && len(s.queue)+len(p) > cap(s.queue) {
		n := copy(s.queue, s.queue[s.queueAt:])
		s.queue, s.queueAt = s.queue[:n], 0
	}
	had := cap(s.queue)
	s.queue = append(s.queue, p...)
	s.c.queued += len(p)
	s.c.lent += cap(s.queue) - had
}

// Queues are kept by the connection, not by its streams: many streams that wait in turn share
// few buffers. Without that each 64 KiB response behind a full window cost as much garbage. What is
// kept is bounded in bytes: a thousand connections may each have been made to wait once.
const (
	smallQueue  = 1 << 10 // up to which a buffer is made to measure, and not kept
	queueSize   = 16 << 10
	queueSlack  = 4 << 10   // for what follows a full read
	maxKeptSize = 192 << 10 // what waits is at most a high-water mark and one read
	maxKept     = 512 << 10 // of all kept buffers
	maxKeptIdle = 192 << 10 // while no stream is open
)

// trimQueues lets go of most buffers when nothing is under way.
func (c *Conn) trimQueues() {
	for c.kept > maxKeptIdle {
		c.takeKept()
	}
}

// takeKept takes the buffer that was kept last.
func (c *Conn) takeKept() []byte {
	last := len(c.queues) - 1
	q := c.queues[last]
	c.queues[last] = nil
	c.queues = c.queues[:last]
	c.kept -= cap(q)
	return q
}

// takeQueue gives an empty buffer for at least n octets if one was kept, else a new one.
func (c *Conn) takeQueue(n int) []byte {
	switch {
	case n <= smallQueue: // e.g. a refusal that nobody reads
		return make([]byte, 0, n)
	case len(c.queues) > 0:
		return c.takeKept()
	}
	return make([]byte, 0, max(n+queueSlack, queueSize))
}

// dropQueue forgets what waits and gives the buffer back.
func (s *Stream) dropQueue() {
	c := s.c
	c.queued -= s.Pending()
	q := s.queue
	c.lent -= cap(q)
	s.queue, s.queueAt = nil, 0
	if cap(q) > smallQueue && cap(q) <= maxKeptSize && c.kept+cap(q) <= maxKept {
		c.queues = append(c.queues, q[:0])
		c.kept += cap(q)
	}
}

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
	p := s.queue[s.queueAt:]
	last := len(p) <= turnBytes && s.endQueued && !s.trailers.set && !s.cut
	p = p[:min(len(p), turnBytes)]
	n := c.writeData(s, p, last)
	s.queueAt += n
	c.queued -= n
	rest := s.Pending()
	if rest > 0 {
		c.park(s)
	} else {
		s.dropQueue()
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
