package invariant

// S1 is the first promise of a mesh: who is asked is who was meant, and who asks is told truly. It
// stands for addresses that are used again, links that are shared, fields that are forged.
var S1 = &Invariant{
	Name: "S1", Says: "no request reaches a workload that it is not for, nor in another caller's name",
	Harm: "somebody else's data are read or written",
}

func (w *Watch) checkPlace(r *Request, a Arrival) {
	if r.Service != a.Service {
		w.violated(S1, "%v reached %s of %s", r, a.Workload, a.Service)
	}
	if a.Checked && a.Caller != r.Caller {
		w.violated(S1, "%v of %s came to %s as %q", r, r.Caller, a.Workload, a.Caller)
	}
}

// Crossed notes that a caller got the response to another request.
func (w *Watch) Crossed(r *Request, of string) {
	w.violated(S1, "%v got the response to %q", r, of)
}
