// Package reference decides slowly and obviously: it is Gateway API's text put into loops, without
// index, order made beforehand or shared buffer. It exists to be compared with package decide,
// whose fuzz test holds the two equal, and is used by nothing that runs.
package reference

import (
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
)

// Outcome is what a decision amounts to, in comparable words.
type Outcome struct {
	Action  string // as decide.Action.String
	Status  int
	Code    string
	Route   string // "HTTPRoute shop/cart", empty for none
	Rule    int    // -1: none
	Match   int    // -1: none
	Backend string // "shop/cart:80", empty for none
}

// candidate is one match that holds.
type candidate struct {
	route *model.Route
	rule  int
	match int
}

// Decide evaluates the query for a port of the service called name. q.Port is not read.
func Decide(v *decide.View, name model.Name, port model.Port, q *decide.Query) Outcome {
	service := v.Services[name]
	routes := applicable(service, port, q.ClientNamespace)
	if len(routes) == 0 {
		return forward(v, Outcome{Rule: -1, Match: -1}, &model.Backend{Service: name, Port: port.Port})
	}
	none := Outcome{Action: "refuse", Status: 404, Code: decide.CodeNoRoute, Rule: -1, Match: -1}
	kind, ok := kindFor(routes, q)
	if !ok {
		return none
	}
	var best *candidate
	for i := range routes {
		if routes[i].Kind != kind {
			continue
		}
		for _, c := range holding(routes[i], q) {
			if best == nil || better(c, *best, q) {
				best = &c
			}
		}
	}
	if best == nil {
		return none
	}
	o := Outcome{Route: kind.String() + " " + best.route.String(), Rule: best.rule, Match: best.match}
	return settle(v, o, best, q)
}

// applicable returns the routes that decide for a client: those of its own namespace if there
// are any for the port, else the producer's.
func applicable(s *model.Service, port model.Port, client string) []*model.Route {
	var own, producer []*model.Route
	for i := range s.Routes {
		r := &s.Routes[i]
		if len(r.Ports) > 0 && !slices.Contains(r.Ports, port.Port) {
			continue
		}
		declaredOpaque := port.Protocol == model.ProtocolTCP || port.Protocol == model.ProtocolTLS
		if declaredOpaque && (r.Kind == model.RouteHTTP || r.Kind == model.RouteGRPC) {
			continue
		}
		if r.Namespace == s.Namespace {
			producer = append(producer, r)
		}
		if r.Namespace == client {
			own = append(own, r)
		}
	}
	if len(own) > 0 {
		return own
	}
	return producer
}

// kindFor says which kind of route decides the query.
func kindFor(routes []*model.Route, q *decide.Query) (model.RouteKind, bool) {
	has := map[model.RouteKind]bool{}
	for _, r := range routes {
		has[r.Kind] = true
	}
	switch {
	case q.Opaque && len(q.SNI) > 0 && has[model.RouteTLS]:
		return model.RouteTLS, true
	case q.Opaque:
		return model.RouteTCP, has[model.RouteTCP]
	case q.GRPC && has[model.RouteGRPC]:
		return model.RouteGRPC, true
	case has[model.RouteHTTP]:
		return model.RouteHTTP, true
	case !has[model.RouteGRPC] && has[model.RouteTCP]:
		return model.RouteTCP, true
	}
	return 0, false
}

// holding returns the matches of the route that the query satisfies.
func holding(r *model.Route, q *decide.Query) (out []candidate) {
	if r.Kind == model.RouteTCP || r.Kind == model.RouteTLS {
		if len(r.Rules) > 0 && (r.Kind == model.RouteTCP || sniRank(r, q) > 0) {
			out = append(out, candidate{r, 0, -1})
		}
		return out
	}
	for i := range r.Rules {
		matches := r.Rules[i].Matches
		if len(matches) == 0 {
			matches = []model.Match{{}}
		}
		for j := range matches {
			if holds(r.Kind, &matches[j], q) {
				out = append(out, candidate{r, i, j})
			}
		}
	}
	return out
}

func holds(kind model.RouteKind, m *model.Match, q *decide.Query) bool {
	if m.Method != "" && m.Method != string(q.Method) {
		return false
	}
	for _, h := range distinct(m.Headers) {
		if !compilable(h.Regex, h.Value) {
			continue
		}
		value, there := header(q, h.Name)
		if !there || !equal(h.Regex, h.Value, value) {
			return false
		}
	}
	for _, p := range distinct(m.Query) {
		if !compilable(p.Regex, p.Value) {
			continue
		}
		value, there := parameter(string(q.RawQuery), p.Name)
		if !there || !equal(p.Regex, p.Value, value) {
			return false
		}
	}
	if kind == model.RouteGRPC {
		return holdsGRPC(m.GRPC, string(q.Path))
	}
	return holdsPath(m.Path, string(q.Path))
}

