package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// part is one of a filter's optional fields: its name and whether it is written.
type part struct {
	typ, field string
	set        bool
}

// union checks that exactly the field named by typ is written.
func (r report) union(typ string, parts []part, path string) {
	for _, p := range parts {
		if p.typ == typ && !p.set {
			r.fault("W1101", path, fmt.Sprintf("filter %s is missing its field", typ), fmt.Sprintf("%s has type %s, and %q is not written", path, typ, p.field), "add "+p.field+":")
		}
		if p.typ != typ && p.set {
			r.fault("W1101", path+"."+p.field, fmt.Sprintf("%q does not belong to filter %s", p.field, typ), path+" has type "+typ, "did you mean type: "+p.typ+"?")
		}
	}
}

// once checks that a list of filters has at most one of each type but mirrors and extensions.
func (r report) once(types []string, path string) {
	seen := map[string]int{}
	for i, t := range types {
		if t == "RequestMirror" || t == "ExtensionRef" {
			continue
		}
		if first, twice := seen[t]; twice {
			r.fault("W1102", fmt.Sprintf("%s.filters[%d]", path, i), "filter "+t+" is repeated in "+path, fmt.Sprintf("filters %d and %d", first, i), "join them into one")
			continue
		}
		seen[t] = i
	}
	if rewrite, ok := seen["URLRewrite"]; ok {
		if _, ok := seen["RequestRedirect"]; ok {
			r.fault("W1102", fmt.Sprintf("%s.filters[%d]", path, rewrite), "filters RequestRedirect and URLRewrite exclude each other in "+path,
				"a redirected request is not forwarded, so there is nothing to rewrite", "remove one of them")
		}
	}
}

func (r report) httpFilters(fs []HTTPRouteFilter, rule *HTTPRouteRule, path string) {
	var types []string
	for i := range fs {
		f, at := &fs[i], fmt.Sprintf("%s.filters[%d]", path, i)
		types = append(types, f.Type)
		r.union(f.Type, []part{
			{"RequestHeaderModifier", "requestHeaderModifier", f.RequestHeaderModifier != nil},
			{"ResponseHeaderModifier", "responseHeaderModifier", f.ResponseHeaderModifier != nil},
			{"RequestMirror", "requestMirror", f.RequestMirror != nil},
			{"RequestRedirect", "requestRedirect", f.RequestRedirect != nil},
			{"URLRewrite", "urlRewrite", f.URLRewrite != nil},
			{"CORS", "cors", f.CORS != nil},
			{"ExternalAuth", "externalAuth", f.ExternalAuth != nil},
			{"ExtensionRef", "extensionRef", f.ExtensionRef != nil},
		}, at)
		r.modifier(f.RequestHeaderModifier, at+".requestHeaderModifier", true)
		r.modifier(f.ResponseHeaderModifier, at+".responseHeaderModifier", false)
		r.mirror(f.RequestMirror, at+".requestMirror")
		if f.RequestRedirect != nil {
			r.pathModifier(f.RequestRedirect.Path, rule, at+".requestRedirect.path")
		}
		if f.URLRewrite != nil {
			r.pathModifier(f.URLRewrite.Path, rule, at+".urlRewrite.path")
		}
		r.cors(f.CORS, at+".cors")
		if f.ExternalAuth != nil {
			r.unsupported(at+".externalAuth", "filter ExternalAuth", "weft does not ask other services for permission yet; a route that relied on it must not be open")
		}
		if f.ExtensionRef != nil {
			r.unsupported(at+".extensionRef", "filter ExtensionRef", fmt.Sprintf("weft knows no filter of kind %s", f.ExtensionRef.Kind))
		}
	}
	r.once(types, path)
}

func (r report) grpcFilters(fs []GRPCRouteFilter, path string) {
	var types []string
	for i := range fs {
		f, at := &fs[i], fmt.Sprintf("%s.filters[%d]", path, i)
		types = append(types, f.Type)
		r.union(f.Type, []part{
			{"RequestHeaderModifier", "requestHeaderModifier", f.RequestHeaderModifier != nil},
			{"ResponseHeaderModifier", "responseHeaderModifier", f.ResponseHeaderModifier != nil},
			{"RequestMirror", "requestMirror", f.RequestMirror != nil},
			{"ExtensionRef", "extensionRef", f.ExtensionRef != nil},
		}, at)
		r.modifier(f.RequestHeaderModifier, at+".requestHeaderModifier", true)
		r.modifier(f.ResponseHeaderModifier, at+".responseHeaderModifier", false)
		r.mirror(f.RequestMirror, at+".requestMirror")
		if f.ExtensionRef != nil {
			r.unsupported(at+".extensionRef", "filter ExtensionRef", fmt.Sprintf("weft knows no filter of kind %s", f.ExtensionRef.Kind))
		}
	}
	r.once(types, path)
}

