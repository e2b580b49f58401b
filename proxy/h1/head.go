package h1

import (
	"bytes"
	"slices"

	"github.com/weft-mesh/weft/message"
)

// spareFields is the room left behind parsed fields, for what the data path adds (forwarding,
// tracing, identity), so that adding does not allocate.
const spareFields = 8

// seen gathers what the fields of a head say about its framing and its connection. Each is judged
// when the head is complete, so that the order of fields cannot matter.
type seen struct {
	hosts, lengths, codings, expects int
	host                             []byte
	length                           int64
	upgrade                          []byte // first acceptable protocol of Upgrade
	options                          int    // connection options counted
	close, keepAlive, connUpgrade    bool
	expect100                        bool
}

// feedHead looks for a complete head in p.
func (x *Parser) feedHead(p []byte) (int, Event, error) {
	if x.limits.HeadBytes == 0 {
		x.limits = x.limits.withDefaults()
	}
	skip := 0
	if !x.response && !x.skippedCRLF && len(p) > 0 && p[0] == '\r' {
		// One empty line before a request is the mark of an old client that sent CRLF behind a
		// body (RFC 9112 section 2.2). A second one finds skippedCRLF set and is refused.
		if len(p) == 1 {
			return 0, NeedMore, nil
		}
		if p[1] == '\n' {
			x.skippedCRLF, skip, p = true, 2, p[2:]
		}
	}
	n, e := x.section(p, x.limits.HeadBytes, false)
	switch {
	case e != nil:
		return x.dead(e)
	case n == 0:
		return skip, NeedMore, nil
	}
	return skip + n, Head, nil
}

// feedTrailers looks for a complete trailer section in p[i:].
func (x *Parser) feedTrailers(p []byte, i int) (int, Event, error) {
	n, e := x.section(p[i:], x.limits.TrailerBytes, true)
	switch {
	case e != nil:
		return x.dead(e)
	case n == 0:
		return i, NeedMore, nil
	}
	x.Trailers = x.trailers
	return x.end(i + n)
}

// section reads a head or a trailer section of at most limit bytes at the start of p. It returns its
// length, or 0 if p does not hold all of it.
//
// Lines are judged as they become complete, never before, so that the verdict does not depend on how
// the bytes were cut, and a bad line is told without waiting for the rest. While a section is
// incomplete only lines that are new are looked at; as the caller may move the bytes between calls,
// what was kept of them is read once more when the section is complete. So a section that dribbles
// in costs twice one that comes whole, however many pieces it comes in.
func (x *Parser) section(p []byte, limit int, trailer bool) (int, *Error) {
	p = p[:min(len(p), limit)]
	full := len(p) == limit
	if !full && bytes.IndexByte(p[min(x.scanned, len(p)):], '\n') < 0 {
		x.scanned = len(p)
		return 0, nil
	}
	again := x.line > 0
	n, e := x.lines(p, trailer)
	if n > 0 && again {
		x.line = 0
		n, e = x.lines(p, trailer)
	}
	if n > 0 && !trailer {
		e = x.finishHead()
	}
	switch {
	case e != nil && !full && bytes.IndexByte(p[x.line:], '\n') < 0:
		e = nil // the line is not complete
	case e != nil:
		return 0, e
	case n > 0:
		x.line, x.scanned = 0, 0
		return n, nil
	case full && trailer:
		return 0, x.refuse(431, CodeTooLarge, "trailer section longer than %d bytes", limit)
	case full:
		return 0, x.refuse(431, CodeTooLarge, "head longer than %d bytes", limit)
	}
	x.scanned = len(p)
	return 0, e
}

// lines reads lines of p from x.line on, and leaves in x.line where the first one starts that was not
// complete. It returns the length of the section, or 0 if that is not complete.
func (x *Parser) lines(p []byte, trailer bool) (int, *Error) {
	if trailer {
		if x.line == 0 {
			x.trailers, x.count = x.trailers[:0], 0
		}
		return x.fieldLines(p, true)
	}
	if x.line == 0 {
		x.clearHead()
		if e := x.startLine(p); e != nil || x.line == 0 {
			return 0, e
		}
	}
	return x.fieldLines(p, false)
}

// finishHead judges a head as a whole, once all its lines have been read.
func (x *Parser) finishHead() *Error {
	x.dropNominated()
	x.fields = slices.Grow(x.fields, spareFields)
	if x.response {
		return x.finishResponse()
	}
	return x.finishRequest()
}

