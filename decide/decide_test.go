package decide_test

import (
	"math"
	"testing"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
)

func TestHTTPRoutesFollowGatewayAPIPrecedence(t *testing.T) {
	older := httpRoute("z-older", to("older", prefix("/tie")))
	older.Created = time.Unix(1, 0)
	younger := httpRoute("a-younger", to("younger", prefix("/tie")))
	younger.Created = time.Unix(2, 0)
	table := compile(t, cart(
		httpRoute("main",
			to("root"),
			to("api", prefix("/api")),
			to("api-v1", prefix("/api/v1/")),
			to("exact", exact("/api/v1/cart")),
			to("exact-slash", exact("/api/v1/cart/")),
			to("regex", regex("/api/[0-9]+")),
			to("regex-long", regex("/api/[0-9]+[0-9]*")),
			to("post", withMethod(prefix("/api"), "POST")),
			to("header", withHeaders(prefix("/api"), "x-user", "beta")),
			to("headers", withHeaders(prefix("/api"), "x-user", "beta", "x-b", "1")),
			to("same-header-twice", withHeaders(prefix("/twice"), "x-a", "1", "x-a", "2")),
			to("query", withQuery(prefix("/api"), "q", "1")),
			to("host", withHeaders(prefix("/host"), "host", "cart.shop")),
			to("first", prefix("/list")), to("second", prefix("/list")),
			to("encoded", exact("/caf\u00e9/%7euser")),
			to("either", exact("/one"), withHeaders(exact("/two"), "x-a", "1")),
		),
		httpRoute("b-alphabet", to("b", prefix("/alphabet"))),
		httpRoute("a-alphabet", to("a", prefix("/alphabet"))),
		older, younger,
	))
	for _, c := range []struct{ name, request, want string }{
		{"no match of its own goes to the catch-all", "GET /", "root"},
		{"a longer prefix beats a shorter one", "GET /api/v1/x", "api-v1"},
		{"a trailing slash in a prefix is ignored", "GET /api/v1", "api-v1"},
		{"prefixes match whole segments only", "GET /apix", "root"},
		{"a prefix matches itself with a slash", "GET /api/", "api"},
		{"an exact path beats every prefix", "GET /api/v1/cart", "exact"},
		{"an exact path has no other form", "GET /api/v1/cart/", "exact-slash"},
		{"paths are case-sensitive", "GET /API", "root"},
		{"the longer expression is first, both beat prefixes", "GET /api/12", "regex-long"},
		{"an expression is anchored at the end", "GET /api/12x", "api"},
		{"a method match beats none", "POST /api", "post"},
		{"a method match beats any number of headers", "POST /api x-user=beta x-b=1", "post"},
		{"methods are case-sensitive", "post /api", "api"},
		{"a header match beats none", "GET /api x-user=beta", "header"},
		{"more header matches beat fewer", "GET /api x-user=beta x-b=1", "headers"},
		{"a header match beats a query match", "GET /api?q=1 x-user=beta", "header"},
		{"a query match beats none", "GET /api?q=1", "query"},
		{"a longer path beats more headers", "GET /api/v1 x-user=beta", "api-v1"},
		{"of one header name only the first match counts", "GET /twice x-a=1", "same-header-twice"},
		{"a repeated field is one value", "GET /api x-user=beta x-user=x", "api"},
		{"the canonical host can be matched as a header", "GET /host CART.Shop.", "host"},
		{"another host does not match", "GET /host cart", "root"},
		{"in one route the first rule wins", "GET /list", "first"},
		{"among routes of one age the alphabet decides", "GET /alphabet", "a"},
		{"the older route wins, whatever its name", "GET /tie", "older"},
		{"configured paths are canonical too", "GET /caf%c3%a9/~user", "encoded"},
		{"any match of a rule will do", "GET /two x-a=1", "either"},
		{"but all of its parts must hold", "GET /two", "root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, _ := query(t, table, request(c.request))
			if got := decided(table.Decide(q, nil)); got != c.want {
				t.Errorf("%s goes to %s, want %s", c.request, got, c.want)
			}
		})
	}
}

