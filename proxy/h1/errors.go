package h1

import (
	"fmt"
	"strconv"
)

// Error says why a message was refused. The connection that it came on is of no further use: where
// the next message would start is not known.
type Error struct {
	// Status is what to answer a malformed request with: 400, 413, 414, 417, 431, 501 or 505. It is
	// 502 for a malformed response.
	Status int
	// Code is one of the Code constants; the set is small and fixed, so that it can label a counter.
	Code string
	// Reason is one line for people with the observed value, quoted and cut short. It holds no
	// field values but those that frame or route a message, so it may be logged.
	Reason string
}

// Error gives "h1: code: reason".
func (e *Error) Error() string { return "h1: " + e.Code + ": " + e.Reason }

// Values of [Error.Code].
const (
	CodeStartLine        = "start-line"        // the request or status line does not parse
	CodeVersion          = "version"           // neither HTTP/1.0 nor HTTP/1.1
	CodeMethod           = "method"            // a method of unlikely length
	CodeTarget           = "target"            // a request target in no known form, or not allowed with the method
	CodeHost             = "host"              // Host absent, repeated, malformed, or other than the target's authority
	CodeLineEnd          = "line-end"          // LF without CR, CR without LF
	CodeFieldName        = "field-name"        // no token, no colon, space before the colon
	CodeFieldValue       = "field-value"       // control bytes
	CodeFolding          = "folding"           // a line that starts with white space (obs-fold)
	CodeContentLength    = "content-length"    // not one plain decimal number
	CodeTransferEncoding = "transfer-encoding" // anything but "chunked" once, in HTTP/1.1
	CodeFraming          = "framing"           // lengths that contradict each other, the method or the status
	CodeConnection       = "connection"        // a malformed Connection, or one that nominates a protected field
	CodeExpect           = "expect"            // an expectation other than 100-continue
	CodeChunk            = "chunk"             // malformed chunk size, extension or delimiter
	CodeTrailer          = "trailer"           // a field that must not be in a trailer section
	CodeTooLarge         = "too-large"         // one of Limits was exceeded
	CodeInterim          = "interim"           // too many 1xx responses
	CodeUpgrade          = "upgrade"           // 101 that nobody asked for, or that does not say to what
	CodeTruncated        = "truncated"         // the peer closed within a message
	CodeField            = "field"             // Check functions: a field that the codec itself must write
)

// bad is a malformed message: 400, or 502 for a response.
func (x *Parser) bad(code, format string, args ...any) *Error {
	return x.refuse(400, code, format, args...)
}

// refuse is like bad with a status of its own for requests.
func (x *Parser) refuse(status int, code, format string, args ...any) *Error {
	if x.response {
		status = 502
	}
	return &Error{Status: status, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// quote makes bytes of a stranger printable and short.
func quote(b []byte) string {
	const most = 48
	if len(b) > most {
		return strconv.Quote(string(b[:most])) + "..."
	}
	return strconv.Quote(string(b))
}
