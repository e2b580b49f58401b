package balance

import (
	"fmt"
	"testing"
	"time"
)

// sizes are numbers of endpoints of a service.
var sizes = []int{1, 2, 11, 1000}

// pickAndSettle gives a function that chooses one of n endpoints for a request and settles it.
func pickAndSettle(n int, weighted bool) func() {
	s := &Set{}
	eps := endpoints(n)
	if weighted {
		eps[n/2].Weight = 7
	}
	s.Update(0, eps)
	r := seeded()
	now := time.Duration(0)
	return func() {
		e := s.Pick(now, r.Uint64(), nil)
		e.Start()
		now += 10 * time.Microsecond
		e.Settle(now, ms, false)
	}
}

func BenchmarkPickAndSettle(b *testing.B) {
	for _, n := range sizes {
		for _, kind := range []string{"even", "weighted"} {
			b.Run(fmt.Sprintf("endpoints=%d/%s", n, kind), func(b *testing.B) {
				once := pickAndSettle(n, kind == "weighted")
				b.ReportAllocs()
				for b.Loop() {
					once()
				}
			})
		}
	}
}
