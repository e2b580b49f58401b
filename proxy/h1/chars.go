package h1

import (
	"encoding/binary"
	"math/bits"
)

// lower maps the bytes of a token (RFC 9110 section 5.6.2) to themselves, capitals to small
// letters, and everything else to 0. One look says both whether a byte is allowed and what it becomes.
var lower = func() (t [256]byte) {
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = c, c
	}
	for _, c := range []byte("0123456789!#$%&'*+-.^_`|~") {
		t[c] = c
	}
	return t
}()

const (
	targetByte byte = 1 << iota // visible ASCII without '#'
	hostByte                    // reg-name and IPv4 address, as narrow as real names are
)

// class holds which parts of a message a byte may occur in.
//
// Targets: visible ASCII but "#" (RFC 9112 section 3.2 has no fragment). Bytes that RFC 3986
// excludes but that clients send, such as "|" and "{", pass; what they mean, and what of it is
// ambiguous, is decided on the canonical form, not here. Bytes from 0x80 are refused.
//
// Hosts: letters, digits, "-._~". Sub-delims (the comma above all) and percent-encoding, which RFC
// 3986 would allow, are in no name that can be resolved, and are refused.
var class = func() (t [256]byte) {
	for c := 0x21; c <= 0x7e; c++ {
		if c != '#' {
			t[c] |= targetByte
		}
	}
	for c := range t {
		if lower[c] != 0 && (c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z') {
			t[c] |= hostByte
		}
	}
	for _, c := range []byte("-._~") {
		t[c] |= hostByte
	}
	return t
}()

// hexValue is the value of a hexadecimal digit, or 255.
var hexValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

// scanText returns the index of the first byte at or after i that may not be in a field value:
// anything but HTAB, SP to "~", and 0x80 to 0xff. It is len(p) if there is none. obs says that
// bytes from 0x80 (obs-text) were passed.
//
// Eight bytes a step: a byte below 0x20 borrows into its own top bit, 0x7f does so after the xor,
// and bytes from 0x80 have it set. A borrow that spills into the next byte can only follow a true
// hit, and only the first hit is looked at.
func scanText(p []byte, i int) (end int, obs bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for {
		for i+8 <= len(p) {
			w := binary.LittleEndian.Uint64(p[i:])
			hit := ((w - 0x20*ones) | ((w ^ 0x7f*ones) - ones) | w) & tops
			if hit != 0 {
				i += bits.TrailingZeros64(hit) >> 3
				break
			}
			i += 8
		}
		if i+8 > len(p) {
			for i < len(p) && p[i] >= 0x20 && p[i] < 0x7f {
				i++
			}
		}
		switch {
		case i == len(p):
			return i, obs
		case p[i] >= 0x80:
			obs = true
		case p[i] != '\t' && (p[i] < 0x20 || p[i] == 0x7f):
			return i, obs
		}
		i++
	}
}

// isToken reports whether b is a token: one or more tchar (RFC 9110 section 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if lower[c] == 0 {
			return false
		}
	}
	return len(b) > 0
}

// foldEqual compares ASCII without case. s is in small letters.
func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// lowerInPlace turns ASCII capitals into small letters.
func lowerInPlace(b []byte) {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
}

// nextElement takes the first element off a comma-separated list (RFC 9110 section 5.6.1) and
// trims white space around it. Elements may be empty.
func nextElement(list []byte) (element, rest []byte) {
	i := 0
	for i < len(list) && list[i] != ',' {
		i++
	}
	element = trim(list[:i])
	if i < len(list) {
		i++
	}
	return element, list[i:]
}

// trim takes SP and HTAB off both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// ValidFieldName reports whether b can be written as the name of a field: a token in small letters.
func ValidFieldName(b []byte) bool {
	for _, c := range b {
		if lower[c] != c || c == 0 {
			return false
		}
	}
	return len(b) > 0
}

// ValidFieldValue reports whether b can be written as the value of a field: no control bytes but
// HTAB, no white space at its ends (RFC 9110 section 5.5). It may be empty, and may hold obs-text.
func ValidFieldValue(b []byte) bool {
	if end, _ := scanText(b, 0); end != len(b) {
		return false
	}
	return len(trim(b)) == len(b)
}
