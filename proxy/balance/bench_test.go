package balance

import (
	"fmt"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

// sizes are numbers of endpoints of a service.
var sizes = []int{1, 2, 11, 1000}

// pickAndSettle gives a function that chooses one of n endpoints for a request and settles it.
func pickAndSettle(a model.Algorithm, n int, weighted bool) func() {
	s := with(0, by(a))
	eps := endpoints(n)
	if weighted {
		eps[n/2].Weight = 7
	}
	s.Update(0, eps)
	r := seeded()
	now := time.Duration(0)
	return func() {
		v := r.Uint64()
		e := s.Pick(now, Request{Rand: v, Hash: v, Hashed: true})
		e.Start()
		now += 10 * time.Microsecond
		e.Settle(now, ms, false)
		if a == model.Prequal {
			e.Reply(now, int(v%8), ms)
			if p := s.NextProbe(now, v); p != nil {
				p.Reply(now, int(v%8), ms)
			}
		}
	}
}

func BenchmarkPickAndSettle(b *testing.B) {
	for _, a := range algorithms {
		for _, n := range sizes {
			for _, kind := range []string{"even", "weighted"} {
				b.Run(fmt.Sprintf("%s/endpoints=%d/%s", a, n, kind), func(b *testing.B) {
					once := pickAndSettle(a, n, kind == "weighted")
					once()
					b.ReportAllocs()
					for b.Loop() {
						once()
					}
				})
			}
		}
	}
}

// BenchmarkRefresh is what a change of health or weights costs the pick that follows it.
func BenchmarkRefresh(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			s := with(n, func(*model.Policy) {})
			s.refresh(0)
			b.ReportAllocs()
			for b.Loop() {
				s.refresh(0)
			}
		})
	}
}

// BenchmarkPick is what the default balancer adds to a request at 1,000 endpoints, before it is sent.
func BenchmarkPick(b *testing.B) {
	s := with(1000, func(*model.Policy) {})
	warm(s, ms)
	for i, e := range s.all {
		e.Inflight = i % 3
		e.stamp = time.Duration(i) * ms
	}
	r := seeded()
	now := 2 * time.Second
	b.ReportAllocs()
	for b.Loop() {
		now += 10 * time.Microsecond
		s.Pick(now, Request{Rand: r.Uint64()})
	}
}
