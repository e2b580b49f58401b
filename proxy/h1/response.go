package h1

import (
	"bytes"

	"github.com/weft-mesh/weft/message"
)

// statusLine parses version SP status SP [reason] (RFC 9112 section 4). The reason is checked and
// dropped. Servers that leave out the last space when there is no reason are let pass: nothing hangs on it.
func (x *Parser) statusLine(line []byte) *Error {
	x.Response = message.Response{ContentLength: -1}
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		return x.bad(CodeStartLine, "status line %s", quote(line))
	}
	if e := x.version(line[:i]); e != nil {
		return e
	}
	rest := line[i+1:]
	if len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return x.bad(CodeStartLine, "status line %s", quote(line))
	}
	status := 0
	for _, c := range rest[:3] {
		if c < '0' || c > '9' {
			return x.bad(CodeStartLine, "status %s", quote(rest[:3]))
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 {
		return x.bad(CodeStartLine, "status %s", quote(rest[:3]))
	}
	if end, _ := scanText(rest, 3); end != len(rest) {
		return x.bad(CodeStartLine, "byte %#02x in the reason of status %d", rest[end], status)
	}
	x.Response.Status = status
	return nil
}

// finishResponse judges a response whose lines have all been read, as RFC 9112 section 6.3 orders it.
func (x *Parser) finishResponse() *Error {
	s, r := &x.seen, &x.Response
	if e := x.checkFraming(); e != nil {
		return e
	}
	r.Fields = x.fields
	x.KeepAlive = x.persistent()
	tunnel := x.conn && r.Status >= 200 && r.Status < 300
	if s.lengths > 0 && !tunnel {
		r.ContentLength = s.length
	}
	switch {
	case r.Status < 200:
		return x.finishInterim()
	case tunnel:
		x.Tunnel, x.KeepAlive = true, false
	case r.Status == 204:
		// Content-Length: 0 is forbidden too (RFC 9110 section 8.6) but common, and harmless.
		if s.codings > 0 || s.length > 0 {
			return x.bad(CodeFraming, "status 204 with a body")
		}
		r.ContentLength = -1
	case x.head, r.Status == 304:
	case s.codings > 0:
		return x.startBody(FramingChunked)
	case s.lengths > 0 && s.length > 0:
		return x.startBody(FramingLength)
	case s.lengths > 0:
	default:
		x.KeepAlive = false
		return x.startBody(FramingUntilClose)
	}
	return x.startBody(FramingNone)
}

// finishInterim judges a 1xx response. 101 is final: the connection stops being HTTP behind it, so it
// is taken only as the answer to a request that asked for it.
func (x *Parser) finishInterim() *Error {
	s, r := &x.seen, &x.Response
	switch {
	case s.codings > 0 || s.length > 0:
		return x.bad(CodeFraming, "status %d with a body", r.Status)
	case x.Version10:
		return x.bad(CodeVersion, "status %d in HTTP/1.0", r.Status)
	}
	r.ContentLength = -1
	if r.Status == 101 {
		if !x.upgr {
			return x.bad(CodeUpgrade, "status 101 without a request to upgrade")
		}
		if s.upgrade == nil || !s.connUpgrade {
			return x.bad(CodeUpgrade, "status 101 without connection: upgrade and a protocol that may be switched to")
		}
		x.Upgrade, x.Tunnel, x.KeepAlive, x.Protocol = true, true, false, s.upgrade
		return x.startBody(FramingNone)
	}
	if x.interims++; x.interims > x.limits.Interim {
		return x.bad(CodeInterim, "more than %d responses with status 1xx", x.limits.Interim)
	}
	x.Interim = true
	return x.startBody(FramingNone)
}
