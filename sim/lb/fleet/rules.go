package fleet

import (
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/resilience"
)

// budget is the data path's.
type budget struct{ resilience.Budget }

// WeftBudget makes budgets as a proxy of one loop has them.
func WeftBudget(p model.RetryBudget) func() Budget {
	return func() Budget { return &budget{resilience.NewBudget(p, 1)} }
}

func (b *budget) Deposit(now time.Duration)       { b.Request(now) }
func (b *budget) Withdraw(now time.Duration) bool { return b.Take(now) }

// hedge is the data path's rule for a second try.
type hedge struct {
	model.Hedge
	seen resilience.Latencies
}

// WeftHedge makes rules as a proxy has them.
func WeftHedge(h model.Hedge) func() Hedger {
	return func() Hedger { return &hedge{Hedge: h} }
}

func (h *hedge) Observe(now, took time.Duration) { h.seen.Observe(now, took) }

func (h *hedge) Delay() (time.Duration, bool) {
	d, ok := h.seen.Above(h.Percentile)
	return max(d, h.Min), ok
}
