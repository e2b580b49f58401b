package compile

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weft-mesh/weft/api/decode"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model"
)

// addrs compares addresses, which have fields that cmp must not look into.
var addrs = cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}

func objects(t testing.TB, text string) []*object.Object {
	t.Helper()
	res := decode.File("x.yaml", []byte(text), decode.Options{})
	for _, p := range res.Problems {
		t.Fatalf("test data: %v", p.Error)
	}
	return res.Objects
}

func compileText(t testing.TB, text string, regs ...Registered) (*Snapshot, []*codes.Error) {
	t.Helper()
	return Compile(Input{Objects: objects(t, text), Registered: regs, TrustDomain: "td"})
}

func run(name, svc string, port uint16, p model.Protocol, labels map[string]string) Registered {
	return Registered{Service: svc, Port: port, Workload: model.Workload{
		Name: model.Name{Namespace: "shop", Name: name}, Identity: "spiffe://td/ns/shop/sa/" + svc, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Ports: []model.Port{{Port: port, Protocol: p}}, Labels: labels, Link: netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", port+10000)),
	}}
}

// lines writes a service's ports and endpoints, one a line, for comparing.
func lines(s *Snapshot, name string) string {
	n := model.Name{Namespace: "shop", Name: name}
	svc := s.Services[n]
	if svc == nil {
		return "no service"
	}
	var b strings.Builder
	for _, p := range svc.Ports {
		fmt.Fprintf(&b, "port %d %s\n", p.Port, p.Protocol)
	}
	for _, e := range s.Endpoints[n].Endpoints {
		fmt.Fprintf(&b, "%d -> %s %s", e.Port, e.Workload.Name, e.Addr)
		if e.Meshed() {
			fmt.Fprintf(&b, " link %s %s", e.Link, e.Identity)
		} else if e.Identity != "" {
			b.WriteString(" identity without link")
		}
		if e.Draining {
			b.WriteString(" draining")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func codesOf(ps []*codes.Error) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Code)
	}
	return strings.Join(out, " ")
}

const oneWorkload = `
---
apiVersion: weft.dev/v1alpha1
kind: Workload
metadata: {name: w1, namespace: shop, labels: {app: cart}}
spec: {addresses: [10.0.0.1, 10.0.1.1], ports: [{name: web, port: 8080, appProtocol: http}, {port: 9}], zone: z}
`

