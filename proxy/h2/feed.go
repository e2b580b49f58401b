package h2

import "fmt"

// dataState is a DATA frame whose payload has not arrived wholly. Payload is passed on as it
// comes, so that frames need no buffer.
type dataState struct {
	s    *Stream // nil if the data is not for anyone
	left int     // octets of data to come
	pad  int     // octets of padding after them
	end  bool
}

// maxRetained is the capacity that scratch may keep when an event has been dealt with.
const maxRetained = 32 << 10

// Feed takes what the transport delivered, wholly. On a connection error GOAWAY has been
// appended and the error is a *ConnError; the owner flushes, closes and calls Closed. p is not
// kept.
func (c *Conn) Feed(p []byte) error {
	c.enter()
	if c.err == nil && c.feed(p) {
		c.pump()
	}
	c.leave()
	c.trim()
	return c.Err()
}

func (c *Conn) feed(p []byte) bool {
	if c.prefaceLeft > 0 {
		var ok bool
		if p, ok = c.feedPreface(p); !ok {
			return false
		}
	}
	for len(p) > 0 {
		if c.data.left+c.data.pad > 0 {
			n, ok := c.feedData(p)
			if !ok {
				return false
			}
			p = p[n:]
			continue
		}
		// Complete a frame begun earlier, or take one from p as it lies.
		frame := p
		if len(c.partial) > 0 {
			need, ok := c.need(c.partial)
			if !ok {
				return false
			}
			n := min(need-len(c.partial), len(p))
			c.partial = append(c.partial, p[:n]...)
			p = p[n:]
			frame = c.partial
		}
		need, ok := c.need(frame)
		if !ok {
			return false
		}
		if len(frame) < need {
			if len(c.partial) == 0 {
				c.partial = append(c.partial, p...)
				return true
			}
			continue // p is empty, or the header has just been completed
		}
		if len(c.partial) > 0 {
			c.partial = c.partial[:0]
		} else {
			p = p[need:]
		}
		if !c.frame(parseHeader(frame), frame[headerLen:need]) {
			return false
		}
	}
	return true
}

// need returns how many octets must be there before the frame that begins with p can be dealt
// with: the header; then the payload too, or for DATA the octet that says how long the padding is.
func (c *Conn) need(p []byte) (int, bool) {
	if len(p) < headerLen {
		return headerLen, true
	}
	fh := parseHeader(p)
	if fh.length > c.cfg.MaxFrameSize {
		return 0, c.fail(FrameSizeError, fmt.Sprintf("a frame of %d octets, more than the %d announced", fh.length, c.cfg.MaxFrameSize))
	}
	if fh.typ != frameData {
		if limit := max(minFrameSize, c.cfg.MaxHeaderBytes); int(fh.length) > limit {
			return 0, c.fail(EnhanceYourCalm, fmt.Sprintf("a frame of %d octets that has to be kept, the limit being %d", fh.length, limit))
		}
		return headerLen + int(fh.length), true
	}
	if fh.has(flagPadded) && fh.length > 0 {
		return headerLen + 1, true
	}
	return headerLen, true
}

func (c *Conn) feedPreface(p []byte) ([]byte, bool) {
	n := min(c.prefaceLeft, len(p))
	at := len(preface) - c.prefaceLeft
	if string(p[:n]) != preface[at:at+n] {
		return nil, c.fail(ProtocolError, "the client's preface is not that of HTTP/2")
	}
	c.prefaceLeft -= n
	return p[n:], true
}

// frame deals with one frame. payload is the whole of it, except for DATA.
func (c *Conn) frame(fh frameHeader, payload []byte) bool {
	if c.block.id != 0 && (fh.typ != frameContinuation || fh.id != c.block.id) {
		return c.fail(ProtocolError, "a header block is not followed by its CONTINUATION")
	}
	if !c.gotSettings && fh.typ != frameSettings {
		return c.fail(ProtocolError, "the first frame is not SETTINGS")
	}
	switch fh.typ {
	case frameData:
		return c.onData(fh, payload)
	case frameHeaders:
		return c.onHeaders(fh, payload)
	case framePriority:
		return c.onPriority(fh, payload)
	case frameRSTStream:
		return c.onRST(fh, payload)
	case frameSettings:
		return c.onSettings(fh, payload)
	case framePushPromise:
		return c.fail(ProtocolError, "PUSH_PROMISE, which is not permitted here")
	case framePing:
		return c.onPing(fh, payload)
	case frameGoAway:
		return c.onGoAway(fh, payload)
	case frameWindowUpdate:
		return c.onWindowUpdate(fh, payload)
	case frameContinuation:
		return c.onContinuation(fh, payload)
	}
	return c.chargeControl(1, "of unknown type") // ignored (RFC 9113 section 5.5)
}

