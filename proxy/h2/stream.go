package h2

import (
	"time"

	"github.com/weft-mesh/weft/message"
)

// resetGrace is the age from which a stream may be cancelled without being charged for.
const resetGrace = time.Second

// Stream is one exchange. Its methods may be called as long as the owner has not called Release;
// on a stream that is over they do nothing. Memory of a released stream is used again.
type Stream struct {
	User any    // the owner's
	ID   uint32 // of RFC 9113

	c          *Conn
	list       *streamList
	prev, next *Stream
	opened     time.Time

	sendAdj    int64     // window for sending, less the peer's initial window
	recvAdj    int64     // window of the peer for sending, less our initial window
	recvCredit int       // consumed and not yet given back
	window     int       // what the peer may send without our consent: the size of the receive window
	creditAt   time.Time // of the last window update
	unconsumed int       // delivered and not yet consumed
	declared   int64     // content-length of the incoming message, or -1
	received   int64     // octets of its body so far

	queue    sendQueue
	trailers trailerStore

	head       bool // the head of the incoming message has arrived
	headSent   bool // ours has been sent, interim ones not counted
	isHEAD     bool // client: the response has no body
	isCONNECT  bool // client: a response of success begins a tunnel
	remoteEnd  bool
	localEnd   bool // END_STREAM has been appended
	endQueued  bool // and will be, behind the queue
	cut        bool // but it will be RST_STREAM with cutCode
	cutCode    ErrCode
	aboveWater bool
	released   bool
	abandoned  bool // client: nobody wants it any more, and the peer is not told yet
	closed     bool
}

// trailerStore keeps a trailer section that waits behind a body.
type trailerStore struct {
	set    bool
	fields []message.Field
	bytes  []byte
}

func (t *trailerStore) put(fields []message.Field) {
	t.set, t.fields, t.bytes = true, t.fields[:0], t.bytes[:0]
	size := 0
	for i := range fields {
		size += len(fields[i].Name) + len(fields[i].Value)
	}
	if cap(t.bytes) < size {
		t.bytes = make([]byte, 0, size)
	}
	keep := func(s []byte) []byte { // bytes has the capacity: slices of it stay where they are
		at := len(t.bytes)
		t.bytes = append(t.bytes, s...)
		return t.bytes[at:]
	}
	for _, f := range fields {
		t.fields = append(t.fields, message.Field{Name: keep(f.Name), Value: keep(f.Value), Sensitive: f.Sensitive})
	}
}

// newStream makes an open stream.
func (c *Conn) newStream(id uint32) *Stream {
	var s *Stream
	if n := len(c.free); n > 0 {
		s = c.free[n-1]
		c.free[n-1] = nil
		c.free = c.free[:n-1]
	} else {
		s = &Stream{}
	}
	s.c, s.ID, s.opened, s.declared = c, id, c.now, -1
	s.window, s.creditAt = int(c.cfg.StreamWindow), c.now
	if c.streams.n == 0 {
		c.maxAdj = 0
	}
	c.streams.put(s)
	return s
}

// drop makes a stream closed.
func (c *Conn) drop(s *Stream) {
	if s.closed {
		return
	}
	s.closed = true
	s.shrink(s.window)
	c.streams.remove(s.ID)
	if s.list != nil {
		s.list.remove(s)
	}
	if c.data.s == s {
		c.data.s = nil
	}
	s.queue.drop(c)
	if c.streams.n == 0 {
		c.trimSpare()
	}
	if s.released {
		c.putBack(s)
	}
}

// settle closes a stream that both sides have ended.
func (c *Conn) settle(s *Stream) {
	if s.closed || !s.localEnd {
		return
	}
	if !s.remoteEnd {
		if s.released { // nobody is there to take the rest
			s.Reset(NoError)
		}
		return
	}
	c.drop(s)
	c.control.pay(2)
	c.good = min(c.good+1, 1<<20)
}

// Release says that the owner will not touch the stream any more, nor wants to hear of it. What
// has been given to Send is still sent if its end was, or Cut was called; otherwise an open stream
// is reset with Cancel. Not calling Release is safe and leaves the stream to the garbage collector.
func (s *Stream) Release() {
	if s.released {
		return
	}
	s.released = true
	s.User = nil
	c := s.c
	if s.closed {
		c.putBack(s)
		return
	}
	if c.cfg.Role == Client || !s.localEnd && !s.endQueued {
		s.Reset(Cancel)
		return
	}
	s.giveBack(s.unconsumed)
	s.unconsumed = 0
	c.settle(s)
}

// putBack makes a stream that is closed and released ready to be used again, now or as soon as
// no method of the Conn is running that may still look at it.
func (c *Conn) putBack(s *Stream) {
	if c.depth > 0 {
		c.limbo = append(c.limbo, s)
		return
	}
	c.recycle(s)
}

