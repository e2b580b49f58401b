package decide_test

import (
	"fmt"
	"maps"
	"slices"
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

// pathsAmong are paths for a service with n routes: of one of its prefixes, of one of its exact
// paths, and of none.
func pathsAmong(n int) map[string]string {
	return map[string]string{
		"prefix":   fmt.Sprintf("/api/v1/resource-%d/items/17", n/2&^1),
		"exact":    fmt.Sprintf("/api/v1/resource-%d/items", n/2|1),
		"catchall": "/static/logo.png",
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		table := compile(b, manyRoutes(n))
		paths := pathsAmong(n)
		for _, name := range slices.Sorted(maps.Keys(paths)) {
			path := paths[name]
			b.Run(fmt.Sprintf("routes=%d/%s", n, name), func(b *testing.B) {
				q, _ := query(b, table, busyRequest(path))
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
