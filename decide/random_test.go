package decide_test

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// source turns fuzz bytes into choices; when they run out every choice is the first.
type source struct{ b []byte }

func (s *source) n(max int) int {
	if len(s.b) == 0 || max <= 1 {
		return 0
	}
	v := int(s.b[0]) % max
	s.b = s.b[1:]
	return v
}

func (s *source) chance(of int) bool { return s.n(of) == of-1 }

func (s *source) pick(from ...string) string { return from[s.n(len(from))] }

func (s *source) uint64() (v uint64) {
	for range 8 {
		v = v<<8 | uint64(s.n(256))
	}
	return v
}

// The worlds are small, so that matches overlap and ties are common.
const testNS = "shop"

var testName = model.Name{Namespace: testNS, Name: "cart"}

func randomView(s *source) *decide.View {
	svc := &model.Service{Name: testName, Ports: []model.Port{{Port: 80}, {Port: 90, Protocol: model.Protocol(s.n(6))}}}
	for range s.n(6) {
		svc.Routes = append(svc.Routes, randomRoute(s, len(svc.Routes)))
	}
	v := &decide.View{
		Services: map[model.Name]*model.Service{
			testName: svc,
			{Namespace: testNS, Name: "v2"}: {
				Name: model.Name{Namespace: testNS, Name: "v2"}, Ports: []model.Port{{Port: 80}},
			},
		},
		Endpoints: map[model.Name]*model.Endpoints{testName: {Service: testName, Endpoints: []model.Endpoint{
			{Port: 80, Addr: netip.MustParseAddrPort("10.0.0.1:8080")},
		}}},
		Absent: map[model.Name]bool{{Namespace: testNS, Name: "gone"}: true},
	}
	return v
}

func randomRoute(s *source, i int) model.Route {
	r := model.Route{
		Kind: []model.RouteKind{model.RouteHTTP, model.RouteHTTP, model.RouteGRPC, model.RouteTLS, model.RouteTCP}[s.n(5)],
		// Names are unique for a kind, as in every source of objects.
		Name:    model.Name{Namespace: s.pick(testNS, testNS, "web"), Name: s.pick("b", "a", "c") + strconv.Itoa(i)},
		Created: time.Unix(int64(s.n(3)), 0),
	}
	switch s.n(4) {
	case 1:
		r.Ports = []uint16{80}
	case 2:
		r.Ports = []uint16{90}
	}
	for range s.n(3) {
		r.Hostnames = append(r.Hostnames, s.pick("a.test", "*.test", "*.b.test", "b.test"))
	}
	for range 1 + s.n(3) {
		r.Rules = append(r.Rules, randomRule(s, r.Kind))
	}
	return r
}

func randomRule(s *source, kind model.RouteKind) model.Rule {
	var r model.Rule
	for range s.n(3) {
		r.Matches = append(r.Matches, randomMatch(s, kind))
	}
	for range s.n(3) {
		b := model.Backend{
			Service: model.Name{Namespace: testNS, Name: s.pick("cart", "v2", "gone", "unheard")},
			Port:    []uint16{80, 80, 80, 81}[s.n(4)], Weight: uint32(s.n(4)),
		}
		if s.chance(8) {
			b.Invalid = "RefNotPermitted"
		}
		if s.chance(4) {
			b.Filters = randomFilters(s)
		}
		r.Backends = append(r.Backends, b)
	}
	if s.chance(2) {
		r.Filters = randomFilters(s)
	}
	return r
}

func randomMatch(s *source, kind model.RouteKind) model.Match {
	var m model.Match
	if s.chance(4) {
		m.Method = s.pick("GET", "OPTIONS", "POST")
	}
	if s.chance(2) {
		m.Headers = randomValues(s, "x-a", "x-b", "host", "cookie")
	}
	if s.chance(3) && kind == model.RouteHTTP {
		m.Query = randomValues(s, "q", "r", "a b")
	}
	if kind == model.RouteGRPC {
		m.Method = ""
		if s.chance(2) {
			m.GRPC = &model.GRPCMatch{
				Service: s.pick("", "a", "ab", "a.*", "("), Method: s.pick("", "a", "b", "c.*"), Regex: s.chance(2),
			}
		}
		return m
	}
	switch s.n(6) {
	case 0:
	case 1:
		m.Path = &model.PathMatch{Kind: model.PathRegex, Value: s.pick("/a.*", "/b|/a", "/", "(", "/[ab]/c")}
	case 2:
		m.Path = &model.PathMatch{Kind: model.PathExact, Value: randomPath(s)}
	default:
		m.Path = &model.PathMatch{Kind: model.PathPrefix, Value: randomPath(s)}
	}
	return m
}

