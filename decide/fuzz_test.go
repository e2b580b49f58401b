package decide_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/decide/reference"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// FuzzDecide holds the compiled table and the reference equal, decision and filters, for random
// services and requests; and the reasons to the decision that they explain.
func FuzzDecide(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		seed := make([]byte, 40+r.IntN(200))
		for i := range seed {
			seed[i] = byte(r.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(compareWithReference)
}

func TestRandomDecisionsEqualTheReference(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	n := 6_000
	if testing.Short() {
		n = 2_000
	}
	seed := make([]byte, 300)
	for range n {
		for i := range seed {
			seed[i] = byte(r.Uint32())
		}
		compareWithReference(t, seed)
	}
}

func compareWithReference(t *testing.T, seed []byte) {
	s := &source{b: seed}
	v := randomView(s)
	table, _ := decide.Compile(nil, v)
	svc, _ := table.Service(testName)
	for range 4 {
		req := randomRequest(s)
		var c decide.Canonical
		if err := decide.Canonicalize(&c, req); err != nil {
			continue
		}
		port := svc.Ports()[s.n(2)]
		q := &decide.Query{
			Port: port, ClientNamespace: s.pick(testNS, "web", "other"),
			GRPC: s.chance(2), Opaque: s.chance(6), SNI: []byte(s.pick("", "a.test", "A.b.test", "b.test", "c.b.test")),
			Method: req.Method, Scheme: req.Scheme, Host: c.Host, Path: c.Path, RawQuery: c.RawQuery,
			Fields: req.Fields, Rand: s.uint64(),
		}
		compareOne(t, v, table, q, req, &c)
	}
}

func compareOne(t *testing.T, v *decide.View, table *decide.Table, q *decide.Query, req *message.Request, c *decide.Canonical) {
	t.Helper()
	var why decide.Reasons
	d := table.Decide(q, &why)
	if fast := table.Decide(q, nil); fast != d {
		t.Fatalf("reasons changed the decision: %+v, without %+v", d, fast)
	}
	got := outcome(&d)
	want := reference.Decide(v, testName, q.Port.Port, q)
	if got != want {
		t.Fatalf("%s %s (grpc %v, opaque %v, sni %s, from %s, fields %s)\n got %+v\nwant %+v\nreasons %+v\nservice %+v", q.Method, req.Path,
			q.GRPC, q.Opaque, q.SNI, q.ClientNamespace, lines(q.Fields), got, want, why.Steps, v.Services[testName])
	}
	checkReasons(t, &d, &why)
	if !q.Opaque {
		compareFilters(t, q, req, c, &d)
	}
}

func outcome(d *decide.Decision) reference.Outcome {
	o := reference.Outcome{Action: d.Action.String(), Status: d.Status, Code: d.Code, Rule: -1, Match: -1}
	if d.Rule != nil {
		o.Route, o.Rule = d.Route.Label, d.Rule.Index
	}
	if d.Match != nil {
		o.Match = d.Match.Index
	}
	if d.Backend != nil {
		o.Backend = d.Backend.Service().String() + ":" + uitoa(d.Backend.Model.Port)
	}
	return o
}

func uitoa(p uint16) string {
	return strings.TrimLeft(string([]byte{'0' + byte(p/10000), '0' + byte(p/1000%10), '0' + byte(p/100%10), '0' + byte(p/10%10), '0' + byte(p%10)}), "0")
}

// checkReasons holds that exactly the decided rule is called chosen, and comes before all that
// it outranks.
func checkReasons(t *testing.T, d *decide.Decision, why *decide.Reasons) {
	t.Helper()
	chosen, last := 0, decide.Step("")
	order := []decide.Step{decide.StepCanonical, decide.StepService, decide.StepRoute, decide.StepRule, decide.StepFilters, decide.StepBackend, decide.StepCalls, decide.StepEndpoints}
	for _, r := range why.Steps {
		if slices.Index(order, r.Step) < slices.Index(order, last) {
			t.Fatalf("step %s after %s: %+v", r.Step, last, why.Steps)
		}
		last = r.Step
		if r.Step != decide.StepRule {
			continue
		}
		switch r.Outcome {
		case decide.Chosen:
			chosen++
			if r.Object != d.Rule.Label {
				t.Fatalf("reasons choose %s, the decision %s", r.Object, d.Rule.Label)
			}
		case decide.Outranked:
			if chosen == 0 {
				t.Fatalf("%s is outranked by nothing before it: %+v", r.Object, why.Steps)
			}
		}
	}
	if want := d.Rule != nil; (chosen == 1) != want {
		t.Fatalf("%d rules chosen, decision has a rule: %v; %+v", chosen, want, why.Steps)
	}
}

// compareFilters compares what is forwarded, mirrored and answered.
func compareFilters(t *testing.T, q *decide.Query, req *message.Request, c *decide.Canonical, d *decide.Decision) {
	t.Helper()
	var s decide.Scratch
	prefix, target := "/", string(c.Path)
	if c.HasQuery {
		target += "?" + string(c.RawQuery)
	}
	if d.Match != nil && d.Match.Model.Path != nil {
		prefix, _ = decide.CanonicalPath(d.Match.Model.Path.Value)
	}
	switch d.Action {
	case decide.Forward:
		var filters [][]model.Filter
		if d.Rule != nil {
			filters = [][]model.Filter{d.Rule.Model.Filters, d.Backend.Model.Filters}
		}
		authority := string(c.Host)
		if c.Port != 0 {
			authority += ":" + uitoa(c.Port)
		}
		want := reference.Forwarded(reference.Message{Authority: authority, Target: target, Fields: lines(q.Fields)}, filters, prefix)
		out := *req
		d.ApplyRequest(&out, c, &s)
		if string(out.Authority) != want.Authority || string(out.Path) != want.Target || !slices.Equal(reference.Sorted(lines(out.Fields)), want.Fields) {
			t.Fatalf("forwarded %s %s %v\nwant %+v", out.Authority, out.Path, lines(out.Fields), want)
		}
		compareMirrors(t, q, d, filters)
	case decide.Redirect:
		r := redirectOf(d)
		resp := d.Response(req, c, &s)
		want := reference.Location(r, string(req.Scheme), string(c.Host), c.Port, q.Port.Port.Port, prefix, target)
		if got := string(message.Get(resp.Fields, "location")); got != want || resp.Status != d.Status {
			t.Fatalf("location %q, want %q", got, want)
		}
	case decide.Respond:
		resp := d.Response(req, c, &s)
		if resp.Status != 200 || message.Get(resp.Fields, "access-control-allow-origin") == nil {
			t.Fatalf("preflight answered with %d %v", resp.Status, lines(resp.Fields))
		}
	}
}

func redirectOf(d *decide.Decision) *model.Redirect {
	lists := [][]model.Filter{d.Rule.Model.Filters}
	if d.Backend != nil {
		lists = append(lists, d.Backend.Model.Filters)
	}
	for _, l := range lists {
		for _, f := range l {
			if f.Redirect != nil {
				return f.Redirect
			}
		}
	}
	return nil
}

// compareMirrors holds that mirrors to what exists, and to every request, are there; fractions
// are tested for their share elsewhere.
func compareMirrors(t *testing.T, q *decide.Query, d *decide.Decision, filters [][]model.Filter) {
	t.Helper()
	least, most := 0, 0
	for _, l := range filters {
		for _, f := range l {
			if m := f.Mirror; m != nil && m.Backend.Service.Name != "gone" {
				if m.Denominator == 0 || m.Numerator >= m.Denominator {
					least++
				}
				if m.Denominator == 0 || m.Numerator > 0 {
					most++
				}
			}
		}
	}
	n := 0
	for b := range d.Mirrors {
		if b.Set == nil {
			t.Fatal("a mirror that cannot be resolved was given out")
		}
		n++
	}
	if n < least || n > most {
		t.Fatalf("%d mirrors, want %d to %d (rand %d)", n, least, most, q.Rand)
	}
}

func lines(fields []message.Field) (out []string) {
	for _, f := range fields {
		out = append(out, string(f.Name)+": "+string(f.Value))
	}
	return out
}
