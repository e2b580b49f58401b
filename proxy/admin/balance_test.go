package admin

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

func TestBalanceIsShownAsJSON(t *testing.T) {
	sets := []report.Set{{
		SetKey: report.SetKey{Service: model.Name{Namespace: "shop", Name: "cart"}, Port: 80}, Algorithm: "PeakEWMA", Loops: 2, Budget: 0, BudgetKnown: true,
		Endpoints: []report.Endpoint{{
			Workload: model.Name{Namespace: "shop", Name: "cart-1"}, Addr: netip.MustParseAddrPort("10.0.0.1:8080"), State: report.EndpointEjected,
			Since: 3 * time.Second, Latency: 1500 * time.Microsecond, InFlight: 2, Weight: 1, Success: 0.5, Ejections: 4, Loops: 1,
		}},
	}}
	b, err := json.Marshal(balance(sets))
	want := `{"sets":[{"service":"shop/cart","port":80,"algorithm":"PeakEWMA","loops":2,"budget":0,"endpoints":[{"workload":"shop/cart-1",` +
		`"address":"10.0.0.1:8080","state":"ejected","stateMs":3000,"latencyMs":1.5,"inFlight":2,"weight":1,"success":0.5,"ejections":4,"loops":1}]}]}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v, want\n%s", b, err, want)
	}
	if b, err := json.Marshal(balance(nil)); err != nil || string(b) != `{"sets":[]}` {
		t.Errorf("without sets: %s, %v", b, err)
	}
}
