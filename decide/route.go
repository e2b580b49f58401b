package decide

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/model"
)

// Route is a compiled route.
type Route struct {
	Model *model.Route
	Label string // "HTTPRoute shop/cart", for metrics and reasons
}

// Rule is a compiled rule. How its requests are tried is carried as data (Decision.Calls).
type Rule struct {
	Route    *Route
	Model    *model.Rule
	Index    int
	Label    string // "HTTPRoute shop/cart rule 0"
	Backends []*Backend

	total    uint64 // of the weights
	salt     uint64 // of hashes that choose a backend
	filters  []filter
	faults   []fault  // of Model.Calls
	baseline *Backend // of Model.Calls.Compare; nil: none
	broken   string   // not empty: the rule cannot be honoured and answers 500, for this reason
}

// Source returns where the rule was written, file:line, or the route's place.
func (r *Rule) Source() string {
	if r.Model.Source != "" {
		return r.Model.Source
	}
	return r.Route.Model.Source
}

// Backend is a compiled destination.
type Backend struct {
	Model   *model.Backend
	Set     *EndpointSet // nil exactly if Invalid is not empty
	Invalid string       // why the reference could not be resolved; its share is answered 500

	tag     uint32 // in the values of sessions
	upto    uint64 // sum of the weights up to and including this one
	filters []filter
}

// Service returns the service that the backend stands for.
func (b *Backend) Service() model.Name { return b.Model.Service }

// group is the routes of one namespace attached to one port.
type group struct {
	namespace string // of the routes
	consumer  bool
	grpc      *grpcIndex // nil: no route of that kind
	http      *httpIndex
	tls       *tlsIndex
	tcp       *Rule
	hasTCP    bool

	all []*Match // every match in order of precedence, kind by kind; for reasons
}

// attach compiles the routes of s and hangs them on its ports.
func (c *compiler) attach(s *Service) {
	compiled := make([]*compiledRoute, len(s.Model.Routes))
	for i := range s.Model.Routes {
		compiled[i] = c.route(&s.Model.Routes[i])
	}
	for _, sp := range s.ports {
		byNS := map[string][]*compiledRoute{}
		for _, r := range compiled {
			if !attached(r.Model, sp.Port.Port) {
				continue
			}
			if opaque(sp.Port.Protocol) && (r.Model.Kind == model.RouteHTTP || r.Model.Kind == model.RouteGRPC) {
				if len(r.Model.Ports) > 0 { // attached to this very port, not to all of the service
					c.problem(r.Label, r.Model.Source,
						"port "+strconv.Itoa(int(sp.Port.Port))+" is declared "+sp.Port.Protocol.String(),
						"the route has no effect there")
				}
				continue
			}
			byNS[r.Model.Namespace] = append(byNS[r.Model.Namespace], r)
		}
		for ns, routes := range byNS {
			g := makeGroup(ns, ns != s.name.Namespace, routes)
			if !g.consumer {
				sp.producer = g
				continue
			}
			if sp.consumers == nil {
				sp.consumers = map[string]*group{}
			}
			sp.consumers[ns] = g
		}
	}
}

func opaque(p model.Protocol) bool { return p == model.ProtocolTCP || p == model.ProtocolTLS }

func attached(r *model.Route, port uint16) bool {
	if len(r.Ports) == 0 {
		return true
	}
	for _, p := range r.Ports {
		if p == port {
			return true
		}
	}
	return false
}

// compiledRoute is a route with all its rules and matches.
type compiledRoute struct {
	*Route
	rules   []*Rule
	matches []*Match
}

func (c *compiler) route(m *model.Route) *compiledRoute {
	r := &compiledRoute{Route: &Route{Model: m, Label: m.Kind.String() + " " + m.String()}}
	for i := range m.Rules {
		rule := c.rule(r.Route, i)
		r.rules = append(r.rules, rule)
		if m.Kind == model.RouteTCP || m.Kind == model.RouteTLS {
			continue
		}
		if len(rule.Model.Matches) == 0 {
			r.matches = append(r.matches, c.match(rule, &model.Match{}, 0))
		}
		for j := range rule.Model.Matches {
			r.matches = append(r.matches, c.match(rule, &rule.Model.Matches[j], j))
		}
	}
	return r
}

// breakRule makes the rule answer 500; only the first reason is kept for the answer, all are
// listed.
func (c *compiler) breakRule(r *Rule, what string) {
	if r.broken == "" {
		r.broken = "the rule cannot be honoured: " + what
	}
	c.problem(r.Label, r.Source(), what, "requests that it matches are answered 500")
}

func (c *compiler) rule(route *Route, i int) *Rule {
	m := &route.Model.Rules[i]
	r := &Rule{
		Route: route, Model: m, Index: i,
		Label: route.Label + " rule " + strconv.Itoa(i),
	}
	for j := range m.Backends {
		b := c.backend(&m.Backends[j])
		b.filters = c.filters(r, b.Model.Filters)
		r.total += uint64(b.Model.Weight)
		b.upto = r.total
		r.Backends = append(r.Backends, b)
	}
	r.filters = c.filters(r, m.Filters)
	r.salt = fnvString(fnvOffset, r.Label)
	if m.Calls != nil {
		r.faults = c.faults(m.Calls.Faults, r.Label, r.Source())
		r.baseline = c.baseline(m.Calls.Compare)
	}
	return r
}

// backend compiles a destination and notes it as a dependency of the current service.
func (c *compiler) backend(m *model.Backend) *Backend {
	b := &Backend{Model: m, Invalid: m.Invalid}
	if b.Invalid != "" {
		return b
	}
	k := setKey{m.Service, m.Port}
	b.tag = backendTag(k)
	b.Set, b.Invalid = c.resolve(k)
	c.current.deps = append(c.current.deps, dependency{k, b.Set, b.Invalid})
	return b
}

// baseline compiles the second backend of a comparison.
func (c *compiler) baseline(m *model.Compare) *Backend {
	if m == nil {
		return nil
	}
	return c.backend(&m.Baseline)
}

// pick chooses a backend by weight. rand is uniform over all of uint64. It returns nil if no
// backend may receive traffic.
func (r *Rule) pick(rand uint64) *Backend {
	if r.total == 0 {
		return nil
	}
	if len(r.Backends) == 1 {
		return r.Backends[0]
	}
	x := scale(rand, r.total)
	for _, b := range r.Backends {
		if x < b.upto {
			return b
		}
	}
	return nil // not reached: x < total
}

// compileRegex compiles an RE2 expression that must match a whole value. The expression is
// compiled alone first: wrapped, "a)|(b" would be valid and mean something else.
func compileRegex(expr string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expr); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + expr + `)\z`)
}

// firstOfEach drops entries whose name was there before: Gateway API lets only the first count.
func firstOfEach(in []model.ValueMatch, fold bool) []model.ValueMatch {
	var out []model.ValueMatch
next:
	for _, v := range in {
		if fold {
			v.Name = strings.ToLower(v.Name)
		}
		for i := range out {
			if out[i].Name == v.Name {
				continue next
			}
		}
		out = append(out, v)
	}
	return out
}
