package h2

import (
	"encoding/binary"
	"fmt"

	"github.com/weft-mesh/weft/planted"
)

// maxSettings is how many settings of one frame are free of charge: RFC 9113 knows seven.
const maxSettings = 16

func (c *Conn) onSettings(fh frameHeader, p []byte) bool {
	switch {
	case fh.id != 0:
		return c.fail(ProtocolError, "SETTINGS on a stream")
	case fh.has(flagAck) && len(p) != 0:
		return c.fail(FrameSizeError, "acknowledgement of SETTINGS with a payload")
	case len(p)%6 != 0:
		return c.fail(FrameSizeError, "SETTINGS whose length is not a multiple of 6")
	case fh.has(flagAck) && !c.gotSettings:
		return c.fail(ProtocolError, "the first frame acknowledges SETTINGS")
	}
	if fh.has(flagAck) {
		return c.onSettingsAck()
	}
	// An initial window that goes up wakes streams: the peer pays for them as well.
	cost := 1 + max(len(p)/6-maxSettings, 0) + c.blockedCost()
	if !c.chargeControl(cost, "SETTINGS") || !c.roomForReply() {
		return false
	}
	for ; len(p) > 0; p = p[6:] {
		id, v := settingID(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:])
		if !c.setting(id, v) {
			return false
		}
	}
	*c.out = appendHeader(*c.out, 0, frameSettings, flagAck, 0)
	if !c.gotSettings {
		c.gotSettings = true
		if !c.toldStreams { // no limit but ours
			c.peerStreams = c.cfg.MaxConcurrentStreams
		}
		c.h.OnSettings()
	}
	c.pump()
	return c.err == nil
}

// blockedCost is what the streams that wait for a window add to the cost of SETTINGS.
func (c *Conn) blockedCost() int {
	if !c.gotSettings || c.blocked.head == nil {
		return 0
	}
	return c.streams.n / 16
}

func (c *Conn) onSettingsAck() bool {
	if c.ackPending == 0 {
		return c.chargeControl(1, "an acknowledgement of SETTINGS never sent")
	}
	c.ackPending--
	// From here on the peer keeps to our window, even if it is smaller than the default.
	c.recvInitial = int64(c.cfg.StreamWindow)
	return true
}

func (c *Conn) setting(id settingID, v uint32) bool {
	switch id {
	case settingHeaderTableSize:
		c.enc.SetPeerLimit(v)
	case settingEnablePush:
		if v > 1 || v == 1 && c.cfg.Role == Client {
			return c.fail(ProtocolError, fmt.Sprintf("SETTINGS_ENABLE_PUSH is %d", v))
		}
	case settingMaxConcurrentStreams:
		c.peerStreams, c.toldStreams = v, true
	case settingInitialWindowSize:
		if v > maxWindow {
			return c.fail(FlowControlError, fmt.Sprintf("SETTINGS_INITIAL_WINDOW_SIZE is %d", v))
		}
		return c.setPeerInitial(int64(v))
	case settingMaxFrameSize:
		if v < minFrameSize || v > maxFrameSize {
			return c.fail(ProtocolError, fmt.Sprintf("SETTINGS_MAX_FRAME_SIZE is %d", v))
		}
		c.peerFrame = int(v)
	case settingEnableConnect:
		if v > 1 || v == 0 && c.peerConnect {
			return c.fail(ProtocolError, fmt.Sprintf("SETTINGS_ENABLE_CONNECT_PROTOCOL is %d", v))
		}
		c.peerConnect = v == 1
	}
	return true
}

