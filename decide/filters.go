package decide

import (
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// filter is one compiled filter; exactly one field is set.
type filter struct {
	request  *headerEdit
	response *headerEdit
	rewrite  *model.Rewrite
	redirect *model.Redirect
	mirror   *mirror
	cors     *corsPolicy
}

// mirror is a destination for copies.
type mirror struct {
	backend                *Backend
	numerator, denominator uint64
}

// headerEdit is a compiled HeaderModifier.
type headerEdit struct {
	remove   []string
	set, add []message.Field
	host     []byte // of requests: set on "host" changes the authority
}

// filters compiles the filters of a rule or of one of its backends. One that cannot be honoured
// breaks the rule: it must not be skipped (HTTPRouteFilter).
func (c *compiler) filters(r *Rule, in []model.Filter) []filter {
	var out []filter
	var redirects, rewrites bool
	for i := range in {
		m := &in[i]
		var f filter
		switch {
		case m.RequestHeaders != nil:
			f.request = c.headerEdit(r, m.RequestHeaders, true)
		case m.ResponseHeaders != nil:
			f.response = c.headerEdit(r, m.ResponseHeaders, false)
		case m.Redirect != nil:
			f.redirect, redirects = m.Redirect, true
			c.checkRedirect(r, m.Redirect)
		case m.Rewrite != nil:
			f.rewrite, rewrites = m.Rewrite, true
			c.checkPath(r, m.Rewrite.Path)
			c.checkHost(r, m.Rewrite.Hostname)
		case m.Mirror != nil:
			f.mirror = &mirror{
				backend:   c.backend(&m.Mirror.Backend),
				numerator: uint64(m.Mirror.Numerator), denominator: uint64(m.Mirror.Denominator),
			}
		case m.CORS != nil:
			f.cors = compileCORS(m.CORS)
		default:
			c.breakRule(r, "filter "+strconv.Itoa(i)+" is of an unknown type")
			continue
		}
		out = append(out, f)
	}
	if redirects && rewrites {
		c.breakRule(r, "RequestRedirect and URLRewrite cannot be combined")
	}
	return out
}

func (c *compiler) checkRedirect(r *Rule, m *model.Redirect) {
	switch m.Status {
	case 0, 301, 302, 303, 307, 308:
	default:
		c.breakRule(r, "redirect status "+strconv.Itoa(m.Status)+" is not one of 301, 302, 303, 307, 308")
	}
	if m.Scheme != "" && m.Scheme != "http" && m.Scheme != "https" {
		c.breakRule(r, "redirect scheme "+strconv.Quote(m.Scheme)+" is neither http nor https")
	}
	c.checkPath(r, m.Path)
	c.checkHost(r, m.Hostname)
}

func (c *compiler) checkPath(r *Rule, p *model.PathModifier) {
	if p == nil {
		return
	}
	for _, v := range []*string{p.Full, p.PrefixMatch} {
		if v != nil && strings.ContainsFunc(*v, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' || c == '\\' }) {
			c.breakRule(r, "replacement path "+strconv.Quote(*v)+" has a character that cannot be in a path")
		}
	}
	if p.Full != nil && !strings.HasPrefix(*p.Full, "/") {
		c.breakRule(r, "replacement path "+strconv.Quote(*p.Full)+" does not begin with a slash")
	}
	if p.PrefixMatch != nil && r.Route.Model.Kind != model.RouteHTTP {
		c.breakRule(r, "ReplacePrefixMatch needs PathPrefix matches, which a "+r.Route.Model.Kind.String()+" has not")
	}
}

func (c *compiler) checkHost(r *Rule, h string) {
	if h == "" {
		return
	}
	var canonical Canonical
	if err := canonical.host([]byte(h)); err != nil || canonical.Port != 0 {
		c.breakRule(r, "hostname "+strconv.Quote(h)+" is not a host name")
	}
}

// replacesPrefix reports whether any filter of the rule replaces the matched prefix.
func replacesPrefix(r *Rule) bool {
	if anyReplacesPrefix(r.filters) {
		return true
	}
	for _, b := range r.Backends {
		if anyReplacesPrefix(b.filters) {
			return true
		}
	}
	return false
}

func anyReplacesPrefix(filters []filter) bool {
	for i := range filters {
		f := &filters[i]
		if f.rewrite != nil && f.rewrite.Path != nil && f.rewrite.Path.PrefixMatch != nil ||
			f.redirect != nil && f.redirect.Path != nil && f.redirect.Path.PrefixMatch != nil {
			return true
		}
	}
	return false
}

// ownFields are the fields that the codecs write themselves; message.Request and
// message.Response never contain them.
var ownFields = map[string]bool{
	"connection": true, "content-length": true, "http2-settings": true, "keep-alive": true,
	"proxy-connection": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
}

func (c *compiler) headerEdit(r *Rule, m *model.HeaderModifier, request bool) *headerEdit {
	e := &headerEdit{}
	compile := func(in []model.NameValue, verb string) (out []message.Field) {
		seen := map[string]bool{}
		for _, h := range in {
			name := strings.ToLower(h.Name)
			if seen[name] {
				continue // only the first of a name counts (HTTPHeader)
			}
			seen[name] = true
			switch {
			case !isToken(name) || ownFields[name]:
				c.breakRule(r, "header "+strconv.Quote(h.Name)+" cannot be "+verb)
			case !isFieldValue(h.Value):
				c.breakRule(r, "value "+strconv.Quote(h.Value)+" of header "+name+" has a character that cannot be in a field")
			case request && name == "host" && verb == "set":
				c.checkHostPort(r, h.Value)
				e.host = []byte(h.Value)
			case request && name == "host":
				c.breakRule(r, "header host cannot be "+verb)
			default:
				out = append(out, message.Field{Name: []byte(name), Value: []byte(h.Value), Sensitive: sensitive[name]})
			}
		}
		return out
	}
	e.set, e.add = compile(m.Set, "set"), compile(m.Add, "added")
	for _, name := range m.Remove {
		name = strings.ToLower(name)
		if request && name == "host" {
			c.breakRule(r, "header host cannot be removed")
		}
		e.remove = append(e.remove, name) // codecs' own fields are not there anyway
	}
	return e
}

func (c *compiler) checkHostPort(r *Rule, v string) {
	var canonical Canonical
	if err := canonical.host([]byte(v)); err != nil {
		c.breakRule(r, "header host cannot be set to "+strconv.Quote(v))
	}
}

var sensitive = map[string]bool{
	"authorization": true, "cookie": true, "proxy-authorization": true, "set-cookie": true,
}

// isToken reports whether s is a field name (RFC 9110 section 5.1).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s can be a field value (RFC 9110 section 5.5).
func isFieldValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}

// apply edits fields, which may be changed and must have room for what is added.
func (e *headerEdit) apply(fields []message.Field) []message.Field {
	for i := range e.set {
		fields = setField(fields, e.set[i])
	}
	fields = append(fields, e.add...)
	for _, name := range e.remove {
		fields = message.Delete(fields, name)
	}
	return fields
}

// setField replaces all fields of the name by one, in the place of the first.
func setField(fields []message.Field, f message.Field) []message.Field {
	out := fields[:0]
	found := false
	for i := range fields {
		if string(fields[i].Name) != string(f.Name) {
			out = append(out, fields[i])
		} else if !found {
			found = true
			out = append(out, f)
		}
	}
	if !found {
		out = append(out, f)
	}
	return out
}
