package decide_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
)

func TestCompileTakesOverWhatDidNotChange(t *testing.T) {
	v2 := model.Name{Namespace: testNS, Name: "v2"}
	s := cart(httpRoute("r", to("v2")))
	other := &model.Service{Name: model.Name{Namespace: testNS, Name: "other"}, Ports: []model.Port{{Port: 80}}}
	v := view(s)
	v.Services[other.Name] = other
	v.Endpoints[v2] = &model.Endpoints{Service: v2, Endpoints: []model.Endpoint{{Port: 80, Node: "a"}, {Port: 81}}}
	first, _ := decide.Compile(nil, v)
	backend := func(t *decide.Table) *decide.Backend {
		svc, _ := t.Service(testName)
		d := t.Decide(&decide.Query{Port: svc.Port(80), Path: []byte("/")}, nil)
		return d.Backend
	}
	change := func(f func(*decide.View)) *decide.View {
		c := *v
		c.Services, c.Endpoints = maps.Clone(v.Services), maps.Clone(v.Endpoints)
		f(&c)
		return &c
	}
	service := func(t *decide.Table, n model.Name) *decide.Service { s, _ := t.Service(n); return s }

	same, _ := decide.Compile(first, change(func(*decide.View) {}))
	if service(same, testName) != service(first, testName) || backend(same).Set != backend(first).Set {
		t.Error("an unchanged view makes new services or sets")
	}
	equal, _ := decide.Compile(first, change(func(v *decide.View) {
		v.Endpoints[v2] = &model.Endpoints{Service: v2, Endpoints: []model.Endpoint{{Port: 80, Node: "a"}, {Port: 82}}}
	}))
	if backend(equal).Set != backend(first).Set {
		t.Error("endpoints of another port make a new set")
	}
	moved, _ := decide.Compile(equal, change(func(v *decide.View) {
		v.Endpoints[v2] = &model.Endpoints{Service: v2, Endpoints: []model.Endpoint{{Port: 80, Node: "b"}}}
	}))
	if a, b := backend(first).Set, backend(moved).Set; a == b || b.Version <= a.Version || b.Endpoints[0].Node != "b" {
		t.Errorf("a change of endpoints gives %+v after %+v", b, a)
	}
	if service(moved, other.Name) != service(first, other.Name) {
		t.Error("a service that does not use the endpoints was compiled anew")
	}
	known, _ := decide.Compile(decideWithout(v, v2), change(func(v *decide.View) { v.Endpoints[v2] = &model.Endpoints{Service: v2} }))
	if s := backend(known).Set; !s.Known || len(s.Endpoints) != 0 {
		t.Errorf("a service that turns out to have no endpoints is still unknown: %+v", s)
	}
	gone, _ := decide.Compile(moved, change(func(v *decide.View) { v.Absent = map[model.Name]bool{v2: true} }))
	if b := backend(gone); b.Set != nil || b.Invalid == "" {
		t.Error("a backend that went away is still used")
	}
	back, _ := decide.Compile(gone, change(func(*decide.View) {}))
	if a, b := backend(moved).Set, backend(back).Set; b == nil || b.Version <= a.Version {
		t.Error("a set that came back has an old version")
	}
	declared, _ := decide.Compile(first, change(func(v *decide.View) {
		v.Services[v2] = &model.Service{Name: v2, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolGRPC}}}
	}))
	if b := backend(declared); b.Set.Protocol != model.ProtocolGRPC || b.Set.Version <= backend(first).Set.Version {
		t.Errorf("the declared protocol is not taken over: %+v", b.Set)
	}
}

// decideWithout compiles the view without the endpoints of one service.
func decideWithout(v *decide.View, n model.Name) *decide.Table {
	c := *v
	c.Endpoints = maps.Clone(v.Endpoints)
	delete(c.Endpoints, n)
	t, _ := decide.Compile(nil, &c)
	return t
}

func TestAnotherPolicyMakesAnotherEndpointSet(t *testing.T) {
	table := func(prev *decide.Table, p *model.Policy) *decide.Table {
		s := cart()
		s.Ports[0].Policy = p
		next, _ := decide.Compile(prev, view(s))
		return next
	}
	set := func(t *decide.Table) *decide.EndpointSet {
		svc, _ := t.Service(testName)
		return svc.Port(80).Default.Set
	}
	p, q := model.DefaultPolicy, model.DefaultPolicy
	first := table(nil, &p)
	if same := table(first, &p); set(same) != set(first) {
		t.Error("the same policy makes a new set")
	}
	if other := table(first, &q); set(other) == set(first) || set(other).Version <= set(first).Version || set(other).Policy != &q {
		t.Errorf("another policy gives %+v", set(other))
	}
}

func TestProblemsOfUnchangedServicesAreListedAgain(t *testing.T) {
	v := view(cart(httpRoute("r", to("v2", regex("(")))))
	first, before := decide.Compile(nil, v)
	_, after := decide.Compile(first, v)
	if len(before) != 1 || len(after) != 1 || before[0].Error() != after[0].Error() {
		t.Fatalf("problems were %v, then %v", before, after)
	}
	want := "HTTPRoute shop/r rule 0: path expression \"(\": error parsing regexp: missing closing ): `(`" +
		"; requests that it matches are answered 500 (routes/r.yaml:1)"
	if got := before[0].Error(); got != want {
		t.Errorf("the problem reads\n%s\nwant\n%s", got, want)
	}
}

