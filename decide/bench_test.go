package decide_test

import (
	"fmt"
	"testing"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// busyRequest is a request as a browser behind a proxy sends it.
func busyRequest(path string) *message.Request {
	return request("GET " + path + " cart.shop accept=text/html user-agent=Mozilla/5.0 accept-language=en " +
		"x-request-id=4711 traceparent=00-1-1-01 x-user=beta x-forwarded-for=10.0.0.1 cookie=a=1 cookie=b=2")
}

// manyRoutes is a service with n routes, half of them prefixes, half exact paths, under one
// catch-all.
func manyRoutes(n int) *model.Service {
	s := cart(httpRoute("all", to("v2")))
	for i := range n {
		path := fmt.Sprintf("/api/v1/resource-%d/items", i)
		if i%2 == 0 {
			s.Routes = append(s.Routes, httpRoute(fmt.Sprintf("r%d", i), to("v2", prefix(path))))
		} else {
			s.Routes = append(s.Routes, httpRoute(fmt.Sprintf("r%d", i), to("v2", withHeaders(exact(path), "x-user", "beta"))))
		}
	}
	return s
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{0, 1, 100, 10_000} {
		for _, c := range []struct{ name, path string }{
			{"prefix", fmt.Sprintf("/api/v1/resource-%d/items/17", n/2&^1)},
			{"exact", fmt.Sprintf("/api/v1/resource-%d/items", n/2|1)},
			{"catchall", "/static/logo.png"},
		} {
			b.Run(fmt.Sprintf("routes=%d/%s", n, c.name), func(b *testing.B) {
				table := compile(b, manyRoutes(n))
				q, _ := query(b, table, busyRequest(c.path))
				b.ReportAllocs()
				for b.Loop() {
					if d := table.Decide(q, nil); d.Action != decide.Forward {
						b.Fatal("refused")
					}
				}
			})
		}
	}
}

func BenchmarkCanonicalize(b *testing.B) {
	for _, path := range []string{"/api/v1/resource-1/items/17?page=2", "/a//b/%7Euser/./caf%c3%a9"} {
		b.Run(path, func(b *testing.B) {
			req := busyRequest(path)
			var c decide.Canonical
			b.ReportAllocs()
			for b.Loop() {
				if err := decide.Canonicalize(&c, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompile measures one change of endpoints among 1,000 services with 10 routes each.
func BenchmarkCompile(b *testing.B) {
	v := &decide.View{Services: map[model.Name]*model.Service{}, Endpoints: map[model.Name]*model.Endpoints{}}
	for i := range 1000 {
		s := manyRoutes(10)
		s.Name.Name = fmt.Sprintf("service-%d", i)
		v.Services[s.Name] = s
		v.Endpoints[s.Name] = &model.Endpoints{Service: s.Name, Endpoints: []model.Endpoint{{Port: 80}}}
	}
	table, _ := decide.Compile(nil, v)
	name := model.Name{Namespace: testNS, Name: "service-7"}
	b.ReportAllocs()
	for b.Loop() {
		v.Endpoints[name] = &model.Endpoints{Service: name, Endpoints: []model.Endpoint{{Port: 80}}}
		table, _ = decide.Compile(table, v)
	}
}

// The data path's promise: nothing here allocates once buffers have grown.
func TestTheDataPathAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	rule := to("v2", model.Match{
		Path:    &model.PathMatch{Kind: model.PathPrefix, Value: "/api"},
		Headers: []model.ValueMatch{{Name: "x-user", Value: "b.*", Regex: true}, {Name: "cookie", Value: "a=1; b=.", Regex: true}, {Name: "host", Value: "cart.shop"}},
		Query:   []model.ValueMatch{{Name: "page", Value: "2"}, {Name: "filter", Value: "a.b", Regex: true}},
	})
	rule.Filters = []model.Filter{
		{RequestHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: "x-a", Value: "1"}}, Add: []model.NameValue{{Name: "x-b", Value: "1"}}, Remove: []string{"x-user"}}},
		{ResponseHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: "x-a", Value: "1"}}}},
		{Rewrite: &model.Rewrite{Hostname: "new.test", Path: &model.PathModifier{PrefixMatch: &[]string{"/v2"}[0]}}},
		{CORS: &model.CORS{AllowOrigins: []string{"https://*.test"}, AllowMethods: []string{"*"}}},
		{Mirror: &model.Mirror{Backend: backendTo("v3", 1)}},
	}
	rule.Backends = append(rule.Backends, backendTo("v3", 1))
	consumer := httpRoute("consumer", rule)
	consumer.Namespace = "web"
	grpc := grpcRoute("g", to("v2", model.Match{GRPC: &model.GRPCMatch{Service: "shop.Cart", Method: "Add"}}))
	tls := httpRoute("t", to("v2"))
	tls.Kind, tls.Hostnames = model.RouteTLS, []string{"*.test"}
	redirect := httpRoute("r", model.Rule{Matches: []model.Match{exact("/old")}, Filters: []model.Filter{{Redirect: &model.Redirect{Hostname: "new.test", Port: 81}}}})
	table := compile(t, cart(consumer, grpc, tls, redirect))
	svc, _ := table.Service(testName)

	var (
		c       decide.Canonical
		s       decide.Scratch
		d       decide.Decision
		q       decide.Query
		mirrors int
	)
	header := busyRequest("/x").Fields
	run := func(name, ns, target string, grpc bool, then func(req *message.Request)) {
		t.Helper()
		received := request("GET " + target + " Cart.Shop:80")
		received.Fields = header
		var req message.Request
		host := []byte("cart.shop")
		allocs := testing.AllocsPerRun(200, func() {
			req = *received
			s.Reset()
			if err := decide.Canonicalize(&c, &req); err != nil {
				t.Fatal(err)
			}
			if found, _, state := table.Lookup(c.Host, testNS); state != decide.Found || found != svc {
				t.Fatal("not found")
			}
			table.Lookup(host, ns)
			q = decide.Query{Port: svc.Port(80), ClientNamespace: ns, GRPC: grpc, Method: req.Method, Scheme: req.Scheme,
				Host: c.Host, Path: c.Path, RawQuery: c.RawQuery, Fields: req.Fields, Rand: 1}
			d = table.Decide(&q, nil)
			then(&req)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
	want := func(a decide.Action) {
		if d.Action != a {
			t.Fatalf("decided %v %s %s", d.Action, d.Code, d.Reason)
		}
	}
	origin := []byte("https://a.test")
	run("forward with every filter", "web", "/api/./x?filter=a%2Bb&page=2", false, func(req *message.Request) {
		want(decide.Forward)
		d.ApplyRequest(req, &c, &s)
		resp := message.Response{Status: 200, Fields: header}
		d.ApplyResponse(&resp, origin, &s)
		for range d.Mirrors {
			mirrors++
		}
	})
	if mirrors == 0 {
		t.Error("nothing was mirrored")
	}
	run("no match", "web", "/other", false, func(*message.Request) { want(decide.Refuse) })
	run("gRPC", testNS, "/shop.Cart/Add", true, func(req *message.Request) { want(decide.Forward); d.ApplyRequest(req, &c, &s) })
	run("redirect", testNS, "/old", false, func(req *message.Request) { want(decide.Redirect); d.Response(req, &c, &s) })

	sni := []byte("A.test")
	if n := testing.AllocsPerRun(100, func() {
		q = decide.Query{Port: svc.Port(80), ClientNamespace: testNS, Opaque: true, SNI: sni}
		d = table.Decide(&q, nil)
	}); n != 0 || d.Action != decide.Forward {
		t.Errorf("TLS: %v allocations, %v", n, d.Action)
	}
	bad := request("GET /a%2fb")
	if n := testing.AllocsPerRun(100, func() { _ = decide.Canonicalize(&c, bad) }); n != 0 {
		t.Errorf("refusing an ambiguous path: %v allocations", n)
	}
}
