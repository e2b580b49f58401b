package decide

import (
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// targetSize bounds the length of target's result.
func (d *Decision) targetSize(p *model.PathModifier, c *Canonical) int {
	n := len(c.Path) + len(c.RawQuery) + len("/?") + 1
	if p != nil && p.Full != nil {
		n += len(*p.Full)
	} else if p != nil && p.PrefixMatch != nil {
		n += len(*p.PrefixMatch)
	}
	return n
}

// target appends the path, changed by p, and the query to s.
func (d *Decision) target(p *model.PathModifier, c *Canonical, s *Scratch) {
	path := c.Path
	if len(path) == 0 || path[0] != '/' {
		path = rootPath // "*", or nothing with CONNECT
	}
	sep := byte('?')
	switch {
	case p != nil && p.Full != nil:
		s.bytes = append(s.bytes, *p.Full...)
		if strings.IndexByte(*p.Full, '?') >= 0 {
			sep = '&'
		}
	case p != nil && p.PrefixMatch != nil:
		s.bytes = appendReplaced(s.bytes, *p.PrefixMatch, path[min(d.PrefixLen, len(path)):])
	default:
		s.bytes = append(s.bytes, path...)
	}
	if c.HasQuery {
		s.bytes = append(s.bytes, sep)
		s.bytes = append(s.bytes, c.RawQuery...)
	}
}

var rootPath = []byte("/")

// appendReplaced appends what a path becomes when the matched prefix is replaced; rest is what
// follows the prefix, empty or beginning with a slash. The table of examples is at
// HTTPPathModifier.replacePrefixMatch; "/foo/" with "" and "/" both give "/".
func appendReplaced(dst []byte, replacement string, rest []byte) []byte {
	if n := len(replacement); n > 0 && replacement[n-1] == '/' {
		replacement = replacement[:n-1]
	}
	if replacement == "" && len(rest) == 0 {
		return append(dst, '/')
	}
	if replacement != "" && replacement[0] != '/' {
		dst = append(dst, '/')
	}
	return append(append(dst, replacement...), rest...)
}

// Location builds the Location field of a Redirect decision in s (HTTPRequestRedirectFilter).
// What the filter does not name is kept from the request. The port is the filter's; else that of
// the filter's scheme; else the one the client asked for, which for another host is that of the
// service. A port that the scheme implies is left out.
func (d *Decision) Location(req *message.Request, c *Canonical, s *Scratch) []byte {
	r := d.redirect
	if r == nil {
		return nil
	}
	host := c.Host
	start := s.begin(len("https://:65535") + len(r.Hostname) + len(host) + d.targetSize(r.Path, c))
	if len(host) > 0 || r.Hostname != "" {
		scheme := r.Scheme
		if scheme == "" {
			scheme = "http"
			if string(req.Scheme) == "https" {
				scheme = "https"
			}
		}
		s.bytes = append(s.bytes, scheme...)
		s.bytes = append(s.bytes, "://"...)
		if r.Hostname != "" {
			s.bytes = append(s.bytes, r.Hostname...)
		} else {
			s.bytes = append(s.bytes, host...)
		}
		if port := d.redirectPort(c); port != 0 && port != defaultPort(scheme) {
			s.bytes = append(s.bytes, ':')
			s.bytes = strconv.AppendUint(s.bytes, uint64(port), 10)
		}
	}
	d.target(r.Path, c, s)
	return s.end(start)
}

// redirectPort returns the port of the new location, 0 for that of the scheme.
func (d *Decision) redirectPort(c *Canonical) uint16 {
	switch r := d.redirect; {
	case r.Port != 0:
		return r.Port
	case r.Scheme != "":
		return 0
	case r.Hostname == "" && c.Port != 0:
		return c.Port
	}
	return d.port.Port.Port
}

// redirectStatus returns the status of a redirect; Gateway API's default is 302.
func redirectStatus(r *model.Redirect) int {
	if r.Status == 0 {
		return 302
	}
	return r.Status
}

// defaultPort returns the port that a scheme implies.
func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}