func TestRepeatedFieldsAreMatchedAsOneValue(t *testing.T) {
	h := func(name, value string, re bool) model.Match {
		return model.Match{Headers: []model.ValueMatch{{Name: name, Value: value, Regex: re}}}
	}
	table := compile(t, cart(httpRoute("r",
		to("list", h("x-a", "1, 2", false)), to("expression", h("x-b", "1, .*", true)),
		to("cookie", h("cookie", "a=1; b=2", false)), to("other"))))
	for line, want := range map[string]string{
		"GET / x-a=1 x-a=2":           "list",
		"GET / x-a=2 x-a=1":           "other",
		"GET / x-a=1":                 "other",
		"GET / x-b=1 x-c=9 x-b=2":     "expression",
		"GET / cookie=a=1 cookie=b=2": "cookie",
	} {
		q, _ := query(t, table, request(line))
		if got := decided(table.Decide(q, nil)); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestQueryParametersAreComparedDecodedAndOnlyTheFirstCounts(t *testing.T) {
	m := func(name, value string, re bool) model.Match {
		return model.Match{Query: []model.ValueMatch{{Name: name, Value: value, Regex: re}}}
	}
	table := compile(t, cart(httpRoute("r", to("plain", m("q", "a b", false)), to("expression", m("r", "x.z", true)), to("other"))))
	for target, want := range map[string]string{
		"/?q=a+b":     "plain",
		"/?q=a%20b":   "plain",
		"/?%71=a%20b": "plain",
		"/?x&&q=a+b":  "plain",
		"/?q=1&q=a+b": "other",
		"/?q=a%2":     "other",
		"/?q=a+b&q=1": "plain",
		"/?r=x%79z":   "expression",
		"/?r=xyzz":    "other",
		"/?Q=a+b":     "other",
		"/?q=a;b":     "other",
	} {
		q, _ := query(t, table, request("GET "+target))
		if got := decided(table.Decide(q, nil)); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestGRPCRoutesFollowGatewayAPIPrecedence(t *testing.T) {
	m := func(service, method string, re bool) model.Match {
		return model.Match{GRPC: &model.GRPCMatch{Service: service, Method: method, Regex: re}}
	}
	table := compile(t, cart(
		grpcRoute("g", to("any-add", m("", "Add", false)), to("service", m("shop.Cart", "", false)), to("both", m("shop.Cart", "Add", false)),
			to("header", withHeaders(m("shop.Cart", "Add", false), "x-user", "beta")),
			to("expression", m(`shop\..*`, "", true)), to("methods", m(`shop\..*`, "Re.*", true))),
		httpRoute("h", to("http", prefix("/"))),
	))
	const grpc = " content-type=application/grpc"
	for _, c := range []struct{ name, request, want string }{
		{"service and method beat the service alone", "POST /shop.Cart/Add" + grpc, "both"},
		{"a header beats none", "POST /shop.Cart/Add x-user=beta" + grpc, "header"},
		{"the service alone", "POST /shop.Cart/List" + grpc, "service"},
		{"a method by expression beats none", "POST /shop.Stock/Remove" + grpc, "methods"},
		{"a service by expression beats a method alone", "POST /shop.Stock/Add" + grpc, "expression"},
		{"a method alone", "POST /other.Service/Add" + grpc, "any-add"},
		{"no match is UNIMPLEMENTED, and HTTPRoutes are not asked", "POST /other.Service/Get" + grpc, "refuse 404 W3202"},
		{"a path of another form has no service", "POST /Add" + grpc, "refuse 404 W3202"},
		{"other requests are for the HTTPRoutes", "POST /shop.Cart/Add", "http"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, _ := query(t, table, request(c.request))
			d := table.Decide(q, nil)
			if got := decided(d); got != c.want {
				t.Errorf("%s goes to %s, want %s", c.request, got, c.want)
			}
			if d.Action == decide.Refuse && d.GRPCStatus != 12 {
				t.Errorf("grpc-status %d, want 12", d.GRPCStatus)
			}
		})
	}
}

func TestConsumerRoutesReplaceTheProducersForTheirNamespaceAndPort(t *testing.T) {
	consumer := httpRoute("c", to("consumer", prefix("/only")))
	consumer.Namespace, consumer.Ports = "web", []uint16{80}
	table := compile(t, cart(httpRoute("p", to("producer")), consumer))
	s, _ := table.Service(testName)
	for _, c := range []struct {
		name, ns string
		port     uint16
		path     string
		want     string
	}{
		{"the client's namespace has its own", "web", 80, "/only", "consumer"},
		{"they are not merged with the producer's", "web", 80, "/", "refuse 404 W3202"},
		{"another namespace gets the producer's", "other", 80, "/only", "producer"},
		{"the service's namespace gets the producer's", testNS, 80, "/", "producer"},
		{"on a port without consumer routes the producer's apply", "web", 90, "/", "producer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, _ := query(t, table, request("GET "+c.path))
			q.ClientNamespace, q.Port = c.ns, s.Port(c.port)
			if got := decided(table.Decide(q, nil)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestConnectionsAreDecidedBySNIAndNeverPassRoutesOfOtherKinds(t *testing.T) {
	tls := func(name, backend string, hosts ...string) model.Route {
		r := httpRoute(name, to(backend))
		r.Kind, r.Hostnames = model.RouteTLS, hosts
		return r
	}
	tcp := httpRoute("tcp", to("tcp"))
	tcp.Kind = model.RouteTCP
	all := compile(t, cart(tls("t", "exact", "a.test"), tls("w", "wild", "*.test"), tls("d", "deep", "*.b.test"), tcp))
	onlyHTTP := compile(t, cart(httpRoute("h", to("http"))))
	none := compile(t, cart())
	for _, c := range []struct {
		name  string
		table *decide.Table
		sni   string
		want  string
	}{
		{"an exact name wins", all, "A.test", "exact"},
		{"a wildcard stands for several labels", all, "x.y.test", "wild"},
		{"the longer wildcard wins", all, "x.b.test", "deep"},
		{"a wildcard needs something to stand for", all, "b.test", "wild"},
		{"a name that no TLSRoute has is refused", all, "test", "refuse 404 W3202"},
		{"without SNI the TCPRoute applies", all, "", "tcp"},
		{"an opaque connection does not slip past HTTPRoutes", onlyHTTP, "", "refuse 404 W3202"},
		{"without routes the service gets it", none, "x.test", "cart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := c.table.Service(testName)
			q := &decide.Query{Port: s.Port(80), ClientNamespace: testNS, Opaque: true, SNI: []byte(c.sni)}
			if got := decided(c.table.Decide(q, nil)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestPlainHTTPDoesNotSlipPastGRPCRoutes(t *testing.T) {
	table := compile(t, cart(grpcRoute("g", to("grpc"))))
	q, _ := query(t, table, request("POST /shop.Cart/Add"))
	if got := decided(table.Decide(q, nil)); got != "refuse 404 W3202" {
		t.Errorf("got %s", got)
	}
}

func TestWeightsShareTrafficExactlyAndZeroGetsNothing(t *testing.T) {
	rule := model.Rule{Backends: []model.Backend{backendTo("none", 0), backendTo("one", 1), backendTo("three", 3), backendTo("last", 0)}}
	table := compile(t, cart(httpRoute("r", rule)))
	q, _ := query(t, table, request("GET /"))
	got := map[string]int{}
	const n = 4096
	for i := range n {
		q.Rand = uint64(i) << 52 // 4096 steps through all of uint64
		got[decided(table.Decide(q, nil))]++
	}
	q.Rand = math.MaxUint64
	got[decided(table.Decide(q, nil))]++
	if len(got) != 2 || got["one"] != n/4 || got["three"] != n*3/4+1 {
		t.Errorf("shares are %v", got)
	}
}

func TestRulesThatCannotForwardAnswer500(t *testing.T) {
	invalid := backendTo("v2", 1)
	invalid.Invalid = "RefNotPermitted"
	for _, c := range []struct {
		name string
		rule model.Rule
		want string
	}{
		{"no backend", model.Rule{}, "refuse 500 W3204"},
		{"only weight 0", model.Rule{Backends: []model.Backend{backendTo("v2", 0)}}, "refuse 500 W3204"},
		{"a reference that is not permitted", model.Rule{Backends: []model.Backend{invalid}}, "refuse 500 W3205"},
		{"a service that does not exist", to("gone"), "refuse 500 W3205"},
		{"a port that the service has not", model.Rule{Backends: []model.Backend{{Service: testName, Port: 81, Weight: 1}}}, "refuse 500 W3205"},
		{"a broken path expression", to("v2", regex("(")), "refuse 500 W3203"},
		{"an expression that breaks out of its anchors", to("v2", regex("/a)|(/b")), "refuse 500 W3203"},
		{"a broken header expression", to("v2", model.Match{Headers: []model.ValueMatch{{Name: "x", Value: "[", Regex: true}}}), "refuse 500 W3203"},
		{"a redirect status that is none", model.Rule{Filters: []model.Filter{{Redirect: &model.Redirect{Status: 200}}}}, "refuse 500 W3203"},
		{"redirect and rewrite at once", model.Rule{Filters: []model.Filter{{Redirect: &model.Redirect{}}, {Rewrite: &model.Rewrite{}}}}, "refuse 500 W3203"},
		{"a prefix replacement without prefix", model.Rule{Matches: []model.Match{exact("/")}, Filters: []model.Filter{{Rewrite: &model.Rewrite{
			Path: &model.PathModifier{PrefixMatch: new(string)}}}}}, "refuse 500 W3203"},
		{"a header that codecs own", model.Rule{Filters: []model.Filter{{RequestHeaders: &model.HeaderModifier{
			Set: []model.NameValue{{Name: "Transfer-Encoding", Value: "chunked"}}}}}}, "refuse 500 W3203"},
		{"a header value with a line break", model.Rule{Filters: []model.Filter{{ResponseHeaders: &model.HeaderModifier{
			Add: []model.NameValue{{Name: "x", Value: "1\r\ny: 2"}}}}}}, "refuse 500 W3203"},
		{"an unknown filter", model.Rule{Filters: []model.Filter{{}}, Backends: []model.Backend{backendTo("v2", 1)}}, "refuse 500 W3203"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := view(cart(httpRoute("r", c.rule)))
			v.Absent = map[model.Name]bool{{Namespace: testNS, Name: "gone"}: true}
			table, problems := decide.Compile(nil, v)
			q, _ := query(t, table, request("GET /"))
			d := table.Decide(q, nil)
			if got := decided(d); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if d.Reason == "" {
				t.Error("no reason is given")
			}
			if d.Code == decide.CodeBrokenRule && len(problems) == 0 {
				t.Error("no problem is listed")
			}
		})
	}
}

func TestABrokenMatchStillNeedsItsOtherConditions(t *testing.T) {
	table, _ := decide.Compile(nil, view(cart(httpRoute("r",
		to("v2", withHeaders(regex("("), "x-user", "beta")), to("other")))))
	q, _ := query(t, table, request("GET /"))
	if got := decided(table.Decide(q, nil)); got != "other" {
		t.Errorf("a request that the broken rule could not match got %s", got)
	}
}

func TestAQueryWithoutPortIsRefused(t *testing.T) {
	table := compile(t, cart())
	s, _ := table.Service(testName)
	if s.Port(81) != nil {
		t.Fatal("port 81 exists")
	}
	if got := decided(table.Decide(&decide.Query{Port: s.Port(81)}, &decide.Reasons{})); got != "refuse 404 W3201" {
		t.Errorf("got %s", got)
	}
}