func TestEndpoints(t *testing.T) {
	draining := run("cart-2", "cart", 8082, model.ProtocolDetect, nil)
	draining.Draining = true
	for _, c := range []struct {
		what, text string
		regs       []Registered
		want       string
		codes      string
	}{
		{what: "a workload that runs makes its service, with port 80 and its own",
			regs: []Registered{run("cart-1", "cart", 8081, model.ProtocolHTTP, nil)},
			want: "port 80 http\nport 8081 http\n80 -> cart-1 127.0.0.1:8081 link 127.0.0.1:18081 spiffe://td/ns/shop/sa/cart\n8081 -> cart-1 127.0.0.1:8081 link 127.0.0.1:18081 spiffe://td/ns/shop/sa/cart\n"},
		{what: "several workloads of one service share port 80, and one may be draining",
			regs: []Registered{draining, run("cart-1", "cart", 8081, model.ProtocolHTTP, nil)},
			want: "port 80 http\nport 8081 http\nport 8082 detect\n80 -> cart-1 127.0.0.1:8081 link 127.0.0.1:18081 spiffe://td/ns/shop/sa/cart\n80 -> cart-2 127.0.0.1:8082 link 127.0.0.1:18082 spiffe://td/ns/shop/sa/cart draining\n" +
				"8081 -> cart-1 127.0.0.1:8081 link 127.0.0.1:18081 spiffe://td/ns/shop/sa/cart\n8082 -> cart-2 127.0.0.1:8082 link 127.0.0.1:18082 spiffe://td/ns/shop/sa/cart draining\n"},
		{what: "a workload on port 80 has that port once",
			regs: []Registered{run("cart-1", "cart", 80, model.ProtocolTCP, nil)},
			want: "port 80 tcp\n80 -> cart-1 127.0.0.1:80 link 127.0.0.1:10080 spiffe://td/ns/shop/sa/cart\n"},
		{what: "workloads that disagree on the protocol are told so",
			regs:  []Registered{run("cart-1", "cart", 8081, model.ProtocolHTTP, nil), run("cart-2", "cart", 8082, model.ProtocolTCP, nil)},
			codes: "W1218",
			want: "port 80 http\nport 8081 http\nport 8082 tcp\n80 -> cart-1 127.0.0.1:8081 link 127.0.0.1:18081 spiffe://td/ns/shop/sa/cart\n80 -> cart-2 127.0.0.1:8082 link 127.0.0.1:18082 spiffe://td/ns/shop/sa/cart\n" +
				"8081 -> cart-1 127.0.0.1:8081 link 127.0.0.1:18081 spiffe://td/ns/shop/sa/cart\n8082 -> cart-2 127.0.0.1:8082 link 127.0.0.1:18082 spiffe://td/ns/shop/sa/cart\n"},
		{what: "a Service takes the place of the implicit one",
			text: "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {ports: [{port: 90}]}}",
			regs: []Registered{run("cart-1", "cart", 8081, model.ProtocolGRPC, nil)},
			want: "port 90 grpc\n90 -> cart-1 127.0.0.1:8081 link 127.0.0.1:18081 spiffe://td/ns/shop/sa/cart\n"},
		{what: "a Service that names another target port does not lead to a workload without it",
			text: "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {ports: [{port: 90, targetPort: 91}]}}",
			regs: []Registered{run("cart-1", "cart", 8081, model.ProtocolGRPC, nil)}, codes: "W1213", want: "port 90 detect\n"},
		{what: "a selector picks by all labels, and targetPort by name",
			text: "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{port: 80, targetPort: web}]}}" + oneWorkload,
			want: "port 80 http\n80 -> w1 10.0.0.1:8080\n"},
		{what: "targetPort by number",
			text: "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{port: 80, targetPort: 9, appProtocol: mysql}]}}" + oneWorkload,
			want: "port 80 tcp\n80 -> w1 10.0.0.1:9\n"},
		{what: "a selector stays in its namespace",
			text:  "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{port: 80}]}}" + strings.Replace(oneWorkload, "namespace: shop", "namespace: else", 1),
			codes: "W1212", want: "port 80 detect\n"},
		{what: "a running workload that the selector misses is told so",
			text:  "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{port: 80}]}}",
			regs:  []Registered{run("cart-1", "cart", 8081, model.ProtocolHTTP, map[string]string{"app": "crat"})},
			codes: "W1212 W1218", want: "port 80 detect\n"},
		{what: "a running workload adds its link to the written one of its name",
			text: "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{port: 80, targetPort: 8081}]}}" + strings.Replace(oneWorkload, "w1", "cart-1", 1),
			regs: []Registered{run("cart-1", "", 8081, model.ProtocolHTTP, nil)},
			want: "port 80 http\n80 -> cart-1 127.0.0.1:8081 link 127.0.0.1:18081 spiffe://td/ns/shop/sa/\n"},
		{what: "an EndpointSlice adds addresses outside the mesh, those of workloads as workloads, and none that is not ready",
			text: `{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {ports: [{name: web, port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-a, namespace: shop, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: web, port: 8080, appProtocol: kubernetes.io/h2c}]
endpoints:
- {addresses: [10.0.0.9], nodeName: node-1}
- {addresses: [10.0.0.8], conditions: {ready: false}}
- {addresses: [10.0.0.7], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.1]}
- {addresses: [10.0.1.1]}
- {addresses: [10.0.0.9]}
` + oneWorkload,
			want: "port 80 http2\n80 -> w1 10.0.0.1:8080\n80 ->  10.0.0.7:8080 draining\n80 ->  10.0.0.9:8080\n80 -> w1 10.0.1.1:8080\n"},
		{what: "two workloads cannot have one address and port; the running one has it",
			text:  strings.Replace(oneWorkload, "10.0.0.1", "127.0.0.1", 1) + "---\n{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{port: 80, targetPort: 8080}]}}",
			regs:  []Registered{run("other", "", 8080, model.ProtocolHTTP, nil)},
			codes: "W1213 W1211", want: "port 80 detect\n"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, ps := compileText(t, c.text, c.regs...)
			if got := lines(s, "cart"); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			got, want := strings.Fields(codesOf(ps)), strings.Fields(c.codes)
			if !cmp.Equal(got, want, cmpopts.SortSlices(func(a, b string) bool { return a < b }), cmpopts.EquateEmpty()) {
				t.Errorf("problems %v, want %s", ps, c.codes)
			}
		})
	}
}

