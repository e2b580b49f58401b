package sim_test

import (
	"math/rand/v2"
	"time"

	"github.com/weft-mesh/weft/model"
)

// changing is a policy under which requests are kept with endpoints, delayed, and answered slowly:
// what does so holds requests and responses for a while, and must lose none of them.
func changing(r *rand.Rand) *model.Policy {
	p := model.DefaultPolicy
	p.Calls.Session = &model.Session{Name: "x-session", Header: true, Absolute: time.Minute}
	p.Calls.Faults = []model.Fault{
		{PerMillion: 200_000, Delay: time.Duration(1+r.IntN(100)) * time.Millisecond},
		{PerMillion: 200_000, BytesPS: 100_000 << r.IntN(8)},
	}
	return &p
}
