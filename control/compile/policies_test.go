package compile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-mesh/weft/api/decode"
	"github.com/weft-mesh/weft/api/weft"
	"github.com/weft-mesh/weft/model"
)

var cartName = model.Name{Namespace: "shop", Name: "cart"}

// everySection is a policy on Service cart of shop with every section that a Service may have.
const everySection = `
apiVersion: weft.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: p, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: cart}]
  loadBalancing: {algorithm: RingHash, hash: {header: X-User}, loadBoundPercent: 150, slowStart: 30s, panicPercent: 10, locality: false, apertureMin: 0, apertureAbove: 7, loadReports: false}
  outlierDetection: {consecutive: 7, successRatePercent: 90, successRateWindow: 1m, slowFactor: 3, baseEjection: 1s, maxEjection: 2m, maxEjectedPercent: 20}
  healthCheck: {type: GRPC, service: s, interval: 2s, timeout: 500ms, unhealthy: 4, healthy: 5}
  retry:
    causes: [Reset]
    codes: [504, 503]
    grpcCodes: [UNAVAILABLE, CANCELLED]
    attempts: 3
    backoff: 1ms
    maxBackoff: 2s
    idempotent: true
    maxBodyBytes: 5
    budget: {percent: 1, minPerSecond: 2, interval: 3s}
  hedging: {percentile: 90, minDelay: 2ms}
  timeouts: {request: 4s, backendRequest: 1s}
  faults: [{headers: [{name: X-Test, value: a}], percent: 3, delay: 1s, status: 503}, {fraction: {numerator: 1, denominator: 100000}, reset: true}, {grpcStatus: 14, percent: 1}, {bytesPerSecond: 9}]
  sessionPersistence: {sessionName: S, type: Header, absoluteTimeout: 1h}
  override: {publicKey: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}
  priority: critical_plus
  overload:
    concurrency: {adaptive: false, min: 2, max: 20, tolerancePercent: 200}
    queue: {target: 1ms, interval: 20ms, max: 9}
    priorities: [{identity: "spiffe://td/ns/shop/*", max: critical, default: sheddable}]
  rateLimits:
  - {name: a, headers: [{name: X-A, value: b}], path: {type: Exact, value: /x}, by: Header, header: X-Key, count: 30, interval: 1m, burst: 5}
  - {name: b, by: Identity, global: {address: "r:1", domain: d, timeout: 5ms, failClosed: true}}
---
`

