package invariant

// S5 is what makes a change something that one can rely on: once seen, it stays.
var S5 = &Invariant{
	Name: "S5", Says: "the configuration of a proxy never goes back to an older version",
	Harm: "a rule that was taken back, or an endpoint that has left, is in force again",
}

func (w *Watch) checkLearned(name, service string, version int) {
	if before := w.proxy(name).known[service]; version < before {
		w.violated(S5, "%s has version %d of %s in force, and had %d", name, version, service, before)
	}
}

// checkVersion holds the version by which a request was decided to the one that was in force when it
// began.
func (w *Watch) checkVersion(r *Request, a Arrival) {
	if a.Version > 0 && a.Version < r.known {
		w.violated(S5, "%v was sent by version %d; its proxy had %d before it began", r, a.Version, r.known)
	}
}
