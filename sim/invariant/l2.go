package invariant

// L2 is what the whole is for. It holds all the time in a mesh in which nothing but orderly changes
// happen: deployments, new versions of routes, scaling. In one with faults it holds from two seconds
// after the last.
var L2 = &Invariant{
	Name: "L2", Says: "while nothing is broken, and two seconds after everything was repaired, every request succeeds",
	Harm: "deployments cost errors, and outages last longer than their reason",
}

// Fine tells that requests that begin from now on have no reason to fail.
func (w *Watch) Fine() { w.fine = w.now() }

// NotFine takes that back.
func (w *Watch) NotFine() { w.fine = -1 }

// ExcuseOpen lets what is under way and must not be repeated end anyhow: an endpoint leaves of which
// the mesh was not told.
func (w *Watch) ExcuseOpen() {
	for _, r := range w.requests {
		if r.Outcomes == 0 && !r.Repeatable() {
			r.Excused = true
		}
	}
}

func (w *Watch) checkFine(r *Request) {
	if w.fine < 0 || r.Begun < w.fine || r.Excused || r.Succeeded() || r.Private && r.Code == noRoute {
		return
	}
	w.violated(L2, "%v, and nothing was wrong", r)
}