func TestServicesAreFoundByAddress(t *testing.T) {
	a := &model.Service{Name: model.Name{Namespace: testNS, Name: "a"}, IPs: []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd00::1")}}
	b := &model.Service{Name: model.Name{Namespace: testNS, Name: "b"}, IPs: []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")}}
	table, problems := decide.Compile(nil, &decide.View{TrustDomain: "weft.test", Services: map[model.Name]*model.Service{a.Name: a, b.Name: b}})
	for ip, want := range map[string]string{"10.1.0.1": "a", "::ffff:10.1.0.1": "a", "fd00::1": "a", "10.1.0.2": "b", "10.1.0.3": ""} {
		got := ""
		if s := table.ServiceByIP(netip.MustParseAddr(ip)); s != nil {
			got = s.Name().Name
		}
		if got != want {
			t.Errorf("%s belongs to %q, want %q", ip, got, want)
		}
	}
	if len(problems) != 1 {
		t.Errorf("an address of two services gives problems %v", problems)
	}
	if table.TrustDomain() != "weft.test" {
		t.Error("the trust domain is lost")
	}
}

func TestSetsListsEveryEndpointSetOnce(t *testing.T) {
	table := compile(t, cart(httpRoute("r", to("v2"), to("v2"))))
	var got []string
	for s := range table.Sets {
		got = append(got, s.Service.Name+":"+uitoa(s.Port))
		if s.Known != (s.Service.Name == "cart") {
			t.Errorf("%s: known is %v", s.Service, s.Known)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"cart:80", "cart:90", "v2:80"}) {
		t.Errorf("sets are %v", got)
	}
}

func TestHTTPRoutesHaveNoEffectOnPortsDeclaredOpaque(t *testing.T) {
	s := cart(httpRoute("r", to("v2")))
	s.Ports[0].Protocol = model.ProtocolTCP
	table := compile(t, s) // attached to all ports: no problem
	svc, _ := table.Service(testName)
	q := &decide.Query{Port: svc.Port(80), Opaque: true}
	if got := decided(table.Decide(q, nil)); got != "cart" {
		t.Errorf("a connection goes to %s", got)
	}
	if svc.Port(80).Routed(testNS) || !svc.Port(90).HTTPRouted(testNS) {
		t.Error("the wrong ports are routed")
	}
	s.Routes[0].Ports = []uint16{80}
	if _, problems := decide.Compile(nil, view(s)); len(problems) != 1 {
		t.Errorf("a route attached to the opaque port itself gives problems %v", problems)
	}
}

func TestLookupResolvesHostsForTheClientsNamespace(t *testing.T) {
	v := view(cart())
	v.Absent = map[model.Name]bool{{Namespace: testNS, Name: "gone"}: true}
	table, _ := decide.Compile(nil, v)
	for _, c := range []struct {
		host, ns string
		state    decide.LookupState
		name     string
	}{
		{"cart", testNS, decide.Found, "shop/cart"},
		{"cart.shop", "web", decide.Found, "shop/cart"},
		{"cart.shop.svc", "web", decide.Found, "shop/cart"},
		{"cart.shop.svc.cluster.local", "web", decide.Found, "shop/cart"},
		{"cart.weft.localhost", testNS, decide.Found, "shop/cart"},
		{"cart.shop.weft.localhost", "", decide.Found, "shop/cart"},
		{"gone", testNS, decide.Absent, "shop/gone"},
		{"cart", "web", decide.Unknown, "web/cart"},
		{"stock.shop", "web", decide.Unknown, "shop/stock"},
		{"cart", "", decide.NotMesh, ""},
		{"10.0.0.1", testNS, decide.NotMesh, ""},
		{"[fd00::1]", testNS, decide.NotMesh, ""},
		{"localhost", testNS, decide.NotMesh, ""},
		{"cart.localhost", testNS, decide.NotMesh, ""},
		{"weft.localhost", testNS, decide.NotMesh, ""},
		{"svc.cluster.local", testNS, decide.NotMesh, ""},
		{"cart.svc.cluster.local", testNS, decide.NotMesh, ""},
		{"www.example.com", testNS, decide.NotMesh, ""},
		{"a.cart.shop.svc", testNS, decide.NotMesh, ""},
		{"2130706433", testNS, decide.NotMesh, ""},
		{"0x7f000001", testNS, decide.NotMesh, ""},
		{"my_cart", testNS, decide.NotMesh, ""},
		{"-cart", testNS, decide.NotMesh, ""},
		{"", testNS, decide.NotMesh, ""},
	} {
		s, name, state := table.Lookup([]byte(c.host), c.ns)
		if state == decide.Found {
			name = s.Name()
		}
		var want model.Name
		want.Namespace, want.Name, _ = strings.Cut(c.name, "/")
		if state != c.state || name != want {
			t.Errorf("%q from %q is %v %v, want %v %v", c.host, c.ns, state, name, c.state, c.name)
		}
		svc, ns, ok := decide.ServiceName([]byte(c.host), c.ns)
		if ok != (c.state != decide.NotMesh) || ok && (model.Name{Namespace: ns, Name: svc}) != want {
			t.Errorf("ServiceName(%q, %q) = %s, %s, %v", c.host, c.ns, svc, ns, ok)
		}
	}
}

// Many loops decide on one table while the next is compiled from it; run with -race.
func TestTablesAreSafeForConcurrentUse(t *testing.T) {
	v := view(manyRoutes(20))
	table, _ := decide.Compile(nil, v)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			q, _ := query(t, table, busyRequest("/api/v1/resource-1/items"))
			for range 200 {
				if d := table.Decide(q, nil); d.Match == nil || d.Route.Model.Name.Name != "r1" {
					t.Error("decided otherwise under load")
					return
				}
			}
		})
		wg.Go(func() {
			next := *v
			next.Endpoints = map[model.Name]*model.Endpoints{}
			decide.Compile(table, &next)
		})
	}
	wg.Wait()
}
