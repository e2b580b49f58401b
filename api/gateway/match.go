package gateway

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

var (
	pathChars   = regexp.MustCompile(`^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$`)
	grpcService = regexp.MustCompile(`^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$`)
	grpcMethod  = regexp.MustCompile(`^[A-Za-z_][A-Za-z_0-9]*$`)
)

func (r report) httpMatch(m *HTTPRouteMatch, path string) {
	if m.Path != nil {
		r.path(m.Path, path+".path")
	}
	r.headers(m.Headers, path)
	for i, q := range m.QueryParams {
		if q.Type == "RegularExpression" {
			r.regex(q.Value, fmt.Sprintf("%s.queryParams[%d].value", path, i))
		}
	}
}

func (r report) headers(hs []HeaderMatch, path string) {
	for i, h := range hs {
		if h.Type == "RegularExpression" {
			r.regex(h.Value, fmt.Sprintf("%s.headers[%d].value", path, i))
		}
	}
}

// path: what could never match a canonical path, or would match it ambiguously, is refused.
func (r report) path(p *HTTPPathMatch, path string) {
	at := path + ".value"
	if p.Type == "RegularExpression" {
		r.regex(p.Value, at)
		return
	}
	bad := func(rule string, next ...string) {
		r.fault("W1103", at, "the path in "+path+" can never match", "found "+quoted(p.Value)+": "+rule, next...)
	}
	v := p.Value
	if !strings.HasPrefix(v, "/") {
		bad("it does not begin with \"/\"", fmt.Sprintf("did you mean %q?", "/"+v))
	}
	for _, s := range []string{"//", "/./", "/../", "%2f", "%2F", "#"} {
		if strings.Contains(v, s) {
			bad(fmt.Sprintf("it contains %q", s), "write the path as it is after normalization")
		}
	}
	for _, s := range []string{"/..", "/."} {
		if strings.HasSuffix(v, s) {
			bad(fmt.Sprintf("it ends with %q", s), "write the path as it is after normalization")
		}
	}
	if v != "" && !pathChars.MatchString(v) && !strings.Contains(v, "#") {
		next := "percent-encode other characters"
		if strings.Contains(v, "?") {
			next = "match the query by queryParams"
		} else if strings.ContainsAny(v, "^[]{}|\\") {
			next = "add type: RegularExpression if it is one"
		}
		bad("it has characters that no path has", next)
	}
}

func (r report) grpcMatch(m *GRPCRouteMatch, path string) {
	r.headers(m.Headers, path)
	g := m.Method
	if g == nil {
		return
	}
	at := path + ".method"
	service, method := deref(g.Service), deref(g.Method)
	if service == "" && method == "" {
		r.fault("W1113", at, "neither service nor method is given in "+at, "one of them must be, and not be empty", "write service: shop.v1.Cart, or remove the match")
		return
	}
	if g.Type == "RegularExpression" {
		r.regex(service, at+".service")
		r.regex(method, at+".method")
		return
	}
	if service != "" && !grpcService.MatchString(service) {
		var next []string
		if s, m, ok := strings.Cut(strings.TrimPrefix(service, "/"), "/"); ok {
			next = append(next, fmt.Sprintf("write service: %s and method: %s", s, m))
		}
		r.fault("W1113", at+".service", "the service in "+at+" can never match", "found "+quoted(service), append(next, "write a full name such as shop.v1.Cart")...)
	}
	if method != "" && !grpcMethod.MatchString(method) {
		r.fault("W1113", at+".method", "the method in "+at+" can never match", "found "+quoted(method), "write a name such as AddItem")
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// maxProgram bounds the size of a compiled expression, and with it the memory of each proxy and
// the time per byte of input (RE2 is linear in both).
const maxProgram = 4096

func (r report) regex(expr, path string) {
	if expr == "" {
		return
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		why := quoted(expr)
		next := []string{"the syntax is RE2: https://github.com/google/re2/wiki/Syntax"}
		if se, ok := err.(*syntax.Error); ok { //nolint:errorlint // Parse documents this type
			why = fmt.Sprintf("%s: %s in %s", quoted(expr), se.Code, quoted(se.Expr))
			if strings.HasPrefix(se.Expr, "(?") {
				next = append(next, "RE2 has no look-around; write the alternatives out")
			}
		}
		r.fault("W1107", path, "the regular expression in "+path+" is not valid", why, next...)
		return
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		r.fault("W1107", path, "the regular expression in "+path+" is not valid", quoted(expr)+": "+err.Error())
		return
	}
	if len(prog.Inst) > maxProgram {
		r.fault("W1107", path, "the regular expression in "+path+" is too large",
			fmt.Sprintf("it compiles to %d instructions; the limit is %d", len(prog.Inst), maxProgram), "use smaller repetitions, such as + in place of {1,1000}")
	}
}
