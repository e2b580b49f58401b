package core

import (
	"slices"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/resilience"
)

// spending is the budgets of one workload's calls to one destination, under one setting.
type spending struct {
	local    *local
	of       model.RetryBudget
	repeats  resilience.Budget // of what may have been processed, and of hedges
	requeues resilience.Budget // of what was not
	used     time.Duration     // when it last was
}

// idleSpending is how long an unused one is kept: the longest window.
const idleSpending = time.Minute

// spendingOf gives the budgets for the calls of l to the set. There is one for each workload of the
// proxy and each setting that its rules have; what is not used any more goes when another is made.
func (e *setEntry) spendingOf(c *Core, l *local, of model.RetryBudget) *spending {
	for _, s := range e.spent {
		if s.local == l && s.of == of {
			s.used = c.now
			return s
		}
	}
	e.spent = slices.DeleteFunc(e.spent, func(s *spending) bool { return c.now-s.used > idleSpending })
	b := resilience.NewBudget(of, c.shared.loops)
	s := &spending{local: l, of: of, repeats: b, requeues: b, used: c.now}
	e.spent = append(e.spent, s)
	return s
}

// BudgetLeft is what a workload may still spend on calls to one destination, on one loop.
type BudgetLeft struct {
	Workload model.Name
	Service  model.Name
	Port     uint16
	Repeats  int // of retries and hedges
	Requeues int // of requests that were not processed
}

// Budgets gives what is left of all retry budgets, in no order. A destination has a row for each
// setting of its rules. On the core's loop only.
func (c *Core) Budgets(yield func(BudgetLeft) bool) {
	for n, e := range c.setNames {
		for _, s := range e.spent {
			row := BudgetLeft{
				Workload: s.local.Name, Service: n.service, Port: n.port,
				Repeats: s.repeats.Left(c.now), Requeues: s.requeues.Left(c.now),
			}
			if !yield(row) {
				return
			}
		}
	}
}
