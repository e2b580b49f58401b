package invariant

// S7 is that nothing gets lost, invented or confused: each request ends once, with its own bytes,
// and a proxy that fails it says truly why.
var S7 = &Invariant{
	Name: "S7", Says: "every request has exactly one outcome, whole, with a reason if it is a failure",
	Harm: "callers hang, read half a response as a whole one, or look for a fault in the wrong place",
}

// untrue are failures that nothing in a simulated mesh can be the reason for.
var untrue = map[string]string{
	"W3001": "no request is ambiguous",
	"W3002": "every request is well-formed",
	"W3004": "there is no loop",
	"W3302": "every port exists",
	"W3307": "every response is well-formed",
	"W3309": "there are never so many requests",
	"W3311": "every application is served by its own proxy",
}

func (w *Watch) checkOutcome(r *Request) {
	switch {
	case r.Outcomes > 1:
		w.violated(S7, "%v has %d outcomes", r, r.Outcomes)
	case r.Ended != "":
	case r.Status < 300 && r.Executed == 0:
		w.violated(S7, "%v was answered, and nobody executed it", r)
	case r.Status >= 300 && r.Code == "":
		w.violated(S7, "%v failed without a reason", r)
	case untrue[r.Code] != "":
		w.violated(S7, "%v: not the reason, since %s", r, untrue[r.Code])
	}
}

// CheckOpen looks for requests without an outcome, after more time than anything may take.
func (w *Watch) CheckOpen() {
	for _, r := range w.requests {
		if r.Outcomes == 0 {
			w.violated(S7, "%v has no outcome", r)
		}
	}
}
