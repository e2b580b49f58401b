package h1

import (
	"strconv"

	"github.com/weft-mesh/weft/message"
)

// Continue is the interim response that a client with Expect: 100-continue waits for.
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// RequestOptions say what a request head does not: how it is framed, and what is asked of the connection.
type RequestOptions struct {
	Chunked  bool // the body will be written with AppendChunk; otherwise ContentLength, if any, frames it
	Absolute bool // absolute-form target, for a server that is a forward proxy
	Close    bool // ask the server to close the connection afterwards
}

// ResponseOptions say what a response head does not.
type ResponseOptions struct {
	Chunked     bool   // the body will be written with AppendChunk; otherwise ContentLength, if any, frames it
	Close       bool   // the connection will be closed behind the body; needed with FramingUntilClose
	KeepAlive10 bool   // the client speaks HTTP/1.0 and asked for keep-alive: grant it
	Upgrade     []byte // with status 101: the protocol switched to
}

// AppendRequest appends the head of r to dst. Of r it writes the target, Host first, Fields as they are,
// and from the rest the framing, Connection, Upgrade (when Protocol is set), TE and Expect. Fields that
// only the codec may write (Host, Content-Length, hop-by-hop ones) are left out if they are in Fields.
//
// An extended CONNECT (RFC 8441: method CONNECT with Protocol) becomes the GET that HTTP/1.1 asks
// for upgrades with.
//
// It copies without looking: what did not come from this package's parser must have passed [CheckRequest].
func AppendRequest(dst []byte, r *message.Request, opt RequestOptions) []byte {
	tunnel := string(r.Method) == "CONNECT" && len(r.Protocol) == 0
	if string(r.Method) == "CONNECT" && !tunnel {
		dst = append(dst, "GET "...)
	} else {
		dst = append(dst, r.Method...)
		dst = append(dst, ' ')
	}
	switch {
	case tunnel:
		dst = append(dst, r.Authority...)
	case opt.Absolute:
		scheme := r.Scheme
		if len(scheme) == 0 {
			scheme = schemeHTTP
		}
		dst = append(dst, scheme...)
		dst = append(dst, "://"...)
		dst = append(dst, r.Authority...)
		if string(r.Path) != "*" {
			dst = appendPath(dst, r.Path)
		}
	default:
		dst = appendPath(dst, r.Path)
	}
	dst = append(dst, " HTTP/1.1\r\nhost: "...)
	dst = append(dst, r.Authority...)
	dst = append(dst, "\r\n"...)
	dst = appendFields(dst, r.Fields)
	switch {
	case opt.Chunked:
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	case r.ContentLength >= 0:
		dst = appendLength(dst, r.ContentLength)
	}
	if r.Expect100 {
		dst = append(dst, "expect: 100-continue\r\n"...)
	}
	if r.TETrailers {
		dst = append(dst, "te: trailers\r\n"...)
	}
	dst = appendConnection(dst, opt.Close, false, r.TETrailers, r.Protocol)
	return append(dst, "\r\n"...)
}

// AppendResponse appends the head of r to dst: status line, Fields, framing, Connection. What a
// status forbids (a length on 1xx and 204, chunked on those and 304; RFC 9110 section 8.6) is not
// written whatever opt says. The remarks on Fields and checking at AppendRequest hold, see [CheckResponse].
func AppendResponse(dst []byte, r *message.Response, opt ResponseOptions) []byte {
	status := r.Status
	if status < 100 || status > 999 {
		status = 500 // CheckResponse would have refused it; a status line must have three digits
	}
	dst = appendStatusLine(dst, status)
	dst = appendFields(dst, r.Fields)
	switch {
	case status < 200 || status == 204:
	case opt.Chunked && status != 304:
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	case r.ContentLength >= 0:
		dst = appendLength(dst, r.ContentLength)
	}
	var protocol []byte
	if status == 101 {
		protocol = opt.Upgrade
	}
	dst = appendConnection(dst, opt.Close, opt.KeepAlive10 && !opt.Close, false, protocol)
	return append(dst, "\r\n"...)
}

func appendPath(dst, path []byte) []byte {
	if len(path) == 0 {
		return append(dst, '/')
	}
	return append(dst, path...)
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "content-length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

func appendFields(dst []byte, fields []message.Field) []byte {
	for i := range fields {
		f := &fields[i]
		if kindOf(f.Name).ours() {
			continue
		}
		dst = appendField(dst, f)
	}
	return dst
}

func appendField(dst []byte, f *message.Field) []byte {
	dst = append(dst, f.Name...)
	dst = append(dst, ": "...)
	dst = append(dst, f.Value...)
	return append(dst, "\r\n"...)
}

// appendConnection writes one Connection field with what applies, and Upgrade.
func appendConnection(dst []byte, shut, keep, te bool, protocol []byte) []byte {
	upgrade := len(protocol) > 0
	if !shut && !keep && !te && !upgrade {
		return dst
	}
	dst = append(dst, "connection: "...)
	start := len(dst)
	option := func(on bool, name string) {
		if on {
			if len(dst) > start {
				dst = append(dst, ", "...)
			}
			dst = append(dst, name...)
		}
	}
	option(shut, "close")
	option(keep, "keep-alive")
	option(te, "te")
	option(upgrade, "upgrade")
	if upgrade {
		dst = append(dst, "\r\nupgrade: "...)
		dst = append(dst, protocol...)
	}
	return append(dst, "\r\n"...)
}

// AppendChunkHeader appends the size line of a chunk of n bytes, n > 0. The chunk's data and CRLF
// must follow.
func AppendChunkHeader(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendChunk appends p as one chunk. An empty p appends nothing: it would end the body.
func AppendChunk(dst, p []byte) []byte {
	if len(p) == 0 {
		return dst
	}
	dst = AppendChunkHeader(dst, len(p))
	dst = append(dst, p...)
	return append(dst, "\r\n"...)
}

// AppendLastChunk ends a chunked body, with trailers if there are any. Those that must not be in a
// trailer section are left out; others must have passed [CheckTrailers] if they did not come from the parser.
func AppendLastChunk(dst []byte, trailers []message.Field) []byte {
	dst = append(dst, "0\r\n"...)
	for i := range trailers {
		if mayTrail(trailers[i].Name) {
			dst = appendField(dst, &trailers[i])
		}
	}
	return append(dst, "\r\n"...)
}
