// Package balance chooses endpoints: least-loaded of two random choices over peak EWMA latency.
//
// It is pure state: time and randomness are passed in, nothing blocks, no goroutine. Each event
// loop has its own sets, so nothing here is safe for concurrent use.
//
// Sources: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001);
// Finagle, loadbalancer/PeakEwma.
package balance

import (
	"math"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
)

const (
	tau        = 10 * time.Second      // how slowly good news is believed
	firstRTT   = 30 * time.Millisecond // what a new endpoint is thought to take
	penaltyRTT = 1 * time.Second       // what a failure is thought to have taken, at least
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

	ewma  float64       // nanoseconds
	stamp time.Duration // when ewma was last touched
	gone  bool          // no longer in the set; settles only
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

// Set is the endpoints of one service port.
type Set struct {
	all    []*Endpoint
	usable []*Endpoint // those that are not draining; all if none is left
	byKey  map[key]*Endpoint
	weight uint64 // sum over usable if weights differ, else 0
}

// Update replaces the endpoints and keeps what is known of those that stay. It returns the ones
// that left, whose pools the caller closes.
func (s *Set) Update(now time.Duration, eps []model.Endpoint) (left []*Endpoint) {
	next := make(map[key]*Endpoint, len(eps))
	s.all = make([]*Endpoint, 0, len(eps))
	for i := range eps {
		k := keyOf(&eps[i])
		e := s.byKey[k]
		if e == nil {
			e = &Endpoint{ewma: float64(firstRTT), stamp: now, AddrText: []byte(eps[i].Addr.String())}
		}
		e.Endpoint = eps[i]
		if next[k] == nil {
			next[k] = e
			s.all = append(s.all, e)
		}
	}
	for k, e := range s.byKey {
		if next[k] == nil {
			e.gone = true
			left = append(left, e)
		}
	}
	s.byKey = next
	s.choose()
	return left
}

// choose works out who may be picked.
func (s *Set) choose() {
	s.usable = s.usable[:0:0]
	for _, e := range s.all {
		if !e.Draining {
			s.usable = append(s.usable, e)
		}
	}
	if len(s.usable) == 0 {
		s.usable = s.all
	}
	s.weight = 0
	differ := false
	for _, e := range s.usable {
		s.weight += uint64(weightOf(e))
		differ = differ || weightOf(e) != weightOf(s.usable[0])
	}
	if !differ {
		s.weight = 0
	}
}

func weightOf(e *Endpoint) uint32 { return max(e.Weight, 1) }

// Len is the number of endpoints, usable or not.
func (s *Set) Len() int { return len(s.all) }

// Pick returns the cheaper of two distinct random endpoints, or nil if there is none. r is 64
// random bits. avoid (may be nil) is not picked if there is any other, e.g. the one that a
// connection attempt just failed on.
func (s *Set) Pick(now time.Duration, r uint64, avoid *Endpoint) *Endpoint {
	n := len(s.usable)
	switch n {
	case 0:
		return nil
	case 1:
		return s.usable[0]
	}
	a, b := s.draw(uint32(r)), s.draw(uint32(r>>32))
	if a == b {
		b = (a + 1) % n
	}
	ea, eb := s.usable[a], s.usable[b]
	if ea == avoid {
		return eb
	}
	if eb == avoid {
		return ea
	}
	if eb.cost(now) < ea.cost(now) {
		return eb
	}
	return ea
}

// draw maps 32 random bits to an index, by weight if weights differ.
func (s *Set) draw(r uint32) int {
	if s.weight == 0 {
		return int(uint64(r) * uint64(len(s.usable)) >> 32)
	}
	x := uint64(r) * s.weight >> 32
	for i, e := range s.usable {
		w := uint64(weightOf(e))
		if x < w {
			return i
		}
		x -= w
	}
	return len(s.usable) - 1
}

// cost is the expected wait behind the requests that are already there.
func (e *Endpoint) cost(now time.Duration) float64 {
	v := e.ewma
	if dt := now - e.stamp; dt > 0 { // decays without samples, or a slow one would never be tried again
		v *= math.Exp(-float64(dt) / float64(tau))
	}
	return (v + 1) * float64(e.Inflight+1)
}

// Start counts a request that was given to the endpoint.
func (e *Endpoint) Start() { e.Inflight++ }

// Settle applies one finished request.
//
// A sample above the estimate replaces it at once, one below pulls it down with time constant
// tau: fast to fear, slow to forgive. A failure counts as penaltyRTT or the estimate doubled, or
// a server that fails fast would look best.
func (e *Endpoint) Settle(now, rtt time.Duration, failed bool) {
	e.Inflight--
	sample := float64(rtt)
	if failed {
		sample = max(sample, float64(penaltyRTT))
	}
	dt := max(now-e.stamp, 0)
	e.stamp = now
	if sample > e.ewma {
		e.ewma = sample
		return
	}
	w := math.Exp(-float64(dt) / float64(tau))
	e.ewma = e.ewma*w + sample*(1-w)
}

// Cancel takes back a Start whose request was never sent.
func (e *Endpoint) Cancel() { e.Inflight-- }

// Failed counts a connection attempt that failed: as a failure without a request.
func (e *Endpoint) Failed(now time.Duration) {
	e.Inflight++
	e.Settle(now, penaltyRTT, true)
}

// Gone reports whether the endpoint has left its set; a connection to it is not reused.
func (e *Endpoint) Gone() bool { return e.gone }
