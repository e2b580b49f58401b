package datapath

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
)

// named gives an application that answers with its name and what it saw.
func named(t testing.TB, name string) string {
	return echoServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-app", name)
		w.Header().Set("x-path", r.URL.String())
		w.Header().Set("x-host", r.Host)
		w.Header().Set("x-added", r.Header.Get("x-add"))
		w.Header().Set("x-drop", "please")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", name, b)
	})
}

// withOther adds a second service, plain, behind the application at addr.
func (x *pair) withOther(name, addr string) model.Name {
	n := model.Name{Namespace: "shop", Name: name}
	x.extra = append(x.extra, &model.Service{Name: n, Ports: []model.Port{{Port: 80}}})
	x.extraEps = append(x.extraEps, &model.Endpoints{Service: n, Endpoints: []model.Endpoint{{
		Port: 80, Addr: netip.MustParseAddrPort(addr), Workload: model.Name{Namespace: "shop", Name: name + "-1"},
	}}})
	return n
}

func httpRoute(rules ...model.Rule) model.Route {
	return model.Route{Kind: model.RouteHTTP, Name: model.Name{Namespace: "shop", Name: "r"}, Rules: rules}
}

func to(n model.Name, weight uint32) model.Backend {
	return model.Backend{Service: n, Port: 80, Weight: weight}
}

func TestWeightsDivideRequests(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: named(t, "a")})
		b := x.withOther("b", named(t, "b"))
		x.service.Routes = []model.Route{httpRoute(model.Rule{Backends: []model.Backend{to(shopCart, 3), to(b, 1)}})}
		x.publish()
		n := map[string]int{}
		c := httpClient(t, "")
		for range 600 {
			res, err := c.Get(x.url("/"))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			n[res.Header.Get("x-app")]++
		}
		if n["a"]+n["b"] != 600 || n["b"] < 90 || n["b"] > 220 { // 150 expected; five deviations are 53
			t.Errorf("3:1 came out as %v", n)
		}
	})
}

func TestFiltersChangeRequestsAndResponses(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		full, prefix := "/new", "/v2"
		path := func(v string) []model.Match {
			return []model.Match{{Path: &model.PathMatch{Kind: model.PathPrefix, Value: v}}}
		}
		self := []model.Backend{to(shopCart, 1)}
		x := newPair(t, pairOptions{driver: driver, app: named(t, "a"), routes: []model.Route{httpRoute(
			model.Rule{Matches: path("/redirect"), Filters: []model.Filter{{Redirect: &model.Redirect{Hostname: "other.example", Status: 302, Path: &model.PathModifier{Full: &full}}}}},
			model.Rule{Matches: path("/headers"), Backends: self, Filters: []model.Filter{
				{RequestHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: "x-add", Value: "set"}}}},
				{ResponseHeaders: &model.HeaderModifier{Add: []model.NameValue{{Name: "x-more", Value: "m"}}, Remove: []string{"x-drop"}}},
			}},
			model.Rule{Matches: path("/v1"), Backends: self, Filters: []model.Filter{{Rewrite: &model.Rewrite{Hostname: "rewritten", Path: &model.PathModifier{PrefixMatch: &prefix}}}}},
			model.Rule{Matches: path("/cors"), Backends: self, Filters: []model.Filter{{CORS: &model.CORS{AllowOrigins: []string{"https://ok.example"}, AllowMethods: []string{"PUT"}}}}},
			model.Rule{Matches: path("/invalid"), Backends: []model.Backend{{Service: model.Name{Namespace: "shop", Name: "gone"}, Port: 80, Weight: 1, Invalid: "BackendNotFound"}}},
		)}})
		c := httpClient(t, "")
		do := func(method, path string, h ...string) *http.Response {
			req, _ := http.NewRequest(method, x.url(path), nil)
			for i := 0; i+1 < len(h); i += 2 {
				req.Header.Set(h[i], h[i+1])
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(path, err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			return res
		}
		if r := do("GET", "/redirect"); r.StatusCode != 302 || !strings.HasPrefix(r.Header.Get("Location"), "http://other.example") || !strings.HasSuffix(r.Header.Get("Location"), "/new") {
			t.Errorf("redirect: %d %v", r.StatusCode, r.Header)
		}
		if r := do("POST", "/headers"); r.Header.Get("x-added") != "set" || r.Header.Get("x-more") != "m" || r.Header.Get("x-drop") != "" {
			t.Errorf("headers: %v", r.Header)
		}
		if r := do("GET", "/v1/a?b=c"); r.Header.Get("x-path") != "/v2/a?b=c" || r.Header.Get("x-host") != "rewritten" {
			t.Errorf("rewrite: %v", r.Header)
		}
		r := do("OPTIONS", "/cors", "Origin", "https://ok.example", "Access-Control-Request-Method", "PUT")
		if r.Header.Get("Access-Control-Allow-Origin") != "https://ok.example" || r.Header.Get("x-app") != "" {
			t.Errorf("preflight: %d %v", r.StatusCode, r.Header)
		}
		if r := do("GET", "/cors", "Origin", "https://ok.example"); r.Header.Get("Access-Control-Allow-Origin") != "https://ok.example" || r.Header.Get("x-app") != "a" {
			t.Errorf("cors: %v", r.Header)
		}
		if r := do("GET", "/cors", "Origin", "https://evil.example"); r.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("cors of another origin: %v", r.Header)
		}
		if r := do("GET", "/invalid"); r.StatusCode != 500 || r.Header.Get("weft-code") != "W3205" {
			t.Errorf("invalid backend: %d %v", r.StatusCode, r.Header)
		}
		if r := do("GET", "/nowhere"); r.StatusCode != 404 || r.Header.Get("weft-code") != "W3202" {
			t.Errorf("no route: %d %v", r.StatusCode, r.Header)
		}
	})
}

