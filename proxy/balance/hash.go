package balance

import (
	"cmp"
	"math"
	"slices"

	"github.com/weft-mesh/weft/model"
)

// Requests with the same hash go to the same endpoint at every client, and few move when endpoints
// come or go: by a ring (Karger et al., "Consistent Hashing and Random Trees", 1997) or a table
// (Eisenbud et al., "Maglev", NSDI 2016). Neither is made anew when an endpoint is ejected or
// unhealthy: its requests go to the next ones meanwhile. No endpoint gets more in flight than its
// share times a bound (Mirrokni et al., "Consistent Hashing with Bounded Loads", 2017): what is
// beyond goes on in the same way, so even a client that sends everything with one hash overloads
// nobody.

const (
	pointsEach = 100   // on the ring, of an endpoint with mean weight, if there are not too many
	maxPoints  = 65536 // on it in all, or one each

	// tableSize is that of Maglev's tables (a prime). It does not follow the number of endpoints, or all
	// hashes would move where it changes. Beyond so many endpoints the rest get nothing.
	tableSize = 65537
)

// table finds endpoints by hash.
type table struct {
	stale bool // is to be made anew
	made  model.Algorithm

	eps    []*Endpoint // those that are in it: all that are not draining
	points []point     // of a ring, by hash
	slots  []uint16    // of a Maglev table: places in eps
	sum    float64     // of the weights of those that may be picked
}

type point struct {
	hash uint64
	i    int32 // in eps
}

// byHash picks by hash; nil if nobody in the table may be picked.
func (s *Set) byHash(a model.Algorithm, q Request) *Endpoint {
	t := &s.hashed
	if t.stale || t.made != a {
		t.build(s, a)
	}
	if len(t.eps) == 0 {
		return nil
	}
	h := mix(q.Hash)
	var spare *Endpoint // nobody is below its bound but those that are not to be used
	if a == model.Maglev {
		at := int(h % uint64(len(t.slots)))
		for range len(t.slots) {
			if e := t.eps[t.slots[at]]; s.fits(e, q.Avoid, &spare) {
				return e
			}
			if at++; at == len(t.slots) {
				at = 0
			}
		}
		return spare
	}
	at, _ := slices.BinarySearchFunc(t.points, h, func(p point, h uint64) int { return cmp.Compare(p.hash, h) })
	for range len(t.points) {
		if at == len(t.points) {
			at = 0
		}
		if e := t.eps[t.points[at].i]; s.fits(e, q.Avoid, &spare) {
			return e
		}
		at++
	}
	return spare
}

// fits reports whether an endpoint may take one more request.
func (s *Set) fits(e, avoid *Endpoint, spare **Endpoint) bool {
	if !e.in || e == avoid {
		return false
	}
	if *spare == nil {
		*spare = e
	}
	share := float64(weightOf(e)) / s.hashed.sum
	bound := math.Ceil(s.policy().Balance.LoadBound * float64(s.inflight+1) * share)
	return float64(e.Inflight)+1 <= bound
}

// count takes the weights of those that may be picked; by their sum the bound is shared.
func (t *table) count(usable []*Endpoint) {
	t.sum = 0
	for _, e := range usable {
		t.sum += float64(weightOf(e))
	}
}

func (t *table) build(s *Set, a model.Algorithm) {
	t.stale, t.made = false, a
	t.eps, t.points, t.slots = t.eps[:0], t.points[:0], t.slots[:0]
	draining := s.drained()
	var sum, top float64
	for _, e := range s.ring { // by place: the same order at each client
		if draining || !e.Draining {
			t.eps = append(t.eps, e)
			sum += float64(weightOf(e))
			top = max(top, float64(weightOf(e)))
		}
	}
	switch {
	case len(t.eps) == 0:
	case a == model.Maglev:
		t.maglev(top)
	default:
		t.circle(sum)
	}
}

// circle puts points of each endpoint on a ring, more of a heavier one.
func (t *table) circle(sum float64) {
	n := float64(len(t.eps))
	each := min(pointsEach, maxPoints/n)
	for i, e := range t.eps {
		k := max(int(math.Round(each*float64(weightOf(e))*n/sum)), 1)
		for j := range k {
			t.points = append(t.points, point{mix(e.place + uint64(j)*0x9e3779b97f4a7c15), int32(i)})
		}
	}
	slices.SortFunc(t.points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.i, b.i))
	})
}

// maglev fills a table: each endpoint has a permutation of the slots of its own and takes, turn by
// turn, the next that is free; a lighter one sits out turns.
func (t *table) maglev(top float64) {
	const (
		m    = tableSize
		free = math.MaxUint16
	)
	t.eps = t.eps[:min(len(t.eps), free)]
	t.slots = slices.Grow(t.slots, m)[:m]
	for i := range t.slots {
		t.slots[i] = free
	}
	type walk struct {
		at, skip int
		owed     float64
	}
	walks := make([]walk, len(t.eps))
	for i, e := range t.eps {
		walks[i] = walk{at: int(e.place % m), skip: int(mix(e.place)%(m-1)) + 1}
	}
	for filled := 0; filled < m; {
		for i := range walks {
			w := &walks[i]
			if w.owed += float64(weightOf(t.eps[i])) / top; w.owed < 1 {
				continue
			}
			w.owed--
			for t.slots[w.at] != free {
				w.at = (w.at + w.skip) % m
			}
			t.slots[w.at] = uint16(i)
			if filled++; filled == m {
				break
			}
		}
	}
}
