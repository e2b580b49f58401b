package invariant

// S8 bounds what failures cost: an outage must not be made worse by those who try again.
var S8 = &Invariant{
	Name: "S8", Says: "the attempts of a proxy are bounded by its requests",
	Harm: "a service that is down is kept down by a storm of retries",
}

// maxTries is how often a request may be sent, and so also how many links may be dialed for it; a
// link may be dialed beside others that carry bulk, and once more for a workload that is new.
const (
	maxTries   = 3
	freeDials  = 20
	dialsEach  = maxTries
	executions = maxTries + 1
)

func (w *Watch) checkTries(r *Request) {
	if r.Executed > executions {
		w.violated(S8, "%v was sent %d times", r, r.Executed)
	}
}

func (w *Watch) checkDials(name string) {
	if p := w.proxy(name); p.dials > freeDials+dialsEach*p.asked {
		w.violated(S8, "%s has dialed %d links for %d requests", name, p.dials, p.asked)
		p.dials = 0
	}
}
