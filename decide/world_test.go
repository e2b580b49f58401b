package decide_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// cart is Service shop/cart with ports 80 and 90 and the routes given.
func cart(routes ...model.Route) *model.Service {
	return &model.Service{Name: testName, Ports: []model.Port{{Port: 80}, {Port: 90}}, Routes: routes}
}

// httpRoute is an HTTPRoute in namespace shop.
func httpRoute(name string, rules ...model.Rule) model.Route {
	return model.Route{Kind: model.RouteHTTP, Name: model.Name{Namespace: testNS, Name: name}, Rules: rules, Source: "routes/" + name + ".yaml:1"}
}

func grpcRoute(name string, rules ...model.Rule) model.Route {
	r := httpRoute(name, rules...)
	r.Kind = model.RouteGRPC
	return r
}

// to is a rule with one backend in namespace shop and the matches given.
func to(backend string, matches ...model.Match) model.Rule {
	return model.Rule{Matches: matches, Backends: []model.Backend{backendTo(backend, 1)}}
}

func backendTo(service string, weight uint32) model.Backend {
	return model.Backend{Service: model.Name{Namespace: testNS, Name: service}, Port: 80, Weight: weight}
}

func exact(p string) model.Match  { return pathMatch(model.PathExact, p) }
func prefix(p string) model.Match { return pathMatch(model.PathPrefix, p) }
func regex(p string) model.Match  { return pathMatch(model.PathRegex, p) }

func pathMatch(k model.PathKind, p string) model.Match {
	return model.Match{Path: &model.PathMatch{Kind: k, Value: p}}
}

func withHeaders(m model.Match, pairs ...string) model.Match {
	for i := 0; i < len(pairs); i += 2 {
		m.Headers = append(m.Headers, model.ValueMatch{Name: pairs[i], Value: pairs[i+1]})
	}
	return m
}

func withQuery(m model.Match, pairs ...string) model.Match {
	for i := 0; i < len(pairs); i += 2 {
		m.Query = append(m.Query, model.ValueMatch{Name: pairs[i], Value: pairs[i+1]})
	}
	return m
}

func withMethod(m model.Match, method string) model.Match { m.Method = method; return m }

// view has the service and one endpoint for each of its ports.
func view(s *model.Service) *decide.View {
	e := &model.Endpoints{Service: s.Name}
	for _, p := range s.Ports {
		e.Endpoints = append(e.Endpoints, model.Endpoint{Port: p.Port, Addr: netip.MustParseAddrPort("10.0.0.1:8080")})
	}
	return &decide.View{
		Services:  map[model.Name]*model.Service{s.Name: s},
		Endpoints: map[model.Name]*model.Endpoints{s.Name: e},
	}
}

// compile makes a table of one service and fails on problems.
func compile(t testing.TB, s *model.Service) *decide.Table {
	t.Helper()
	table, problems := decide.Compile(nil, view(s))
	for _, p := range problems {
		t.Fatalf("compiling: %v", p)
	}
	return table
}

// request parses "GET /path host name=value ..." with host and fields optional.
func request(line string) *message.Request {
	parts := strings.Fields(line)
	r := &message.Request{Method: []byte(parts[0]), Path: []byte(parts[1]), Scheme: []byte("http"), Authority: []byte("cart")}
	for i, p := range parts[2:] {
		name, value, isField := strings.Cut(p, "=")
		if !isField && i == 0 {
			r.Authority = []byte(p)
			continue
		}
		r.Fields = append(r.Fields, message.Field{Name: []byte(name), Value: []byte(strings.ReplaceAll(value, "_", " "))})
	}
	return r
}

// query canonicalizes r for port 80 of shop/cart, from namespace shop.
func query(t testing.TB, table *decide.Table, r *message.Request) (*decide.Query, *decide.Canonical) {
	t.Helper()
	c := &decide.Canonical{}
	if err := decide.Canonicalize(c, r); err != nil {
		t.Fatalf("canonicalizing %s: %v", r.Path, err)
	}
	s, _ := table.Service(testName)
	return &decide.Query{
		Port: s.Port(80), ClientNamespace: testNS, GRPC: message.IsGRPC(r.Fields),
		Method: r.Method, Scheme: r.Scheme, Host: c.Host, Path: c.Path, RawQuery: c.RawQuery, Fields: r.Fields,
	}, c
}

// decided is the backend's service name, or status and code.
func decided(d decide.Decision) string {
	if d.Action == decide.Forward {
		return d.Backend.Service().Name
	}
	return d.Action.String() + " " + uitoa(uint16(d.Status)) + strings.TrimRight(" "+d.Code, " ")
}