// TestARewrittenRequestSurvivesTheWait: what deciding writes into scratch must outlive the wait
// for discovery and for the first connection, with other requests in between.
func TestARewrittenRequestSurvivesTheWait(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		prefix := "/rewritten"
		x := newPair(t, pairOptions{driver: driver, app: named(t, "a"), noTable: true, routes: []model.Route{httpRoute(model.Rule{
			Matches:  []model.Match{{Path: &model.PathMatch{Kind: model.PathPrefix, Value: "/"}}},
			Backends: []model.Backend{to(shopCart, 1)},
			Filters: []model.Filter{{Rewrite: &model.Rewrite{Path: &model.PathModifier{PrefixMatch: &prefix}}},
				{RequestHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: "x-add", Value: "set"}}}}},
		})}})
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				// Through http_proxy the whole request waits, not only its connection.
				proxy := &url.URL{Scheme: "http", Host: x.client.addr["proxy"]}
				tr := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyURL(proxy)}
				path := fmt.Sprintf("/%s%d", strings.Repeat("x", i), i)
				res, err := (&http.Client{Transport: tr}).Post("http://cart/"+path, "", strings.NewReader(path)) // "//" is made "/"
				if err != nil {
					t.Error(err)
					return
				}
				b, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if res.Header.Get("x-path") != "/rewritten"+path || res.Header.Get("x-added") != "set" || string(b) != "a "+path {
					t.Errorf("%s: %d, the application saw %q, added %q, body %q", path, res.StatusCode, res.Header.Get("x-path"), res.Header.Get("x-added"), b)
				}
			}()
		}
		eventually(t, "all requests wait", func() bool { return x.client.conns() == 40 && len(x.mesh.names()) > 0 })
		x.publish()
		wg.Wait()
	})
}

func TestAMirrorGetsACopyAndDelaysNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		release := make(chan struct{})
		copies := make(chan string, 64)
		slow := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			copies <- fmt.Sprintf("%s %s %s", r.Method, r.URL, b)
			<-release
			w.WriteHeader(500)
		})
		defer close(release)
		fast := named(t, "mirror2")
		x := newPair(t, pairOptions{driver: driver, app: named(t, "a")})
		m, m2 := x.withOther("mirror", slow), x.withOther("mirror2", fast)
		x.service.Routes = []model.Route{httpRoute(model.Rule{
			Backends: []model.Backend{to(shopCart, 1)},
			Filters:  []model.Filter{{Mirror: &model.Mirror{Backend: to(m, 1)}}, {Mirror: &model.Mirror{Backend: to(m2, 1)}}},
		})}
		x.publish()
		c := httpClient(t, "")
		want := map[string]bool{}
		for i := range 10 {
			body := strings.Repeat("m", i*3000)
			r := io.Reader(strings.NewReader(body))
			if i%2 == 0 {
				r = struct{ io.Reader }{r} // chunked
			}
			res, err := c.Post(x.url(fmt.Sprint("/", i)), "", r)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || string(b) != "a "+body {
				t.Fatalf("%d: %d %.50q", i, res.StatusCode, b)
			}
			want[fmt.Sprintf("POST /%d %s", i, body)] = true
		}
		for range 10 {
			got := <-copies
			if !want[got] {
				t.Errorf("the mirror got %.80q of %d bytes", got, len(got))
			}
			delete(want, got)
		}
	})
}

