package decide

import (
	"bytes"

	"github.com/weft-mesh/weft/message"
)

// Canonical is the one form of a request's host and path on which everything decides and which
// is forwarded. The package comment says what is changed and what is refused. The zero value is
// ready; a value is meant to be used again and again, since it owns the buffers. Not safe for
// concurrent use.
type Canonical struct {
	// Host is lower case, without port, userinfo and trailing dot; an IPv6 address is in brackets
	// and in its shortest form. Empty if the request has no authority (HTTP/1.0).
	Host []byte
	Port uint16 // 0: none given

	// Path begins with a slash, except that it is "*" for OPTIONS * and empty for CONNECT.
	Path     []byte
	RawQuery []byte // as received, without the question mark
	HasQuery bool   // there was a question mark

	authority []byte // host[:port] in canonical form; set if it differs from what was received
	target    []byte // path and query in canonical form; set if it differs

	hostBuf, pathBuf, octets []byte
}

// Ambiguous says why a request has no canonical form. It is refused with Status.
type Ambiguous struct {
	Status int
	Code   string
	Reason string // does not contain the observed value
}

// Error gives one line.
func (e *Ambiguous) Error() string { return e.Code + ": " + e.Reason }

func badPath(reason string) *Ambiguous { return &Ambiguous{400, CodePath, reason} }
func badHost(reason string) *Ambiguous { return &Ambiguous{400, CodeHost, reason} }

// The refusals. They are made once, so that refusing allocates nothing.
var (
	errNoSlash      = badPath("the path does not begin with a slash")
	errAsterisk     = badPath(`"*" is for OPTIONS only`)
	errConnectPath  = badPath("CONNECT takes no path")
	errControl      = badPath("the path has a control byte or a space")
	errBackslash    = badPath("the path has a backslash, plain or as %5C")
	errFragment     = badPath("the request target has a fragment")
	errPercent      = badPath("the path has a % that two hex digits do not follow")
	errEncodedSlash = badPath("the path has an encoded slash, %2F")
	errNull         = badPath("the path has an encoded null byte, %00")
	errUTF8         = badPath("the path, decoded, is not valid UTF-8")
	errAboveRoot    = badPath(`the path leads above the root with ".."`)
	errDotsAndEmpty = badPath(`the path has both ".." and repeated slashes, which servers resolve differently`)
	errParameter    = badPath(`the path has a parameter behind an empty or dot segment, like "/..;/"`)
	errQuery        = badPath("the query has a control byte or a space")
	errNoHost       = badHost("the authority has no host")
	errConnectPort  = badHost("the target of CONNECT has no port")
	errHostByte     = badHost("the host has a byte that is not allowed in one")
	errUserinfo     = badHost("the authority has userinfo")
	errManyHosts    = badHost("the authority has a comma or white space, as if it were several")
	errZone         = badHost("the IPv6 address has a zone or is in no valid form")
	errEmptyLabel   = badHost("the host has an empty label or more than one trailing dot")
	errNumber       = badHost("the host looks like an IPv4 address and is in no valid form")
	errLongHost     = badHost("the host is longer than 255 bytes")
	errPort         = badHost("the port is not a number from 1 to 65535 without leading zeros")
	errTarget       = badHost("the host of the request target is not that of the Host field")
	errMisdirected  = &Ambiguous{421, CodeMisdirected, "the host is not the name that the TLS connection was made for (SNI)"}
)

const (
	methodConnect = "CONNECT"
	methodOptions = "OPTIONS"
	asterisk      = "*"
)

// Canonicalize fills c from req. The slices in c point into req where nothing changed, else into
// c, and live until req's owner or the next call ends that. The error is an *Ambiguous: refuse
// the request. Applied to its own result it changes nothing.
func Canonicalize(c *Canonical, req *message.Request) error {
	c.Host, c.Port, c.authority = nil, 0, nil
	c.Path, c.RawQuery, c.HasQuery, c.target = nil, nil, false, nil
	connect := string(req.Method) == methodConnect && len(req.Protocol) == 0
	if len(req.Authority) > 0 || connect {
		if err := c.host(req.Authority); err != nil {
			return err
		}
	}
	switch {
	case connect && len(req.Path) > 0:
		return errConnectPath
	case connect && c.Port == 0:
		return errConnectPort
	case connect:
		return nil
	case string(req.Path) == asterisk:
		if string(req.Method) != methodOptions {
			return errAsterisk
		}
		c.Path = req.Path
		return nil
	}
	if err := c.splitTarget(req.Path); err != nil {
		return err
	}
	return nil
}

// splitTarget sets Path, RawQuery and target.
func (c *Canonical) splitTarget(target []byte) *Ambiguous {
	path, query, hasQuery := bytes.Cut(target, questionMark)
	for _, b := range query {
		if b == '#' {
			return errFragment
		}
		if b <= ' ' || b == 0x7f {
			return errQuery
		}
	}
	canonical, err := c.path(path)
	if err != nil {
		return err
	}
	c.Path, c.RawQuery, c.HasQuery = canonical, query, hasQuery
	if len(canonical) == len(path) && (len(path) == 0 || &canonical[0] == &path[0]) {
		return nil
	}
	// The query is appended behind the path, so that path and target share their bytes.
	n := len(canonical)
	if hasQuery {
		c.pathBuf = append(append(c.pathBuf[:n], '?'), query...)
	}
	c.Path, c.target = c.pathBuf[:n:n], c.pathBuf
	return nil
}

var questionMark = []byte("?")

// write puts the canonical form into req.
func (c *Canonical) write(req *message.Request) {
	if c.authority != nil {
		req.Authority = c.authority
	}
	if c.target != nil {
		req.Path = c.target
	}
}

// CanonicalPath returns the canonical form of a path without query.
func CanonicalPath(path string) (string, error) {
	var c Canonical
	p := []byte(path)
	if i := bytes.IndexByte(p, '?'); i >= 0 {
		return "", badPath("a path has no question mark")
	}
	out, err := c.path(p)
	if err != nil {
		return "", err
	}
	return string(out), nil
}

// SameAuthority checks that the authority of an absolute-form request target and the Host field
// name the same host and port (RFC 9112 section 3.2.2 lets the target win; that two parties may
// disagree is what we refuse). defaultPort is the port that a missing one stands for. The error
// is an *Ambiguous.
func SameAuthority(target, host []byte, defaultPort uint16) error {
	var a, b Canonical
	if err := a.host(target); err != nil {
		return err
	}
	if err := b.host(host); err != nil {
		return err
	}
	if a.Port == 0 {
		a.Port = defaultPort
	}
	if b.Port == 0 {
		b.Port = defaultPort
	}
	if !bytes.Equal(a.Host, b.Host) || a.Port != b.Port {
		return errTarget
	}
	return nil
}

// SameSNI checks that the host of a request is the name that its TLS connection was made for. An
// empty sni (none sent) or an address as host says nothing. The error is an *Ambiguous with
// status 421 (RFC 9110 section 15.5.20).
func SameSNI(c *Canonical, sni []byte) error {
	if len(sni) == 0 || len(c.Host) == 0 || c.Host[0] == '[' {
		return nil
	}
	if !bytes.EqualFold(bytes.TrimSuffix(sni, dot), c.Host) {
		return errMisdirected
	}
	return nil
}
