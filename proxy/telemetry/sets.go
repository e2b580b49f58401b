package telemetry

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/weft-mesh/weft/api/report"
)

// WriteSets writes gauges of endpoint sets, in the format of WritePrometheus: how many endpoints of
// each service are in which state, as this proxy sees them, and what is left of retry budgets. There
// are as many samples as sets times states, however many endpoints there are. Those that a set omits
// count as ready: others are told first.
func WriteSets(w io.Writer, sets []report.Set) error {
	type total struct {
		states      [report.EndpointEjected + 1]int
		budget      float64
		budgetKnown bool
	}
	totals := map[string]*total{} // by labels
	for i := range sets {
		s := &sets[i]
		l := fmt.Sprintf(`namespace="%s",service="%s",port="%d"`, escape(s.Service.Namespace), escape(s.Service.Name), s.Port)
		t := totals[l]
		if t == nil {
			t = &total{}
			totals[l] = t
		}
		t.states[report.EndpointReady] += s.Omitted
		for i := range s.Endpoints {
			t.states[min(s.Endpoints[i].State, report.EndpointEjected)]++
		}
		t.budget += s.Budget
		t.budgetKnown = t.budgetKnown || s.BudgetKnown
	}
	keys := slices.Sorted(maps.Keys(totals))
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "# HELP weft_endpoints Endpoints of the services in use, by state as this proxy sees them.\n# TYPE weft_endpoints gauge\n")
	for _, l := range keys {
		for state, n := range totals[l].states {
			fmt.Fprintf(b, "weft_endpoints{%s,state=%q} %d\n", l, report.EndpointState(state).String(), n)
		}
	}
	fmt.Fprint(b, "# HELP weft_retry_budget Retries and hedges that could be made at once.\n# TYPE weft_retry_budget gauge\n")
	for _, l := range keys {
		if t := totals[l]; t.budgetKnown {
			fmt.Fprintf(b, "weft_retry_budget{%s} %g\n", l, t.budget)
		}
	}
	return b.Flush()
}
