package telemetry

import (
	"bytes"
	"testing"

	"github.com/prometheus/common/expfmt"
	pmodel "github.com/prometheus/common/model"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

func TestEndpointsAreCountedByState(t *testing.T) {
	set := func(service string, omitted int, states ...report.EndpointState) report.Set {
		s := report.Set{SetKey: report.SetKey{Service: model.Name{Namespace: "shop", Name: service}, Port: 80}, Omitted: omitted}
		for _, state := range states {
			s.Endpoints = append(s.Endpoints, report.Endpoint{State: state})
		}
		return s
	}
	cart := set("cart", 3, report.EndpointEjected, report.EndpointReady, report.EndpointReady)
	cart.Budget, cart.BudgetKnown = 12.5, true
	var page bytes.Buffer
	// The last two look alike on the page, and one sample that is there twice would cost all.
	if err := WriteSets(&page, []report.Set{cart, set("\xff", 0, report.EndpointReady), set("\xfe", 0, report.EndpointReady)}); err != nil {
		t.Fatal(err)
	}
	p := expfmt.NewTextParser(pmodel.LegacyValidation)
	families, err := p.TextToMetricFamilies(&page)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range families["weft_endpoints"].GetMetric() {
		l := labels(m)
		if _, twice := got[l["service"]+" "+l["state"]]; twice {
			t.Errorf("there twice: %v", l)
		}
		got[l["service"]+" "+l["state"]] = m.GetGauge().GetValue()
	}
	for k, want := range map[string]float64{"cart ready": 5, "cart ejected": 1, "cart unhealthy": 0, "\uFFFD ready": 2} {
		if got[k] != want {
			t.Errorf("%s: %v, want %v", k, got[k], want)
		}
	}
	budgets := families["weft_retry_budget"].GetMetric()
	if len(budgets) != 1 || budgets[0].GetGauge().GetValue() != 12.5 || labels(budgets[0])["service"] != "cart" {
		t.Errorf("%v, want the one budget that is known", budgets)
	}
}
