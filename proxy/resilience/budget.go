package resilience

import (
	"time"

	"github.com/weft-mesh/weft/model"
)

// slots is into how many parts a window is cut. What happened expires a part at a time.
const slots = 10

// Budget bounds how many requests may be sent again: within a window, a share of the requests that
// were made in it, or a number a second, whichever is more. So what retries add to the load of a
// service that fails is bounded by the share however many callers there are, and a caller of few
// requests may retry nevertheless.
//
// It is Finagle's token bucket whose deposits expire, but for the minimum, which Finagle adds to the
// share: then the share would not hold. Make one with NewBudget. Not safe for concurrent use.
type Budget struct {
	percent int
	least   int           // repeats that are free in a window
	width   time.Duration // of a slot

	at       int64         // the slot of the last event, counted from time 0
	ends     time.Duration // when that ends: most requests come before it, and cost no division
	slot     [slots]spent
	requests int // sum over slot
	repeats  int
}

type spent struct{ requests, repeats int32 }

// NewBudget makes the budget that a policy gives to one of so many event loops of a proxy. The minimum
// is divided among them, and rounded down to no less than one repeat a window.
func NewBudget(p model.RetryBudget, loops int) Budget {
	b := Budget{percent: p.Percent, width: max(p.Window/slots, 1)}
	if p.MinPerSecond > 0 {
		b.least = max(int(time.Duration(p.MinPerSecond)*p.Window/time.Second)/max(loops, 1), 1)
	}
	return b
}

// Request counts a request, not its repeats: those earn nothing.
func (b *Budget) Request(now time.Duration) {
	b.expire(now)
	b.slot[b.at%slots].requests++
	b.requests++
}

// Take takes one repeat out of the budget, and reports whether it was there.
func (b *Budget) Take(now time.Duration) bool {
	if b.Left(now) <= 0 {
		return false
	}
	b.slot[b.at%slots].repeats++
	b.repeats++
	return true
}

// Left is how many repeats may be taken at present. It is negative if the requests that earned what
// was taken have expired before it.
func (b *Budget) Left(now time.Duration) int {
	b.expire(now)
	return max(b.requests*b.percent/100, b.least) - b.repeats
}

// expire forgets what lies more than the window back.
func (b *Budget) expire(now time.Duration) {
	if now < b.ends {
		return
	}
	to := int64(max(now, 0) / b.width)
	b.ends = time.Duration(to+1) * b.width
	if to-b.at >= slots {
		b.slot = [slots]spent{}
		b.requests, b.repeats = 0, 0
		b.at = to
		return
	}
	for b.at < to {
		b.at++
		s := &b.slot[b.at%slots]
		b.requests -= int(s.requests)
		b.repeats -= int(s.repeats)
		*s = spent{}
	}
}
