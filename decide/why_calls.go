package decide

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/model"
)

// defaults is the source of a setting that nobody wrote.
const defaults = "default"

func source(s string) string {
	if s == "" {
		return defaults
	}
	return s
}

// calls tells how the request is tried, each part with where it was written. What is off by default
// is told of only if it is on. Sessions and faults have steps of their own.
func (w *Reasons) calls(c *model.Calls) {
	s := &c.Sources
	w.add(StepCalls, "timeouts", source(s.Timeouts), OK, "request "+limit(c.Timeouts.Request)+", one try "+limit(c.Timeouts.BackendRequest))
	w.add(StepCalls, "retry", source(s.Retry), OK, describeRetry(&c.Retry))
	b := &c.Retry.Budget
	w.add(StepCalls, "budget", source(s.Budget), OK, fmt.Sprintf("%d %% of the requests of %v, at least %d a second", b.Percent, b.Window, b.MinPerSecond))
	if h := c.Hedge; h != nil {
		w.add(StepCalls, "hedging", source(s.Hedge), OK, fmt.Sprintf("a second request after the %s percentile of latency, at least %v; if it may be repeated", ordinal(h.Percentile), h.Min))
	}
	if m := c.Compare; m != nil {
		w.add(StepCalls, "comparison", source(s.Compare), OK, "mirrored answers, with Service "+m.Baseline.Service.String()+":"+strconv.Itoa(int(m.Baseline.Port))+" as the baseline")
	}
	if c.Override != nil {
		w.add(StepCalls, "override", source(s.Override), OK, "a request with a signed token may name its backend")
	}
	if c.Priority != model.PriorityDefault || s.Priority != "" {
		w.add(StepCalls, "priority", source(s.Priority), OK, c.Priority.String()+" unless the request names one")
	}
}

func limit(d time.Duration) string {
	if d == 0 {
		return "unlimited"
	}
	return d.String()
}

func ordinal(p float64) string {
	return strconv.FormatFloat(p, 'f', -1, 64) + "th"
}

func describeRetry(r *model.Retry) string {
	if r.Attempts == 0 {
		return "none"
	}
	on := []string{"what was not processed"}
	if r.On&model.RetryReset != 0 {
		on = append(on, "a broken connection")
	}
	if r.On&model.RetryTimeout != 0 {
		on = append(on, "a try that took too long")
	}
	if r.On&model.RetryCodes != 0 {
		on = append(on, "status "+numbers(r.Codes))
	}
	if r.On&model.RetryGRPC != 0 {
		on = append(on, "grpc-status "+numbers(r.GRPC))
	}
	out := fmt.Sprintf("up to %d more tries after %s; waits up to %v", r.Attempts, strings.Join(on, ", "), r.BackoffMax)
	if r.Idempotent {
		out += "; declared repeatable"
	}
	return out
}

func numbers(list []int) string {
	var out []string
	for _, n := range list {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, " ")
}
