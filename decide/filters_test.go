package decide_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// Gateway API's own table, at HTTPPathModifier.replacePrefixMatch, and what it leaves out.
func TestReplacePrefixMatchFollowsTheSpecsTable(t *testing.T) {
	for _, c := range []struct{ path, prefix, replacement, want string }{
		{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
		{"/foo", "/foo", "/xyz", "/xyz"},
		{"/foo/", "/foo", "/xyz", "/xyz/"},
		{"/foo/bar", "/foo", "", "/bar"},
		{"/foo/", "/foo", "", "/"},
		{"/foo", "/foo", "", "/"},
		{"/foo/", "/foo", "/", "/"},
		{"/foo", "/foo", "/", "/"},
		{"/foo", "/", "/xyz", "/xyz/foo"},
		{"/", "/", "/xyz", "/xyz/"},
		{"/foo/bar?a=b", "/foo", "/xyz", "/xyz/bar?a=b"},
		{"/foo/bar?", "/foo", "/xyz", "/xyz/bar?"},
		{"/foo/bar", "/foo", "xyz", "/xyz/bar"},
		{"/%66oo//bar", "/foo", "/xyz", "/xyz/bar"},
	} {
		rule := to("v2", prefix(c.prefix))
		rule.Filters = []model.Filter{{Rewrite: &model.Rewrite{Path: &model.PathModifier{PrefixMatch: &c.replacement}}}}
		table := compile(t, cart(httpRoute("r", rule)))
		req := request("GET " + c.path)
		q, canonical := query(t, table, req)
		d := table.Decide(q, nil)
		d.ApplyRequest(req, canonical, &decide.Scratch{})
		if string(req.Path) != c.want {
			t.Errorf("%s with prefix %s replaced by %q becomes %s, want %s", c.path, c.prefix, c.replacement, req.Path, c.want)
		}
	}
}

func TestRedirectsKeepWhatTheFilterDoesNotName(t *testing.T) {
	path := func(full, prefix string) *model.PathModifier {
		if full != "" {
			return &model.PathModifier{Full: &full}
		}
		return &model.PathModifier{PrefixMatch: &prefix}
	}
	for _, c := range []struct {
		name     string
		redirect model.Redirect
		scheme   string
		host     string
		port     uint16 // of the service
		path     string
		want     string
		status   int
	}{
		{"host", model.Redirect{Hostname: "example.org"}, "http", "cart", 80, "/x?a=b", "302 http://example.org/x?a=b", 0},
		{"status", model.Redirect{Status: 308}, "http", "cart", 80, "/x", "308 http://cart/x", 0},
		{"scheme implies its port", model.Redirect{Scheme: "https"}, "http", "cart:8080", 8080, "/", "302 https://cart/", 0},
		{"scheme with port", model.Redirect{Scheme: "https", Port: 8443}, "http", "cart", 80, "/", "302 https://cart:8443/", 0},
		{"port 80 over http is left out", model.Redirect{Port: 80}, "http", "cart:8080", 8080, "/", "302 http://cart/", 0},
		{"port 443 over http is not", model.Redirect{Port: 443}, "http", "cart", 80, "/", "302 http://cart:443/", 0},
		{"port 443 over https is left out", model.Redirect{Port: 443}, "https", "cart", 443, "/", "302 https://cart/", 0},
		{"the service's port is kept", model.Redirect{Hostname: "example.org"}, "http", "cart", 8080, "/", "302 http://example.org:8080/", 0},
		{"the port that the client used is kept", model.Redirect{}, "http", "127.0.0.1:4711", 80, "/", "302 http://127.0.0.1:4711/", 0},
		{"but not for another host", model.Redirect{Hostname: "example.org"}, "http", "127.0.0.1:4711", 80, "/", "302 http://example.org/", 0},
		{"full path keeps the query", model.Redirect{Path: path("/full", "")}, "http", "cart", 80, "/x?a=b", "302 http://cart/full?a=b", 0},
		{"full path with a query of its own", model.Redirect{Path: path("/full?c=d", "")}, "http", "cart", 80, "/x?a=b", "302 http://cart/full?c=d&a=b", 0},
		{"prefix", model.Redirect{Path: path("", "/new")}, "http", "cart", 80, "/x/y", "302 http://cart/new/x/y", 0},
		{"no scheme known", model.Redirect{}, "", "cart", 80, "/", "302 http://cart/", 0},
		{"no host known", model.Redirect{}, "http", "", 80, "/x", "302 /x", 0},
		{"IPv6", model.Redirect{Port: 81}, "http", "[FD00::1]", 80, "/", "302 http://[fd00::1]:81/", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := cart(httpRoute("r", model.Rule{Filters: []model.Filter{{Redirect: &c.redirect}}}))
			s.Ports = []model.Port{{Port: c.port}}
			table := compile(t, s)
			req := request("GET " + c.path)
			req.Scheme, req.Authority = []byte(c.scheme), []byte(c.host)
			svc, _ := table.Service(testName)
			q, canonical := query(t, table, req)
			q.Port = svc.Port(c.port)
			d := table.Decide(q, nil)
			resp := d.Response(req, canonical, &decide.Scratch{})
			if got := fmt.Sprintf("%d %s", resp.Status, message.Get(resp.Fields, "location")); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestFiltersOfTheRuleComeBeforeThoseOfTheBackend(t *testing.T) {
	set := func(v string) model.Filter {
		return model.Filter{RequestHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: "X-A", Value: v}, {Name: "x-a", Value: "ignored"}}}}
	}
	rule := to("v2")
	rule.Filters = []model.Filter{set("rule"), {RequestHeaders: &model.HeaderModifier{
		Add: []model.NameValue{{Name: "x-add", Value: "1"}}, Remove: []string{"X-Gone"},
		Set: []model.NameValue{{Name: "Host", Value: "new.test:81"}, {Name: "authorization", Value: "secret"}},
	}}}
	rule.Backends[0].Filters = []model.Filter{set("backend")}
	table := compile(t, cart(httpRoute("r", rule)))
	req := request("GET / cart x-b=b x-a=client x-gone=1 x-add=0 x-a=client2")
	before := slices.Clone(req.Fields)
	q, canonical := query(t, table, req)
	d := table.Decide(q, nil)
	d.ApplyRequest(req, canonical, &decide.Scratch{})
	got := strings.Join(lines(req.Fields), ", ")
	if want := "x-b: b, x-a: backend, x-add: 0, authorization: secret, x-add: 1"; got != want {
		t.Errorf("forwarded %s\nwant %s", got, want)
	}
	if string(req.Authority) != "new.test:81" {
		t.Errorf("forwarded to host %s", req.Authority)
	}
	for _, f := range req.Fields {
		if f.Sensitive != (string(f.Name) == "authorization") {
			t.Errorf("%s: sensitive is %v", f.Name, f.Sensitive)
		}
	}
	if !slices.EqualFunc(before, q.Fields, func(a, b message.Field) bool {
		return string(a.Name) == string(b.Name) && string(a.Value) == string(b.Value)
	}) {
		t.Error("the fields as received were changed")
	}
}

func TestMirrorsGetTheirFractionAndNothingElse(t *testing.T) {
	invalid := backendTo("v2", 1)
	invalid.Invalid = "BackendNotFound"
	rule := to("cart")
	rule.Backends = append(rule.Backends, backendTo("v2", 1))
	rule.Filters = []model.Filter{
		{Mirror: &model.Mirror{Backend: backendTo("all", 1)}},
		{Mirror: &model.Mirror{Backend: backendTo("quarter", 1), Numerator: 25, Denominator: 100}},
		{Mirror: &model.Mirror{Backend: backendTo("none", 1), Numerator: 0, Denominator: 100}},
		{Mirror: &model.Mirror{Backend: invalid}},
	}
	table := compile(t, cart(httpRoute("r", rule)))
	q, _ := query(t, table, request("GET /"))
	r := rand.New(rand.NewPCG(1, 1))
	const n = 40_000
	got := map[string]int{}
	both := 0
	for range n {
		q.Rand = r.Uint64()
		d := table.Decide(q, nil)
		for b := range d.Mirrors {
			got[b.Service().Name]++
			if b.Service().Name == "quarter" && d.Backend.Service().Name == "v2" {
				both++
			}
		}
	}
	near := func(v, want int) bool { return math.Abs(float64(v-want)) < 400 }
	if len(got) != 2 || got["all"] != n || !near(got["quarter"], n/4) {
		t.Errorf("mirrored %v of %d", got, n)
	}
	if !near(both, n/8) {
		t.Errorf("mirroring depends on the chosen backend: %d of %d", both, n)
	}
}

func TestCORS(t *testing.T) {
	const preflight = "OPTIONS / cart access-control-request-method=PUT access-control-request-headers=x-a,_x-b origin="
	lists := model.CORS{
		AllowOrigins: []string{"https://www.foo.com", "https://*.bar.com", "http://local:8080"}, AllowCredentials: true,
		AllowMethods: []string{"GET", "OPTIONS"}, AllowHeaders: []string{"x-header-1", "x-header-2"},
		ExposeHeaders: []string{"x-header-3"}, MaxAge: time.Hour,
	}
	any := model.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}, ExposeHeaders: []string{"*"}}
	anyWithCredentials := any
	anyWithCredentials.AllowCredentials = true
	for _, c := range []struct {
		name, request string
		cors          model.CORS
		want          string
	}{
		{"lists are sent as configured", preflight + "https://www.foo.com", lists, "200 allow-origin: https://www.foo.com; allow-credentials: true; " +
			"expose-headers: x-header-3; allow-methods: GET, OPTIONS; allow-headers: x-header-1, x-header-2; max-age: 3600; vary: origin"},
		{"a wildcard stands for several labels", preflight + "https://x.y.bar.com", lists, "200 allow-origin: https://x.y.bar.com; allow-credentials: true; " +
			"expose-headers: x-header-3; allow-methods: GET, OPTIONS; allow-headers: x-header-1, x-header-2; max-age: 3600; vary: origin"},
		{"but for at least one character", preflight + "https://.bar.com", lists, "refused"},
		{"the default port may be written out", preflight + "https://www.foo.com:443", lists, "200 allow-origin: https://www.foo.com:443; allow-credentials: true; " +
			"expose-headers: x-header-3; allow-methods: GET, OPTIONS; allow-headers: x-header-1, x-header-2; max-age: 3600; vary: origin"},
		{"another port is another origin", preflight + "https://www.foo.com:444", lists, "refused"},
		{"another scheme is another origin", preflight + "http://www.foo.com", lists, "refused"},
		{"a longer name is another origin", preflight + "https://www.foo.com.evil", lists, "refused"},
		{"a wildcard does not reach into userinfo", preflight + "https://evil@x.bar.com", lists, "refused"},
		{"null is not on a list", preflight + "null", lists, "refused"},
		{"everything, without credentials", preflight + "https://a.test", any, "200 allow-origin: *; expose-headers: *; allow-methods: PUT; " +
			"allow-headers: x-a, x-b; max-age: 5; vary: origin, access-control-request-method, access-control-request-headers"},
		{"everything, with credentials, never sends a star", preflight + "https://a.test", anyWithCredentials, "200 allow-origin: https://a.test; " +
			"allow-credentials: true; allow-methods: PUT; allow-headers: x-a, x-b; max-age: 5; " +
			"vary: origin, access-control-request-method, access-control-request-headers"},
		{"an actual request is forwarded and its response marked", "GET / cart origin=https://www.foo.com", lists,
			"forwarded vary: origin; allow-origin: https://www.foo.com; allow-credentials: true; expose-headers: x-header-3"},
		{"a disallowed one is forwarded, and what the backend allows is removed", "GET / cart origin=https://evil", lists, "forwarded vary: origin"},
		{"OPTIONS without a requested method is no preflight", "OPTIONS / cart origin=https://evil", lists, "forwarded vary: origin"},
		{"without Origin the backend's fields stay", "GET / cart", lists, "forwarded allow-origin: backend; vary: origin"},
		{"two origins are none", "GET / cart origin=https://www.foo.com origin=https://www.foo.com", lists, "forwarded allow-origin: backend; vary: origin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rule := to("v2")
			rule.Filters = []model.Filter{{CORS: &c.cors}}
			table := compile(t, cart(httpRoute("r", rule)))
			req := request(c.request)
			q, canonical := query(t, table, req)
			d := table.Decide(q, nil)
			var s decide.Scratch
			got := "refused"
			switch d.Action {
			case decide.Respond:
				resp := d.Response(req, canonical, &s)
				got = fmt.Sprintf("%d %s", resp.Status, strings.Join(lines(resp.Fields), "; "))
			case decide.Forward:
				resp := message.Response{Status: 200, Fields: []message.Field{{Name: []byte("access-control-allow-origin"), Value: []byte("backend")}}}
				if !d.WantsOrigin() {
					t.Error("the origin is not asked for")
				}
				d.ApplyResponse(&resp, decide.Origin(req.Fields), &s)
				got = "forwarded " + strings.Join(lines(resp.Fields), "; ")
			}
			if got = strings.ReplaceAll(got, "access-control-allow-", "allow-"); c.want == "refused" {
				if d.Code != decide.CodeCORSRefused || d.Status != 403 {
					t.Errorf("got %s, want to be refused", got)
				}
				return
			}
			got = strings.NewReplacer("access-control-expose", "expose", "access-control-max-age", "max-age").Replace(got)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRedirectsCarryResponseFiltersToo(t *testing.T) {
	rule := model.Rule{Filters: []model.Filter{
		{CORS: &model.CORS{AllowOrigins: []string{"http://a.test"}}},
		{ResponseHeaders: &model.HeaderModifier{Add: []model.NameValue{{Name: "x-a", Value: "1"}}}},
		{Redirect: &model.Redirect{Hostname: "b.test"}},
	}}
	table := compile(t, cart(httpRoute("r", rule)))
	req := request("GET / cart origin=http://a.test")
	q, canonical := query(t, table, req)
	d := table.Decide(q, nil)
	resp := d.Response(req, canonical, &decide.Scratch{})
	want := "location: http://b.test/; x-a: 1; vary: origin; access-control-allow-origin: http://a.test"
	if got := strings.Join(lines(resp.Fields), "; "); got != want || resp.Status != 302 {
		t.Errorf("got %d %s\nwant %s", resp.Status, got, want)
	}
}

func TestWhatScratchGaveOutStaysValidWhileItGrows(t *testing.T) {
	rule := to("v2")
	rule.Filters = []model.Filter{{CORS: &model.CORS{AllowOrigins: []string{"http://*"}}}}
	table := compile(t, cart(httpRoute("r", rule)))
	var s decide.Scratch
	var got []message.Response
	for i := range 200 {
		q, _ := query(t, table, request(fmt.Sprintf("GET / cart origin=http://host-%d", i)))
		d := table.Decide(q, nil)
		r := message.Response{Status: 200}
		d.ApplyResponse(&r, decide.Origin(q.Fields), &s)
		got = append(got, r)
	}
	for i, r := range got {
		if v := string(message.Get(r.Fields, "access-control-allow-origin")); v != fmt.Sprintf("http://host-%d", i) {
			t.Fatalf("response %d carries %s", i, v)
		}
	}
}
