package invariant

import (
	"fmt"
	"time"
)

// Request is one request, or one opaque conversation, and what became of it.
type Request struct {
	ID      uint64
	Method  string // TCP for an opaque conversation
	Service string // whom it is for
	Caller  string // identity of who asks
	Proxy   string // of the caller
	Private bool   // for the part of the service that is closed by some versions of its routes
	Upload  int    // bytes
	// Download is what the application answers with, in bytes.
	Download int

	Begun    time.Duration
	known    int // the version of the service that was in force at the caller's proxy when it began
	latest   int // and the one that was published
	Executed int // how often an application got its head
	Outcomes int
	Status   int
	Code     string // of weft, or of the application's own failure
	Ended    string // how the connection ended, if there was no answer
	Excused  bool   // its caller gave up or died: it may end anyhow
}

// String tells all of it.
func (r *Request) String() string {
	s := fmt.Sprintf("#%d %s %s up %d down %d of %s, begun at %s, executed %d times", r.ID, r.Method, r.Service, r.Upload, r.Download, r.Proxy, r.Begun, r.Executed)
	if r.Private {
		s += ", private"
	}
	switch {
	case r.Outcomes == 0:
		s += ", open"
	case r.Ended != "":
		s += ", ended by " + r.Ended
	default:
		s += fmt.Sprintf(", answered %d %s", r.Status, r.Code)
	}
	return s
}

// Repeatable reports whether it may be executed more than once (RFC 9110 section 9.2.2).
func (r *Request) Repeatable() bool { return r.Method == "GET" || r.Method == "HEAD" }

// Succeeded reports whether it has the answer that the application gave.
func (r *Request) Succeeded() bool { return r.Outcomes == 1 && r.Status == 200 && r.Code == "" }

// Begin notes a request that is about to be sent, and numbers it.
func (w *Watch) Begin(r *Request) {
	r.ID, r.Begun = uint64(len(w.requests)), w.now()
	w.requests = append(w.requests, r)
	p := w.proxy(r.Proxy)
	p.asked++
	r.known = p.known[r.Service]
	r.latest = w.version(r.Service)
}

// Request gives one by its number, nil if there is none.
func (w *Watch) Request(id uint64) *Request {
	if id >= uint64(len(w.requests)) {
		return nil
	}
	return w.requests[id]
}

// Requests counts them.
func (w *Watch) Requests() int { return len(w.requests) }

// Arrival is what an application sees of a request.
type Arrival struct {
	Service  string // whose workload it is
	Workload string
	Caller   string // who the proxy says is asking
	Version  int    // of the routes by which it was sent; 0: not told
	Checked  bool   // Caller and Version can be seen at all: it is HTTP
}

// Arrived notes that an application got the head of a request; r is nil if nobody sent such a one.
func (w *Watch) Arrived(r *Request, a Arrival) {
	if r == nil {
		w.violated(S1, "%s got a request that nobody sent", a.Workload)
		return
	}
	r.Executed++
	w.checkPlace(r, a)
	w.checkOnce(r)
	w.checkTries(r)
	if a.Checked {
		w.checkPolicy(r, a)
		w.checkVersion(r, a)
		w.checkCurrent(r, a)
	}
	if w.counts {
		m := w.served[a.Service]
		if m == nil {
			m = map[string]uint64{}
			w.served[a.Service] = m
		}
		m[a.Workload]++
	}
}

// Answered notes that a caller has a whole response.
func (w *Watch) Answered(r *Request, status int, code string) {
	r.Outcomes++
	r.Status, r.Code = status, code
	w.checkOutcome(r)
	w.checkRefusal(r)
	w.checkFine(r)
}

// Lost notes that a caller's connection ended before a whole response was there.
func (w *Watch) Lost(r *Request, how string) {
	r.Outcomes++
	r.Ended = how
	w.checkOutcome(r)
	w.checkFine(r)
}

// GaveUp notes that the caller does not want it any more, or has died.
func (w *Watch) GaveUp(r *Request) {
	r.Excused = true
	r.Outcomes++
	r.Ended = "the caller"
	w.checkOutcome(r)
}

// Garbled notes that a body is not what was sent.
func (w *Watch) Garbled(r *Request, format string, args ...any) {
	w.violated(S7, "%v: %s", r, fmt.Sprintf(format, args...))
}

// NoHTTP notes that somebody got bytes that are no HTTP.
func (w *Watch) NoHTTP(who, what string) { w.violated(S7, "%s got no HTTP: %s", who, what) }
