//go:build linux

package process

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// services are the Service objects of the route test.
const services = `apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  ports: [{port: 80, targetPort: http, appProtocol: http}]
---
apiVersion: v1
kind: Service
metadata: {name: shop-v1}
spec:
  selector: {app: shop, version: v1}
  ports: [{port: 80, targetPort: http, appProtocol: http}]
---
apiVersion: v1
kind: Service
metadata: {name: shop-v2}
spec:
  selector: {app: shop, version: v2}
  ports: [{port: 80, targetPort: http, appProtocol: http}]
`

// route sends everything to one version and marks responses with a revision.
func route(v1, v2, revision int) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs:
    - {group: "", kind: Service, name: shop, port: 80}
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: {set: [{name: x-revision, value: "%d"}]}
      backendRefs:
        - {name: shop-v1, port: 80, weight: %d}
        - {name: shop-v2, port: 80, weight: %d}
`, revision, v1, v2)
}

// maxLive is how long a saved file may take to be live at the proxies, in the median.
const maxLive = 200 * time.Millisecond

// TestSavedIsLive: an edit of weights and filters is seen by requests in less than 200 ms; a
// malformed one changes nothing and is told with file and line; mending it works.
func TestSavedIsLive(t *testing.T) {
	w := newWorld(t, map[string]string{"services.yaml": services, "route.yaml": route(1, 0, 0)})
	for _, v := range []string{"v1", "v2"} {
		w.serve("shop-"+v, "http", []string{"--port", "", "--service", "shop", "--label", "app=shop", "--label", "version=" + v}, v)
	}
	me := w.call("me")
	c := me.client()
	seen := func(revision int) (body string, ok bool) {
		code, body, h := getHeader(c, "http://shop/")
		return body, code == http.StatusOK && h.Get("X-Revision") == fmt.Sprint(revision)
	}
	eventually(t, "the first revision is live", func() bool { _, ok := seen(0); return ok })

	var took []time.Duration
	for i := 1; i <= 10; i++ {
		v1, v2, want := 1, 0, "v1"
		if i%2 == 1 {
			v1, v2, want = 0, 1, "v2"
		}
		text := route(v1, v2, i)
		saved := time.Now()
		w.write("route.yaml", text)
		eventually(t, fmt.Sprintf("revision %d is live", i), func() bool {
			body, ok := seen(i)
			if ok && body != want {
				t.Errorf("revision %d: %s answers, its weight is 0", i, body)
			}
			return ok
		})
		took = append(took, time.Since(saved))
	}
	sorted := slices.Sorted(slices.Values(took))
	median := (sorted[4] + sorted[5]) / 2
	t.Logf("saved to live: median %s, from %s to %s", median.Round(100*time.Microsecond), sorted[0].Round(100*time.Microsecond), sorted[9].Round(100*time.Microsecond))
	if median >= maxLive {
		t.Errorf("median %s over %v, want less than %s", median, took, maxLive)
	}

	// A mistake: told with its place, and nothing changes.
	told := w.up.out.count("error W")
	w.write("route.yaml", strings.Replace(route(1, 0, 11), "backendRefs", "backendRef", 1))
	w.up.out.await(t, w.up.done, told, "error W")
	where := w.up.out.await(t, w.up.done, 0, "  where ", "route.yaml:")
	if !strings.Contains(where, "/route.yaml:11") && !strings.Contains(where, "/route.yaml:12") {
		t.Errorf("the error names %q, want line 12 of route.yaml, or the rule's first", where)
	}
	w.up.out.await(t, w.up.done, 0, "  why", "backendRef")
	for range 20 {
		if body, ok := seen(10); !ok || body != "v1" {
			t.Fatalf("a malformed file changed what is in force: %q", body)
		}
	}
	// So does a file that is not YAML at all, and one that is empty is not a mistake.
	w.write("junk.yaml", "a: [1, 2\n\tb: }{")
	w.up.out.await(t, w.up.done, 0, "  where ", "junk.yaml:")
	w.write("junk.yaml", "")
	if body, ok := seen(10); !ok {
		t.Fatalf("another file's mistake changed what is in force: %q", body)
	}
	w.write("route.yaml", route(0, 1, 12))
	eventually(t, "the mended route is live", func() bool { body, ok := seen(12); return ok && body == "v2" })
	w.up.out.await(t, w.up.done, 0, "all problems are mended")
}

// TestAnEditOfEndpointsIsTold: what changed is said even if no Service or route did.
func TestAnEditOfEndpointsIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	text := `apiVersion: v1
kind: Service
metadata: {name: legacy}
spec:
  ports: [{port: 80, targetPort: 8080, appProtocol: http}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: legacy-1, labels: {kubernetes.io/service-name: legacy}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [127.0.0.1]}]
`
	w.write("legacy.yaml", text)
	w.up.out.await(t, w.up.done, 0, "reloaded: 1 service changed")
	w.write("legacy.yaml", strings.Replace(text, "127.0.0.1", "127.0.0.2", 1))
	w.up.out.await(t, w.up.done, 0, "reloaded: the endpoints of 1 service changed")
}

// TestANameOfWeftRunIsEnoughForExplain: the instance's name, with a process id in it, is nobody's
// to remember. The same name is a label that a Service's selector finds.
func TestANameOfWeftRunIsEnoughForExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"shop.yaml": `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: shop}
  ports: [{port: 80, targetPort: http, appProtocol: http}]
`})
	w.serve("shop", "http", []string{"--port", ""}, "one")
	me := w.call("visitor")
	me.until(me.client(), "http://web/")
	for _, from := range []string{"visitor", "default/visitor", strings.TrimPrefix(me.workload, "default/"), "shop"} {
		out, _ := w.ask(0, "explain", "GET", "http://web/", "--from", from)
		if !strings.Contains(out, "default/web") {
			t.Errorf("--from %s explains:\n%s", from, out)
		}
	}
	_, stderr := w.ask(1, "explain", "GET", "http://web/", "--from", "visito")
	if !strings.Contains(stderr, "--from visitor\n") {
		t.Errorf("the nearest name is not told:\n%s", stderr)
	}
}
