package h2

// Classes of octets, by table.
const (
	inToken     = 1 << iota // RFC 9110 section 5.6.2
	inName                  // a token without upper-case letters (RFC 9113 section 8.2.1)
	inValue                 // of a field: visible, space, tab, and octets from 0x80 on
	inPath                  // of path and query
	inAuthority             // host, port and what IPv6 literals need
)

var class = newClasses()

func newClasses() (t [256]uint8) {
	for i := range 256 {
		b := byte(i)
		switch {
		case b >= '0' && b <= '9', b >= 'a' && b <= 'z':
			t[i] = inToken | inName | inAuthority
		case b >= 'A' && b <= 'Z':
			t[i] = inToken | inAuthority
		}
	}
	for _, b := range []byte("!#$%&'*+-.^_`|~") {
		t[b] |= inToken | inName
	}
	// RFC 3986 section 3.2.2 without the userinfo's "@" and without "," which joins field lines.
	for _, b := range []byte("-._~!$&'()*+;=:[]%") {
		t[b] |= inAuthority
	}
	for i := range 256 {
		b := byte(i)
		if b >= 0x20 && b != 0x7f || b == '\t' {
			t[i] |= inValue
		}
		// Space and controls would end the request line of HTTP/1.1; "#" begins a fragment,
		// which is no part of a request. Octets from 0x80 on are left to who compares paths.
		if b > 0x20 && b != 0x7f && b != '#' {
			t[i] |= inPath
		}
	}
	return t
}

// all reports whether each octet of s is of class k.
func all(s []byte, k uint8) bool {
	for _, b := range s {
		if class[b]&k == 0 {
			return false
		}
	}
	return true
}

func validName(s []byte) bool  { return len(s) > 0 && all(s, inName) }
func validToken(s []byte) bool { return len(s) > 0 && all(s, inToken) }

// validValue also refuses white space around a value (RFC 9113 section 8.2.1).
func validValue(s []byte) bool {
	if len(s) == 0 {
		return true
	}
	return !blank(s[0]) && !blank(s[len(s)-1]) && all(s, inValue)
}

// validPath accepts "*" too; whether it may stand depends on the method.
func validPath(s []byte) bool {
	return len(s) > 0 && (s[0] == '/' || len(s) == 1 && s[0] == '*') && all(s, inPath)
}

func validAuthority(s []byte) bool { return len(s) > 0 && all(s, inAuthority) }

func blank(b byte) bool { return b == ' ' || b == '\t' }
func digit(b byte) bool { return b >= '0' && b <= '9' }

// equalFold compares without regard to the case of ASCII letters.
func equalFold(s []byte, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if lower(s[i]) != lower(t[i]) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b | 0x20
	}
	return b
}

// parseLength reads a content-length: digits only, below 10^18, and without leading zeros, which
// software that reads them as octal would not take for the same number (RFC 9110 section 8.6).
func parseLength(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > 18 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	var n int64
	for _, b := range s {
		if !digit(b) {
			return 0, false
		}
		n = n*10 + int64(b-'0')
	}
	return n, true
}