func TestAPolicyIsCarriedOverWhole(t *testing.T) {
	s, ps := compileText(t, shop+everySection)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	got := s.Services[cartName].Ports[0].Policy
	want := &model.Policy{
		Source: "x.yaml:8",
		Balance: model.Balance{
			Algorithm: model.RingHash, Hash: &model.Hash{Header: "x-user"}, LoadBound: 1.5, SlowStart: 30 * time.Second, PanicPercent: 10, ApertureAbove: 7,
		},
		Outlier: model.Outlier{Consecutive: 7, SuccessRate: 0.9, SuccessWindow: time.Minute, SlowFactor: 3, Eject: time.Second, EjectMax: 2 * time.Minute, MaxPercent: 20},
		Health:  &model.HealthCheck{Kind: model.HealthGRPC, Path: "/", Service: "s", Interval: 2 * time.Second, Timeout: 500 * time.Millisecond, Unhealthy: 4, Healthy: 5},
		Calls: model.Calls{
			Timeouts: model.Timeouts{Request: 4 * time.Second, BackendRequest: time.Second},
			Retry: model.Retry{
				On: model.RetryReset | model.RetryCodes | model.RetryGRPC, Codes: []int{503, 504}, GRPC: []int{1, 14}, Attempts: 3, Backoff: time.Millisecond, BackoffMax: 2 * time.Second,
				Idempotent: true, Body: 5, Budget: model.RetryBudget{Percent: 1, MinPerSecond: 2, Window: 3 * time.Second},
			},
			Hedge: &model.Hedge{Percentile: 90, Min: 2 * time.Millisecond},
			Faults: []model.Fault{
				{Headers: []model.ValueMatch{{Name: "x-test", Value: "a"}}, PerMillion: 30_000, Delay: time.Second, Status: 503},
				{PerMillion: 10, Reset: true}, {PerMillion: 10_000, GRPC: 14}, {PerMillion: 1_000_000, BytesPS: 9},
			},
			Session:  &model.Session{Name: "s", Header: true, Absolute: time.Hour},
			Override: &model.Override{Key: got.Calls.Override.Key}, Priority: model.PriorityCriticalPlus,
			Sources: model.CallSources{Timeouts: "x.yaml:25", Retry: "x.yaml:15", Budget: "x.yaml:23", Hedge: "x.yaml:24", Faults: "x.yaml:26", Session: "x.yaml:27", Override: "x.yaml:28", Priority: "x.yaml:29"},
		},
		Guard: model.Guard{
			Concurrency: model.Concurrency{Min: 2, Max: 20, Tolerance: 2}, Queue: model.Queue{Target: time.Millisecond, Interval: 20 * time.Millisecond, Max: 9},
			Priorities: []model.PriorityRule{{Identity: "spiffe://td/ns/shop/*", Max: model.PriorityCritical, Default: model.PrioritySheddable}},
			RateLimits: []model.RateLimit{
				{Name: "a", Headers: []model.ValueMatch{{Name: "x-a", Value: "b"}}, Path: &model.PathMatch{Kind: model.PathExact, Value: "/x"}, By: model.LimitHeader, Header: "x-key", Rate: 0.5, Burst: 5},
				{Name: "b", By: model.LimitIdentity, Global: &model.GlobalLimit{Address: "r:1", Domain: "d", Timeout: 5 * time.Millisecond, Deny: true}},
			},
		},
	}
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Error(d)
	}
	if len(got.Calls.Override.Key) != 32 || got.Calls.Override.Key[0] != 0xd7 {
		t.Errorf("the key is %x", got.Calls.Override.Key)
	}
	if p := s.Services[cartName].Ports; p[0].Policy != p[1].Policy {
		t.Error("two ports with the same policy have two pointers")
	}
	inRange(t, s)
}

// TestTheDefaultsThatAreDocumentedAreTheDefaults writes every documented default into a policy, and
// that must change nothing.
func TestTheDefaultsThatAreDocumentedAreTheDefaults(t *testing.T) {
	var b strings.Builder
	for _, f := range decode.FieldsOf(reflect.TypeFor[weft.TrafficPolicySpec]()) {
		if f.Rule.Assume != nil {
			fmt.Fprintf(&b, "  %s: %s\n", f.Name, *f.Rule.Assume)
		}
		if f.Type.Kind() == reflect.Pointer && f.Name != "timeouts" && f.Name != "healthCheck" && f.Name != "hedging" {
			if body := assumed(f.Type.Elem()); body != "" {
				fmt.Fprintf(&b, "  %s: {%s}\n", f.Name, body)
			}
		}
	}
	policy := "apiVersion: weft.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  targetRefs: [{group: '', kind: Service, name: cart}]\n"
	s, ps := compileText(t, shop+policy+b.String())
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	got := *s.Services[cartName].Ports[0].Policy
	got.Source, got.Calls.Sources = "", model.CallSources{}
	if d := cmp.Diff(model.DefaultPolicy, got, addrs); d != "" {
		t.Errorf("%s\n%s", b.String(), d)
	}
	// Sections that are off unless they are written: an empty one and one of the defaults are equal.
	on := policy + "  healthCheck: {}\n  hedging: {}\n"
	off := policy + "  healthCheck: {" + assumed(reflect.TypeFor[weft.HealthCheck]()) + "}\n  hedging: {" + assumed(reflect.TypeFor[weft.Hedging]()) + "}\n"
	x, ps := compileText(t, shop+on)
	y, qs := compileText(t, shop+off)
	if len(ps)+len(qs) > 0 {
		t.Fatal(ps, qs)
	}
	if d := cmp.Diff(x.Services[cartName].Ports[0].Policy, y.Services[cartName].Ports[0].Policy, addrs); d != "" {
		t.Error(d)
	}
	if p := x.Services[cartName].Ports[0].Policy; p.Health == nil || p.Calls.Hedge == nil {
		t.Errorf("not on: %+v", p)
	}
}

