package decide

import (
	"bytes"
	"unicode/utf8"
)

// pathClass says what may be done with a byte of a path.
type pathClass uint8

const (
	classEncode     pathClass = iota // not allowed in a URI: written as %XX
	classReserved                    // allowed, and not the same as its encoded form
	classUnreserved                  // allowed, and the same as its encoded form (RFC 3986 section 2.3)
	classRefuse
)

var pathClasses = func() (t [256]pathClass) {
	for c := 0; c <= ' '; c++ {
		t[c] = classRefuse
	}
	for _, c := range []byte("\x7f\\#") {
		t[c] = classRefuse
	}
	for _, c := range []byte("!$&'()*+,;=:@/%") {
		t[c] = classReserved
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = classUnreserved, classUnreserved
	}
	for _, c := range []byte("0123456789-._~") {
		t[c] = classUnreserved
	}
	return t
}()

// path returns the canonical form of p: p itself if nothing changes, else bytes in c.pathBuf.
func (c *Canonical) path(p []byte) ([]byte, *Ambiguous) {
	if len(p) == 0 || p[0] != '/' {
		return nil, errNoSlash
	}
	if plainPath(p) {
		return p, nil
	}
	if err := c.normalizeBytes(p); err != nil {
		return nil, err
	}
	if err := c.normalizeSegments(); err != nil {
		return nil, err
	}
	if bytes.Equal(c.pathBuf, p) {
		return p, nil
	}
	return c.pathBuf, nil
}

// plainPath reports whether p, which begins with a slash, needs no second look: most do not.
func plainPath(p []byte) bool {
	last := byte('/')
	for _, c := range p[1:] {
		if pathClasses[c] != classUnreserved && pathClasses[c] != classReserved || c == '%' ||
			last == '/' && (c == '/' || c == '.' || c == ';') {
			return false
		}
		last = c
	}
	return true
}

// normalizeBytes writes p into pathBuf with every byte in its canonical form.
func (c *Canonical) normalizeBytes(p []byte) *Ambiguous {
	c.pathBuf, c.octets = c.pathBuf[:0], c.octets[:0]
	for i := 0; i < len(p); i++ {
		b := p[i]
		encoded := b == '%'
		if encoded {
			if i+2 >= len(p) || unhex(p[i+1]) > 15 || unhex(p[i+2]) > 15 {
				return errPercent
			}
			b = unhex(p[i+1])<<4 | unhex(p[i+2])
			i += 2
			switch b {
			case 0:
				return errNull
			case '/':
				return errEncodedSlash
			case '\\':
				return errBackslash
			}
		} else if pathClasses[b] == classRefuse {
			switch b {
			case '\\':
				return errBackslash
			case '#':
				return errFragment
			}
			return errControl
		}
		c.octets = append(c.octets, b)
		if class := pathClasses[b]; class == classUnreserved || class == classReserved && !encoded {
			c.pathBuf = append(c.pathBuf, b)
		} else {
			c.pathBuf = append(c.pathBuf, '%', upperHex[b>>4], upperHex[b&15])
		}
	}
	if !utf8.Valid(c.octets) {
		return errUTF8
	}
	return nil
}

const upperHex = "0123456789ABCDEF"

// normalizeSegments removes dot segments (RFC 3986 section 5.2.4) and repeated slashes from
// pathBuf, in place.
func (c *Canonical) normalizeSegments() *Ambiguous {
	b := c.pathBuf
	w := 0 // b[:w] is done: empty, or "/a/b" without trailing slash
	slash, dots, empty := false, false, false
	for i := 1; i <= len(b); {
		end := i
		for end < len(b) && b[end] != '/' {
			end++
		}
		segment := b[i:end]
		last := end == len(b)
		if hidesDots(segment) {
			return errParameter
		}
		switch string(segment) {
		case "":
			empty = empty || !last
			slash = last
		case ".":
			slash = last
		case "..":
			if w == 0 {
				return errAboveRoot
			}
			w = bytes.LastIndexByte(b[:w], '/')
			slash, dots = last, true
		default:
			b[w] = '/'
			w += 1 + copy(b[w+1:], segment)
			slash = false
		}
		i = end + 1
	}
	if dots && empty {
		return errDotsAndEmpty
	}
	if slash {
		b[w] = '/' // there is room: the slash was in b
		w++
	}
	c.pathBuf = b[:w]
	return nil
}

// hidesDots reports whether the segment becomes empty, "." or ".." for a server that strips
// parameters.
func hidesDots(segment []byte) bool {
	if i := bytes.IndexByte(segment, ';'); i >= 0 {
		switch string(segment[:i]) {
		case "", ".", "..":
			return true
		}
	}
	if i := bytes.Index(segment, encodedSemicolon); i >= 0 {
		switch string(segment[:i]) {
		case ".", "..":
			return true
		}
	}
	return false
}

var encodedSemicolon = []byte("%3B")
