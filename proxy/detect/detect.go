// Package detect tells from the first bytes of a connection what is spoken on it. It is pure:
// bytes in, verdict out, nothing kept. The data path (proxy/core) calls it for ports whose
// protocol nobody declared; a declared protocol always wins over it.
package detect

import "bytes"

// Verdict is what the first bytes look like.
type Verdict uint8

// The verdicts. NeedMore means that every longer input may still become something else.
const (
	NeedMore Verdict = iota
	HTTP1
	HTTP2
	TLS
	Opaque
)

// String names the verdict.
func (v Verdict) String() string {
	return [...]string{"need more", "http/1", "http/2", "tls", "opaque"}[v]
}

// MaxSniff bounds how many bytes a decision may need. Sniff never answers NeedMore for an input
// at least this long.
const MaxSniff = 8 << 10

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// methods that are recognised before their request line is complete.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// Sniff looks at the first bytes of a connection. A verdict other than NeedMore stays whatever
// bytes follow.
//
// A known method counts as HTTP only if a request target follows, so that "GET key" of a Redis
// inline command stays opaque. An unknown method needs its whole request line.
func Sniff(p []byte) Verdict {
	v := sniff(p[:min(len(p), MaxSniff)])
	if v == NeedMore && len(p) >= MaxSniff {
		return Opaque
	}
	return v
}

func sniff(p []byte) Verdict {
	if len(p) == 0 {
		return NeedMore
	}
	if p[0] == 0x16 { // TLS handshake record (RFC 8446 section 5.1)
		if len(p) == 2 && p[1] != 3 {
			return Opaque
		}
		if len(p) < 3 {
			return NeedMore
		}
		if p[1] == 3 && p[2] <= 4 {
			return TLS
		}
		return Opaque
	}
	if p[0] == '\r' { // one empty line before a request is tolerated (RFC 9112 section 2.2)
		switch {
		case len(p) == 1:
			return NeedMore
		case p[1] != '\n':
			return Opaque
		case len(p) == 2:
			return NeedMore
		}
		if v := sniffLine(p[2:]); v != HTTP2 { // nothing may stand before a preface
			return v
		}
		return Opaque
	}
	return sniffLine(p)
}

// sniffLine judges what begins with a request line, or with a preface of HTTP/2.
func sniffLine(p []byte) Verdict {
	if n := min(len(p), len(preface)); string(p[:n]) == preface[:n] {
		if n == len(preface) {
			return HTTP2
		}
		if n >= 4 { // "PRI " is no method of anybody else
			return NeedMore
		}
	}
	i := 0
	for i < len(p) && isToken(p[i]) {
		i++
		if i > 32 {
			return Opaque
		}
	}
	if i == 0 {
		return Opaque
	}
	if i == len(p) {
		return NeedMore
	}
	if p[i] != ' ' {
		return Opaque
	}
	for _, m := range methods {
		if string(p[:i]) == m {
			return sniffTarget(m, p[i+1:])
		}
	}
	return sniffRest(p[i:])
}

// sniffTarget judges what follows a known method and its space.
func sniffTarget(method string, p []byte) Verdict {
	if len(p) == 0 {
		return NeedMore
	}
	switch {
	case p[0] == '/':
		return HTTP1
	case method == "CONNECT":
		return sniffRest(p)
	case p[0] == '*' && method == "OPTIONS":
		return sniffRest(p)
	}
	for _, s := range [...]string{"http://", "https://"} {
		n := min(len(p), len(s))
		if equalFold(p[:n], s[:n]) {
			if n == len(s) {
				return HTTP1
			}
			return NeedMore
		}
	}
	return Opaque
}

// equalFold compares ASCII without case; s is in small letters.
func equalFold(p []byte, s string) bool {
	for i, b := range p {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != s[i] {
			return false
		}
	}
	return true
}

// sniffRest wants " HTTP/1.x" at the end of the line.
func sniffRest(p []byte) Verdict {
	const version = " HTTP/1."
	nl := bytes.IndexByte(p, '\n')
	line := p
	if nl >= 0 {
		line = p[:nl]
	}
	for _, b := range line {
		if b < ' ' && b != '\r' { // no text: another protocol, whose answer should not wait for a line
			return Opaque
		}
	}
	if nl < 0 {
		return NeedMore
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	n := len(line) - len(version) - 1
	if n > 0 && string(line[n:n+len(version)]) == version && line[len(line)-1] >= '0' && line[len(line)-1] <= '9' {
		return HTTP1
	}
	return Opaque
}

func isToken(b byte) bool {
	return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= '0' && b <= '9' ||
		bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), b) >= 0
}
