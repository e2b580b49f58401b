package decide_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

func withFaults(faults ...model.Fault) func(*model.Policy) {
	return func(p *model.Policy) { p.Calls.Faults = faults }
}

const all = 1_000_000

func TestFaultsAreMadeOfTheirShareOfTheRequests(t *testing.T) {
	table := compile(t, policed(withFaults(model.Fault{PerMillion: 100_000, Delay: time.Second}, model.Fault{PerMillion: 10_000, Status: 503}, model.Fault{PerMillion: 0, Reset: true})))
	q, _ := query(t, table, request("GET /"))
	r := rand.New(rand.NewPCG(1, 2))
	const n = 100_000
	delayed, aborted, both := 0, 0, 0
	for range n {
		q.Rand = r.Uint64()
		d := table.Decide(q, nil)
		f := d.Fault(false)
		if f.Reset {
			t.Fatal("a fault of no requests was made")
		}
		if f.Delay > 0 {
			delayed++
		}
		if f.Status > 0 {
			aborted++
		}
		if f.Delay > 0 && f.Status > 0 {
			both++
		}
	}
	within(t, "delayed", delayed, n, 0.1)
	within(t, "aborted", aborted, n, 0.01)
	within(t, "both, if they are independent", both, n, 0.001)
}

func TestFaultsArePutTogetherInTheirOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults []model.Fault
		grpc   bool
		want   decide.Fault
	}{
		{"delays add up, the slower rate counts", []model.Fault{{Delay: 1, BytesPS: 10}, {Delay: 2, BytesPS: 5}, {BytesPS: 7}}, false, decide.Fault{Delay: 3, BytesPS: 5}},
		{"what answers ends the list", []model.Fault{{Delay: 1}, {Status: 503}, {Delay: 2, Status: 404}}, false, decide.Fault{Delay: 1, Status: 503}},
		{"a reset ends it too", []model.Fault{{Reset: true}, {Status: 503}}, false, decide.Fault{Reset: true}},
		{"a grpc-status ends it for gRPC", []model.Fault{{GRPC: 14}, {Status: 503}}, true, decide.Fault{GRPC: 14}},
		{"and is nothing to others", []model.Fault{{GRPC: 14}, {Status: 503}}, false, decide.Fault{Status: 503}},
	} {
		for i := range c.faults {
			c.faults[i].PerMillion = all
		}
		table := compile(t, policed(withFaults(c.faults...)))
		q, _ := query(t, table, request("GET /"))
		d := table.Decide(q, nil)
		if got := d.Fault(c.grpc); got != c.want || !d.Faulty() {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestFaultsAreMadeOfRequestsThatMatch(t *testing.T) {
	calls := model.DefaultPolicy.Calls
	calls.Faults = []model.Fault{{PerMillion: all, Status: 504}}
	rule := to("v1", prefix("/own"))
	rule.Calls = &calls
	none := to("v1", prefix("/none"))
	none.Calls = &model.DefaultPolicy.Calls
	table, problems := decide.Compile(nil, view(policed(withFaults(
		model.Fault{PerMillion: all, Status: 501, Headers: []model.ValueMatch{{Name: "X-A", Value: "1"}, {Name: "x-b", Value: "2.*", Regex: true}}},
		model.Fault{PerMillion: all, Status: 502, Headers: []model.ValueMatch{{Name: "x-bad", Value: "(", Regex: true}}},
	), httpRoute("r", rule, none, to("v1"), model.Rule{Matches: []model.Match{exact("/gone")}}))))
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "fault 1, header x-bad") || !strings.Contains(problems[0].Error(), "the fault is not made") {
		t.Errorf("problems are %v", problems)
	}
	for _, c := range []struct {
		line string
		want int
	}{
		{"GET /", 0},
		{"GET / cart x-a=1", 0},
		{"GET / cart x-a=1 x-b=3", 0},
		{"GET / cart x-a=1 x-b=23", 501},
		{"GET / cart x-bad=(", 0},
		{"GET /own cart x-a=1 x-b=23", 504}, // the rule's own, and only those
		{"GET /none cart x-a=1 x-b=23", 0},
		{"GET /gone cart x-a=1 x-b=23", 0}, // refused anyway
	} {
		q, _ := query(t, table, request(c.line))
		d := table.Decide(q, nil)
		if got := d.Fault(false).Status; got != c.want {
			t.Errorf("%s: status %d, want %d", c.line, got, c.want)
		}
	}
	svc, _ := table.Service(testName)
	if d := table.Decide(&decide.Query{Port: svc.Port(80), ClientNamespace: testNS, Opaque: true}, nil); d.Faulty() {
		t.Error("an opaque connection gets a fault")
	}
}

func TestFaultsBeyondThoseThatADecisionHoldsAreReported(t *testing.T) {
	var many []model.Fault
	for range 70 {
		many = append(many, model.Fault{PerMillion: all, Delay: 1})
	}
	table, problems := decide.Compile(nil, view(policed(withFaults(many...))))
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "70 faults") {
		t.Errorf("problems are %v", problems)
	}
	q, _ := query(t, table, request("GET /"))
	d := table.Decide(q, nil)
	if got := d.Fault(false); got.Delay != 64 {
		t.Errorf("%d faults are made", got.Delay)
	}
}

func TestReasonsTellWhichFaultsAreMade(t *testing.T) {
	table := compile(t, policed(withFaults(
		model.Fault{PerMillion: all, Delay: 2 * time.Second},
		model.Fault{PerMillion: 500, Status: 503, GRPC: 14, Headers: []model.ValueMatch{{Name: "x-a", Value: "1"}}},
		model.Fault{PerMillion: all, Status: 504, Headers: []model.ValueMatch{{Name: "x-b", Value: "1"}}},
		model.Fault{PerMillion: 0, Reset: true, BytesPS: 1000},
	)))
	q, _ := query(t, table, request("GET / cart x-a=1"))
	q.Rand = 1
	var why decide.Reasons
	table.Decide(q, &why)
	want := `faults | | default | chosen | delay 2s; 100 % of requests
faults | | default | missed | status 503, grpc-status 14; 0.05 % of requests with header x-a=1
faults | | default | missed | reset, 1000 bytes a second; 0 % of requests`
	if got := written(&why); !strings.Contains(got, want) {
		t.Errorf("reasons are\n%s", got)
	}
}

func TestFaultsAllocateNothing(t *testing.T) {
	table := compile(t, policed(withFaults(model.Fault{PerMillion: all, Status: 503, Headers: []model.ValueMatch{{Name: "x-a", Value: "1"}}})))
	q, _ := query(t, table, request("GET / cart x-a=1"))
	allocs.None(t, 1000, func() {
		if d := table.Decide(q, nil); !d.Faulty() || d.Fault(false).Status != 503 {
			t.Fatal("not made")
		}
	})
}