// framing are fields that belong to a connection or frame a message. A route that writes them
// would break the message, or smuggle another one.
var framing = []string{"connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

func (r report) modifier(f *HTTPHeaderFilter, path string, request bool) {
	if f == nil {
		return
	}
	check := func(name, at, list string) {
		lower := strings.ToLower(name)
		if slices.Contains(framing, lower) {
			var next []string
			if lower == "host" && request {
				next = append(next, "use a URLRewrite filter with hostname")
			}
			r.fault("W1115", at, fmt.Sprintf("header %q cannot be changed by a route", name), "it frames the message or belongs to the connection, and the proxy writes it", append(next, "remove it from "+list)...)
		}
	}
	for i, h := range f.Set {
		check(h.Name, fmt.Sprintf("%s.set[%d].name", path, i), "set")
	}
	for i, h := range f.Add {
		check(h.Name, fmt.Sprintf("%s.add[%d].name", path, i), "add")
	}
	for i, h := range f.Remove {
		check(h, fmt.Sprintf("%s.remove[%d]", path, i), "remove")
	}
}

func (r report) mirror(m *HTTPRequestMirrorFilter, path string) {
	if m == nil {
		return
	}
	r.backend(&m.BackendRef, path+".backendRef")
	r.fraction(m.Percent, m.Fraction, path)
}

func (r report) pathModifier(p *HTTPPathModifier, rule *HTTPRouteRule, path string) {
	if p == nil {
		return
	}
	parts := []part{{"ReplaceFullPath", "replaceFullPath", p.ReplaceFullPath != nil}, {"ReplacePrefixMatch", "replacePrefixMatch", p.ReplacePrefixMatch != nil}}
	for _, x := range parts {
		if x.typ == p.Type && !x.set {
			r.fault("W1101", path, fmt.Sprintf("%s is missing its field", p.Type), fmt.Sprintf("%s has type %s, and %q is not written", path, p.Type, x.field), "add "+x.field+":")
		}
		if x.typ != p.Type && x.set {
			r.fault("W1101", path+"."+x.field, fmt.Sprintf("%q does not belong to %s", x.field, p.Type), path+" has type "+p.Type, "did you mean type: "+x.typ+"?")
		}
	}
	for _, x := range []struct {
		field string
		value *string
	}{{"replaceFullPath", p.ReplaceFullPath}, {"replacePrefixMatch", p.ReplacePrefixMatch}} {
		if v := deref(x.value); v != "" && (!pathChars.MatchString(v) || x.field == "replaceFullPath" && !strings.HasPrefix(v, "/")) {
			r.fault("W1117", path+"."+x.field, "the new path in "+path+" is not a path", "found "+quoted(v), "begin it with \"/\" and percent-encode special characters")
		}
	}
	if p.Type != "ReplacePrefixMatch" || p.ReplacePrefixMatch == nil {
		return
	}
	// A rule without matches has the default one: the prefix "/".
	if len(rule.Matches) == 0 {
		return
	}
	if n := len(rule.Matches); n != 1 || rule.Matches[0].Path != nil && rule.Matches[0].Path.Type != "PathPrefix" {
		why := fmt.Sprintf("the rule has %d matches", n)
		if n == 1 {
			why = "the rule's match compares the path by " + rule.Matches[0].Path.Type
		}
		r.fault("W1105", path, "ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix", why, "split the rule into one for each prefix, or use ReplaceFullPath")
	}
}

func (r report) cors(c *HTTPCORSFilter, path string) {
	if c == nil {
		return
	}
	for _, l := range []struct {
		field string
		list  []string
	}{{"allowOrigins", c.AllowOrigins}, {"allowMethods", c.AllowMethods}, {"allowHeaders", c.AllowHeaders}} {
		if len(l.list) > 1 && slices.Contains(l.list, "*") {
			r.fault("W1111", path+"."+l.field, fmt.Sprintf("\"*\" stands beside other values in %s.%s", path, l.field), fmt.Sprintf("%d values, and \"*\" allows everything already", len(l.list)), "keep \"*\" alone, or remove it")
		}
	}
}
