package fleet

import (
	"math/rand/v2"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
)

// weft is the balancer of the data path, driven as the data path drives it.
type weft struct {
	set   balance.Set
	known []*balance.Endpoint // by index; those that were picked
}

// prequal is one that sends probes.
type prequal struct{ weft }

// Weft chooses as a proxy does whose service has the policy. It must not be changed afterwards.
func Weft(policy *model.Policy) Maker {
	return func(p Place) Chooser {
		w := weft{known: make([]*balance.Endpoint, len(p.Endpoints))}
		if policy.Balance.Algorithm == model.Prequal {
			q := &prequal{w}
			q.start(policy, p)
			return q
		}
		w.start(policy, p)
		return &w
	}
}

func (w *weft) start(policy *model.Policy, p Place) {
	w.set.Configure(balance.Config{Policy: policy, Index: p.Client, Count: p.Clients})
	w.set.Update(0, p.Endpoints)
	for e := range w.set.All {
		w.known[indexOf(&e.Endpoint)] = e
	}
}

func (w *weft) Pick(now time.Duration, r uint64, avoid int) int {
	q := balance.Request{Rand: r}
	if avoid >= 0 {
		q.Avoid = w.known[avoid]
	}
	e := w.set.Pick(now, q)
	if e == nil {
		return -1
	}
	return indexOf(&e.Endpoint)
}

func (w *weft) Start(s int) { w.known[s].Start() }

func (w *weft) Settle(now time.Duration, s int, took time.Duration, o Outcome) {
	e := w.known[s]
	switch o {
	case Unreachable:
		e.Unreachable(now)
	case Refused:
		e.Refused(now)
	default:
		e.Settle(now, took, o != OK)
	}
}

// Targets asks whom the set names.
func (q *prequal) Targets(now time.Duration, random *rand.Rand, to []int) []int {
	if e := q.set.NextProbe(now, random.Uint64()); e != nil {
		to = append(to, indexOf(&e.Endpoint))
	}
	return to
}

// Probed hands an answer to the set.
func (q *prequal) Probed(now time.Duration, s, inflight int, latency time.Duration) {
	q.known[s].Reply(now, inflight, latency)
}

func (w *weft) Abandon(now time.Duration, s int, waited time.Duration) {
	w.known[s].Abandoned(now, waited)
}
