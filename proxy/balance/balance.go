// Package balance chooses endpoints, and learns from what became of the requests that they got.
//
// A Set is the endpoints of one service port as one caller's event loop knows them. Pick chooses
// (pick.go) by the policy's algorithm among those that may be used: not draining, not ejected
// (outlier.go), not found unhealthy (health.go), in the client's zone as far as it can take them
// (locality.go), inside its aperture (aperture.go), by weights (weight.go). Start, Settle and the
// other verbs of Endpoint tell it what happened.
//
// It is pure state: time and randomness are passed in, nothing blocks, no goroutine. Each event
// loop has its own sets, so nothing here is safe for concurrent use. What endpoints say about
// themselves is bounded and never believed against what was seen of them.
package balance

import (
	"math"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
)

// Endpoint is the balancer's view of one endpoint.
type Endpoint struct {
	model.Endpoint
	// Inflight counts requests that were started and not settled.
	Inflight int
	// AddrText is Addr as text, for link fields.
	AddrText []byte
	// Pool belongs to the data path: the connections to this endpoint. Kept over updates.
	Pool any

	set  *Set // nil: it is in none
	gone bool // no longer in the set; settles only

	place uint64  // where it is on rings and in tables: the same at each client
	in    bool    // it may be picked at present
	arc   float64 // how much of it is inside the aperture, 0 to 1

	ewma   float64       // nanoseconds; 0 until the first sample
	stamp  time.Duration // when ewma was last touched
	weight float64       // what it is drawn by at present
	share  float64       // mean weight of its group by own weight: what a request here adds to the cost
	behind time.Duration // until when it asked to be left alone
	drains time.Duration // since when it is draining

	session uint64 // SessionID; 0: not computed yet

	ramp    ramp
	accrual accrual
	active  active
	report  report
}

// key is what makes an endpoint the same one over an update: not only its address, since
// addresses are reused (linkerd2 issues 6129 and 12941).
type key struct {
	addr, link          netip.AddrPort
	identity            string
	namespace, workload string
}

func keyOf(e *model.Endpoint) key {
	return key{e.Addr, e.Link, e.Identity, e.Workload.Namespace, e.Workload.Name}
}

// Config is what a set is told beside its endpoints.
type Config struct {
	// Policy is that of the service port; nil: the defaults. It must not be changed afterwards.
	Policy *model.Policy
	// Zone is the client's; empty: unknown, and endpoints of all zones are the same to it.
	Zone string
	// Index and Count are the client's place among the live clients of its kind, for the aperture;
	// Count 0: unknown, and it uses all endpoints.
	Index, Count int
}

// Set is the endpoints of one service port. The zero value is empty and has the default policy.
type Set struct {
	cfg   Config
	all   []*Endpoint
	byKey map[key]*Endpoint
	ring  []*Endpoint // all, by place

	// What refresh works out from these.
	usable    []*Endpoint // those that may be picked
	near, far group       // of usable: in the client's zone, and the others; without zones all are near
	total     group       // all of usable, for what does not look at zones
	spill     spill
	panic     bool // too few are healthy: health is ignored
	stale     bool // refresh is due whatever the time
	refreshAt time.Duration
	dueAt     time.Duration // when an ejection ends, at the earliest
	now       time.Duration // the latest time seen

	inflight int // of those in the set
	ejected  int // are so now, those being tried included
	salt     uint64

	turn    uint32 // of RoundRobin
	scratch []float64
	members []*Endpoint
	hashed  table
	pool    replies
	counts  Counts
}