// setPeerInitial changes the window of all streams at once (RFC 9113 section 6.9.2). Streams
// keep only their difference to it, so that flapping costs the same however many there are;
// those that waited are looked at when they have their turn in pump.
func (c *Conn) setPeerInitial(v int64) bool {
	if v+c.maxAdj > maxWindow {
		// maxAdj is an upper bound; find the true one, seldom.
		c.maxAdj = 0
		for _, s := range c.streams.slots {
			if s != nil {
				c.maxAdj = max(c.maxAdj, s.sendAdj)
			}
		}
		if v+c.maxAdj > maxWindow {
			return c.fail(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE makes the window of a stream too large")
		}
	}
	grew := v > c.peerInitial
	c.peerInitial = v
	if grew {
		for s := c.blocked.head; s != nil; s = c.blocked.head {
			c.blocked.remove(s)
			c.ready.push(s)
		}
	}
	return true
}

func (c *Conn) onPing(fh frameHeader, p []byte) bool {
	if fh.id != 0 {
		return c.fail(ProtocolError, "PING on a stream")
	}
	if len(p) != 8 {
		return c.fail(FrameSizeError, "PING whose payload is not 8 octets")
	}
	if fh.has(flagAck) {
		if c.pings == 0 {
			return c.chargeControl(1, "an answer to a PING never sent")
		}
		c.pings--
		c.pongs++
		copy(c.lastPong[:], p)
		return true
	}
	if !c.chargeControl(1, "PING") || !c.roomForReply() {
		return false
	}
	*c.out = appendPing(*c.out, flagAck, p)
	return true
}

// Ping appends a PING. LastPong tells when the answer has come.
func (c *Conn) Ping(payload [8]byte) {
	if c.err != nil {
		return
	}
	c.pings++
	*c.out = appendPing(*c.out, 0, payload[:])
}

// LastPong returns the payload of the last answer to a Ping and how many there have been.
func (c *Conn) LastPong() (payload [8]byte, count uint64) { return c.lastPong, c.pongs }

// onPriority checks a PRIORITY frame; what it says is ignored (RFC 9113 section 5.3.2).
func (c *Conn) onPriority(fh frameHeader, p []byte) bool {
	if fh.id == 0 {
		return c.fail(ProtocolError, "PRIORITY on stream 0")
	}
	if !c.chargeControl(1, "PRIORITY") {
		return false
	}
	s := c.streams.get(fh.id)
	switch {
	case len(p) != 5 && s != nil:
		return c.streamError(s, FrameSizeError, "PRIORITY whose payload is not 5 octets")
	case len(p) != 5:
		return c.fail(FrameSizeError, "PRIORITY whose payload is not 5 octets")
	case binary.BigEndian.Uint32(p)&maxStreamID != fh.id:
		return true
	case s != nil:
		return c.streamError(s, ProtocolError, "PRIORITY of a stream on itself")
	}
	return c.fail(ProtocolError, "PRIORITY of a stream on itself")
}

func (c *Conn) onRST(fh frameHeader, p []byte) bool {
	if len(p) != 4 {
		return c.fail(FrameSizeError, "RST_STREAM whose payload is not 4 octets")
	}
	if fh.id == 0 || c.idle(fh.id) {
		return c.fail(ProtocolError, "RST_STREAM on a stream that was never opened")
	}
	s := c.streams.get(fh.id)
	if s == nil {
		return c.chargeControl(1, "RST_STREAM on a closed stream")
	}
	code := ErrCode(binary.BigEndian.Uint32(p))
	// A client may cancel what takes long, or what has begun to answer. Opening streams only to
	// reset them is what costs us work and the client nothing.
	server := c.cfg.Role == Server
	young := server && !s.headSent && c.now.Sub(s.opened) < resetGrace
	c.drop(s)
	c.tellReset(s, code)
	if young {
		return c.chargeReset("by RST_STREAM soon after it was opened")
	}
	return !server || c.chargeControl(1, "RST_STREAM")
}

func (c *Conn) onGoAway(fh frameHeader, p []byte) bool {
	if fh.id != 0 {
		return c.fail(ProtocolError, "GOAWAY on a stream")
	}
	if len(p) < 8 {
		return c.fail(FrameSizeError, "GOAWAY shorter than 8 octets")
	}
	if !c.chargeControl(4, "GOAWAY") {
		return false
	}
	if planted.On(planted.ForgetGoAway) {
		return true
	}
	last, code := binary.BigEndian.Uint32(p)&maxStreamID, ErrCode(binary.BigEndian.Uint32(p[4:]))
	c.peerLeft = true
	c.peerLast = min(c.peerLast, last) // it may only go down (RFC 9113 section 6.8)
	if c.cfg.Role == Client {
		c.resetAbove(c.peerLast, RefusedStream)
	}
	c.h.OnGoAway(c.peerLast, code)
	return c.err == nil
}

// GoAway announces the end of the connection. With NoError it is graceful: streams that the peer
// has opened meanwhile are still taken, until FinishGoAway; the owner calls that one round trip
// later, and closes when Streams is 0. With any other code it is final at once.
func (c *Conn) GoAway(code ErrCode) {
	if c.err != nil {
		return
	}
	c.leaving = true
	if code != NoError || c.cfg.Role == Client {
		c.finishGoAway(code)
		return
	}
	*c.out = appendGoAway(*c.out, maxStreamID, NoError, "")
}

// FinishGoAway says which stream of the peer was the last one taken; later ones are ignored.
func (c *Conn) FinishGoAway() {
	if c.err == nil {
		c.leaving = true
		c.finishGoAway(NoError)
	}
}

func (c *Conn) finishGoAway(code ErrCode) {
	c.goAwayLast = min(c.goAwayLast, c.lastPeerID)
	*c.out = appendGoAway(*c.out, c.goAwayLast, code, "")
}

func (c *Conn) onWindowUpdate(fh frameHeader, p []byte) bool {
	if len(p) != 4 {
		return c.fail(FrameSizeError, "WINDOW_UPDATE whose payload is not 4 octets")
	}
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if !c.chargeControl(1, "WINDOW_UPDATE") {
		return false
	}
	if fh.id == 0 {
		if n == 0 {
			return c.fail(ProtocolError, "WINDOW_UPDATE of 0 on the connection")
		}
		c.sendWindow += n
		if c.sendWindow > maxWindow {
			return c.fail(FlowControlError, "WINDOW_UPDATE makes the window of the connection too large")
		}
		c.pump()
		return c.err == nil
	}
	s := c.streams.get(fh.id)
	if s == nil {
		if c.idle(fh.id) {
			return c.fail(ProtocolError, "WINDOW_UPDATE on a stream that was never opened")
		}
		return true // may have been under way when the stream ended
	}
	if n == 0 {
		return c.streamError(s, ProtocolError, "WINDOW_UPDATE of 0")
	}
	s.sendAdj += n
	if c.peerInitial+s.sendAdj > maxWindow {
		return c.streamError(s, FlowControlError, "WINDOW_UPDATE makes the window of a stream too large")
	}
	c.maxAdj = max(c.maxAdj, s.sendAdj)
	if s.list == &c.blocked && c.peerInitial+s.sendAdj > 0 {
		c.blocked.remove(s)
		c.ready.push(s)
		c.pump()
	}
	return c.err == nil
}
