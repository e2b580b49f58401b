package balance

import (
	"cmp"
	"math"
	"slices"

	"github.com/weft-mesh/weft/model"
)

// A client of a very large service keeps connections with a part of its endpoints only, its
// aperture (Finagle, DeterministicAperture). Clients and endpoints have places on a ring: client i
// of N covers the arc that begins at i/N, endpoint j of M the slice from j/M to (j+1)/M, and an
// endpoint counts by how much of its slice the arc covers. All arcs have the same length, a whole
// number of N-th parts, so together they cover every point equally often, and the load is even as
// soon as all clients are there. Where N or M changes by one, places move by less than an N-th or
// M-th part: most of what was inside stays inside.

// placeOf is where an endpoint is on rings and in tables. It is the same at each client, and
// neighbours by name are not neighbours there.
func placeOf(e *model.Endpoint) uint64 {
	b := make([]byte, 0, 64)
	b = e.Addr.AppendTo(b)
	return HashMore(HashMore(Hash(b), []byte(e.Workload.Namespace)), []byte(e.Workload.Name))
}

// order sorts the endpoints by place.
func (s *Set) order() {
	s.ring = append(s.ring[:0:0], s.all...)
	slices.SortFunc(s.ring, func(a, b *Endpoint) int {
		return cmp.Or(cmp.Compare(a.place, b.place), a.Addr.Compare(b.Addr), cmp.Compare(a.Workload.Name, b.Workload.Name))
	})
}

// narrow works out how much of each endpoint is inside the aperture: all of it, if there is none.
func (s *Set) narrow(local, draining bool) {
	b := &s.policy().Balance
	for _, e := range s.all {
		e.arc = 1
	}
	if b.ApertureMin == 0 || s.cfg.Count < 2 || s.cfg.Index < 0 || s.cfg.Index >= s.cfg.Count || hashes(b.Algorithm) {
		return
	}
	for _, near := range [...]bool{true, false} {
		s.members = s.members[:0]
		for _, e := range s.ring {
			if (draining || !e.Draining) && (!local || e.Zone == s.cfg.Zone) == near {
				s.members = append(s.members, e)
			}
		}
		if len(s.members) > b.ApertureAbove {
			s.cover(s.members, b.ApertureMin)
		}
	}
}

// cover gives each endpoint the share of it that the client's arc covers. If more than half of what
// is inside are not well, the arc is made longer.
func (s *Set) cover(ring []*Endpoint, least int) {
	m, n := len(ring), s.cfg.Count
	parts := (least*n + m - 1) / m // of the ring's n
	for {
		inside, well := 0, 0
		for j, e := range ring {
			if e.arc = covered(s.cfg.Index, min(parts, n), n, j, m); e.arc > 0 {
				inside++
				if e.ok() {
					well++
				}
			}
		}
		if well*2 >= inside || parts >= n {
			return
		}
		parts *= 2
	}
}

// covered is the share of slice j of m that the arc of parts n-ths covers, which begins at i/n.
func covered(i, parts, n, j, m int) float64 {
	if parts >= n {
		return 1
	}
	// In units of 1/(n*m) everything is a whole number.
	from, length := i*m, parts*m
	lo, hi := j*n, (j+1)*n
	over := overlap(from, from+length, lo, hi) + overlap(from, from+length, lo+n*m, hi+n*m) // the arc may pass the end
	return float64(over) / float64(n)
}

func overlap(a, b, c, d int) int { return max(min(b, d)-max(a, c), 0) }

// Hash is a hash of bytes that is the same in every process (FNV-1a, its bits mixed).
func Hash(p []byte) uint64 { return HashMore(0xcbf29ce484222325, p) }

// HashMore is the hash of what h is the hash of, followed by p.
func HashMore(h uint64, p []byte) uint64 {
	for _, b := range p {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	if h = mix(h ^ uint64(len(p))); h == 0 {
		return math.MaxUint64
	}
	return h
}
