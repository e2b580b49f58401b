package h2

import (
	"encoding/binary"
	"fmt"
)

// blockState is a header block that goes on in CONTINUATION frames.
type blockState struct {
	id      uint32 // 0 if there is none
	end     bool
	selfDep bool
	buf     []byte
}

// bombFactor times MaxHeaderBytes ends the connection; less is answered on the stream alone.
const bombFactor = 4

// shortContinuation is the size below which a CONTINUATION frame is charged for.
const shortContinuation = 1024

func (c *Conn) onHeaders(fh frameHeader, p []byte) bool {
	if fh.id == 0 {
		return c.fail(ProtocolError, "HEADERS on stream 0")
	}
	pad := 0
	if fh.has(flagPadded) {
		if len(p) == 0 {
			return c.fail(FrameSizeError, "padded HEADERS without the length of their padding")
		}
		pad = int(p[0])
		p = p[1:]
	}
	selfDep := false
	if fh.has(flagPriority) {
		if len(p) < 5 {
			return c.fail(FrameSizeError, "HEADERS too short for their priority")
		}
		selfDep = binary.BigEndian.Uint32(p)&maxStreamID == fh.id
		p = p[5:]
	}
	if pad > len(p) {
		return c.fail(ProtocolError, "padding as long as its frame")
	}
	p = p[:len(p)-pad]
	end := fh.has(flagEndStream)
	if fh.has(flagEndHeaders) {
		return c.onBlock(fh.id, end, selfDep, p)
	}
	c.block = blockState{id: fh.id, end: end, selfDep: selfDep, buf: append(c.block.buf[:0], p...)}
	return len(p) >= shortContinuation || c.chargeControl(1, "a short fragment of HEADERS")
}

func (c *Conn) onContinuation(fh frameHeader, p []byte) bool {
	b := &c.block
	if b.id == 0 {
		return c.fail(ProtocolError, "CONTINUATION without HEADERS")
	}
	if len(b.buf)+len(p) > c.cfg.MaxHeaderBytes {
		return c.fail(EnhanceYourCalm, fmt.Sprintf("a header block of more than %d octets", c.cfg.MaxHeaderBytes))
	}
	b.buf = append(b.buf, p...)
	if !fh.has(flagEndHeaders) {
		return len(p) >= shortContinuation || c.chargeControl(1, "a short CONTINUATION")
	}
	id := b.id
	b.id = 0
	return c.onBlock(id, b.end, b.selfDep, b.buf)
}

// onBlock deals with a whole header block. It is decoded whatever becomes of it, since the
// compression state must stay in step with the peer's.
func (c *Conn) onBlock(id uint32, end, selfDep bool, block []byte) bool {
	var size int
	var err error
	c.fields, size, err = c.dec.Decode(c.fields[:0], block, c.cfg.MaxHeaderBytes)
	if err != nil {
		return c.fail(CompressionError, err.Error())
	}
	if size > bombFactor*c.cfg.MaxHeaderBytes {
		return c.fail(EnhanceYourCalm, fmt.Sprintf("a header section of %d octets, the limit being %d", size, c.cfg.MaxHeaderBytes))
	}
	tooLarge := size > c.cfg.MaxHeaderBytes
	s := c.streams.get(id)
	switch {
	case s == nil && c.cfg.Role == Server && id%2 == 1 && id > c.lastPeerID:
		return c.onNewStream(id, end, selfDep, tooLarge)
	case s == nil:
		return c.blockOnClosed(id)
	case s.remoteEnd:
		return c.streamError(s, StreamClosed, "HEADERS after the end of their stream")
	case selfDep:
		return c.streamError(s, ProtocolError, "a stream that depends on itself")
	case tooLarge:
		return c.streamError(s, EnhanceYourCalm, "a header section above the limit")
	case c.cfg.Role == Client && !s.head:
		return c.onResponse(s, end)
	}
	return c.onTrailers(s, end)
}

// blockOnClosed deals with a header block for a stream that is not open.
func (c *Conn) blockOnClosed(id uint32) bool {
	switch {
	case c.idle(id):
		return c.fail(ProtocolError, fmt.Sprintf("HEADERS on stream %d, which the peer may not open", id))
	case id > c.goAwayLast || c.resetIDs.has(id): // was under way when we reset the stream
		return c.chargeControl(1, "HEADERS on a stream that has ended")
	case c.cfg.Role == Client:
		// A response to a stream that we cancelled, longer ago than is remembered: many may be
		// cancelled at once, and the other streams of the connection must not suffer.
		return c.chargeControl(1, "HEADERS on a stream that has ended")
	}
	return c.fail(StreamClosed, fmt.Sprintf("HEADERS on stream %d, which has ended", id))
}

