package balance

import (
	"math"
	"time"

	"github.com/weft-mesh/weft/model"
)

// Request is what a pick depends on.
type Request struct {
	// Rand is 64 random bits.
	Rand uint64
	// Hash is that of what decides the endpoint with RingHash and Maglev, if Hashed. A request that
	// does not have it goes to the cheaper of two.
	Hash   uint64
	Hashed bool
	// Avoid is not picked if there is any other, e.g. one that a connection attempt just failed on.
	// It may be nil.
	Avoid *Endpoint
}

// Pick chooses an endpoint, or returns nil if there is none. The caller tells Start if it uses it.
//
// PeakEWMA and LeastRequest take the cheaper of two random ones (Mitzenmacher, "The Power of Two
// Choices in Randomized Load Balancing", 2001; Finagle, loadbalancer/PeakEwma).
func (s *Set) Pick(now time.Duration, q Request) *Endpoint {
	if now < s.now {
		s.observe(now)
	}
	s.now = now
	s.salt = s.salt*6364136223846793005 + q.Rand | 1
	if s.stale || now >= s.refreshAt {
		s.refresh(now)
	}
	if now >= s.dueAt {
		if e := s.try(now, q.Avoid); e != nil {
			return e
		}
	}
	switch len(s.usable) {
	case 0:
		return nil
	case 1:
		return s.usable[0]
	}
	if s.panic {
		s.counts.Panic++
	}
	algorithm := s.policy().Balance.Algorithm
	switch algorithm {
	case model.RingHash, model.Maglev:
		if q.Hashed {
			if e := s.byHash(algorithm, q); e != nil {
				return e
			}
		}
		return s.total.cheaper(now, q.Rand, q.Avoid)
	case model.Prequal:
		if e := s.byReply(now, q.Avoid); e != nil {
			return e
		}
		s.counts.Fallback++
	}
	g := s.zone(q.Rand, q.Avoid)
	switch algorithm {
	case model.LeastRequest:
		return g.freer(q.Rand, q.Avoid)
	case model.RoundRobin:
		return s.next(g, uint32(q.Rand), q.Avoid)
	case model.Random:
		return g.random(q.Rand, q.Avoid)
	}
	return g.cheaper(now, q.Rand, q.Avoid)
}

// group is endpoints that are chosen from together.
type group struct {
	eps  []*Endpoint
	sum  float64   // of their weights if they differ, else 0
	top  float64   // the largest weight
	ends []float64 // if they differ: the sum of the weights up to each and its own
}

// weigh takes the weights of its endpoints.
func (g *group) weigh() {
	g.sum, g.top, g.ends = 0, 0, g.ends[:0]
	if len(g.eps) == 0 {
		return
	}
	differ := false
	first, sum := g.eps[0].weight, 0.0
	for _, e := range g.eps {
		sum += e.weight
		g.top = max(g.top, e.weight)
		differ = differ || e.weight != first
	}
	for _, e := range g.eps {
		e.share = 1
		if differ {
			e.share = sum / float64(len(g.eps)) / e.weight
		}
	}
	if !differ {
		return
	}
	for _, e := range g.eps {
		g.sum += e.weight
		g.ends = append(g.ends, g.sum)
	}
}

// two gives a pair of endpoints to compare; at least two there are.
//
// They are distinct if all weights are equal. Otherwise they are drawn by weight and may be the
// same one: of two endpoints weighted 3 and 1 the lighter would else be compared each time, and get
// as much as the heavier. The one to be avoided is not both.
func (g *group) two(r uint64, avoid *Endpoint) (*Endpoint, *Endpoint) {
	n := len(g.eps)
	if n == 1 {
		return g.eps[0], g.eps[0]
	}
	var a, b int
	if g.sum == 0 {
		a, b = scale(uint32(r), n), scale(uint32(r>>32), n-1)
		if b >= a {
			b++
		}
	} else if a, b = g.draw(uint32(r)), g.draw(uint32(r>>32)); a == b && g.eps[a] == avoid {
		b = (a + 1) % n
	}
	return g.eps[a], g.eps[b]
}

// cheaper takes the one of two with less cost.
func (g *group) cheaper(now time.Duration, r uint64, avoid *Endpoint) *Endpoint {
	a, b := g.two(r, avoid)
	switch {
	case a == b || b == avoid:
		return a
	case a == avoid || b.cost(now) < a.cost(now):
		return b
	}
	return a
}

// freer takes the one of two with fewer requests in flight, by weight.
func (g *group) freer(r uint64, avoid *Endpoint) *Endpoint {
	a, b := g.two(r, avoid)
	switch {
	case a == b || b == avoid:
		return a
	case a == avoid || float64(b.Inflight)*b.share < float64(a.Inflight)*a.share:
		return b
	}
	return a
}

// random takes one by weight.
func (g *group) random(r uint64, avoid *Endpoint) *Endpoint {
	a, b := g.two(r, avoid)
	if a == avoid {
		return b
	}
	return a
}

// strideScale is how finely next resolves weights.
const strideScale = math.MaxUint16

// next takes endpoints in turn, by weight, spread evenly: an endpoint of half the largest weight is
// passed over in every second turn, not in all of one turn (the static stride scheduler of gRPC's
// weighted round robin, gRFC A58). An endpoint is passed over less often than there are turns, so
// the search ends.
func (s *Set) next(g *group, start uint32, avoid *Endpoint) *Endpoint {
	n := uint32(len(g.eps))
	if s.turn == 0 { // clients that begin together do not all begin with the first
		s.turn = start | 1<<31
	}
	var spare *Endpoint
	for range 2*n + 1 {
		s.turn++
		i, round := s.turn%n, uint64(s.turn/n)
		e := g.eps[i]
		if e == avoid && n > 1 {
			continue
		}
		spare = e
		if g.sum > 0 {
			w := max(uint64(e.weight/g.top*strideScale), 1)
			if (w*round+uint64(i)*(strideScale/2))%strideScale < strideScale-w {
				continue
			}
		}
		return e
	}
	return spare
}

// scale maps 32 random bits to 0..n-1.
func scale(r uint32, n int) int { return int(uint64(r) * uint64(n) >> 32) }

// draw maps 32 random bits to an index by weight.
func (g *group) draw(r uint32) int {
	x := float64(r) * (1.0 / (1 << 32)) * g.sum
	i, last := 0, len(g.ends)-1
	for i < last { // the first whose end lies beyond x
		if m := (i + last) / 2; g.ends[m] > x {
			last = m
		} else {
			i = m + 1
		}
	}
	return i
}

// mix spreads the bits of x over all of the result (the finalizer of Vigna's splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
