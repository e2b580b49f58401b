package decide

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// corsPolicy is a compiled HTTPCORSFilter.
type corsPolicy struct {
	anyOrigin   bool
	origins     []originPattern
	credentials bool

	methods, headers       []byte // the lists to send; nil: none configured
	anyMethod, anyHeader   bool
	expose                 []byte
	maxAge                 []byte
	echoesOrigin, preVary3 bool
}

// originPattern is one allowed origin. With wild set the host ends with host, and what stands
// before it is at least one character ("*" is greedy to the left, over any number of labels).
type originPattern struct {
	scheme, host, port string
	wild               bool
}

// corsMaxAge is what Gateway API says if maxAge is not given.
const corsMaxAge = 5 * time.Second

func compileCORS(m *model.CORS) *corsPolicy {
	p := &corsPolicy{credentials: m.AllowCredentials}
	for _, o := range m.AllowOrigins {
		if o == "*" {
			p.anyOrigin = true
			continue
		}
		scheme, host, port, ok := splitOrigin([]byte(o))
		if !ok {
			continue // nothing can match it
		}
		pattern := originPattern{scheme: string(scheme), host: strings.ToLower(string(host)), port: string(port)}
		if suffix, wild := strings.CutPrefix(pattern.host, "*"); wild {
			pattern.wild, pattern.host = true, suffix
		}
		p.origins = append(p.origins, pattern)
	}
	p.methods, p.anyMethod = joinList(m.AllowMethods)
	p.headers, p.anyHeader = joinList(m.AllowHeaders)
	var anyExposed bool
	p.expose, anyExposed = joinList(m.ExposeHeaders)
	if anyExposed && !p.credentials {
		p.expose = []byte("*") // with credentials "*" would be a literal name, so it is left out
	}
	age := m.MaxAge
	if age <= 0 {
		age = corsMaxAge
	}
	p.maxAge = strconv.AppendInt(nil, int64(age/time.Second), 10)
	p.echoesOrigin = !p.anyOrigin || p.credentials
	p.preVary3 = p.anyMethod || p.anyHeader
	return p
}

// joinList joins all but "*", and says whether that was among them.
func joinList(in []string) (list []byte, any bool) {
	var out []string
	for _, v := range in {
		if v == "*" {
			any = true
		} else if !slices.Contains(out, v) && isToken(v) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return nil, any
	}
	return []byte(strings.Join(out, ", ")), any
}

// splitOrigin cuts "scheme://host[:port]" (RFC 6454 section 7). A missing port is the scheme's.
func splitOrigin(o []byte) (scheme, host, port []byte, ok bool) {
	i := bytes.Index(o, schemeSep)
	if i < 0 {
		return nil, nil, nil, false
	}
	scheme, host = o[:i], o[i+len(schemeSep):]
	switch string(scheme) {
	case "http":
		port = port80
	case "https":
		port = port443
	default:
		return nil, nil, nil, false
	}
	if j := bytes.LastIndexByte(host, ':'); j >= 0 && bytes.IndexByte(host[j:], ']') < 0 {
		host, port = host[:j], host[j+1:]
	}
	if len(host) == 0 || len(port) == 0 || bytes.IndexByte(host, '/') >= 0 || bytes.IndexByte(host, '@') >= 0 {
		return nil, nil, nil, false
	}
	return scheme, host, port, true
}

var schemeSep, port80, port443 = []byte("://"), []byte("80"), []byte("443")

// allows reports whether the policy shares responses with the origin.
func (p *corsPolicy) allows(origin []byte) bool {
	if len(origin) == 0 {
		return false
	}
	if p.anyOrigin {
		return true
	}
	scheme, host, port, ok := splitOrigin(origin)
	if !ok {
		return false
	}
	for i := range p.origins {
		if p.origins[i].matches(scheme, host, port) {
			return true
		}
	}
	return false
}

func (o *originPattern) matches(scheme, host, port []byte) bool {
	if string(scheme) != o.scheme || string(port) != o.port {
		return false
	}
	if !o.wild {
		return string(host) == o.host
	}
	return len(host) > len(o.host) && string(host[len(host)-len(o.host):]) == o.host
}

