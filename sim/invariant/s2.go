package invariant

// S2 holds decisions to what was written: a request may be let through, or refused, only by a
// version of the routes between the one that the caller's proxy had and the newest. It stands for
// tables that are put together from two versions, and for policy that fails open.
var S2 = &Invariant{
	Name: "S2", Says: "no request is let through or refused that every version of the policy in question would treat otherwise",
	Harm: "what was closed is reachable, or what was opened is not",
}

// Published notes a version of a service, the first being 1; closed tells whether its private part is.
func (w *Watch) Published(service string, closed bool) (version int) {
	h := w.services[service]
	if h == nil {
		h = &history{}
		w.services[service] = h
	}
	h.closed, h.at = append(h.closed, closed), append(h.at, w.now())
	return len(h.closed)
}

func (w *Watch) version(service string) int {
	if h := w.services[service]; h != nil {
		return len(h.closed)
	}
	return 0
}

// some reports whether the private part was closed, or open, in a version from one to another.
func (w *Watch) some(service string, from, to int, closed bool) bool {
	h := w.services[service]
	for v := max(from, 1); h != nil && v <= to; v++ {
		if h.closed[v-1] == closed {
			return true
		}
	}
	return false
}

func (w *Watch) checkPolicy(r *Request, a Arrival) {
	switch now := w.version(r.Service); {
	case a.Version > now:
		w.violated(S2, "%v was sent by version %d, and there are %d", r, a.Version, now)
	case r.Private && a.Version > 0 && w.services[r.Service].closed[a.Version-1]:
		w.violated(S2, "%v was let through by version %d, which closes it", r, a.Version)
	}
}

// noRoute is the code of requests that no rule matches.
const noRoute = "W3202"

// checkRefusal looks at a refusal by policy.
func (w *Watch) checkRefusal(r *Request) {
	switch {
	case r.Code != noRoute:
	case !r.Private:
		w.violated(S2, "%v was refused, and no version closes it", r)
	case !w.some(r.Service, r.known, w.version(r.Service), true):
		w.violated(S2, "%v was refused, and no version from %d to %d closes it", r, r.known, w.version(r.Service))
	}
}
