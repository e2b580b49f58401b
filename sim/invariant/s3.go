package invariant

// S3 bounds what proxies may do to be helpful: they try again only what may be tried again.
var S3 = &Invariant{
	Name: "S3", Says: "a request that is not idempotent is executed at most once",
	Harm: "a customer pays twice",
}

func (w *Watch) checkOnce(r *Request) {
	if r.Executed > 1 && !r.Repeatable() {
		w.violated(S3, "%v was executed %d times", r, r.Executed)
	}
}