func TestProtocolOf(t *testing.T) {
	for _, c := range []struct {
		app, name string
		want      model.Protocol
		known     bool
	}{
		{"", "", model.ProtocolDetect, true}, {"", "web", model.ProtocolDetect, true}, {"", "http-web", model.ProtocolHTTP, true}, {"", "grpc", model.ProtocolGRPC, true},
		{"HTTP", "tcp", model.ProtocolHTTP, true}, {"kubernetes.io/h2c", "", model.ProtocolHTTP2, true}, {"kubernetes.io/wss", "", model.ProtocolTLS, true},
		{"https", "", model.ProtocolTLS, true}, {"weft.dev/opaque", "", model.ProtocolTCP, true}, {"redis", "", model.ProtocolTCP, true}, {"", "mysql-main", model.ProtocolTCP, true},
		{"example.com/own", "http", model.ProtocolDetect, false},
	} {
		if got, known := ProtocolOf(c.app, c.name); got != c.want || known != c.known {
			t.Errorf("ProtocolOf(%q, %q) = %v, %v; want %v, %v", c.app, c.name, got, known, c.want, c.known)
		}
	}
}

const shop = `{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {ports: [{name: http, port: 80}, {name: admin, port: 81}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: bank, namespace: money}, spec: {ports: [{port: 443}]}}
---
`