func holdsPath(m *model.PathMatch, path string) bool {
	if m == nil {
		return true
	}
	if m.Kind == model.PathRegex {
		return !compilable(true, m.Value) || equal(true, m.Value, path)
	}
	want, err := decide.CanonicalPath(m.Value)
	if err != nil {
		return false
	}
	if m.Kind == model.PathExact {
		return path == want
	}
	wanted := strings.Split(strings.Trim(want, "/"), "/")
	if want == "/" {
		return true
	}
	have := strings.Split(strings.TrimPrefix(path, "/"), "/")
	return len(have) >= len(wanted) && slices.Equal(have[:len(wanted)], wanted)
}

func holdsGRPC(m *model.GRPCMatch, path string) bool {
	if m == nil || m.Service == "" && m.Method == "" {
		return true
	}
	parts := strings.Split(path, "/")
	if len(parts) != 3 || parts[0] != "" || parts[1] == "" || parts[2] == "" {
		return false
	}
	for i, want := range []string{m.Service, m.Method} {
		if want != "" && compilable(m.Regex, want) && !equal(m.Regex, want, parts[i+1]) {
			return false
		}
	}
	return true
}

// sniRank is 0 if the SNI does not match, else grows with how specific the hostname is.
func sniRank(r *model.Route, q *decide.Query) int {
	if len(r.Hostnames) == 0 {
		return 1
	}
	sni := strings.ToLower(string(q.SNI))
	best := 0
	for _, h := range r.Hostnames {
		h = strings.ToLower(h)
		if suffix, wild := strings.CutPrefix(h, "*"); wild {
			if strings.HasSuffix(sni, suffix) && len(sni) > len(suffix) {
				best = max(best, 1+len(h))
			}
		} else if h == sni {
			best = max(best, 1000)
		}
	}
	return best
}

// better goes through the criteria of precedence one by one.
func better(a, b candidate, q *decide.Query) bool {
	ra, rb := rank(a, q), rank(b, q)
	for i := range ra {
		if ra[i] != rb[i] {
			return ra[i] > rb[i]
		}
	}
	if !a.route.Created.Equal(b.route.Created) {
		return a.route.Created.Before(b.route.Created)
	}
	if x, y := a.route.String(), b.route.String(); x != y {
		return x < y
	}
	if a.rule != b.rule {
		return a.rule < b.rule
	}
	return a.match < b.match
}

// rank lists the figures that are compared, the larger the better.
func rank(c candidate, q *decide.Query) []int {
	if c.route.Kind == model.RouteTLS {
		return []int{sniRank(c.route, q)}
	}
	if c.route.Kind == model.RouteTCP {
		return nil
	}
	m := model.Match{}
	if all := c.route.Rules[c.rule].Matches; len(all) > 0 {
		m = all[c.match]
	}
	headers, query := len(distinct(m.Headers)), len(distinct(m.Query))
	if c.route.Kind == model.RouteGRPC {
		g := model.GRPCMatch{}
		if m.GRPC != nil {
			g = *m.GRPC
		}
		return []int{textRank(g.Service, g.Regex), textRank(g.Method, g.Regex), headers}
	}
	method := 0
	if m.Method != "" {
		method = 1
	}
	return []int{pathRank(m.Path), method, headers, query}
}

func textRank(s string, regex bool) int {
	switch {
	case s == "":
		return 0
	case regex:
		return len(s)
	}
	return 1_000_000 + len(s)
}

func pathRank(m *model.PathMatch) int {
	if m == nil {
		return 1
	}
	switch m.Kind {
	case model.PathExact:
		return 2_000_000
	case model.PathRegex:
		return 1_000_000 + len(m.Value)
	}
	canonical, _ := decide.CanonicalPath(m.Value)
	return 1 + len(strings.TrimSuffix(canonical, "/"))
}

// distinct keeps the first entry of each name.
func distinct(in []model.ValueMatch) (out []model.ValueMatch) {
	for _, v := range in {
		if !slices.ContainsFunc(out, func(o model.ValueMatch) bool { return o.Name == v.Name }) {
			out = append(out, v)
		}
	}
	return out
}

func compilable(regex bool, expr string) bool {
	if !regex {
		return true
	}
	_, err := regexp.Compile(expr)
	return err == nil
}

func equal(regex bool, want, have string) bool {
	if !regex {
		return want == have
	}
	return regexp.MustCompile("^(?:" + want + ")$").MatchString(have)
}

// header returns the value of a field, repeated ones joined.
func header(q *decide.Query, name string) (string, bool) {
	if name == "host" {
		return string(q.Host), len(q.Host) > 0
	}
	var values []string
	for _, f := range q.Fields {
		if string(f.Name) == name {
			values = append(values, string(f.Value))
		}
	}
	sep := ", "
	if name == "cookie" {
		sep = "; "
	}
	return strings.Join(values, sep), len(values) > 0
}

// parameter returns the first value of a query parameter.
func parameter(query, name string) (string, bool) {
	for _, pair := range strings.Split(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if pair != "" && decode(key) == name {
			return decode(value), true
		}
	}
	return "", false
}

var escape = regexp.MustCompile(`\+|%[0-9A-Fa-f]{2}`)

func decode(s string) string {
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		if e == "+" {
			return " "
		}
		n, _ := new(big.Int).SetString(e[1:], 16)
		return string([]byte{byte(n.Uint64())})
	})
}