// startLine reads the first line of p if it is complete.
func (x *Parser) startLine(p []byte) *Error {
	i := bytes.IndexByte(p[:min(len(p), x.limits.LineBytes)], '\n')
	switch {
	case i < 0 && len(p) >= x.limits.LineBytes:
		return x.refuse(414, CodeTooLarge, "start line longer than %d bytes", x.limits.LineBytes)
	case i < 0:
		return nil
	case i == 0 || p[i-1] != '\r':
		return x.bad(CodeLineEnd, "start line ends in LF without CR")
	}
	var e *Error
	if x.response {
		e = x.statusLine(p[: i-1 : i-1])
	} else {
		e = x.requestLine(p[: i-1 : i-1])
	}
	if e != nil {
		return e
	}
	x.line = i + 1
	return nil
}

// clearHead forgets the last head and its facts.
func (x *Parser) clearHead() {
	x.fields, x.nominated, x.count = x.fields[:0], x.nominated[:0], 0
	if x.fields == nil {
		x.fields = make([]message.Field, 0, 16)
	}
	x.seen = seen{}
	x.Trailers, x.Data, x.Protocol = nil, nil, nil
	x.KeepAlive, x.Version10, x.HasBody, x.Chunked, x.UntilClose = false, false, false, false, false
	x.Upgrade, x.Tunnel, x.Interim, x.Absolute, x.ObsText = false, false, false, false, false
}

// fieldLines parses field lines (RFC 9112 section 5) of p from x.line on, up to and with the empty
// line. It returns the index behind that, or 0 if p does not reach that far.
func (x *Parser) fieldLines(p []byte, trailer bool) (int, *Error) {
	for i := x.line; i < len(p); x.line = i {
		switch p[i] {
		case '\r':
			if i+1 == len(p) {
				return 0, nil
			}
			if p[i+1] != '\n' {
				return 0, x.bad(CodeLineEnd, "CR without LF at the start of a line")
			}
			return i + 2, nil
		case '\n':
			return 0, x.bad(CodeLineEnd, "empty line ends in LF without CR")
		case ' ', '\t':
			return 0, x.bad(CodeFolding, "a line starts with white space")
		}
		if x.count >= x.limits.Fields {
			return 0, x.refuse(431, CodeTooLarge, "more than %d fields", x.limits.Fields)
		}
		start := i
		for i < len(p) && lower[p[i]] != 0 {
			p[i] = lower[p[i]]
			i++
		}
		if i == len(p) {
			return 0, nil
		}
		name := p[start:i:i]
		if p[i] != ':' || len(name) == 0 {
			return 0, x.badName(name, p[i])
		}
		i++
		white := byte(' ')
		for i < len(p) && (p[i] == ' ' || p[i] == '\t') {
			white &= p[i]
			i++
		}
		start = i
		end, obs := scanText(p, i)
		if end < len(p) && p[end] != '\r' {
			return 0, x.badValue(name, p[end])
		}
		if end+1 >= len(p) {
			return 0, nil
		}
		if p[end+1] != '\n' {
			return 0, x.bad(CodeLineEnd, "CR without LF in field %s", quote(name))
		}
		i = end + 2
		x.count++
		for end > start && (p[end-1] == ' ' || p[end-1] == '\t') {
			end--
			white &= p[end]
		}
		if obs {
			x.ObsText = true
		}
		if e := x.field(name, p[start:end:end], white == ' ', trailer); e != nil {
			return 0, e
		}
	}
	return 0, nil
}

// badName says what is wrong with a name that is followed by c.
func (x *Parser) badName(name []byte, c byte) *Error {
	switch c {
	case ':':
		return x.bad(CodeFieldName, "field without a name")
	case ' ', '\t':
		return x.bad(CodeFieldName, "white space in or behind field name %s", quote(name))
	case '\r':
		return x.bad(CodeFieldName, "line without a colon: %s", quote(name))
	case '\n':
		return x.bad(CodeLineEnd, "LF without CR behind %s", quote(name))
	}
	return x.bad(CodeFieldName, "byte %#02x in a field name behind %s", c, quote(name))
}

// badValue says what is wrong with byte c in a value.
func (x *Parser) badValue(name []byte, c byte) *Error {
	if c == '\n' {
		return x.bad(CodeLineEnd, "LF without CR in field %s", quote(name))
	}
	return x.bad(CodeFieldValue, "byte %#02x in the value of field %s", c, quote(name))
}
