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
	"math/bits"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
)

const (
	tau        = 10 * time.Second      // how slowly good news is believed
	firstRTT   = 30 * time.Millisecond // what a new endpoint is thought to take while its first request runs
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

	ewma  float64       // nanoseconds; 0 until the first sample
	stamp time.Duration // when ewma was last touched
	share float64       // mean weight of the set by own weight: what a request here adds to the cost
	gone  bool          // no longer in the set; settles only

	session uint64 // SessionID; 0: not computed yet
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

// Set is the endpoints of one service port. The zero value is empty.
type Set struct {
	all    []*Endpoint
	usable []*Endpoint // those that are not draining; all if none is left
	byKey  map[key]*Endpoint
	weight uint64   // sum over usable if weights differ, else 0
	ends   []uint64 // if weights differ: of usable, the sum of the weights up to each and its own
}

// Update replaces the endpoints and keeps what is known of those that stay. Of two with the same
// identity the first counts. It returns the ones that left, whose pools the caller closes, in the
// order in which they were given (the simulator needs it to be the same each time).
func (s *Set) Update(now time.Duration, eps []model.Endpoint) (left []*Endpoint) {
	before, known := s.all, s.byKey
	s.all, s.byKey = make([]*Endpoint, 0, len(eps)), make(map[key]*Endpoint, len(eps))
	for i := range eps {
		k := keyOf(&eps[i])
		if s.byKey[k] != nil {
			continue
		}
		e := known[k]
		if e == nil {
			e = &Endpoint{stamp: now, AddrText: []byte(eps[i].Addr.String())}
		}
		e.Endpoint = eps[i]
		s.byKey[k] = e
		s.all = append(s.all, e)
	}
	for _, e := range before {
		if s.byKey[keyOf(&e.Endpoint)] != e {
			e.gone = true
			left = append(left, e)
		}
	}
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
	var sum uint64
	differ := false
	for _, e := range s.usable {
		sum += uint64(weightOf(e))
		differ = differ || weightOf(e) != weightOf(s.usable[0])
	}
	for _, e := range s.usable {
		e.share = 1
		if differ {
			e.share = float64(sum) / float64(len(s.usable)) / float64(weightOf(e))
		}
	}
	s.weight, s.ends = 0, s.ends[:0]
	if !differ {
		return
	}
	for _, e := range s.usable {
		s.weight += uint64(weightOf(e))
		s.ends = append(s.ends, s.weight)
	}
}

func weightOf(e *Endpoint) uint32 { return max(e.Weight, 1) }

// Len is the number of endpoints, usable or not.
func (s *Set) Len() int { return len(s.all) }

// Pick returns the cheaper of two random endpoints, or nil if there is none. r is 64 random
// bits. avoid (may be nil) is not picked if there is any other, e.g. the one that a connection
// attempt just failed on.
//
// The two are distinct if all weights are equal. Otherwise they are drawn by weight and may be
// the same one: of two endpoints weighted 3 and 1 the lighter would else be compared each time,
// and get as much as the heavier.
func (s *Set) Pick(now time.Duration, r uint64, avoid *Endpoint) *Endpoint {
	n := len(s.usable)
	switch n {
	case 0:
		return nil
	case 1:
		return s.usable[0]
	}
	var a, b int
	if s.weight == 0 {
		a, b = scale(uint32(r), n), scale(uint32(r>>32), n-1)
		if b >= a {
			b++
		}
	} else if a, b = s.draw(uint32(r)), s.draw(uint32(r>>32)); a == b && s.usable[a] == avoid {
		b = (a + 1) % n
	}
	ea, eb := s.usable[a], s.usable[b]
	switch {
	case ea == avoid:
		return eb
	case eb == avoid:
		return ea
	case eb.cost(now) < ea.cost(now):
		return eb
	}
	return ea
}

// scale maps 32 random bits to 0..n-1.
func scale(r uint32, n int) int { return int(uint64(r) * uint64(n) >> 32) }

// draw maps 32 random bits to an index by weight.
func (s *Set) draw(r uint32) int {
	// 128 bits, since weights of 32 bits each sum up to more than 32.
	x, _ := bits.Mul64(uint64(r)<<32, s.weight)
	i, last := 0, len(s.ends)-1
	for i < last { // the first whose end lies beyond x
		if m := (i + last) / 2; s.ends[m] > x {
			last = m
		} else {
			i = m + 1
		}
	}
	return i
}

// cost is the expected wait behind the requests that are already there.
//
// An endpoint without a sample is tried at once, by one request: with a guess in place of a
// sample, a new endpoint of a fast service would get next to nothing for tau times the logarithm
// of guess by truth, some 30 s (Finagle, loadbalancer/PeakEwma, does the same).
func (e *Endpoint) cost(now time.Duration) float64 {
	busy := float64(e.Inflight)*e.share + 1
	if e.ewma == 0 {
		if e.Inflight == 0 {
			return 0
		}
		return float64(firstRTT) * busy
	}
	v := e.ewma
	if dt := now - e.stamp; dt > 0 { // decays without samples, or a slow one would never be tried again
		v *= math.Exp(-float64(dt) / float64(tau))
	}
	return (v + 1) * busy
}

// Start counts a request that was given to the endpoint.
func (e *Endpoint) Start() { e.Inflight++ }

// Settle applies one finished request.
//
// A sample above the estimate replaces it at once, one below pulls it down with time constant
// tau: fast to fear, slow to forgive. A failure counts as penaltyRTT at least, or a server that
// fails fast would look best.
func (e *Endpoint) Settle(now, rtt time.Duration, failed bool) {
	e.Inflight--
	old := math.Exp(-float64(max(now-e.stamp, 0)) / float64(tau)) // what the estimate still weighs
	sample := float64(max(rtt, 1))
	if failed {
		sample = max(sample, float64(penaltyRTT))
	}
	e.stamp = now
	if sample > e.ewma {
		e.ewma = sample
		return
	}
	e.ewma = e.ewma*old + sample*(1-old)
}

// Cancel takes back a Start whose request was never sent.
func (e *Endpoint) Cancel() { e.Inflight-- }

// Gone reports whether the endpoint has left its set; a connection to it is not reused.
func (e *Endpoint) Gone() bool { return e.gone }
