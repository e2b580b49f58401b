package decide_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
)

func TestReasonsTellEachStepAndTheOneFieldThatMissed(t *testing.T) {
	main := httpRoute("cart", to("cart"), to("cart", withMethod(prefix("/api"), "POST")), to("cart", exact("/health")))
	main.Rules[1].Source = "routes/cart.yaml:20"
	beta := httpRoute("cart-beta", to("v2", withHeaders(prefix("/api"), "x-user", "beta")), to("v2", withQuery(prefix("/api/items"), "beta", "1")),
		to("v2", withHeaders(prefix("/api"), "cookie", "secret", "x-user", "beta")))
	beta.Rules[0].Filters = []model.Filter{{RequestHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: "x-a", Value: "1"}}}},
		{Mirror: &model.Mirror{Backend: backendTo("v3", 1), Numerator: 5, Denominator: 100}}}
	calls := model.DefaultPolicy.Calls
	calls.Timeouts.Request, calls.Sources.Timeouts = 2*time.Second, "routes/cart-beta.yaml:9"
	beta.Rules[0].Calls = &calls
	web := httpRoute("web", to("cart"))
	web.Namespace = "web"
	table := compile(t, cart(main, beta, web))
	q, _ := query(t, table, request("GET /api/items cart x-user=beta cookie=hidden"))
	var why decide.Reasons
	table.Decide(q, &why)
	want := `
canonical | | | ok | GET host cart path /api/items
service | Service shop/cart | | ok | port 80, protocol detect
route | | | ok | producer routes of namespace shop
rule | HTTPRoute shop/cart rule 2 | routes/cart.yaml:1 | missed | needs path /health, the request has /api/items
rule | HTTPRoute shop/cart-beta rule 1 | routes/cart-beta.yaml:1 | missed | needs query parameter beta=1, the request has none
rule | HTTPRoute shop/cart rule 1 | routes/cart.yaml:20 | missed | needs method POST, the request has GET
rule | HTTPRoute shop/cart-beta rule 2 | routes/cart-beta.yaml:1 | missed | needs header cookie=secret, the request has another value
rule | HTTPRoute shop/cart-beta rule 0 | routes/cart-beta.yaml:1 | chosen | path prefix /api, header x-user=beta
rule | HTTPRoute shop/cart rule 0 | routes/cart.yaml:1 | outranked | path prefix / matches too; its path is shorter
filters | RequestHeaderModifier | routes/cart-beta.yaml:1 | ok | set x-a
filters | RequestMirror | routes/cart-beta.yaml:1 | ok | to Service shop/v3:80, 5 of 100 requests
backend | Service shop/v2:80 | routes/cart-beta.yaml:1 | chosen | weight 1 of 1
calls | timeouts | routes/cart-beta.yaml:9 | ok | request 2s, one try unlimited
calls | retry | default | ok | up to 2 more tries after what was not processed; waits up to 250ms
calls | budget | default | ok | 20 % of the requests of 10s, at least 10 a second
endpoints | Service shop/v2:80 | | missed | nothing is known of its endpoints yet`
	if got := written(&why); got != strings.TrimSpace(want) {
		t.Errorf("reasons are\n%s", got)
	}
}

func TestReasonsOfRefusalsEndInTheReason(t *testing.T) {
	consumer := httpRoute("c", to("v2", prefix("/only")))
	consumer.Namespace = "web"
	gone := backendTo("v2", 1)
	gone.Invalid = "RefNotPermitted"
	table, _ := decide.Compile(nil, view(cart(consumer, httpRoute("p", to("v2", regex("(")),
		model.Rule{Matches: []model.Match{exact("/empty")}}, model.Rule{Matches: []model.Match{exact("/gone")}, Backends: []model.Backend{gone}}))))
	for _, c := range []struct{ ns, path, last string }{
		{"web", "/", "rule | | | refused | routes are attached to the service port and none of them matches"},
		{testNS, "/x", "filters | HTTPRoute shop/p rule 0 | routes/p.yaml:1 | refused | the rule cannot be honoured: path expression \"(\": error parsing regexp: missing closing ): `(`"},
		{testNS, "/empty", "backend | | routes/p.yaml:1 | refused | the rule has no backend that may receive traffic (none listed, or all weights 0)"},
		{testNS, "/gone", "backend | Service shop/v2:80 | routes/p.yaml:1 | refused | weight 1 of 1; RefNotPermitted"},
	} {
		q, _ := query(t, table, request("GET "+c.path))
		q.ClientNamespace = c.ns
		var why decide.Reasons
		table.Decide(q, &why)
		got := strings.Split(written(&why), "\n")
		if got[len(got)-1] != c.last {
			t.Errorf("%s from %s ends in\n%s\nwant\n%s", c.path, c.ns, got[len(got)-1], c.last)
		}
	}
}