// assumed writes the documented defaults of a section as YAML.
func assumed(t reflect.Type) string {
	var out []string
	for _, f := range decode.FieldsOf(t) {
		switch {
		case f.Rule.Assume != nil:
			out = append(out, f.Name+": "+*f.Rule.Assume)
		case f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct:
			if body := assumed(f.Type.Elem()); body != "" {
				out = append(out, f.Name+": {"+body+"}")
			}
		}
	}
	return strings.Join(out, ", ")
}

// TestEveryBoundThatIsDocumentedIsUsable writes the lowest and the highest value of each field: what
// comes out is what a proxy takes.
func TestEveryBoundThatIsDocumentedIsUsable(t *testing.T) {
	var visit func(typ reflect.Type, wrap func(string) string)
	tried := 0
	visit = func(typ reflect.Type, wrap func(string) string) {
		for _, f := range decode.FieldsOf(typ) {
			var values []string
			r := f.Rule
			switch {
			case f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct:
				visit(f.Type.Elem(), func(s string) string { return wrap(f.Name + ": {" + s + "}") })
			case f.Type.Kind() == reflect.Slice || r.Required:
			case r.Enum != nil:
				values = r.Enum
			case r.Max != nil:
				values = []string{fmt.Sprint(*r.Min), fmt.Sprint(*r.Max)}
			case r.MaxDuration > 0:
				ms := func(d time.Duration) string {
					return fmt.Sprintf("%ds%dms", d/time.Second, d%time.Second/time.Millisecond)
				}
				values = []string{ms(r.MinDuration), ms(r.MaxDuration)}
			}
			for _, v := range values {
				sections := wrap(f.Name + ": " + v)
				res := decode.File("x.yaml", []byte(shop+policy("p", onCart, sections)), decode.Options{})
				s, ps := Compile(Input{Objects: res.Objects})
				for _, p := range res.Problems {
					ps = append(ps, p.Error)
				}
				for _, p := range ps { // alone it may not fit the default of another field
					if p.Code != "W1232" {
						t.Errorf("%s: %v", sections, p)
					}
				}
				if s.Services[cartName].Ports[0].Policy == nil && len(ps) == 0 {
					t.Errorf("%s: no policy", sections)
				}
				inRange(t, s)
				tried++
			}
		}
	}
	visit(reflect.TypeFor[weft.TrafficPolicySpec](), func(s string) string { return s })
	if tried < 60 {
		t.Errorf("only %d values", tried)
	}
}

// inRange holds that no policy leaves the control plane that a proxy would not take.
func inRange(t *testing.T, s *Snapshot) {
	t.Helper()
	check := func(p *model.Policy) {
		if p != nil {
			if err := p.Check(); err != nil {
				t.Errorf("%s: %v", p.Source, err)
			}
		}
	}
	for _, svc := range s.Services {
		for _, p := range svc.Ports {
			check(p.Policy)
		}
		for _, r := range svc.Routes {
			for _, rule := range r.Rules {
				if rule.Calls != nil {
					if err := rule.Calls.Check(); err != nil {
						t.Errorf("%s: %v", rule.Source, err)
					}
				}
			}
		}
	}
	for _, w := range s.Workloads {
		for _, p := range w.Ports {
			check(p.Policy)
		}
	}
}

// policy writes a TrafficPolicy in shop.
func policy(name, target, sections string) string {
	return fmt.Sprintf("---\n{apiVersion: weft.dev/v1alpha1, kind: TrafficPolicy, metadata: {name: %s, namespace: shop}, spec: {targetRefs: [%s], %s}}\n", name, target, sections)
}

