package h1

import "math"

// extPos is where in a chunk extension a parser is.
type extPos uint8

const (
	extNameStart  extPos = iota // behind ";"
	extName                     // within a name
	extValueStart               // behind "="
	extToken                    // within a token value
	extQuoted                   // within a quoted value
	extEscape                   // behind a backslash in it
	extAfter                    // behind the closing quote
)

// startChunk makes x ready for a chunk size.
func (x *Parser) startChunk() {
	x.state, x.left, x.digits, x.lineBytes = inChunkSize, 0, 0, 0
}

// feedChunked reads a chunked body (RFC 9112 section 7.1): it consumes framing up to the first
// data, the trailers or the end of p. Stricter than the RFC: no white space around a size or within
// extensions. Extensions are checked and dropped.
func (x *Parser) feedChunked(p []byte) (int, Event, error) {
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch x.state {
		case inChunkSize:
			if e := x.chunkSize(c); e != nil {
				return x.dead(e)
			}
		case inChunkExt:
			if e := x.chunkExt(c); e != nil {
				return x.dead(e)
			}
		case inChunkLF:
			if c != '\n' {
				return x.dead(x.bad(CodeChunk, "CR without LF behind a chunk size"))
			}
			if x.left == 0 {
				x.state = inTrailers
				return x.feedTrailers(p, i+1)
			}
			if limit := x.limits.BodyBytes; limit > 0 && x.left > limit-x.body {
				return x.dead(x.refuse(413, CodeTooLarge, "chunked body longer than %d bytes", limit))
			}
			x.body += min(x.left, math.MaxInt64-x.body)
			x.state = inChunkData
		case inChunkData:
			n := min(x.left, int64(len(p)-i))
			if x.left -= n; x.left == 0 {
				x.state = inChunkCR
			}
			return x.data(p, i, int(n))
		case inChunkCR:
			if c != '\r' {
				return x.dead(x.bad(CodeChunk, "byte %#02x in place of CR behind chunk data", c))
			}
			x.state = inChunkCRLF
		case inChunkCRLF:
			if c != '\n' {
				return x.dead(x.bad(CodeChunk, "CR without LF behind chunk data"))
			}
			x.startChunk()
		}
	}
	return len(p), NeedMore, nil
}

// chunkSize takes one byte of a size line up to its extensions or CR.
func (x *Parser) chunkSize(c byte) *Error {
	if d := hexValue[c]; d != 255 {
		if x.digits++; x.digits > 16 || x.left > (math.MaxInt64-int64(d))>>4 {
			return x.bad(CodeChunk, "chunk size is too large")
		}
		x.left = x.left<<4 | int64(d)
		return x.chunkLine()
	}
	switch {
	case x.digits == 0:
		return x.bad(CodeChunk, "byte %#02x in place of a chunk size", c)
	case c == '\r':
		x.state = inChunkLF
	case c == ';':
		x.state, x.ext = inChunkExt, extNameStart
		return x.chunkExtByte()
	default:
		return x.bad(CodeChunk, "byte %#02x behind a chunk size", c)
	}
	return nil
}

// chunkLine counts a byte of a size line.
func (x *Parser) chunkLine() *Error {
	if x.lineBytes++; x.lineBytes > x.limits.ChunkLineBytes {
		return x.bad(CodeTooLarge, "chunk size with extensions longer than %d bytes", x.limits.ChunkLineBytes)
	}
	return nil
}

// chunkExtByte counts a byte of extensions, semicolons too.
func (x *Parser) chunkExtByte() *Error {
	if x.extBytes++; x.extBytes > x.limits.ExtensionBytes {
		return x.bad(CodeTooLarge, "chunk extensions longer than %d bytes in one message", x.limits.ExtensionBytes)
	}
	return x.chunkLine()
}

// chunkExt takes one byte of chunk extensions: *( ";" name [ "=" ( token / quoted-string ) ] ).
func (x *Parser) chunkExt(c byte) *Error {
	if c != '\r' {
		if e := x.chunkExtByte(); e != nil {
			return e
		}
	}
	token := lower[c] != 0
	text := c == '\t' || c >= 0x20 && c != 0x7f
	switch x.ext {
	case extNameStart:
		if token {
			x.ext = extName
			return nil
		}
	case extName:
		if c == '=' {
			x.ext = extValueStart
			return nil
		}
		if token {
			return nil
		}
		return x.chunkExtEnd(c)
	case extValueStart:
		if c == '"' {
			x.ext = extQuoted
			return nil
		}
		if token {
			x.ext = extToken
			return nil
		}
	case extToken:
		if token {
			return nil
		}
		return x.chunkExtEnd(c)
	case extAfter:
		return x.chunkExtEnd(c)
	case extQuoted:
		if c == '"' {
			x.ext = extAfter
			return nil
		}
		if c == '\\' {
			x.ext = extEscape
			return nil
		}
		if text {
			return nil
		}
	case extEscape:
		if text {
			x.ext = extQuoted
			return nil
		}
	}
	return x.bad(CodeChunk, "byte %#02x in a chunk extension", c)
}

// chunkExtEnd takes the byte behind an extension: another one follows, or the line ends.
func (x *Parser) chunkExtEnd(c byte) *Error {
	switch c {
	case ';':
		x.ext = extNameStart
	case '\r':
		x.state = inChunkLF
	default:
		return x.bad(CodeChunk, "byte %#02x behind a chunk extension", c)
	}
	return nil
}
