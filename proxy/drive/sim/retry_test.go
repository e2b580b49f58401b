package sim_test

import (
	"time"

	"github.com/weft-mesh/weft/model"
)

// retrying: everything that can go wrong does, while the requests to web are tried again for every
// cause, and hedged. The ledger knows of each how often it was executed.
func retrying(w *world) {
	p := model.DefaultPolicy
	r := &p.Calls.Retry
	r.On, r.Codes = model.RetryReset|model.RetryTimeout|model.RetryCodes, []int{502, 503, 504}
	p.Calls.Hedge = &model.Hedge{Percentile: 90, Min: time.Millisecond}
	p.Calls.Timeouts.BackendRequest = 10 * time.Second
	w.policy = &p
	w.l.tries = 3 + 2 + 1 // the first on up to three connections of the application, two more, a hedge
	w.publish("web")
	chaos(w)
}
