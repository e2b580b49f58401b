package h1

import "github.com/weft-mesh/weft/message"

// Event is what Feed found.
type Event uint8

// Events, in the order in which a message gives them.
const (
	NeedMore Event = iota // nothing more in these bytes
	Head                  // Request or Response and the facts are filled in
	Data                  // Parser.Data holds a piece of the body
	End                   // the message is over; Parser.Trailers holds what trailed. Call Next
)

// String names the event.
func (e Event) String() string {
	switch e {
	case NeedMore:
		return "NeedMore"
	case Head:
		return "Head"
	case Data:
		return "Data"
	case End:
		return "End"
	}
	return "Event(?)"
}

// state is where in a message a parser is.
type state uint8

const (
	inHead       state = iota
	inNoBody           // a head without body was reported, its end was not
	inLength           // left bytes of body to come
	inUntilClose       // body ends with the connection
	inChunkSize        // digits of a chunk size
	inChunkExt         // extensions behind it; Parser.ext says where
	inChunkLF          // LF behind size and extensions
	inChunkData        // left bytes of chunk to come
	inChunkCR          // CR behind chunk data
	inChunkCRLF        // LF behind that
	inTrailers         // field lines behind the last chunk
	inDone             // End was reported
	inDead             // err was reported
)

// Parser reads the messages of one direction of one connection. It does no I/O and starts nothing.
// The zero value is a request parser with default Limits; see [Parser.ResetRequest] and
// [Parser.ResetResponse]. A Parser may be embedded by value and used again; it must not be copied
// once in use and is not safe for concurrent use. In steady state it does not allocate.
//
// The exported fields are the parser's report: read them after the event that fills them in.
// Slices point into the bytes given to Feed, or into the parser; they stay good until those bytes
// change or Next or a Reset is called. Fields may be shortened, edited and appended to (there is
// room for a few more without allocation).
type Parser struct {
	Request  message.Request  // filled in at Head by a request parser
	Response message.Response // filled in at Head by a response parser
	Data     []byte           // at Data: a piece of body without any framing; never empty
	Trailers []message.Field  // at End: fields behind a chunked body, if any

	// Facts about the message, set at Head.

	// KeepAlive says that the peer lets the connection be used again after this message, and the
	// message's end can be told without closing. HTTP/1.0 "keep-alive" counts for responses and for
	// requests in origin-form, not for requests to a forward proxy (RFC 9112 section 9.3).
	KeepAlive bool
	Version10 bool // HTTP/1.0, else HTTP/1.1
	HasBody   bool // Data may follow; if not, End comes next
	Chunked   bool // the body came chunked (it is handed on without framing)
	// UntilClose says that the body of this response ends when the peer closes: call EOF then.
	UntilClose bool
	// Upgrade says that the request asks for Request.Protocol, or that the response is a 101 (Switching
	// Protocols) that was asked for; Protocol is its token then. A request that has a body, or asks only
	// for HTTP/2 (h2c), counts as not asking.
	Upgrade  bool
	Protocol []byte
	// Tunnel says that the bytes behind this message are no HTTP: a 101, or a 2xx to CONNECT.
	Tunnel   bool
	Interim  bool // a 1xx response other than 101: another response to the same request follows
	Absolute bool // the request came in absolute-form or authority-form, so the client takes us for its proxy
	// ObsText says that some field value has bytes from 0x80 (RFC 9110 section 5.5). They are handed on;
	// matchers must treat them as opaque bytes, so that no policy fails open on text that is not UTF-8.
	// Trailers may set it later than Head.
	ObsText bool

	limits   Limits
	state    state
	response bool // reads responses
	err      *Error

	head bool // for responses: the request was HEAD
	conn bool // for responses: the request was CONNECT
	upgr bool // for responses: the request asked for an upgrade

	skippedCRLF bool   // the one empty line before a request was taken
	scanned     int    // bytes of an unfinished head or trailer section searched for LF
	line        int    // in it: where the first line starts that was not complete
	count       int    // in it: complete field lines
	interims    int    // 1xx responses since the last final one
	left        int64  // bytes of body or chunk to come; the chunk size while it is read
	body        int64  // chunked: sizes so far
	digits      int    // chunked: digits of the size so far
	lineBytes   int    // chunked: bytes of the size line so far
	extBytes    int    // chunked: bytes of extensions so far
	ext         extPos // chunked: where in an extension

	seen      seen            // what the fields of the head said about framing
	fields    []message.Field // backs Request.Fields and Response.Fields
	trailers  []message.Field // backs Trailers
	nominated [][]byte        // fields named by Connection
	path      []byte          // backs Request.Path where it is not in the input as such
}

// NewRequestParser returns a parser for what a client sends.
func NewRequestParser(l Limits) *Parser {
	x := new(Parser)
	x.ResetRequest(l)
	return x
}

// NewResponseParser returns a parser for what a server sends.
func NewResponseParser(l Limits) *Parser {
	x := new(Parser)
	x.ResetResponse(l)
	return x
}

// ResetRequest makes x a request parser at the start of a connection. It keeps scratch memory.
func (x *Parser) ResetRequest(l Limits) { x.reset(l, false) }

