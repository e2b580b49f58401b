package decide_test

import (
	"testing"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

func TestADivertedRequestGoesToTheOtherServiceWithTheFiltersOfTheRule(t *testing.T) {
	rule := to("v1")
	rule.Filters = []model.Filter{{RequestHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: "x-rule", Value: "1"}}}}}
	rule.Backends[0].Filters = []model.Filter{{RequestHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: "x-backend", Value: "1"}}}}}
	v := view(policed(func(p *model.Policy) { p.Calls.Session = &model.Session{Name: "s"} }, httpRoute("r", rule)))
	for _, n := range []model.Name{{Namespace: testNS, Name: "v2"}, {Namespace: "web", Name: "mine"}, {Namespace: "bank", Name: "ledger"}} {
		v.Services[n] = &model.Service{Name: n, Ports: []model.Port{{Port: 80}}}
	}
	portless := model.Name{Namespace: testNS, Name: "portless"}
	v.Services[portless] = &model.Service{Name: portless, Ports: []model.Port{{Port: 81}}}
	table, _ := decide.Compile(nil, v)
	for _, c := range []struct {
		name   string
		to     model.Name
		client string
		want   string
	}{
		{"of the same namespace", model.Name{Namespace: testNS, Name: "v2"}, "web", "v2"},
		{"of the client's", model.Name{Namespace: "web", Name: "mine"}, "web", "mine"},
		{"of the client's, for another client", model.Name{Namespace: "web", Name: "mine"}, testNS, "refuse 403 W3335"},
		{"of a third namespace", model.Name{Namespace: "bank", Name: "ledger"}, "web", "refuse 403 W3335"},
		{"without the port", portless, "web", "refuse 502 W3335"},
	} {
		req := request("GET /")
		q, canon := query(t, table, req)
		q.ClientNamespace = c.client
		d := table.Decide(q, nil)
		svc, _ := table.Service(c.to)
		d.Divert(svc, c.client)
		if got := decided(d); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if d.Action != decide.Forward {
			continue
		}
		var s decide.Scratch
		d.ApplyRequest(req, canon, &s)
		if message.Get(req.Fields, "x-rule") == nil || message.Get(req.Fields, "x-backend") != nil {
			t.Errorf("%s: it has the fields %s", c.name, lines(req.Fields))
		}
		if d.Session.On {
			t.Errorf("%s: it has a session with a service that it is only led to", c.name)
		}
	}
}

func TestARefusedRequestIsNotDiverted(t *testing.T) {
	v := view(cart(httpRoute("r", to("v1", exact("/only")))))
	n := model.Name{Namespace: testNS, Name: "v2"}
	v.Services[n] = &model.Service{Name: n, Ports: []model.Port{{Port: 80}}}
	table, _ := decide.Compile(nil, v)
	q, _ := query(t, table, request("GET /"))
	d := table.Decide(q, nil)
	svc, _ := table.Service(n)
	if d.Divert(svc, testNS); decided(d) != "refuse 404 W3202" {
		t.Errorf("it is %s", decided(d))
	}
}

func TestABaselineThatCannotBeResolvedComparesNothing(t *testing.T) {
	gone := model.Name{Namespace: testNS, Name: "gone"}
	for _, c := range []struct {
		name    string
		compare *model.Compare
		want    string
	}{
		{"none", nil, ""},
		{"there", &model.Compare{Baseline: backendTo("cart", 1)}, "cart"},
		{"not there", &model.Compare{Baseline: backendTo("gone", 1)}, ""},
	} {
		rule := to("v1", prefix("/own"))
		calls := model.DefaultPolicy.Calls
		calls.Compare = c.compare
		rule.Calls = &calls
		v := view(policed(func(p *model.Policy) { p.Calls.Compare = c.compare }, httpRoute("r", rule, to("v1"))))
		v.Absent = map[model.Name]bool{gone: true}
		table, _ := decide.Compile(nil, v)
		for _, path := range []string{"/own", "/"} {
			q, _ := query(t, table, request("GET "+path))
			d := table.Decide(q, nil)
			got := ""
			if b := d.Baseline(); b != nil {
				got = b.Service().Name
			}
			if got != c.want {
				t.Errorf("%s, %s: %q", c.name, path, got)
			}
		}
	}
}
