package decide

import (
	"bytes"
	"sync"
)

// valueMatcher compares one header field or query parameter.
type valueMatcher struct {
	name   string
	text   textMatcher
	broken bool // counts as matching; the rule answers 500
}

// joined holds buffers for the rare cases in which a value must be put together before an
// expression can see it: a repeated field, or an encoded query parameter.
var joined = sync.Pool{New: func() any { return new([]byte) }}

// inFields reports whether the query carries the field with a value that matches. "host" is the
// canonical host, since Fields never contains it. All values of a repeated field are compared,
// joined (RFC 9110 section 5.3).
func (v *valueMatcher) inFields(q *Query) bool {
	if v.broken {
		return true
	}
	if v.name == "host" {
		return len(q.Host) > 0 && v.text.matches(q.Host)
	}
	var first []byte
	n := 0
	for i := range q.Fields {
		if string(q.Fields[i].Name) == v.name {
			if n == 0 {
				first = q.Fields[i].Value
			}
			n++
		}
	}
	switch n {
	case 0:
		return false
	case 1:
		return v.text.matches(first)
	}
	sep := ", "
	if v.name == "cookie" {
		sep = "; "
	}
	buf := joined.Get().(*[]byte)
	b := (*buf)[:0]
	for i := range q.Fields {
		if string(q.Fields[i].Name) == v.name {
			if n > 0 {
				n = -n // the first one: no separator before it
			} else {
				b = append(b, sep...)
			}
			b = append(b, q.Fields[i].Value...)
		}
	}
	ok := v.text.matches(b)
	*buf = b
	joined.Put(buf)
	return ok
}

// inQuery reports whether raw has the parameter and its first value matches. Names and values
// are compared decoded (application/x-www-form-urlencoded); a % without two hex digits stands
// for itself, so nothing is skipped.
func (v *valueMatcher) inQuery(raw []byte) bool {
	if v.broken {
		return true
	}
	for len(raw) > 0 {
		var pair []byte
		pair, raw, _ = bytes.Cut(raw, []byte{'&'})
		if len(pair) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(pair, []byte{'='})
		if !equalDecoded(name, v.name) {
			continue
		}
		if !v.text.isRE {
			return equalDecoded(value, v.text.value)
		}
		if bytes.IndexByte(value, '%') < 0 && bytes.IndexByte(value, '+') < 0 {
			return v.text.matches(value)
		}
		buf := joined.Get().(*[]byte)
		b := (*buf)[:0]
		for len(value) > 0 {
			c, n := decodeByte(value)
			b = append(b, c)
			value = value[n:]
		}
		ok := v.text.matches(b)
		*buf = b
		joined.Put(buf)
		return ok
	}
	return false
}

// equalDecoded compares the encoded bytes with a plain string, without a copy.
func equalDecoded(encoded []byte, plain string) bool {
	for len(encoded) > 0 {
		c, n := decodeByte(encoded)
		if plain == "" || plain[0] != c {
			return false
		}
		encoded, plain = encoded[n:], plain[1:]
	}
	return plain == ""
}

// decodeByte decodes the first byte of a form-encoded string and says how much it took.
func decodeByte(p []byte) (c byte, n int) {
	switch {
	case p[0] == '+':
		return ' ', 1
	case p[0] == '%' && len(p) > 2 && unhex(p[1]) < 16 && unhex(p[2]) < 16:
		return unhex(p[1])<<4 | unhex(p[2]), 3
	}
	return p[0], 1
}

// unhex returns the value of a hex digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
