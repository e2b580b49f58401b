package main

import (
	"math"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/sim/lb/fleet"
)

func exp(x float64) float64 { return math.Exp(x) }

// bare is an algorithm of ours and nothing beside it: no ejection, no aperture, no slow start. It is
// what others mean by the algorithm's name.
func bare(a model.Algorithm) fleet.Maker {
	p := model.DefaultPolicy
	p.Balance.Algorithm = a
	p.Balance.ApertureMin, p.Balance.SlowStart = 0, 0
	p.Outlier.MaxPercent = 0
	return fleet.Weft(&p)
}

// ours is the default policy, changed.
func ours(change func(*model.Policy)) fleet.Maker {
	p := model.DefaultPolicy
	if change != nil {
		change(&p)
	}
	return fleet.Weft(&p)
}

// defaultCalls are the rules of the default policy, for calls that must end within a time.
func defaultCalls(choose fleet.Maker, timeout time.Duration) fleet.Calls {
	r := &model.DefaultPolicy.Calls.Retry
	return fleet.Calls{
		Choose: choose, Timeout: timeout, Attempts: r.Attempts, Backoff: r.Backoff, BackoffMax: r.BackoffMax,
		Budget: fleet.WeftBudget(r.Budget), Marked: true,
		Silence: silence, Connect: connect,
	}
}

const (
	silence = time.Second // after which a link that answers no ping is given up
	connect = time.Second // what a new link may take
)
