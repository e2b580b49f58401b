package h2

import (
	"math"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/h2/hpack"
)

// Handler is told what the peer does. It is called from within methods of the Conn and may call
// methods of it and of its streams, except Feed, Closed and Reset. Slices live until it returns
// and must not be written to: they may be shared with the compression tables.
//
// A stream is first told of by OnRequest, or is returned by Open. It is over for the handler
// after OnReset, after Stream.Reset, or when both sides have ended.
type Handler interface {
	// OnRequest delivers a new request (server). With end it has neither body nor trailers.
	OnRequest(s *Stream, r *message.Request, end bool)

	// OnResponse delivers a response (client); 1xx responses first, never with end.
	OnResponse(s *Stream, r *message.Response, end bool)

	// OnData delivers a piece of a body. The receiver calls s.Consumed(len(p)) now or later.
	OnData(s *Stream, p []byte, end bool)

	// OnTrailers delivers the trailer section, which ends the message.
	OnTrailers(s *Stream, fields []message.Field)

	// OnReset says that the stream is gone: reset by the peer, by us because the peer broke
	// the protocol, refused by a GOAWAY (RefusedStream: not processed, safe to try elsewhere),
	// or lost with the connection (ConnectionLost).
	OnReset(s *Stream, code ErrCode)

	// OnWritable says that Pending has come down to low water or below, having been above it,
	// or that it has come down to zero.
	OnWritable(s *Stream)

	// OnGoAway says that the peer accepts no more streams. Those that it will not process,
	// above lastStream, were reported by OnReset(RefusedStream) before.
	OnGoAway(lastStream uint32, code ErrCode)

	// OnSettings says that the first SETTINGS of the peer arrived.
	OnSettings()
}

var tagger = hpack.NewTagger(judge)

// Conn is one HTTP/2 connection. Make it with NewConn.
type Conn struct {
	cfg Config
	h   Handler
	out *[]byte
	err *ConnError // why the connection is dead
	now time.Time

	enc hpack.Encoder
	dec hpack.Decoder

	// What has arrived in part.
	prefaceLeft int    // octets of the client's preface still to come
	partial     []byte // the beginning of a frame
	data        dataState
	block       blockState

	// Scratch that decoded heads live in while a handler looks at them.
	fields    []hpack.Field
	msgFields []message.Field
	cookie    []byte
	req       message.Request
	resp      message.Response
	num       [20]byte
	blockAt   int // where the header block being written began in the output

	streams  streamTable
	ready    streamList // may send: pending bytes and a stream window
	blocked  streamList // pending bytes, no stream window
	pumping  bool
	free     []*Stream
	spare    [][]byte  // chunks for what waits in streams
	queued   int       // octets that wait in streams
	lent     int       // octets that the chunks of streams can hold
	limbo    []*Stream // released while a method of the Conn was running
	depth    int
	sweep    []*Stream
	resetIDs resetRing

	lastPeerID uint32 // highest stream opened by the peer
	nextID     uint32 // next stream opened by us
	goAwayLast uint32 // streams of the peer above it are ignored
	leaving    bool   // we sent GOAWAY: no streams of ours
	peerLeft   bool   // the peer sent GOAWAY
	peerLast   uint32 // with this last stream

	sendWindow  int64  // of the connection
	peerInitial int64  // window that the peer gives each stream
	maxAdj      int64  // no open stream has a larger sendAdj
	peerFrame   int    // largest payload that the peer takes
	peerStreams uint32 // how many streams the peer permits us
	toldStreams bool   // it said so
	peerConnect bool
	gotSettings bool
	ackPending  int // our SETTINGS that the peer has not acknowledged

	recvWindow  int64 // of the connection: what the peer may send
	recvCredit  int64 // of the connection: what arrived and is not yet given back
	recvInitial int64 // window that each stream of ours begins with

	control, resets budget
	probation       bool
	good            int      // streams that both sides have ended
	cancels         budget   // client: what our resets cost the peer's budget for us
	abandoned       []uint32 // client: streams to be reset when that costs nothing, the oldest first
	pings           int      // sent and not answered
	pongs           uint64
	lastPong        [8]byte
}

// NewConn makes a connection whose frames are appended to *out. Nothing is appended before Start.
func NewConn(cfg Config, h Handler, out *[]byte) *Conn {
	c := &Conn{}
	c.Reset(cfg, h, out)
	return c
}

// Reset makes the connection as new, keeping its memory, for use with another transport. No
// stream of the old one may be used any more.
func (c *Conn) Reset(cfg Config, h Handler, out *[]byte) {
	cfg = cfg.withDefaults()
	*c = Conn{
		cfg: cfg, h: h, out: out,
		enc: c.enc, dec: c.dec,
		partial: c.partial[:0], fields: c.fields[:0], msgFields: c.msgFields[:0], cookie: c.cookie[:0],
		block:   blockState{buf: c.block.buf[:0]},
		streams: streamTable{slots: c.streams.slots},
		free:    c.free, spare: c.spare, limbo: c.limbo[:0], sweep: c.sweep[:0],
		resetIDs: c.resetIDs,

		goAwayLast:  math.MaxUint32,
		peerLast:    math.MaxUint32,
		sendWindow:  defaultWindow,
		peerInitial: defaultWindow,
		peerFrame:   minFrameSize,
		peerStreams: cfg.streamsUntilTold(),
		recvWindow:  int64(cfg.ConnWindow),
		recvInitial: max(defaultWindow, int64(cfg.StreamWindow)),
	}
	clear(c.streams.slots)
	c.resetIDs.reset(min(max(128, cfg.MaxConcurrentStreams), 4096)) // all of them may be reset at once
	// As many as there may be streams, DATA on each.
	c.control.ahead = dataPays * int(min(cfg.MaxConcurrentStreams, 1<<20))
	c.enc.Init(cfg.Huffman, cfg.tableSize())
	c.dec.Init(tagger, cfg.tableSize())
	if cfg.Role == Client {
		c.nextID = 1
	} else {
		c.prefaceLeft = len(preface)
	}
}

