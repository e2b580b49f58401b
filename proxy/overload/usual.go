package overload

import "time"

const (
	// kinds is how many kinds of requests are told apart. Which kind a request is of comes from its
	// path; two paths may fall together, and then their requests are one kind with a wider spread.
	kinds = 128
	// memory is over how many requests of a kind its mean is taken, as a moving average; and tau how
	// fast it moves at most, however many requests there are, or it would follow an overload.
	memory = 128
	tau    = 30 * time.Second
	// known is after how many requests a kind's mean is believed.
	known = 8
	// long is the latency from which on a request counts as one that waits and does not work: a long
	// poll, a stream that begins late. Such are neither limited nor counted nor measured.
	long = 3 * time.Second
	// longKnown is the same of a single request of a kind that usually works: it may be long because
	// the application is behind.
	longKnown = 10 * time.Second
)

// usual is what requests take from the moment that the application has them to the head of its
// response, kind by kind, when the application is not overloaded. Measuring each request against its
// own kind makes a change of the mix (a nightly report, a crawl of slow pages) no sign of overload.
// The zero value knows nothing.
type usual struct {
	kind [kinds]struct {
		mean float64 // nanoseconds
		n    int     // requests seen, up to memory
		last time.Duration
	}
}

// of gives the mean of a kind, 0 and false if it is not known.
func (u *usual) of(kind uint8) (time.Duration, bool) {
	k := &u.kind[kind]
	if k.n < known {
		return 0, false
	}
	return time.Duration(k.mean), true
}

// waits reports whether requests of a kind usually wait rather than work.
func (u *usual) waits(kind uint8) bool {
	mean, ok := u.of(kind)
	return ok && mean >= long
}

// learn takes one more request into account.
func (u *usual) learn(now time.Duration, kind uint8, took time.Duration) {
	k := &u.kind[kind]
	part := 1.0 / memory
	if k.n < memory {
		k.n++
		part = 1 / float64(k.n)
	} else {
		part = min(part, float64(now-k.last)/float64(tau))
	}
	k.last = now
	k.mean += (float64(took) - k.mean) * part
}

// KindOf says which kind a path is of. Segments with a digit in them are left out, since most of
// those are somebody's number: /items/17 and /items/18 are one kind. So is what follows a question
// mark.
func KindOf(path []byte) uint8 {
	h := uint32(2166136261) // FNV-1a (Fowler, Noll, Vo)
	seg := h
	digits := false
	for _, b := range path {
		if b == '?' {
			break
		}
		if b == '/' {
			if !digits {
				h = seg
			}
			seg, digits = (h^'/')*16777619, false
			continue
		}
		digits = digits || '0' <= b && b <= '9'
		seg = (seg ^ uint32(b)) * 16777619
	}
	if !digits {
		h = seg
	}
	return uint8((h ^ h>>7 ^ h>>17) % kinds)
}
