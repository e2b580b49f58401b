package decide_test

import (
	"fmt"
	"testing"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

// The data path's promise: nothing here allocates once buffers have grown.
func TestTheDataPathAllocatesNothing(t *testing.T) {
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
		c decide.Canonical
		s decide.Scratch
		d decide.Decision
		q decide.Query
	)
	header := busyRequest("/x").Fields
	run := func(name, ns, target string, grpc bool, then func(req *message.Request)) {
		received := request("GET " + target + " Cart.Shop:80")
		received.Fields = header
		var req message.Request
		host := []byte("cart.shop")
		t.Run(name, func(t *testing.T) {
			allocs.None(t, 1000, func() {
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
		})
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
		mirrors := 0
		for range d.Mirrors {
			mirrors++
		}
		if mirrors == 0 {
			t.Fatal("nothing was mirrored")
		}
	})
	run("no match", "web", "/other", false, func(*message.Request) { want(decide.Refuse) })
	run("gRPC", testNS, "/shop.Cart/Add", true, func(req *message.Request) { want(decide.Forward); d.ApplyRequest(req, &c, &s) })
	run("redirect", testNS, "/old", false, func(req *message.Request) { want(decide.Redirect); d.Response(req, &c, &s) })

	sni := []byte("A.test")
	t.Run("TLS", func(t *testing.T) {
		allocs.None(t, 1000, func() {
			q = decide.Query{Port: svc.Port(80), ClientNamespace: testNS, Opaque: true, SNI: sni}
			d = table.Decide(&q, nil)
			want(decide.Forward)
		})
	})
	bad := request("GET /a%2fb")
	t.Run("refusing an ambiguous path", func(t *testing.T) {
		allocs.None(t, 1000, func() {
			if decide.Canonicalize(&c, bad) == nil {
				t.Fatal("not refused")
			}
		})
	})
}

func TestDecidingAllocatesNothingHoweverManyRoutesThereAre(t *testing.T) {
	for _, n := range []int{1, 100, 10_000} {
		table := compile(t, manyRoutes(n))
		for name, path := range pathsAmong(n) {
			t.Run(fmt.Sprintf("%d routes, %s", n, name), func(t *testing.T) {
				q, _ := query(t, table, busyRequest(path))
				allocs.None(t, 1000, func() {
					if d := table.Decide(q, nil); d.Action != decide.Forward {
						t.Fatal("refused")
					}
				})
			})
		}
	}
}