const (
	onCart  = `{group: "", kind: Service, name: cart}`
	onHTTP  = `{group: "", kind: Service, name: cart, sectionName: http}`
	onRoute = `{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}`
	onRule  = `{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r, sectionName: one}`
)

func route(rule string) string {
	return `---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: shop}, spec: {parentRefs: [{group: "", kind: Service, name: cart}], rules: [{name: one, backendRefs: [{name: cart, port: 80}]` + rule + `}, {name: two, matches: [{path: {value: /two}}], backendRefs: [{name: cart, port: 80}]}]}}
`
}

// TestTheNearestPlaceCounts goes through the order of precedence field by field: each step up adds
// a nearer place that says something else.
func TestTheNearestPlaceCounts(t *testing.T) {
	text := shop
	at := func(what string, port80, port81, one, two int) {
		t.Helper()
		s, ps := compileText(t, text)
		if len(ps) > 0 {
			t.Fatal(what, ps)
		}
		cart := s.Services[cartName]
		budget := func(c *model.Calls) int { return c.Retry.Budget.Percent }
		tried := func(port uint16, rule string) *model.Calls {
			p, _ := (&service{model: *cart}).port(port)
			for _, r := range cart.Routes {
				if len(r.Ports) > 0 && r.Ports[0] != port {
					continue
				}
				for i := range r.Rules {
					if r.Rules[i].Name == rule && r.Rules[i].Calls != nil {
						return r.Rules[i].Calls
					}
				}
			}
			return &model.PolicyOf(p.Policy).Calls
		}
		got := []int{budget(&model.PolicyOf(cart.Ports[0].Policy).Calls), budget(&model.PolicyOf(cart.Ports[1].Policy).Calls), budget(tried(80, "one")), budget(tried(80, "two"))}
		if want := []int{port80, port81, one, two}; !cmp.Equal(got, want) {
			t.Errorf("%s: budgets of port 80, port 81, rule one and rule two are %v, want %v", what, got, want)
		}
		inRange(t, s)
	}
	budget := func(n int) string { return fmt.Sprintf("retry: {budget: {percent: %d}}", n) }
	at("the default", 20, 20, 20, 20)
	text += "---\n{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XBackendTrafficPolicy, metadata: {name: x, namespace: shop}, spec: {targetRefs: [" + onCart + "], retryConstraint: {budget: {percent: 1}}}}\n"
	at("an XBackendTrafficPolicy", 1, 1, 1, 1)
	text += policy("a", onCart, budget(2))
	at("a policy on the service", 2, 2, 2, 2)
	text += policy("b", onHTTP, budget(3))
	at("a policy on the port", 3, 2, 3, 3)
	text += route("")
	at("a route", 3, 2, 3, 3)
	text += policy("c", onRoute, budget(4))
	at("a policy on the route", 3, 2, 4, 4)
	text += policy("d", onRule, budget(5))
	at("a policy on the rule", 3, 2, 5, 4)
}

func TestARulesOwnFieldsGoFirstAndTheOthersStay(t *testing.T) {
	s, ps := compileText(t, shop+policy("a", onCart, "timeouts: {request: 9s, backendRequest: 3s}, retry: {causes: [], codes: [500], attempts: 5, budget: {percent: 7}}, hedging: {}, priority: critical")+
		route(", timeouts: {request: 0s}, retry: {codes: [503]}, sessionPersistence: {type: Cookie, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}"))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	rules := s.Services[cartName].Routes[0].Rules
	if rules[1].Calls != nil {
		t.Error("a rule that says nothing does not follow the port")
	}
	c := rules[0].Calls
	if c.Timeouts.Request != 0 || c.Timeouts.BackendRequest != 3*time.Second || c.Hedge == nil || c.Priority != model.PriorityCritical {
		t.Errorf("%+v", c)
	}
	if r := c.Retry; r.On != model.RetryReset|model.RetryTimeout|model.RetryCodes || !cmp.Equal(r.Codes, []int{503}) || r.Attempts != 5 || r.Budget.Percent != 7 {
		t.Errorf("%+v", r)
	}
	if d := cmp.Diff(&model.Session{Name: "weft-session", Absolute: time.Hour, Permanent: true}, c.Session); d != "" {
		t.Error(d)
	}
	if !strings.HasPrefix(c.Sources.Retry, "x.yaml:") || c.Sources.Retry == c.Sources.Budget {
		t.Errorf("sources %+v", c.Sources)
	}
}

