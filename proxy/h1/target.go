package h1

import "bytes"

var (
	schemeHTTP  = []byte("http")
	schemeHTTPS = []byte("https")
	slash       = []byte("/")
	asterisk    = []byte("*")
)

// target takes in a request target in one of the four forms of RFC 9112 section 3.2.
func (x *Parser) target(t []byte) *Error {
	r := &x.Request
	for _, c := range t {
		if class[c]&targetByte == 0 {
			return x.bad(CodeTarget, "byte %#02x in target %s", c, quote(t))
		}
	}
	switch {
	case len(t) == 0:
		return x.bad(CodeTarget, "empty target")
	case string(r.Method) == "CONNECT":
		_, port, ok := splitAuthority(t)
		if !ok || len(port) == 0 {
			return x.bad(CodeTarget, "CONNECT target %s is not host:port", quote(t))
		}
		r.Authority, x.Absolute = t, true
	case t[0] == '/':
		r.Path = t
	case len(t) == 1 && t[0] == '*':
		if string(r.Method) != "OPTIONS" {
			return x.bad(CodeTarget, "target * with method %s", quote(r.Method))
		}
		r.Path = t
	default:
		return x.absoluteTarget(t)
	}
	return nil
}

// absoluteTarget takes in http://authority/path?query, as clients send it to proxies.
func (x *Parser) absoluteTarget(t []byte) *Error {
	r := &x.Request
	var rest []byte
	switch {
	case len(t) > 7 && foldEqual(t[:7], "http://"):
		r.Scheme, rest = schemeHTTP, t[7:]
	case len(t) > 8 && foldEqual(t[:8], "https://"):
		r.Scheme, rest = schemeHTTPS, t[8:]
	default:
		return x.bad(CodeTarget, "target %s is neither a path nor an http URL", quote(t))
	}
	i := bytes.IndexAny(rest, "/?")
	if i < 0 {
		i = len(rest)
	}
	if _, _, ok := splitAuthority(rest[:i]); !ok {
		return x.bad(CodeTarget, "host in target %s", quote(t))
	}
	r.Authority, x.Absolute = rest[:i:i], true
	switch path := rest[i:]; {
	case len(path) == 0 && string(r.Method) == "OPTIONS":
		r.Path = asterisk // RFC 9112 section 3.2.4
	case len(path) == 0:
		r.Path = slash
	case path[0] == '?':
		x.path = append(append(x.path[:0], '/'), path...)
		r.Path = x.path
	default:
		r.Path = path
	}
	return nil
}

// checkHost settles Authority: the target's, or Host. Exactly one Host is asked for in HTTP/1.1 (RFC
// 9112 section 3.2), at most one in HTTP/1.0. Beside an authority in the target, Host must say the
// same: RFC 9112 section 3.2.2 would have us ignore it, but others route by it.
func (x *Parser) checkHost() *Error {
	s, r := &x.seen, &x.Request
	switch {
	case s.hosts > 1:
		return x.bad(CodeHost, "%d host fields", s.hosts)
	case s.hosts == 0 && !x.Version10:
		return x.bad(CodeHost, "no host field in HTTP/1.1")
	case s.hosts == 0:
		return nil
	}
	host, port, ok := splitAuthority(s.host)
	if !ok {
		return x.bad(CodeHost, "host %s", quote(s.host))
	}
	if r.Authority == nil {
		r.Authority = s.host
		return nil
	}
	targetHost, targetPort, _ := splitAuthority(r.Authority)
	// A CONNECT target always has a port; some clients leave it out of Host all the same.
	samePort := bytes.Equal(port, targetPort) || len(port) == 0 && string(r.Method) == "CONNECT"
	if !samePort {
		standard := "80"
		if len(r.Scheme) == len(schemeHTTPS) {
			standard = "443"
		}
		samePort = len(port) == 0 && string(targetPort) == standard || len(targetPort) == 0 && string(port) == standard
	}
	if !samePort || !bytes.EqualFold(host, targetHost) {
		return x.bad(CodeHost, "host %s differs from target %s", quote(s.host), quote(r.Authority))
	}
	return nil
}

// splitAuthority splits host [":" port]. Host is a name, an IPv4 address, or an IPv6 address in
// brackets, which host keeps. User information, zones, an empty port and a port above 65535 are
// refused. Whether a name is sensible is for whoever makes it canonical.
func splitAuthority(a []byte) (host, port []byte, ok bool) {
	i := 0
	if len(a) > 0 && a[0] == '[' {
		if i = bytes.IndexByte(a, ']') + 1; i == 0 || !isIPv6(a[1:i-1]) {
			return nil, nil, false
		}
	} else {
		for i < len(a) && class[a[i]]&hostByte != 0 {
			i++
		}
	}
	host = a[:i]
	if i == 0 || i == len(a) {
		return host, nil, i > 0
	}
	port = a[i+1:]
	if a[i] != ':' || len(port) == 0 || len(port) > 5 {
		return nil, nil, false
	}
	n := 0
	for _, c := range port {
		if c < '0' || c > '9' {
			return nil, nil, false
		}
		n = n*10 + int(c-'0')
	}
	return host, port, n <= 65535
}

// isIPv6 reports whether b has the look of an IPv6 address: hexadecimal digits, colons (two at
// least), dots for an IPv4 tail.
func isIPv6(b []byte) bool {
	colons := 0
	for _, c := range b {
		switch {
		case c == ':':
			colons++
		case hexValue[c] == 255 && c != '.':
			return false
		}
	}
	return colons >= 2 && len(b) <= 45
}
