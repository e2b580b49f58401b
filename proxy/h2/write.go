package h2

import (
	"strconv"

	"github.com/weft-mesh/weft/message"
)

// Names and values of fields that the codec itself writes. Never written to.
var (
	nameMethod        = []byte(":method")
	nameScheme        = []byte(":scheme")
	nameAuthority     = []byte(":authority")
	namePath          = []byte(":path")
	nameProtocol      = []byte(":protocol")
	nameStatus        = []byte(":status")
	nameContentLength = []byte("content-length")
	nameTE            = []byte("te")
	nameExpect        = []byte("expect")
	nameProxyStatus   = []byte("proxy-status")
	valueTrailers     = []byte("trailers")
	valueContinue     = []byte("100-continue")
	valueHTTP         = []byte("http")
	valueSlash        = []byte("/")
)

// writeRequest appends the head of a request. What HTTP/2 demands and the message left empty is
// filled in: the scheme, and the path of an extended CONNECT.
func (c *Conn) writeRequest(id uint32, r *message.Request, end bool) {
	b := c.beginBlock(id)
	b = c.enc.Append(b, nameMethod, r.Method, false)
	connect := string(r.Method) == "CONNECT" && len(r.Protocol) == 0
	if !connect {
		scheme, path := r.Scheme, r.Path
		if len(scheme) == 0 {
			scheme = valueHTTP
		}
		if len(path) == 0 {
			path = valueSlash
		}
		b = c.enc.Append(b, nameScheme, scheme, false)
		b = c.enc.Append(b, namePath, path, false)
	}
	if len(r.Authority) > 0 {
		b = c.enc.Append(b, nameAuthority, r.Authority, false)
	}
	if len(r.Protocol) > 0 && string(r.Method) == "CONNECT" {
		b = c.enc.Append(b, nameProtocol, r.Protocol, false)
	}
	b = c.appendFields(b, r.Fields)
	if r.ContentLength >= 0 && !connect {
		b = c.enc.Append(b, nameContentLength, strconv.AppendInt(c.num[:0], r.ContentLength, 10), false)
	}
	if r.TETrailers {
		b = c.enc.Append(b, nameTE, valueTrailers, false)
	}
	if r.Expect100 {
		b = c.enc.Append(b, nameExpect, valueContinue, false)
	}
	c.endBlock(b, end)
}

// writeResponse appends the head of a response.
func (c *Conn) writeResponse(id uint32, r *message.Response, end bool) {
	b := c.beginBlock(id)
	b = c.enc.Append(b, nameStatus, strconv.AppendInt(c.num[:0], int64(r.Status), 10), false)
	b = c.appendFields(b, r.Fields)
	if r.ContentLength >= 0 && r.Status >= 200 && r.Status != 204 {
		b = c.enc.Append(b, nameContentLength, strconv.AppendInt(c.num[:0], r.ContentLength, 10), false)
	}
	c.endBlock(b, end)
}

// writeTrailers appends a trailer section, which ends the stream.
func (c *Conn) writeTrailers(id uint32, fields []message.Field) {
	c.endBlock(c.appendFields(c.beginBlock(id), fields), true)
}

func (c *Conn) appendFields(b []byte, fields []message.Field) []byte {
	for i := range fields {
		f := &fields[i]
		b = c.enc.Append(b, f.Name, f.Value, f.Sensitive)
	}
	return b
}

// answer answers a request that the handler never sees, and ends its stream.
func (c *Conn) answer(id uint32, end bool, status int, details string) bool {
	b := c.beginBlock(id)
	b = c.enc.Append(b, nameStatus, strconv.AppendInt(c.num[:0], int64(status), 10), false)
	b = c.enc.Append(b, nameProxyStatus, []byte(`weft; error=http_request_error; details="`+details+`"`), false)
	b = c.enc.Append(b, nameContentLength, strconv.AppendInt(c.num[:0], 0, 10), false)
	c.endBlock(b, true)
	if !end {
		*c.out = appendRST(*c.out, id, NoError) // do not send the rest (RFC 9113 section 8.1)
	}
	c.resetIDs.add(id)
	return c.chargeReset("answered " + strconv.Itoa(status))
}

// beginBlock appends the header of a HEADERS frame for a header block to be appended behind.
func (c *Conn) beginBlock(id uint32) []byte {
	c.blockAt = len(*c.out)
	return c.enc.Begin(appendHeader(*c.out, 0, frameHeaders, flagEndHeaders, id))
}

// endBlock completes the frame begun by beginBlock; out is the output with the block. A block
// that is larger than a frame goes on in CONTINUATION frames.
func (c *Conn) endBlock(out []byte, end bool) {
	at := c.blockAt
	if end {
		out[at+4] |= flagEndStream
	}
	size := len(out) - at - headerLen
	if size > c.peerFrame {
		out = splitBlock(out, at, c.peerFrame)
		size = c.peerFrame
	}
	out[at], out[at+1], out[at+2] = byte(size>>16), byte(size>>8), byte(size)
	*c.out = out
}

// splitBlock puts headers of CONTINUATION frames into the block of the frame at at.
func splitBlock(out []byte, at, limit int) []byte {
	id := parseHeader(out[at:]).id
	rest := append([]byte(nil), out[at+headerLen+limit:]...)
	out[at+4] &^= flagEndHeaders
	out = out[:at+headerLen+limit]
	for len(rest) > 0 {
		n := min(len(rest), limit)
		var flags uint8
		if n == len(rest) {
			flags = flagEndHeaders
		}
		out = append(appendHeader(out, n, frameContinuation, flags, id), rest[:n]...)
		rest = rest[n:]
	}
	return out
}