// TestARuleBuildsOnThePolicyOfEachPort: one route at two ports of different policies.
func TestARuleBuildsOnThePolicyOfEachPort(t *testing.T) {
	s, ps := compileText(t, shop+policy("a", onHTTP, "priority: critical")+route(", timeouts: {request: 1s}"))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	got := map[uint16]model.Priority{}
	for _, r := range s.Services[cartName].Routes {
		if len(r.Ports) != 1 || r.Rules[0].Calls.Timeouts.Request != time.Second {
			t.Fatalf("%+v", r)
		}
		got[r.Ports[0]] = r.Rules[0].Calls.Priority
	}
	if want := map[uint16]model.Priority{80: model.PriorityCritical, 81: model.PriorityDefault}; !cmp.Equal(got, want) {
		t.Errorf("priorities %v, want %v", got, want)
	}
	if len(s.Routes) != 1 {
		t.Errorf("one route has %d statuses", len(s.Routes))
	}
	// What is wrong with the route is told once.
	twice := strings.Replace(route(""), "matches: [{path: {value: /two}}], ", "", 1)
	if _, ps := compileText(t, shop+policy("a", onHTTP, "priority: critical")+twice); codesOf(ps) != "W1214" {
		t.Errorf("a match that is never reached at both ports: %v", ps)
	}
}

func TestABackendTrafficPolicyIsRead(t *testing.T) {
	s, ps := compileText(t, shop+`---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: x, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: cart}]
  retryConstraint: {budget: {interval: 1h}, minRetryRate: {count: 3, interval: 2s}}
  sessionPersistence: {type: Header}
`)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	c := s.Services[cartName].Ports[0].Policy.Calls
	if d := cmp.Diff(model.RetryBudget{Percent: 20, MinPerSecond: 2, Window: time.Minute}, c.Retry.Budget); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(&model.Session{Name: "x-weft-session", Header: true}, c.Session); d != "" {
		t.Error(d)
	}
}

func TestOfTwoPoliciesTheOlderIsInForce(t *testing.T) {
	aged := func(p, when string) string {
		return strings.Replace(p, "namespace: shop}", `namespace: shop, creationTimestamp: "`+when+`"}`, 1)
	}
	young := aged(policy("a", onCart, "timeouts: {request: 1s}"), "2026-03-02T00:00:00Z")
	old := aged(policy("b", onCart, "timeouts: {request: 2s}"), "2026-03-01T00:00:00Z")
	s, ps := compileText(t, shop+young+old)
	if got := s.Services[cartName].Ports[0].Policy.Calls.Timeouts.Request; got != 2*time.Second || codesOf(ps) != "W1222" || !strings.Contains(ps[0].What, "shop/a") {
		t.Errorf("%v in force, problems %v", got, ps)
	}
}

func TestServicesWithOnePolicyShareIt(t *testing.T) {
	s, ps := compileText(t, shop+"---\n{apiVersion: v1, kind: Service, metadata: {name: other, namespace: shop}, spec: {ports: [{port: 80}]}}\n"+
		policy("a", onCart+`, {group: "", kind: Service, name: other}`, "timeouts: {request: 1s}"))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	if s.Services[cartName].Ports[0].Policy != s.Services[model.Name{Namespace: "shop", Name: "other"}].Ports[0].Policy {
		t.Error("two pointers")
	}
	if s.Services[model.Name{Namespace: "money", Name: "bank"}].Ports[0].Policy != nil {
		t.Error("a service without a policy has one")
	}
}