// onData begins a DATA frame: it accounts for the whole of it; feedData passes the content on.
// payload is the octet with the length of the padding, if there is one.
func (c *Conn) onData(fh frameHeader, payload []byte) bool {
	if fh.id == 0 {
		return c.fail(ProtocolError, "DATA on stream 0")
	}
	size := int(fh.length)
	c.recvWindow -= int64(size)
	if c.recvWindow < 0 {
		return c.fail(FlowControlError, "DATA beyond the window of the connection")
	}
	c.giveBack(size)
	left, pad := size, 0
	if fh.has(flagPadded) {
		if size == 0 {
			return c.fail(FrameSizeError, "padded DATA without the length of its padding")
		}
		pad = int(payload[0])
		left = size - 1 - pad
		if left < 0 {
			return c.fail(ProtocolError, "padding as long as its frame")
		}
	}
	end := fh.has(flagEndStream)
	c.data = dataState{left: left, pad: pad, end: end}
	if left == 0 && !end && !c.chargeControl(1, "empty DATA") {
		return false
	}
	s := c.streams.get(fh.id)
	switch {
	case s == nil:
		return c.dataOnClosed(fh.id, size)
	case s.remoteEnd:
		return c.streamError(s, StreamClosed, "DATA after the end of its stream")
	case !s.head:
		return c.streamError(s, ProtocolError, "DATA before the response")
	}
	if int64(size) > c.recvInitial+s.recvAdj {
		return c.streamError(s, FlowControlError, "DATA beyond the window of the stream")
	}
	s.recvAdj -= int64(size)
	s.received += int64(left)
	if !s.lengthFits(end) {
		return c.streamError(s, ProtocolError, "a body that does not have the declared length")
	}
	s.giveBack(size - left) // padding is consumed by nobody
	c.data.s = s
	if left == 0 {
		c.deliver(s, nil, end)
	}
	return c.err == nil
}

// dataOnClosed deals with a DATA frame of size octets on a stream that is not open.
func (c *Conn) dataOnClosed(id uint32, size int) bool {
	if c.idle(id) {
		return c.fail(ProtocolError, "DATA on a stream that was never opened")
	}
	if id > c.goAwayLast || c.resetIDs.has(id) {
		// Was under way when we reset the stream. Nobody can send small ones without end, though.
		return size >= worthPaying || c.chargeControl(1, "DATA on a stream that has ended")
	}
	if c.cfg.Role == Client { // as in blockOnClosed
		return c.chargeControl(1, "DATA on a stream that has ended")
	}
	*c.out = appendRST(*c.out, id, StreamClosed)
	c.resetIDs.add(id)
	return c.chargeReset("by DATA after its end")
}

// feedData passes on what p holds of the current DATA frame and returns how much that was.
func (c *Conn) feedData(p []byte) (int, bool) {
	d := &c.data
	n := min(d.left, len(p))
	if n > 0 {
		d.left -= n
		if s := d.s; s != nil {
			c.deliver(s, p[:n:n], d.end && d.left == 0)
		}
	}
	if d.left == 0 {
		skip := min(d.pad, len(p)-n)
		d.pad -= skip
		n += skip
	}
	return n, c.err == nil
}

// deliver hands a piece of a body to the handler.
func (c *Conn) deliver(s *Stream, p []byte, end bool) {
	if end {
		s.remoteEnd = true
		c.data.s = nil
	}
	switch {
	case s.released:
		s.giveBack(len(p))
	case len(p) > 0 || end:
		s.unconsumed += len(p)
		c.h.OnData(s, p, end)
	}
	if end {
		c.settle(s)
	}
}

// giveBack returns window of the connection. That happens at once, whoever has the data: what
// bounds memory is the windows of the streams, and a slow stream must not stop the others.
func (c *Conn) giveBack(n int) {
	c.recvCredit += int64(n)
	if c.recvCredit >= int64(c.cfg.ConnWindow)/2 {
		*c.out = appendWindowUpdate(*c.out, 0, uint32(c.recvCredit))
		c.recvWindow += c.recvCredit
		c.recvCredit = 0
	}
}

// idle reports whether a stream has never been opened (RFC 9113 section 5.1).
func (c *Conn) idle(id uint32) bool {
	if c.cfg.Role == Client {
		return id%2 == 0 || id >= c.nextID // we permit no pushed streams
	}
	return id%2 == 0 || id > c.lastPeerID
}

// trim gives back what an unusual event made large.
func (c *Conn) trim() {
	if cap(c.partial) > maxRetained && len(c.partial) == 0 {
		c.partial = nil
	}
	if cap(c.block.buf) > maxRetained && c.block.id == 0 {
		c.block.buf = nil
	}
	if cap(c.fields) > 512 {
		c.fields = nil
	}
	if cap(c.msgFields) > 512 {
		c.msgFields = nil
	}
	if cap(c.cookie) > maxRetained {
		c.cookie = nil
	}
	c.dec.Trim(maxRetained)
}