func TestAnHTTPRouteIsCarriedOverWhole(t *testing.T) {
	s, ps := compileText(t, shop+`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop, creationTimestamp: "2026-03-01T12:00:00Z"}
spec:
  parentRefs: [{group: "", kind: Service, name: cart, port: 80}]
  hostnames: ["*.example.com"]
  rules:
  - name: one
    matches:
    - path: {type: Exact, value: /a}
      method: POST
      headers: [{name: X-User, value: u, type: RegularExpression}]
      queryParams: [{name: Q, value: v}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: A, value: b}], add: [{name: C, value: d}], remove: [E]}}
    - {type: URLRewrite, urlRewrite: {hostname: h, path: {type: ReplaceFullPath, replaceFullPath: /f}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: cart, port: 81}, fraction: {numerator: 1}}}
    - {type: CORS, cors: {allowOrigins: ["https://A.example"], allowMethods: [GET], allowHeaders: [X-A], exposeHeaders: [X-B], allowCredentials: true}}
    timeouts: {request: 1m30s, backendRequest: 500ms}
    retry: {codes: [503, 500], backoff: 10ms}
    backendRefs: [{name: cart, port: 80, weight: 0, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [Server]}}]}]
  - filters: [{type: RequestRedirect, requestRedirect: {scheme: https, port: 8443, path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}]
`)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	full, prefix := "/f", "/x"
	calls := model.DefaultPolicy.Calls
	calls.Timeouts = model.Timeouts{Request: 90 * time.Second, BackendRequest: 500 * time.Millisecond}
	calls.Retry.On, calls.Retry.Codes, calls.Retry.Backoff = model.RetryReset|model.RetryTimeout|model.RetryCodes, []int{500, 503}, 10*time.Millisecond
	calls.Sources.Timeouts, calls.Sources.Retry = "x.yaml:24", "x.yaml:25"
	cart := model.Name{Namespace: "shop", Name: "cart"}
	want := []model.Route{{
		Kind: model.RouteHTTP, Name: model.Name{Namespace: "shop", Name: "r"}, Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Ports: []uint16{80},
		Hostnames: []string{"*.example.com"}, Source: "x.yaml:8",
		Rules: []model.Rule{{
			Name: "one", Source: "x.yaml:13",
			Matches: []model.Match{{Path: &model.PathMatch{Kind: model.PathExact, Value: "/a"}, Method: "POST", Headers: []model.ValueMatch{{Name: "x-user", Value: "u", Regex: true}}, Query: []model.ValueMatch{{Name: "Q", Value: "v"}}}},
			Filters: []model.Filter{
				{RequestHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: "a", Value: "b"}}, Add: []model.NameValue{{Name: "c", Value: "d"}}, Remove: []string{"e"}}},
				{Rewrite: &model.Rewrite{Hostname: "h", Path: &model.PathModifier{Full: &full}}},
				{Mirror: &model.Mirror{Backend: model.Backend{Service: cart, Port: 81, Weight: 1}, Numerator: 1, Denominator: 100}},
				{CORS: &model.CORS{AllowOrigins: []string{"https://a.example"}, AllowCredentials: true, AllowMethods: []string{"GET"}, AllowHeaders: []string{"x-a"}, ExposeHeaders: []string{"X-B"}, MaxAge: 5 * time.Second}},
			},
			Calls:    &calls,
			Backends: []model.Backend{{Service: cart, Port: 80, Filters: []model.Filter{{ResponseHeaders: &model.HeaderModifier{Remove: []string{"server"}}}}}},
		}, {
			Source:  "x.yaml:27",
			Matches: []model.Match{{Path: &model.PathMatch{Value: "/"}}},
			Filters: []model.Filter{{Redirect: &model.Redirect{Scheme: "https", Port: 8443, Status: 302, Path: &model.PathModifier{PrefixMatch: &prefix}}}},
		}},
	}}
	if d := cmp.Diff(want, s.Services[cart].Routes, addrs); d != "" {
		t.Error(d)
	}
}