func (c *Conn) recycle(s *Stream) {
	if len(c.free) >= maxFree {
		return
	}
	trailers := s.trailers
	trailers.set = false
	clear(trailers.fields)
	if cap(trailers.bytes) > maxRetained {
		trailers = trailerStore{}
	}
	*s = Stream{trailers: trailers, queue: sendQueue{chunks: s.queue.chunks}}
	c.free = append(c.free, s)
}

// maxFree bounds the streams that a connection keeps for use again.
const maxFree = 64

// Open sends the head of a request on a new stream (client). The error is ErrTooManyStreams or
// ErrGoingAway, and then nothing has been sent. With end the request has neither body nor
// trailers.
func (c *Conn) Open(r *message.Request, end bool) (*Stream, error) {
	if c.cfg.Role != Client || c.err != nil || c.leaving || c.peerLeft || c.nextID > maxStreamID {
		return nil, ErrGoingAway
	}
	if !c.CanOpen() {
		return nil, ErrTooManyStreams
	}
	s := c.newStream(c.nextID)
	c.nextID += 2
	s.isHEAD = string(r.Method) == "HEAD"
	s.isCONNECT = string(r.Method) == "CONNECT"
	s.headSent = true
	c.writeRequest(s.ID, r, end)
	s.localEnd = end
	return s, nil
}

// CanOpen reports whether Open would succeed.
func (c *Conn) CanOpen() bool {
	if c.cfg.Role != Client || c.err != nil || c.leaving || c.peerLeft || c.nextID > maxStreamID {
		return false
	}
	return c.streams.n < int(min(c.peerStreams, c.cfg.MaxConcurrentStreams))
}

// Respond sends the head of a response (server): any number of interim ones, then a final one.
func (s *Stream) Respond(r *message.Response, end bool) {
	if !s.canSend() {
		return
	}
	if r.Status < 200 {
		s.c.writeResponse(s.ID, r, false)
		return
	}
	s.headSent = true
	s.c.writeResponse(s.ID, r, end)
	if end {
		s.localEnd = true
		s.c.settle(s)
	}
}

// canSend reports whether more of our message may follow.
func (s *Stream) canSend() bool {
	return !s.closed && !s.localEnd && !s.endQueued && !s.abandoned && s.c.err == nil
}

// Reset ends the stream at once, both ways. The handler is not told.
func (s *Stream) Reset(code ErrCode) {
	if s.closed {
		return
	}
	if s.abandoned || s.c.abandon(s) {
		return
	}
	s.reset(code)
}

func (s *Stream) reset(code ErrCode) {
	c := s.c
	if code == ConnectionLost {
		code = InternalError
	}
	if c.err == nil {
		*c.out = appendRST(*c.out, s.ID, code)
		c.resetIDs.add(s.ID)
		if c.cfg.Role == Client { // a response may be under way, and is not to be held against the server
			c.control.pay(dataPays)
		}
	}
	c.drop(s)
}

// Cut ends a response as Reset does, but behind what waits of its body (server).
func (s *Stream) Cut(code ErrCode) {
	if s.Pending() == 0 || !s.canSend() {
		s.Reset(code)
		return
	}
	s.endQueued, s.cut, s.cutCode = true, true, code
}

// Consumed says that n octets delivered by OnData have left the receiver's memory. The peer may
// send as many more.
func (s *Stream) Consumed(n int) {
	n = min(n, s.unconsumed)
	if n <= 0 {
		return
	}
	s.unconsumed -= n
	s.giveBack(n)
}

// lengthFits reports whether the body so far, or all of it, agrees with what was declared.
func (s *Stream) lengthFits(whole bool) bool {
	if s.declared < 0 {
		return true
	}
	return s.received == s.declared || !whole && s.received < s.declared
}

// resetRing remembers streams that we reset lately: what was under way for them is ignored
// (RFC 9113 section 5.1). Older ones are taken for closed, which costs the peer a little.
type resetRing struct {
	ids  []uint32
	size uint32 // of ids, which is made at the first reset
	n    uint32
}

func (r *resetRing) add(id uint32) {
	if r.ids == nil {
		r.ids = make([]uint32, r.size)
	}
	r.ids[r.n%uint32(len(r.ids))] = id
	r.n++
}

func (r *resetRing) has(id uint32) bool {
	for _, x := range r.ids[:min(r.n, uint32(len(r.ids)))] {
		if x == id {
			return true
		}
	}
	return false
}

// reset forgets everything; from now on it remembers size ids.
func (r *resetRing) reset(size uint32) {
	if size != r.size {
		r.ids, r.size = nil, size
	}
	r.n = 0
}