// ResetResponse makes x a response parser at the start of a connection. It keeps scratch memory.
func (x *Parser) ResetResponse(l Limits) { x.reset(l, true) }

func (x *Parser) reset(l Limits, response bool) {
	*x = Parser{
		limits: l.withDefaults(), response: response,
		fields: x.fields[:0], trailers: x.trailers[:0], nominated: x.nominated[:0], path: x.path[:0],
	}
}

// ExpectResponseTo tells a response parser what the next final response answers, for its framing
// depends on that: the request's method, and whether it asked for an upgrade. It holds for all 1xx
// responses before that response, and is forgotten with it. Without a call the method is an ordinary one.
func (x *Parser) ExpectResponseTo(method []byte, upgrade bool) {
	x.head = string(method) == "HEAD"
	x.conn = string(method) == "CONNECT"
	x.upgr = upgrade
}

// Idle reports whether x is between messages with no byte of the next one seen.
func (x *Parser) Idle() bool { return x.state == inDone || x.state == inHead && x.scanned == 0 }

// Reusable reports whether x is between messages, after Next, and remembers nothing of its connection:
// it may read for another one of the same kind and limits without a Reset.
func (x *Parser) Reusable() bool {
	return x.state == inHead && x.scanned == 0 && !x.skippedCRLF && x.interims == 0 && !x.head && !x.conn && !x.upgr
}

// Remaining returns how many bytes of a body of declared length, or of the present chunk, have not
// been seen yet; else 0.
func (x *Parser) Remaining() int64 {
	if x.state == inLength || x.state == inChunkData {
		return x.left
	}
	return 0
}

// Feed consumes from p and returns how much it took and what it found. Call it again with the rest
// until it returns NeedMore, also when the rest is empty: End needs no bytes of its own.
//
// A head, and a trailer section, must be contiguous: while it is not complete Feed takes nothing of it
// and returns NeedMore; call it again with the same bytes and more behind them. It remembers how far it
// looked, so that a head that comes byte by byte costs no more than twice one that comes whole. Limits
// tell how large the caller's buffer may have to be. Everything else is consumed as it comes. Data is a
// part of p.
//
// Feed changes p: it turns field names and connection options into small letters, in place.
//
// After a malformed message the error is an [*Error], n is 0, and every further call returns the
// same error. After End, Feed takes nothing and returns End until Next is called.
func (x *Parser) Feed(p []byte) (n int, ev Event, err error) {
	switch x.state {
	case inHead:
		return x.feedHead(p)
	case inNoBody:
		return x.end(0)
	case inLength:
		if x.left == 0 {
			return x.end(0)
		}
		n := min(x.left, int64(len(p)))
		x.left -= n
		return x.data(p, 0, int(n))
	case inUntilClose:
		return x.data(p, 0, len(p))
	case inTrailers:
		return x.feedTrailers(p, 0)
	case inDone:
		return 0, End, nil
	case inDead:
		return 0, NeedMore, x.err
	}
	return x.feedChunked(p)
}

// EOF tells x that the peer will send nothing more. It returns End where that ends the message (a body
// until close, or a message that was complete but not yet reported so), NeedMore and no error
// between messages, and else an [*Error] with CodeTruncated.
func (x *Parser) EOF() (ev Event, err error) {
	switch {
	case x.state == inDead:
		return NeedMore, x.err
	case x.Idle():
		return NeedMore, nil
	case x.state == inNoBody, x.state == inUntilClose, x.state == inLength && x.left == 0:
		_, ev, err = x.end(0)
		return ev, err
	case x.state == inHead:
		_, ev, err = x.dead(x.bad(CodeTruncated, "connection closed within a head"))
		return ev, err
	case x.state == inLength:
		_, ev, err = x.dead(x.bad(CodeTruncated, "connection closed %d bytes before the end of the body", x.left))
		return ev, err
	}
	_, ev, err = x.dead(x.bad(CodeTruncated, "connection closed within a chunked body"))
	return ev, err
}

// Next makes x ready for the next message after End, or where only End is missing (a head without
// HasBody). Within a message it does nothing, so that it cannot make x take the rest of a body for a head. What follows a Tunnel is no message: give those bytes to
// the tunnel instead.
func (x *Parser) Next() {
	if x.state != inDone && x.state != inNoBody {
		return
	}
	if x.response && !x.Interim {
		x.head, x.conn, x.upgr, x.interims = false, false, false, 0
	}
	x.state, x.skippedCRLF = inHead, false
	x.Data, x.Trailers = nil, nil
}

// data reports n bytes of body at p[i:].
func (x *Parser) data(p []byte, i, n int) (int, Event, error) {
	if n == 0 {
		return i, NeedMore, nil
	}
	x.Data = p[i : i+n : i+n]
	return i + n, Data, nil
}

// end reports the end of the message after n bytes.
func (x *Parser) end(n int) (int, Event, error) {
	x.state, x.Data = inDone, nil
	return n, End, nil
}

// dead reports e, now and for ever.
func (x *Parser) dead(e *Error) (int, Event, error) {
	x.state, x.err, x.Data = inDead, e, nil
	return 0, NeedMore, e
}