func TestReferencesBetweenNamespaces(t *testing.T) {
	const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec: {parentRefs: [{group: "", kind: Service, name: cart}], rules: [{backendRefs: [{name: bank, namespace: money, port: 443}]}]}
---
`
	grant := func(ns, kind, from, to string) string {
		return fmt.Sprintf("{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {name: g, namespace: %s}, spec: {from: [{group: gateway.networking.k8s.io, kind: %s, namespace: %s}], to: [{group: '', kind: Service%s}]}}", ns, kind, from, to)
	}
	for _, c := range []struct{ what, grant, want string }{
		{"without a grant it is not permitted", "", "RefNotPermitted"},
		{"a grant permits it", grant("money", "HTTPRoute", "shop", ""), ""},
		{"a grant for the service by name permits it", grant("money", "HTTPRoute", "shop", ", name: bank"), ""},
		{"a grant for another service does not", grant("money", "HTTPRoute", "shop", ", name: vault"), "RefNotPermitted"},
		{"a grant for another kind does not", grant("money", "GRPCRoute", "shop", ""), "RefNotPermitted"},
		{"a grant for another namespace does not", grant("money", "HTTPRoute", "web", ""), "RefNotPermitted"},
		{"a grant in the route's own namespace does not", grant("shop", "HTTPRoute", "shop", ""), "RefNotPermitted"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, ps := compileText(t, shop+route+c.grant)
			r := s.Services[model.Name{Namespace: "shop", Name: "cart"}].Routes
			if len(r) != 1 || r[0].Rules[0].Backends[0].Invalid != c.want {
				t.Fatalf("got %+v, want %q", r, c.want)
			}
			if (c.want == "") != (len(ps) == 0) || s.Routes[0].ResolvedRefs.Status != (c.want == "") {
				t.Errorf("problems %v, status %+v", ps, s.Routes[0])
			}
		})
	}
}

func TestWhereRoutesAttach(t *testing.T) {
	for _, c := range []struct {
		what, ns, kind, parents string
		ports                   []uint16 // nil: all
		attached, consumer      bool
		reason                  string
	}{
		{what: "to all ports", ns: "shop", kind: "HTTPRoute", parents: `{group: "", kind: Service, name: cart}`, attached: true, reason: ReasonAccepted},
		{what: "to a port by number", ns: "shop", kind: "HTTPRoute", parents: `{group: "", kind: Service, name: cart, port: 81}`, ports: []uint16{81}, attached: true, reason: ReasonAccepted},
		{what: "to a port by name", ns: "shop", kind: "HTTPRoute", parents: `{group: "", kind: Service, name: cart, sectionName: admin}`, ports: []uint16{81}, attached: true, reason: ReasonAccepted},
		{what: "name and number must agree", ns: "shop", kind: "HTTPRoute", parents: `{group: "", kind: Service, name: cart, sectionName: admin, port: 80}`, reason: ReasonNoMatchingParent},
		{what: "from another namespace as a consumer", ns: "web", kind: "HTTPRoute", parents: `{group: "", kind: Service, namespace: shop, name: cart}`, attached: true, consumer: true, reason: ReasonAccepted},
		{what: "not to a Gateway", ns: "shop", kind: "HTTPRoute", parents: `{name: cart}`, reason: ReasonParentNotInMesh},
		{what: "not to what is not there", ns: "web", kind: "HTTPRoute", parents: `{group: "", kind: Service, name: cart}`, reason: ReasonParentDoesNotExist},
		{what: "a TCPRoute does", ns: "shop", kind: "TCPRoute", parents: `{group: "", kind: Service, name: raw}`, attached: true, reason: ReasonAccepted},
		{what: "an HTTPRoute not to a TCP port", ns: "shop", kind: "HTTPRoute", parents: `{group: "", kind: Service, name: raw}`, reason: ReasonIncompatibleProtocol},
		{what: "an HTTPRoute to those ports that fit", ns: "shop", kind: "HTTPRoute", parents: `{group: "", kind: Service, name: mixed}`, ports: []uint16{80}, attached: true, reason: ReasonAccepted},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, _ := compileText(t, shop+fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: raw, namespace: shop}, spec: {ports: [{port: 80, appProtocol: tcp}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: mixed, namespace: shop}, spec: {ports: [{name: http, port: 80}, {name: mysql, port: 3306}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: %s
metadata: {name: r, namespace: %s}
spec: {parentRefs: [%s], rules: [{backendRefs: [{name: cart, port: 80}]}]}
`, c.kind, c.ns, c.parents))
			st := s.Routes[0]
			if st.Accepted() != c.attached || st.Parents[0].Accepted.Reason != c.reason || st.Parents[0].Consumer != c.consumer {
				t.Errorf("status %+v", st)
			}
			var got []model.Route
			for _, svc := range s.Services {
				got = append(got, svc.Routes...)
			}
			if len(got) > 1 || (len(got) == 1) != c.attached || c.attached && !cmp.Equal(got[0].Ports, c.ports, cmpopts.EquateEmpty()) {
				t.Errorf("attached %+v", got)
			}
		})
	}
}

