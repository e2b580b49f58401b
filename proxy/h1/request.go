package h1

import (
	"bytes"

	"github.com/weft-mesh/weft/message"
)

// requestLine parses method SP target SP version (RFC 9112 section 3), single spaces only.
func (x *Parser) requestLine(line []byte) *Error {
	x.Request = message.Request{ContentLength: -1}
	i := 0
	for i < len(line) && lower[line[i]] != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ' ' {
		return x.bad(CodeStartLine, "request line %s does not start with a method and a space", quote(line))
	}
	if i > maxMethodBytes {
		return x.refuse(501, CodeMethod, "method %s is longer than %d bytes", quote(line[:i]), maxMethodBytes)
	}
	x.Request.Method = line[:i:i]
	rest := line[i+1:]
	j := bytes.IndexByte(rest, ' ')
	if j < 0 {
		return x.bad(CodeStartLine, "request line %s has no version (HTTP/0.9 is not spoken)", quote(line))
	}
	target := rest[:j:j]
	if e := x.version(rest[j+1:]); e != nil {
		return e
	}
	return x.target(target)
}

// version takes in HTTP/1.1 or HTTP/1.0. Later minor versions do not exist (RFC 9112 section 2.3).
func (x *Parser) version(v []byte) *Error {
	switch string(v) {
	case "HTTP/1.1":
		return nil
	case "HTTP/1.0":
		x.Version10 = true
		return nil
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	if len(v) == 8 && string(v[:5]) == "HTTP/" && digit(v[5]) && v[6] == '.' && digit(v[7]) {
		return x.refuse(505, CodeVersion, "version %s", quote(v))
	}
	return x.bad(CodeStartLine, "%s in place of a version", quote(v))
}

// finishRequest judges a request whose lines have all been read.
func (x *Parser) finishRequest() *Error {
	s, r := &x.seen, &x.Request
	if e := x.checkHost(); e != nil {
		return e
	}
	if e := x.checkFraming(); e != nil {
		return e
	}
	if s.expects > 0 && (s.expects > 1 || !s.expect100) {
		return x.refuse(417, CodeExpect, "an expectation other than 100-continue")
	}
	framing := FramingNone
	switch {
	case s.codings > 0:
		framing = FramingChunked
	case s.lengths > 0:
		r.ContentLength = s.length
		if s.length > 0 {
			framing = FramingLength
		}
	}
	if framing != FramingNone && (string(r.Method) == "CONNECT" || string(r.Method) == "TRACE") {
		return x.bad(CodeFraming, "%s request with a body", r.Method)
	}
	// A client that expects 100 without a body, or speaks HTTP/1.0, would get an answer that it
	// cannot place (RFC 9110 section 10.1.1).
	r.Expect100 = s.expect100 && framing != FramingNone && !x.Version10
	if x.Version10 {
		r.TETrailers = false
	}
	if s.connUpgrade && s.upgrade != nil && !x.Version10 && framing == FramingNone && string(r.Method) != "CONNECT" {
		x.Upgrade, x.Protocol, r.Protocol = true, s.upgrade, s.upgrade
	}
	x.KeepAlive = x.persistent() && (!x.Version10 || !x.Absolute)
	r.Fields = x.fields
	return x.startBody(framing)
}