func randomValues(s *source, names ...string) (out []model.ValueMatch) {
	for range 1 + s.n(2) {
		v := model.ValueMatch{Name: s.pick(names...), Value: s.pick("1", "2", "1, 2", "a.test"), Regex: s.chance(3)}
		if v.Regex {
			v.Value = s.pick("[12]", "1.*", "(", ".*", "1, 2")
		}
		out = append(out, v)
	}
	return out
}

func randomPath(s *source) string {
	p := ""
	for range s.n(4) {
		p += "/" + s.pick("a", "b", "ab", "c", "%2F", "%61", "")
	}
	if p == "" || s.chance(4) {
		p += "/"
	}
	return p
}

func randomFilters(s *source) (out []model.Filter) {
	for range 1 + s.n(3) {
		switch s.n(6) {
		case 0:
			out = append(out, model.Filter{RequestHeaders: randomModifier(s)})
		case 1:
			out = append(out, model.Filter{ResponseHeaders: randomModifier(s)})
		case 2:
			out = append(out, model.Filter{Redirect: &model.Redirect{
				Scheme: s.pick("", "http", "https"), Hostname: s.pick("", "new.test"), Path: randomModifiedPath(s),
				Port: []uint16{0, 80, 443, 8080}[s.n(4)], Status: []int{302, 301, 0, 308}[s.n(4)],
			}})
		case 3:
			out = append(out, model.Filter{Rewrite: &model.Rewrite{Hostname: s.pick("", "new.test"), Path: randomModifiedPath(s)}})
		case 4:
			out = append(out, model.Filter{CORS: &model.CORS{
				AllowOrigins:     []string{s.pick("*", "http://a.test", "https://*.test", "http://*", "http://a.test:80")},
				AllowCredentials: s.chance(2), AllowMethods: []string{s.pick("*", "GET")}, ExposeHeaders: []string{s.pick("*", "x-a")},
			}})
		case 5:
			out = append(out, model.Filter{Mirror: &model.Mirror{
				Backend:   model.Backend{Service: model.Name{Namespace: testNS, Name: s.pick("v2", "gone")}, Port: 80},
				Numerator: uint32(s.n(4)), Denominator: uint32(s.n(4)),
			}})
		}
	}
	return out
}

func randomModifier(s *source) *model.HeaderModifier {
	m := &model.HeaderModifier{}
	for range s.n(3) {
		m.Set = append(m.Set, model.NameValue{Name: s.pick("x-a", "x-b"), Value: s.pick("1", "set")})
	}
	for range s.n(3) {
		m.Add = append(m.Add, model.NameValue{Name: s.pick("x-a", "x-c"), Value: "add"})
	}
	for range s.n(2) {
		m.Remove = append(m.Remove, s.pick("x-b", "x-a"))
	}
	return m
}

func randomModifiedPath(s *source) *model.PathModifier {
	to := s.pick("/new", "/new/", "/", "")
	switch s.n(3) {
	case 1:
		return &model.PathModifier{PrefixMatch: &to}
	case 2:
		to = "/full"
		return &model.PathModifier{Full: &to}
	}
	return nil
}

func randomRequest(s *source) *message.Request {
	req := &message.Request{
		Method:    []byte(s.pick("GET", "POST", "OPTIONS")),
		Scheme:    []byte(s.pick("http", "https")),
		Authority: []byte(s.pick("cart", "a.test", "Cart:8080", "")),
		Path:      []byte(randomPath(s)),
	}
	if s.chance(2) {
		req.Path = append(req.Path, s.pick("?q=1", "?q=2&r=1", "?", "?a+b=1", "?%71=1%2C+2&q=2", "?q", "?&r=%zz")...)
	}
	for range s.n(4) {
		f := message.Field{Name: []byte(s.pick("x-a", "x-b", "cookie", "origin", "access-control-request-method"))}
		switch string(f.Name) {
		case "origin":
			f.Value = []byte(s.pick("http://a.test", "https://b.a.test", "http://a.test:80", "https://a.test:8080", "null"))
		case "access-control-request-method":
			f.Value = []byte("PUT")
		default:
			f.Value = []byte(s.pick("1", "2", "12", ""))
		}
		req.Fields = append(req.Fields, f)
	}
	return req
}