// Start appends what a connection begins with: the preface (client), SETTINGS, and the rest of
// the connection's window.
func (c *Conn) Start() {
	out := *c.out
	if c.cfg.Role == Client {
		out = append(out, preface...)
	}
	at := len(out)
	out = appendHeader(out, 0, frameSettings, 0, 0)
	if n := c.cfg.tableSize(); n != hpack.DefaultTableSize {
		out = appendSetting(out, settingHeaderTableSize, n)
	}
	if c.cfg.Role == Client {
		out = appendSetting(out, settingEnablePush, 0)
	} else {
		out = appendSetting(out, settingMaxConcurrentStreams, c.cfg.MaxConcurrentStreams)
		if c.cfg.EnableConnect {
			out = appendSetting(out, settingEnableConnect, 1)
		}
	}
	out = appendSetting(out, settingInitialWindowSize, uint32(c.cfg.StreamWindow))
	if c.cfg.MaxFrameSize != minFrameSize {
		out = appendSetting(out, settingMaxFrameSize, c.cfg.MaxFrameSize)
	}
	out = appendSetting(out, settingMaxHeaderListSize, uint32(min(c.cfg.MaxHeaderBytes, maxWindow)))
	out[at+2] = byte(len(out) - at - headerLen) // a few settings of 6 octets
	c.ackPending++
	if n := c.cfg.ConnWindow - defaultWindow; n > 0 {
		out = appendWindowUpdate(out, 0, uint32(n))
	}
	*c.out = out
}

// SetNow tells the time. Budgets refill by it, and streams that were reset too soon to be told to the
// peer then may be appended to the output; call it once per batch of events, and now and then in
// silence.
func (c *Conn) SetNow(t time.Time) {
	c.now = t
	c.control.leak(t, c.cfg.Limits.ControlPerSecond)
	c.resets.leak(t, c.cfg.Limits.ResetsPerSecond)
	c.cancels.leak(t, c.cfg.Limits.CancelsPerSecond)
	c.resetAbandoned()
}

// Shrink gives back what the connection keeps for use again. It is for connections that have been
// silent for some seconds, and does nothing while streams are open.
func (c *Conn) Shrink() {
	if c.streams.n > 0 || c.depth > 0 {
		return
	}
	c.free, c.spare, c.limbo, c.sweep = nil, nil, nil, nil
	c.fields, c.msgFields, c.cookie = nil, nil, nil
	c.req, c.resp = message.Request{}, message.Response{}
	if len(c.partial) == 0 {
		c.partial = nil
	}
	if c.block.id == 0 {
		c.block.buf = nil
	}
	c.streams.slots = nil
	c.resetIDs.reset(c.resetIDs.size) // nothing can be under way for any of them
	c.resetIDs.ids = nil
	c.enc.Shrink()
}

// Streams returns the number of open streams.
func (c *Conn) Streams() int { return c.streams.n }

// Err returns why the connection is dead, or nil.
func (c *Conn) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// PeerConnect reports whether the peer takes extended CONNECT (RFC 8441); it is known after
// OnSettings.
func (c *Conn) PeerConnect() bool { return c.peerConnect }

// fail kills the connection: GOAWAY is appended, and Feed will return the error. It returns
// false for its callers to return.
func (c *Conn) fail(code ErrCode, reason string) bool {
	if c.err == nil {
		*c.out = appendGoAway(*c.out, min(c.lastPeerID, c.goAwayLast), code, reason)
		c.err = &ConnError{Code: code, Reason: reason}
	}
	return false
}

// Closed says that the transport is gone, with err or in good order. Handler.OnReset is called
// for each open stream. The Conn is of no more use except for Reset.
func (c *Conn) Closed(err error) {
	if c.err == nil {
		reason := "the transport was closed"
		if err != nil {
			reason = err.Error()
		}
		c.err = &ConnError{Code: ConnectionLost, Reason: reason}
	}
	c.enter()
	c.resetAbove(0, ConnectionLost)
	c.leave()
}

// resetAbove ends the streams with ids above last and tells the handler.
func (c *Conn) resetAbove(last uint32, code ErrCode) {
	c.sweep = c.streams.appendAll(c.sweep[:0])
	for _, s := range c.sweep {
		if !s.closed && s.ID > last {
			c.drop(s)
			c.tellReset(s, code)
		}
	}
	clear(c.sweep)
	c.sweep = c.sweep[:0]
}

// enter and leave bracket the methods from which handlers are called: a stream released
// meanwhile is not used again before all of them have returned.
func (c *Conn) enter() { c.depth++ }

func (c *Conn) leave() {
	c.depth--
	if c.depth > 0 || len(c.limbo) == 0 {
		return
	}
	for _, s := range c.limbo {
		c.recycle(s)
	}
	clear(c.limbo)
	c.limbo = c.limbo[:0]
}
