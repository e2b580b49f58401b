package h1

import (
	"math"

	"github.com/weft-mesh/weft/message"
)

// Framing is how the end of a body is told.
type Framing uint8

// Framings.
const (
	FramingNone       Framing = iota // there is no body
	FramingLength                    // content-length
	FramingChunked                   // transfer-encoding: chunked
	FramingUntilClose                // closing the connection; responses to HTTP/1.0 clients only
)

// ResponseFraming says how to frame r for a client that asked with method; http10 says that it
// speaks HTTP/1.0 and so cannot read chunks (RFC 9112 section 6.3). With FramingNone the declared
// length, if any, is still written where that is allowed (HEAD, 304).
func ResponseFraming(method []byte, r *message.Response, http10 bool) Framing {
	switch {
	case !statusHasBody(r.Status), string(method) == "HEAD", string(method) == "CONNECT" && r.Status < 300:
		return FramingNone
	case r.ContentLength >= 0:
		return FramingLength
	case http10:
		return FramingUntilClose
	}
	return FramingChunked
}

// RequestFraming says how to frame r; hasBody says that a body follows though its length may not be known.
func RequestFraming(r *message.Request, hasBody bool) Framing {
	switch {
	case r.ContentLength >= 0:
		return FramingLength
	case hasBody:
		return FramingChunked
	}
	return FramingNone
}

// statusHasBody says whether a response with this status can have a body at all (RFC 9110 section 6.4.1).
func statusHasBody(status int) bool { return status >= 200 && status != 204 && status != 304 }

// contentLength takes in a Content-Length: digits only, without leading zeros, below 2^63. RFC 9112
// would let leading zeros pass; software that reads them as octal would not agree with us. Nor do all
// servers take a tab for white space beside a framing field (nginx refuses it), so field refuses that.
func (x *Parser) contentLength(v []byte) *Error {
	if len(v) == 0 || len(v) > 1 && v[0] == '0' {
		return x.bad(CodeContentLength, "content-length %s", quote(v))
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return x.bad(CodeContentLength, "content-length %s", quote(v))
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return x.bad(CodeContentLength, "content-length %s is too large", quote(v))
		}
		n = n*10 + d
	}
	x.seen.length = n
	return nil
}

// transferEncoding takes in a Transfer-Encoding. Codings that RFC 9112 section 7 knows are
// answered 501 when used alone or before chunked; everything else is a trick or a mistake.
func (x *Parser) transferEncoding(v []byte) *Error {
	if foldEqual(v, "chunked") {
		return nil
	}
	first, _ := nextElement(v)
	for _, known := range [...]string{"gzip", "x-gzip", "deflate", "compress", "x-compress"} {
		if foldEqual(first, known) {
			return x.refuse(501, CodeTransferEncoding, "transfer coding %s is not supported", quote(v))
		}
	}
	return x.bad(CodeTransferEncoding, "transfer-encoding %s", quote(v))
}

// checkFraming applies what requests and responses have in common. Two fields of a kind are refused
// even when they agree: the next reader may take the other one.
func (x *Parser) checkFraming() *Error {
	s := &x.seen
	switch {
	case s.lengths > 1:
		return x.bad(CodeContentLength, "%d content-length fields", s.lengths)
	case s.codings > 1:
		return x.bad(CodeTransferEncoding, "%d transfer-encoding fields", s.codings)
	case s.codings > 0 && s.lengths > 0:
		return x.bad(CodeFraming, "content-length and transfer-encoding in one message")
	case s.codings > 0 && x.Version10:
		return x.bad(CodeFraming, "transfer-encoding in HTTP/1.0")
	}
	return nil
}

// startBody sets the state behind a head whose framing is sound.
func (x *Parser) startBody(f Framing) *Error {
	limit := x.limits.BodyBytes
	switch f {
	case FramingLength:
		if limit > 0 && x.seen.length > limit {
			return x.refuse(413, CodeTooLarge, "content-length %d above the limit of %d bytes", x.seen.length, limit)
		}
		x.left, x.state, x.HasBody = x.seen.length, inLength, true
	case FramingChunked:
		x.startChunk()
		x.body, x.extBytes = 0, 0
		x.HasBody, x.Chunked = true, true
	case FramingUntilClose:
		x.state, x.HasBody, x.UntilClose = inUntilClose, true, true
	default:
		x.state = inNoBody
	}
	return nil
}