// Origin returns the Origin field; nil if there is none, or more than one, which no browser
// sends. The slice is borrowed from fields.
func Origin(fields []message.Field) []byte {
	var origin []byte
	n := 0
	for i := range fields {
		if string(fields[i].Name) == "origin" {
			origin = fields[i].Value
			n++
		}
	}
	if n != 1 {
		return nil
	}
	return origin
}

// preflight reports whether the query is a CORS preflight (Fetch Standard, "CORS-preflight
// request").
func preflight(q *Query) bool {
	return string(q.Method) == "OPTIONS" && message.Get(q.Fields, "origin") != nil &&
		message.Get(q.Fields, "access-control-request-method") != nil
}

// corsAdds is how many fields the CORS filter can add to a response.
const corsAdds = 7

// Field names and values that are written.
var (
	allowOrigin      = []byte("access-control-allow-origin")
	allowCredentials = []byte("access-control-allow-credentials")
	allowMethods     = []byte("access-control-allow-methods")
	allowHeaders     = []byte("access-control-allow-headers")
	exposeHeaders    = []byte("access-control-expose-headers")
	maxAgeName       = []byte("access-control-max-age")
	vary             = []byte("vary")
	varyOrigin       = []byte("origin")
	varyPreflight    = []byte("origin, access-control-request-method, access-control-request-headers")
	star             = []byte("*")
	yes              = []byte("true")
)

// preflight builds the fields that answer a preflight from an allowed origin. Where the policy
// allows anything, what was asked for is echoed: that is right with and without credentials.
func (p *corsPolicy) preflight(request []message.Field, s *Scratch) []message.Field {
	out := p.common(s.editable(nil, corsAdds), Origin(request), s)
	out = appendAllowed(out, allowMethods, p.methods, p.anyMethod, message.Get(request, "access-control-request-method"), s)
	out = appendAllowed(out, allowHeaders, p.headers, p.anyHeader, message.Get(request, "access-control-request-headers"), s)
	out = append(out, message.Field{Name: maxAgeName, Value: p.maxAge})
	if p.preVary3 {
		return append(out, message.Field{Name: vary, Value: varyPreflight})
	}
	if p.echoesOrigin {
		out = append(out, message.Field{Name: vary, Value: varyOrigin})
	}
	return out
}

// appendAllowed appends the list, or what was asked for if everything is allowed.
func appendAllowed(out []message.Field, name, list []byte, any bool, asked []byte, s *Scratch) []message.Field {
	if any {
		list = s.copy(asked)
	}
	if len(list) == 0 {
		return out
	}
	return append(out, message.Field{Name: name, Value: list})
}

// common appends the fields that preflights and actual responses share.
func (p *corsPolicy) common(out []message.Field, origin []byte, s *Scratch) []message.Field {
	value := star
	if p.echoesOrigin {
		value = s.copy(origin)
	}
	out = append(out, message.Field{Name: allowOrigin, Value: value})
	if p.credentials {
		out = append(out, message.Field{Name: allowCredentials, Value: yes})
	}
	if p.expose != nil {
		out = append(out, message.Field{Name: exposeHeaders, Value: p.expose})
	}
	return out
}

// actual edits the fields of a response to an actual request. The filter owns the CORS fields:
// what the backend set itself is removed, since two answers are no answer to a browser, and a
// backend must not allow what the policy does not.
func (p *corsPolicy) actual(fields []message.Field, origin []byte, s *Scratch) []message.Field {
	if p.echoesOrigin {
		fields = append(fields, message.Field{Name: vary, Value: varyOrigin})
	}
	if origin == nil {
		return fields
	}
	fields = message.Delete(fields, "access-control-allow-origin")
	fields = message.Delete(fields, "access-control-allow-credentials")
	fields = message.Delete(fields, "access-control-expose-headers")
	if p.allows(origin) {
		fields = p.common(fields, origin, s)
	}
	return fields
}

// copy keeps b in the arena.
func (s *Scratch) copy(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	start := s.begin(len(b))
	s.bytes = append(s.bytes, b...)
	return s.end(start)
}
