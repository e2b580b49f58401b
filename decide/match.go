package decide

import (
	"regexp"
	"strconv"

	"github.com/weft-mesh/weft/model"
)

// Match is one compiled match of a rule, the unit of Gateway API's precedence.
type Match struct {
	Rule  *Rule
	Model *model.Match
	Index int

	method  string // empty: any
	path    pathMatcher
	grpc    grpcMatcher
	headers []valueMatcher
	query   []valueMatcher
}

// pathKind is the class of a path match, in order of precedence.
type pathKind uint8

const (
	pathExact pathKind = iota
	pathRegex
	pathPrefix
)

// pathMatcher compares the canonical path.
type pathMatcher struct {
	kind  pathKind
	value string         // exact: the path; prefix: without trailing slash ("" is "/"); regex: the expression
	regex *regexp.Regexp // nil with kind pathRegex: broken, counts as matching
	never bool           // the value has no canonical form, so no request that gets here can have it
}

// matches reports whether p is the path or below the prefix, by whole segments.
func (m *pathMatcher) matches(p []byte) bool {
	switch {
	case m.never:
		return false
	case m.kind == pathExact:
		return string(p) == m.value
	case m.kind == pathRegex:
		return m.regex == nil || m.regex.Match(p)
	}
	n := len(m.value)
	return n == 0 || len(p) >= n && string(p[:n]) == m.value && (len(p) == n || p[n] == '/')
}

// grpcMatcher compares service and method.
type grpcMatcher struct {
	service, method           textMatcher
	serviceClass, methodClass uint8 // see textClass
}

// textMatcher is an exact string or an expression; the zero value matches everything.
type textMatcher struct {
	value  string
	isRE   bool
	regex  *regexp.Regexp
	active bool
}

func (m *textMatcher) matches(v []byte) bool {
	switch {
	case !m.active:
		return true
	case m.isRE:
		return m.regex == nil || m.regex.Match(v)
	}
	return string(v) == m.value
}

// Classes of a gRPC service or method match: exact before expression before none. Gateway API
// counts "characters in a matching service"; for exact matches class and length say the same.
const (
	textExact uint8 = iota
	textRegex
	textNone
)

func (m *textMatcher) class() uint8 {
	switch {
	case !m.active:
		return textNone
	case m.isRE:
		return textRegex
	}
	return textExact
}

func (c *compiler) match(r *Rule, m *model.Match, index int) *Match {
	x := &Match{Rule: r, Model: m, Index: index, method: m.Method}
	for _, h := range firstOfEach(m.Headers, true) {
		x.headers = append(x.headers, c.value(r, h, "header "))
	}
	for _, q := range firstOfEach(m.Query, false) {
		x.query = append(x.query, c.value(r, q, "query parameter "))
	}
	if r.Route.Model.Kind == model.RouteGRPC {
		if g := m.GRPC; g != nil {
			x.grpc.service = c.text(r, g.Service, g.Regex, "gRPC service")
			x.grpc.method = c.text(r, g.Method, g.Regex, "gRPC method")
		}
		x.grpc.serviceClass = x.grpc.service.class()
		x.grpc.methodClass = x.grpc.method.class()
		x.path.kind = pathPrefix
		return x
	}
	x.path = c.path(r, m.Path)
	if x.path.kind != pathPrefix && replacesPrefix(r) {
		c.breakRule(r, "ReplacePrefixMatch needs PathPrefix matches, match "+strconv.Itoa(index)+" is of another type")
	}
	return x
}

func (c *compiler) path(r *Rule, m *model.PathMatch) pathMatcher {
	if m == nil {
		return pathMatcher{kind: pathPrefix}
	}
	if m.Kind == model.PathRegex {
		re, err := compileRegex(m.Value)
		if err != nil {
			c.breakRule(r, "path expression "+strconv.Quote(m.Value)+": "+err.Error())
		}
		return pathMatcher{kind: pathRegex, value: m.Value, regex: re}
	}
	out := pathMatcher{kind: pathExact, value: m.Value}
	canonical, err := CanonicalPath(m.Value)
	if err != nil {
		out.never = true
		c.problem(r.Label, r.Source(), "path "+strconv.Quote(m.Value)+": "+err.Error(),
			"the match never holds, because such requests are refused")
	} else {
		out.value = canonical
	}
	if m.Kind == model.PathPrefix {
		out.kind = pathPrefix
		if n := len(out.value); n > 0 && out.value[n-1] == '/' {
			out.value = out.value[:n-1]
		}
	}
	return out
}

func (c *compiler) text(r *Rule, value string, isRE bool, what string) textMatcher {
	if value == "" {
		return textMatcher{}
	}
	m := textMatcher{value: value, isRE: isRE, active: true}
	if isRE {
		re, err := compileRegex(value)
		if err != nil {
			c.breakRule(r, what+" expression "+strconv.Quote(value)+": "+err.Error())
		}
		m.regex = re
	}
	return m
}

func (c *compiler) value(r *Rule, m model.ValueMatch, what string) valueMatcher {
	v := valueMatcher{name: m.Name, text: textMatcher{value: m.Value, isRE: m.Regex, active: true}}
	if m.Regex {
		re, err := compileRegex(m.Value)
		if err != nil {
			c.breakRule(r, what+m.Name+", expression "+strconv.Quote(m.Value)+": "+err.Error())
			v.broken = true
		}
		v.text.regex = re
	}
	return v
}

// misses returns the first part of the match that the query lacks, or partNone if all hold.
// The order is that in which a person would look: method, path, gRPC, headers, query.
func (m *Match) misses(q *Query) (part part, index int) {
	if m.Rule.Route.Model.Kind == model.RouteGRPC {
		service, method := splitGRPC(q.Path)
		if m.grpc.serviceClass != textNone || m.grpc.methodClass != textNone {
			switch {
			case service == nil || !m.grpc.service.matches(service):
				return partGRPCService, 0
			case !m.grpc.method.matches(method):
				return partGRPCMethod, 0
			}
		}
	} else if !m.path.matches(q.Path) {
		return partPath, 0
	}
	return m.missesRest(q)
}

// missesRest is misses without the path or gRPC method, which the indexes have compared already.
func (m *Match) missesRest(q *Query) (part part, index int) {
	if m.method != "" && string(q.Method) != m.method {
		return partMethod, 0
	}
	for i := range m.headers {
		if !m.headers[i].inFields(q) {
			return partHeader, i
		}
	}
	for i := range m.query {
		if !m.query[i].inQuery(q.RawQuery) {
			return partQuery, i
		}
	}
	return partNone, 0
}

// part names a condition of a match.
type part uint8

const (
	partNone part = iota
	partMethod
	partPath
	partGRPCService
	partGRPCMethod
	partHeader
	partQuery
)

// splitGRPC splits "/service/method"; service is nil if the path is not of that form.
func splitGRPC(path []byte) (service, method []byte) {
	if len(path) < 4 || path[0] != '/' {
		return nil, nil
	}
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		service, method = path[1:i], path[i+1:]
		if len(service) == 0 || len(method) == 0 {
			return nil, nil
		}
		for _, c := range method {
			if c == '/' {
				return nil, nil
			}
		}
		return service, method
	}
	return nil, nil
}
