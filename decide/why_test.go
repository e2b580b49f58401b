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
	beta.Rules[0].Timeouts = model.Timeouts{Request: 2 * time.Second}
	beta.Rules[0].Retry = &model.Retry{Attempts: 2}
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
backend | Service shop/v2:80 | routes/cart-beta.yaml:1 | chosen | weight 1 of 1; timeouts: request 2s, each attempt 0s; up to 2 retries
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