func TestReasonsTellOfEachPartThatIsOnWithItsSource(t *testing.T) {
	p := model.DefaultPolicy
	p.Calls = model.Calls{
		Timeouts: model.Timeouts{BackendRequest: time.Second},
		Retry:    model.Retry{On: model.RetryReset | model.RetryTimeout | model.RetryCodes | model.RetryGRPC, Codes: []int{503, 504}, GRPC: []int{14}, Attempts: 1, BackoffMax: time.Second, Idempotent: true},
		Hedge:    &model.Hedge{Percentile: 99.9, Min: time.Millisecond},
		Faults:   []model.Fault{{Headers: []model.ValueMatch{{Name: "x-test"}}, PerMillion: 5000, Delay: time.Second, Status: 503}, {PerMillion: 1e6, GRPC: 14}, {Reset: true}, {BytesPS: 9}},
		Session:  &model.Session{Name: "s", Absolute: time.Hour},
		Compare:  &model.Compare{Baseline: backendTo("v1", 1)},
		Override: &model.Override{}, Priority: model.PriorityCritical,
		Sources: model.CallSources{Timeouts: "1", Retry: "2", Hedge: "3", Faults: "4", Session: "5", Compare: "6", Override: "7", Priority: "8"},
	}
	s := cart()
	s.Ports[0].Policy = &p
	table := compile(t, s)
	q, _ := query(t, table, request("GET /"))
	var why decide.Reasons
	table.Decide(q, &why)
	want := `
calls | timeouts | 1 | ok | request unlimited, one try 1s
calls | retry | 2 | ok | up to 1 more tries after what was not processed, a broken connection, a try that took too long, status 503 504, grpc-status 14; waits up to 1s; declared repeatable
calls | budget | default | ok | 0 % of the requests of 0s, at least 0 a second
calls | hedging | 3 | ok | a second request after the 99.9th percentile of latency, at least 1ms; if it may be repeated
calls | comparison | 6 | ok | mirrored answers, with Service shop/v1:80 as the baseline
calls | override | 7 | ok | a request with a signed token may name its backend
calls | priority | 8 | ok | critical unless the request names one`
	got := ""
	for line := range strings.SplitSeq(written(&why), "\n") {
		if strings.HasPrefix(line, "calls") {
			got += "\n" + line
		}
	}
	if got != want {
		t.Errorf("got%s", got)
	}
	for _, part := range []string{"faults | | 4 | ", "session | cookie s | 5 | "} {
		if !strings.Contains(written(&why), part) {
			t.Errorf("no line %q in\n%s", part, written(&why))
		}
	}
	q.Opaque = true
	why = decide.Reasons{}
	if table.Decide(q, &why); strings.Contains(written(&why), "calls |") {
		t.Error("a connection that nobody looks into has tries")
	}
}

func TestReasonsStayBoundedWithManyRoutes(t *testing.T) {
	table := compile(t, manyRoutes(1000))
	q, _ := query(t, table, request("GET /"))
	var why decide.Reasons
	table.Decide(q, &why)
	if len(why.Steps) > 120 || !strings.Contains(written(&why), "900 more matches do not hold") {
		t.Errorf("%d steps", len(why.Steps))
	}
}

func written(why *decide.Reasons) string {
	var b strings.Builder
	for _, r := range why.Steps {
		line := fmt.Sprintf("%s | %s | %s | %s | %s\n", r.Step, r.Object, r.Source, r.Outcome, r.Detail)
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(line, "|  |", "| |"), "|  |", "| |"))
	}
	return strings.TrimSpace(b.String())
}