func TestARoutesTimeoutAnswers504(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		ended := make(chan struct{}, 2)
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/half" {
				io.WriteString(w, "half")
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
			ended <- struct{}{}
		})
		calls := model.DefaultPolicy.Calls
		calls.Timeouts.Request = 80 * time.Millisecond
		x := newPair(t, pairOptions{driver: driver, app: app, routes: []model.Route{httpRoute(model.Rule{
			Backends: []model.Backend{to(shopCart, 1)}, Calls: &calls,
		})}})
		code, body := get(t, x.url("/"))
		if code != 504 || !strings.Contains(body, "W3308") {
			t.Errorf("%d %q", code, body)
		}
		<-ended // the application is told
		res, err := httpClient(t, "").Get(x.url("/half"))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("a response that was cut off looks complete: %q", b)
		}
		res.Body.Close()
		<-ended
	})
}

func TestConsumerRoutesApplyToTheirNamespaceOnly(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		for ns, want := range map[string]string{"shop": "consumer", "elsewhere": "producer"} {
			x := newPair(t, pairOptions{driver: driver, app: named(t, "default")})
			p, c := x.withOther("p", named(t, "producer")), x.withOther("c", named(t, "consumer"))
			_ = p
			consumer := httpRoute(model.Rule{Backends: []model.Backend{to(c, 1)}})
			consumer.Name = model.Name{Namespace: ns, Name: "mine"}
			producer := httpRoute(model.Rule{Backends: []model.Backend{to(p, 1)}})
			x.service.Routes = []model.Route{consumer}
			if ns != "shop" {
				x.service.Routes = append(x.service.Routes, producer)
			}
			x.publish()
			if _, body := get(t, x.url("/")); body != want+" " {
				t.Errorf("a route of namespace %s: %q, want %s", ns, body, want)
			}
		}
	})
}

func TestTheFirstRequestWaitsForDiscovery(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: named(t, "a"), noTable: true})
		done := make(chan string, 2)
		for _, addr := range []string{"proxy", "cart"} {
			go func() {
				c := dial(t, x.client.addr[addr])
				io.WriteString(c, "POST http://cart/ HTTP/1.1\r\nHost: cart\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
				b, _ := io.ReadAll(c)
				done <- string(b)
			}()
		}
		eventually(t, "the control plane is asked", func() bool { return len(x.mesh.names()) > 0 && x.client.conns() == 2 })
		x.publish()
		for range 2 {
			if got := <-done; !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "a body") {
				t.Errorf("%q", got)
			}
		}
		for _, n := range x.mesh.names() {
			if n != shopCart {
				t.Errorf("the control plane was asked for %s", n)
			}
		}
	})
}

func TestWithoutAnAnswerOfTheControlPlaneARequestFailsInTime(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: freeAddr(t), noTable: true, limits: core.Limits{DiscoveryTimeout: 60 * time.Millisecond, MaxParked: 3}})
		for i := range 5 { // what gave up leaves no trace: later ones wait as well
			start := time.Now()
			got := exchangeRaw(t, x.client.addr["proxy"], fmt.Sprintf("GET http://svc%d/ HTTP/1.1\r\nHost: svc%d\r\nConnection: close\r\n\r\n", i, i))
			if !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "W3303") {
				t.Errorf("%d: %q", i, got)
			}
			if took := time.Since(start); took < 50*time.Millisecond {
				t.Errorf("%d: gave up after %s", i, took)
			}
		}
	})
}

func TestTooManyParkedRequestsAreRefused(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: named(t, "a"), noTable: true, limits: core.Limits{MaxParked: 4, DiscoveryTimeout: 5 * time.Second}})
		codes := make(chan string, 12)
		for range 12 {
			go func() {
				c := dial(t, x.client.addr["proxy"])
				io.WriteString(c, "GET http://cart/ HTTP/1.1\r\nHost: cart\r\nConnection: close\r\n\r\n")
				b, _ := io.ReadAll(c)
				switch s := string(b); {
				case strings.Contains(s, "W3309"):
					codes <- "W3309"
				default:
					codes <- s[:min(len(s), 12)]
				}
			}()
		}
		for range 8 {
			if c := <-codes; c != "W3309" {
				t.Errorf("beyond the limit: %q", c)
			}
		}
		x.publish()
		for range 4 {
			if c := <-codes; c != "HTTP/1.1 200" {
				t.Errorf("within the limit: %q", c)
			}
		}
	})
}
