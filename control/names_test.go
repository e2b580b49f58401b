package control_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/control"
)

// TestEveryQuestionTakesTheSameNames: whoever can name a workload to one verb can to another.
func TestEveryQuestionTakesTheSameNames(t *testing.T) {
	m := newMesh(t)
	m.up()
	opt := workload("cart-v2-17", 8081) // as `weft run --name cart-v2 --service cart --service-account store` registers it
	opt.Workloads[0].Service, opt.Workloads[0].ServiceAccount, opt.Workloads[0].Labels = "cart", "store", map[string]string{"app": "cart-v2"}
	opt.Metrics = "127.0.0.1:9090"
	opt.ReportEvery = time.Millisecond
	opt.Reporter = &once{s: []report.Series{{
		Key:    report.Key{Source: shop("cart-v2-17"), Service: shop("stock"), Backend: shop("stock"), Route: "default", Protocol: "http", TLS: true},
		Counts: report.Counts{Success: 1},
	}}}
	m.join(opt).ready()
	client, ctx := m.mesh(), context.Background()

	await(t, "the report is there", func() bool {
		r, err := client.Stat(ctx, &pb.StatRequest{})
		return err == nil && len(r.GetRows()) == 1
	})
	for _, name := range []string{"cart-v2-17", "cart", "cart-v2", "store"} {
		for _, n := range []*pb.Name{{Name: name}, {Namespace: "shop", Name: name}} {
			asked := strings.TrimPrefix(n.GetNamespace()+"/"+n.GetName(), "/")
			who, err := client.Whois(ctx, &pb.WhoisRequest{What: asked})
			if err != nil || len(who.GetWorkloads()) != 1 || len(who.GetProxies()) != 1 || who.GetProxies()[0].GetMetrics() != "127.0.0.1:9090" {
				t.Errorf("whois %s: %v, %v", asked, who, err)
			}
			x, err := client.Explain(ctx, &pb.ExplainRequest{Url: "http://cart.shop:8081/", From: asked})
			if err != nil || x.GetProxy() != opt.Name {
				t.Errorf("explain --from %s: proxy %q, %v", asked, x.GetProxy(), err)
			}
			// The proxy counted before it knew its own identity; the row is its account's.
			st, err := client.Stat(ctx, &pb.StatRequest{Source: n})
			if err != nil || len(st.GetRows()) != 1 || st.GetRows()[0].GetSource().GetName() != "store" {
				t.Errorf("stat --from %s: %v, %v", asked, st.GetRows(), err)
			}
		}
		other := &pb.Name{Namespace: "bank", Name: name}
		if st, err := client.Stat(ctx, &pb.StatRequest{Source: other}); err != nil || len(st.GetRows()) != 0 {
			t.Errorf("stat --from bank/%s: %v, %v", name, st.GetRows(), err)
		}
		_, err := client.Whois(ctx, &pb.WhoisRequest{What: "bank/" + name})
		if err == nil {
			t.Errorf("whois bank/%s: somebody of another namespace", name)
		}
	}
	st, err := client.Stat(ctx, &pb.StatRequest{Instances: true})
	if err != nil || len(st.GetRows()) != 1 || st.GetRows()[0].GetSource().GetName() != "cart-v2-17" {
		t.Errorf("by instance: %v, %v", st.GetRows(), err)
	}
}

// once reports its series in the first batch.
type once struct{ s []report.Series }

func (o *once) Collect(add func(report.Series)) {
	for _, s := range o.s {
		add(s)
	}
	o.s = nil
}

// TestAWorkloadThatEndedIsNoTrouble: neither the list of proxies nor a check tells of it.
func TestAWorkloadThatEndedIsNoTrouble(t *testing.T) {
	m := newMesh(t)
	m.up()
	web := m.join(workload("web")).ready()
	client, ctx := m.mesh(), context.Background()
	web.stop()
	await(t, "the proxy is forgotten", func() bool {
		st, err := client.Status(ctx, &pb.StatusRequest{})
		return err == nil && len(st.GetProxies()) == 0 && len(st.GetWorkloads()) == 0
	})
	r, err := client.Check(ctx, &pb.CheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(r.GetResults(), func(c *pb.CheckResult) bool { return c.GetState() != "ok" }); i >= 0 {
		t.Errorf("a finding: %v", r.GetResults()[i])
	}
}

// await polls for what the control plane learns over two streams, whose order is not given.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it did not happen: " + what)
		}
	}
}

// TestAChangeIsCountedUnderWhatWasEdited: the line that tells of it is read by whoever edited.
func TestAChangeIsCountedUnderWhatWasEdited(t *testing.T) {
	m := newMesh(t)
	reloaded := make(chan [3]int, 10)
	m.opt.Reloaded = reloadCounts(reloaded)
	m.up()
	opt := workload("cart-1", 8081)
	opt.Workloads[0].Service, opt.Workloads[0].Labels = "", map[string]string{"app": "cart"}
	m.join(opt).ready()
	service := func(selector, port string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {selector: {app: " + selector + "}, ports: [{port: " + port + ", targetPort: 8081, appProtocol: http}]}\n"
	}
	route := func(path string) string {
		return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: cart, namespace: shop}\n" +
			"spec: {parentRefs: [{group: '', kind: Service, name: cart}], rules: [{matches: [{path: {value: " + path + "}}], backendRefs: [{name: cart, port: 80}]}]}\n"
	}
	for _, step := range []struct {
		what, file, text string
		want             [3]int // services, routes, endpoints
	}{
		{"a new service", "a.yaml", service("cart", "80"), [3]int{1, 0, 0}},
		{"a new route", "b.yaml", route("/a"), [3]int{0, 1, 0}},
		{"a route", "b.yaml", route("/b"), [3]int{0, 1, 0}},
		{"a selector", "a.yaml", service("nobody", "80"), [3]int{0, 0, 1}},
		{"a comment", "c.yaml", "# nothing\n", [3]int{}},
		{"a service that goes", "a.yaml", "# gone\n", [3]int{1, 1, 0}},
	} {
		m.write(step.file, step.text)
		if step.want == ([3]int{}) {
			continue // it changes nothing, so nothing is told
		}
		select {
		case got := <-reloaded:
			if got != step.want {
				t.Errorf("%s: %v services, routes, endpoints changed, want %v", step.what, got, step.want)
			}
		case <-time.After(patience):
			t.Fatal(step.what + ": not told")
		}
	}
}

func reloadCounts(out chan<- [3]int) func(control.Reloaded) {
	return func(r control.Reloaded) { out <- [3]int{r.Services, r.Routes, r.Endpoints} }
}