func TestAWorkloadIsGuardedByTheServiceThatLeadsToIt(t *testing.T) {
	const services = `
---
{apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop}, spec: {selector: {app: a}, ports: [{port: 80, targetPort: 8081}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: b, namespace: shop}, spec: {selector: {app: a}, ports: [{port: 90, targetPort: 8081}]}}
`
	reg := run("w-1", "", 8081, model.ProtocolHTTP, map[string]string{"app": "a"})
	reg.Port = 0
	reg.Workload.Ports[0].Policy = &model.Policy{Source: "forged by the workload"}
	target := func(n string) string { return `{group: "", kind: Service, name: ` + n + `}` }
	queue := func(n int) string { return fmt.Sprintf("overload: {queue: {max: %d}}", n) }
	for _, c := range []struct {
		what, text string
		want       int // of the queue
		codes      string
	}{
		{"without a policy the defaults hold", "", 0, ""},
		{"by the only one that has a policy", policy("p", target("b"), queue(7)), 7, ""},
		{"by the first of two", policy("p", target("b"), queue(7)) + policy("q", target("a"), queue(8)), 8, "W1233"},
		{"by either if they agree", policy("p", target("b"), queue(7)) + policy("q", target("a"), queue(7)), 7, ""},
	} {
		s, ps := compileText(t, services+c.text, reg)
		got := 0
		if p := s.Workloads[model.Name{Namespace: "shop", Name: "w-1"}].Ports[0].Policy; p != nil {
			got = p.Guard.Queue.Max
		}
		if got != c.want || codesOf(ps) != c.codes {
			t.Errorf("%s: queue %d, problems %v", c.what, got, ps)
		}
	}
}

func TestLiveWorkloadsKnowTheirPlaceAmongTheirPeers(t *testing.T) {
	regs := []Registered{run("b", "x", 1002, 0, nil), run("a", "x", 1001, 0, nil), run("c", "y", 1003, 0, nil), run("d", "x", 1004, 0, nil)}
	regs[3].Draining = true
	s, _ := compileText(t, oneWorkload, regs...)
	for name, want := range map[string]model.Peers{"a": {Index: 0, Count: 3}, "b": {Index: 1, Count: 3}, "d": {Index: 2, Count: 3}, "c": {Index: 0, Count: 1}, "w1": {}} {
		if got := s.Workloads[model.Name{Namespace: "shop", Name: name}].Peers; got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestAComparisonIsResolved(t *testing.T) {
	const more = "---\n{apiVersion: v1, kind: Service, metadata: {name: next, namespace: shop}, spec: {ports: [{port: 80}]}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: base, namespace: shop}, spec: {ports: [{port: 80}]}}\n"
	mirrored := route(", filters: [{type: RequestMirror, requestMirror: {backendRef: {name: next, port: 80}}}]")
	s, ps := compileText(t, shop+more+mirrored+policy("p", onRoute, "mirrorComparison: {baseline: {name: base, port: 80}, headers: [X-A]}"))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	rules := s.Services[cartName].Routes[0].Rules
	want := &model.Compare{Baseline: model.Backend{Service: model.Name{Namespace: "shop", Name: "base"}, Port: 80, Weight: 1}, Headers: []string{"x-a"}}
	if d := cmp.Diff(want, rules[0].Calls.Compare); d != "" || rules[1].Calls.Compare != nil {
		t.Errorf("%s, and rule two has %+v", d, rules[1].Calls.Compare)
	}
}

// TestOrderOfPoliciesDoesNotMatter: see TestOrderDoesNotMatter.
func TestOrderOfPoliciesDoesNotMatter(t *testing.T) {
	text := shop + policy("a", onCart, "timeouts: {request: 1s}") + policy("b", onCart+", "+onRoute, "timeouts: {request: 2s}, faults: [{status: 503}]") + policy("c", onHTTP, "priority: critical") + route("")
	objs := objects(t, text)
	want, wantProblems := Compile(Input{Objects: objs})
	for i := range objs {
		objs[0], objs[i] = objs[i], objs[0]
		got, problems := Compile(Input{Objects: objs})
		if d := cmp.Diff(want, got, addrs); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(wantProblems, problems); d != "" {
			t.Fatal(d)
		}
	}
}