// onNewStream deals with a request.
func (c *Conn) onNewStream(id uint32, end, selfDep, tooLarge bool) bool {
	c.lastPeerID = id
	if id > c.goAwayLast {
		return true // never to be processed, as GOAWAY said
	}
	if !c.roomForReply() {
		return false
	}
	switch {
	case selfDep:
		return c.refuse(id, ProtocolError, "a stream that depends on itself")
	case c.streams.n >= int(c.cfg.MaxConcurrentStreams):
		return c.refuse(id, RefusedStream, "above the limit of concurrent streams")
	case tooLarge:
		return c.answer(id, end, 431, fmt.Sprintf("header section above %d octets", c.cfg.MaxHeaderBytes))
	}
	r := &c.req
	if why := c.readRequest(r); why != "" {
		return c.refuse(id, ProtocolError, why)
	}
	if end && r.ContentLength > 0 {
		return c.refuse(id, ProtocolError, "a content-length without a body")
	}
	if why := c.unknownExpectation(); why != "" {
		return c.answer(id, end, 417, why)
	}
	s := c.newStream(id)
	s.head = true
	s.declared = r.ContentLength
	s.remoteEnd = end
	c.h.OnRequest(s, r, end)
	if end {
		c.settle(s)
	}
	return c.err == nil
}

// onResponse deals with the head of a response, interim ones included.
func (c *Conn) onResponse(s *Stream, end bool) bool {
	r := &c.resp
	if why := c.readResponse(r); why != "" {
		return c.streamError(s, ProtocolError, why)
	}
	if r.Status < 200 {
		if end {
			return c.streamError(s, ProtocolError, "an interim response that ends its stream")
		}
		if !c.chargeControl(1, "an interim response") {
			return false
		}
		if !s.released {
			c.h.OnResponse(s, r, false)
		}
		return c.err == nil
	}
	if s.isCONNECT && r.Status < 300 {
		r.ContentLength = -1 // meaningless for a tunnel (RFC 9110 section 9.3.6)
	}
	s.head = true
	if s.abandoned { // now that it is answered, cancelling it costs nothing
		s.reset(Cancel)
		return c.err == nil
	}
	s.declared = r.ContentLength
	if s.isHEAD || r.Status == 304 || r.Status == 204 {
		s.declared = 0 // whatever content-length says, there is no body (RFC 9110 section 6.4.1)
	}
	if end && !s.lengthFits(true) {
		return c.streamError(s, ProtocolError, "a content-length without a body")
	}
	s.remoteEnd = end
	if !s.released {
		c.h.OnResponse(s, r, end)
	}
	if end {
		c.settle(s)
	}
	return c.err == nil
}

func (c *Conn) onTrailers(s *Stream, end bool) bool {
	if !end {
		return c.streamError(s, ProtocolError, "trailers that do not end their stream")
	}
	if why := c.readTrailers(); why != "" {
		return c.streamError(s, ProtocolError, why)
	}
	if !s.lengthFits(true) {
		return c.streamError(s, ProtocolError, "a body that does not have the declared length")
	}
	s.remoteEnd = true
	if !s.released {
		c.h.OnTrailers(s, c.msgFields)
	}
	c.settle(s)
	return c.err == nil
}

// refuse resets a stream that was never given to the handler.
func (c *Conn) refuse(id uint32, code ErrCode, why string) bool {
	*c.out = appendRST(*c.out, id, code)
	c.resetIDs.add(id)
	return c.chargeReset("refused: " + why)
}

// streamError ends a stream for the peer's fault (RFC 9113 section 5.4.2).
func (c *Conn) streamError(s *Stream, code ErrCode, why string) bool {
	*c.out = appendRST(*c.out, s.ID, code)
	c.resetIDs.add(s.ID)
	c.drop(s)
	c.tellReset(s, code)
	return c.chargeReset("by an error: " + why)
}

// tellReset tells the handler that a stream is gone.
func (c *Conn) tellReset(s *Stream, code ErrCode) {
	if !s.released && !s.abandoned {
		c.h.OnReset(s, code)
	}
}