// TestOrderDoesNotMatter holds that the same objects in any order give the same mesh and the same
// messages.
func TestOrderDoesNotMatter(t *testing.T) {
	objs := objects(t, shop+strings.TrimPrefix(oneWorkload, "\n---\n")+`
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: b, namespace: shop}, spec: {parentRefs: [{group: "", kind: Service, name: cart}], rules: [{backendRefs: [{name: none, port: 1}]}]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, namespace: shop}, spec: {parentRefs: [{group: "", kind: Service, name: cart}], rules: [{backendRefs: [{name: cart, port: 80}]}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {ports: [{port: 99}]}}
`)
	regs := []Registered{run("x-1", "x", 1000, model.ProtocolHTTP, nil), run("x-2", "x", 1001, model.ProtocolHTTP, nil), run("x-2", "x", 1002, model.ProtocolHTTP, nil)}
	want, wantProblems := Compile(Input{Objects: objs, Registered: regs, TrustDomain: "td"})
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		rnd.Shuffle(len(objs), func(i, j int) { objs[i], objs[j] = objs[j], objs[i] })
		rnd.Shuffle(len(regs), func(i, j int) { regs[i], regs[j] = regs[j], regs[i] })
		got, problems := Compile(Input{Objects: objs, Registered: regs, TrustDomain: "td"})
		if d := cmp.Diff(want, got, addrs); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(wantProblems, problems); d != "" {
			t.Fatal(d)
		}
	}
}

func TestUnchangedServicesKeepTheirPointers(t *testing.T) {
	regs := []Registered{run("cart-1", "cart", 8081, model.ProtocolHTTP, nil), run("bank-1", "bank", 8082, model.ProtocolHTTP, nil)}
	before, _ := Compile(Input{Registered: regs})
	regs[1].Draining = true
	after, _ := Compile(Input{Registered: regs, Prev: before})
	cart, bank := model.Name{Namespace: "shop", Name: "cart"}, model.Name{Namespace: "shop", Name: "bank"}
	if after.Services[cart] != before.Services[cart] || after.Endpoints[cart] != before.Endpoints[cart] || after.Services[bank] != before.Services[bank] || after.Workloads[cart] != before.Workloads[cart] {
		t.Error("what did not change is a new pointer")
	}
	if after.Endpoints[bank] == before.Endpoints[bank] || !after.Endpoints[bank].Endpoints[0].Draining {
		t.Error("what changed is the old pointer")
	}
}

func BenchmarkCompile(b *testing.B) {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, `---
{apiVersion: v1, kind: Service, metadata: {name: s%[1]d, namespace: shop}, spec: {selector: {app: s%[1]d}, ports: [{port: 80, targetPort: web}]}}
---
{apiVersion: weft.dev/v1alpha1, kind: Workload, metadata: {name: w%[1]d, namespace: shop, labels: {app: s%[1]d}}, spec: {addresses: [10.0.%[2]d.%[3]d], ports: [{name: web, port: 8080}]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r%[1]d, namespace: shop}, spec: {parentRefs: [{group: "", kind: Service, name: s%[1]d}], rules: [{matches: [{path: {value: /a}}], backendRefs: [{name: s%[1]d, port: 80}]}]}}
`, i, i/200, i%200+1)
	}
	in := Input{Objects: objects(b, text.String()), TrustDomain: "td"}
	in.Prev, _ = Compile(in)
	b.ReportAllocs()
	for b.Loop() {
		if _, ps := Compile(in); len(ps) > 0 {
			b.Fatal(ps)
		}
	}
}

// FuzzCompile holds that whatever decodes also compiles, without a panic.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(shop + oneWorkload))
	f.Add([]byte("{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: {}}\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}}\n"))
	f.Add([]byte(shop + everySection))
	f.Add([]byte("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a, labels: {kubernetes.io/service-name: b}}, addressType: IPv6, endpoints: [{addresses: ['']}], ports: [{port: 1}]}\n---\n{apiVersion: v1, kind: Service, metadata: {name: b}, spec: {ports: [{port: 1}]}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		res := decode.File("x.yaml", data, decode.Options{})
		s, problems := Compile(Input{Objects: res.Objects, Registered: []Registered{run("b-1", "b", 1, model.ProtocolHTTP, nil)}})
		if len(s.Services) != len(s.Endpoints) {
			t.Error("a service without an entry of endpoints")
		}
		for _, p := range append(problems, s.Advice...) {
			if _, ok := codes.Lookup(p.Code); !ok {
				t.Errorf("code %s is not in the catalogue", p.Code)
			}
		}
		inRange(t, s)
	})
}