// Counts is what a set met so far. Each only grows, but Clock, which is rarely not zero, tells of a
// clock that went back.
type Counts struct {
	Ejections uint64 // endpoints were ejected
	Spared    uint64 // should have been, but as many as may be were
	Panic     uint64 // picks that ignored health
	Spilled   uint64 // picks beyond the client's zone
	Lies      uint64 // reports and replies of endpoints that cannot be true, and were ignored
	Clock     uint64 // picks at a time before the last one's
	Fallback  uint64 // picks of Prequal that had too few replies
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// Configure sets what is not about single endpoints. It may be called at any time; what is known of
// endpoints stays.
func (s *Set) Configure(c Config) {
	if s.cfg == c {
		return
	}
	s.cfg = c
	s.stale, s.hashed.stale = true, true
	s.fewer(s.now)
}

func (s *Set) policy() *model.Policy { return model.PolicyOf(s.cfg.Policy) }

// Policy is the one in force. Never nil, not to be changed.
func (s *Set) Policy() *model.Policy { return s.policy() }

// Update replaces the endpoints and keeps what is known of those that stay. Of two with the same
// identity the first counts. It returns the ones that left, whose pools the caller closes, in the
// order in which they were given (the simulator needs it to be the same each time).
func (s *Set) Update(now time.Duration, eps []model.Endpoint) (left []*Endpoint) {
	s.observe(now)
	before, known := s.all, s.byKey
	s.all, s.byKey = make([]*Endpoint, 0, len(eps)), make(map[key]*Endpoint, len(eps))
	for i := range eps {
		k := keyOf(&eps[i])
		if s.byKey[k] != nil {
			continue
		}
		e := known[k]
		if e == nil {
			e = &Endpoint{set: s, stamp: now, AddrText: []byte(eps[i].Addr.String()), place: placeOf(&eps[i])}
			e.accrual.since, e.active.since = now, now
			if len(before) > 0 { // the first ones all are new: there is nobody to spare them
				e.ramp.start(s.policy().Balance.SlowStart, now)
			}
		}
		if eps[i].Draining && !e.Draining {
			e.drains = now
		}
		e.Endpoint = eps[i]
		s.byKey[k] = e
		s.all = append(s.all, e)
	}
	for _, e := range before {
		if s.byKey[keyOf(&e.Endpoint)] != e {
			s.leave(e)
			left = append(left, e)
		}
	}
	s.order()
	s.hashed.stale = true
	s.fewer(now)
	s.refresh(now)
	return left
}

// leave forgets an endpoint. What it was given may still be settled.
func (s *Set) leave(e *Endpoint) {
	e.gone, e.set, e.in = true, nil, false
	s.inflight -= e.Inflight
	if e.accrual.out() {
		s.ejected--
	}
	s.pool.forget(e)
}

// Usable are the endpoints that may be picked at present. The slice is the set's own and good until
// its next change.
func (s *Set) Usable(now time.Duration) []*Endpoint {
	if s.stale || now >= s.refreshAt {
		s.refresh(max(now, s.now))
	}
	return s.usable
}

// Len is the number of endpoints, usable or not.
func (s *Set) Len() int { return len(s.all) }

// Counts tells what the set met so far.
func (s *Set) Counts() Counts { return s.counts }

// All yields every endpoint, in the order of the last Update. The set must not change meanwhile.
func (s *Set) All(yield func(*Endpoint) bool) {
	for _, e := range s.all {
		if !yield(e) {
			return
		}
	}
}

// observe takes the time. Whoever drives the set has a clock that does not go back; if it does
// nevertheless, what lies in the future by the new time is not waited for.
func (s *Set) observe(now time.Duration) {
	if now < s.now {
		s.counts.Clock++
		s.stale = true
	}
	s.now = now
}

// Start counts a request that was given to the endpoint.
func (e *Endpoint) Start() {
	e.Inflight++
	if e.set != nil {
		e.set.inflight++
	}
}

// end counts one that is over.
func (e *Endpoint) end() {
	e.Inflight--
	if e.set != nil {
		e.set.inflight--
	}
}

// Cancel takes back a Start whose request was never sent, or says nothing about the endpoint.
func (e *Endpoint) Cancel() {
	e.end()
	e.untried(0)
}

// Gone reports whether the endpoint has left its set; a connection to it is not reused.
func (e *Endpoint) Gone() bool { return e.gone }

func weightOf(e *Endpoint) uint32 { return max(e.Weight, 1) }
