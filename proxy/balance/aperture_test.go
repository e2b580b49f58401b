package balance

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/weft-mesh/weft/model"
)

// seat is a client's set: number i of n, with m endpoints.
func seat(i, n, m int, change func(*model.Policy)) *Set {
	s := &Set{}
	s.Configure(Config{Policy: policy(change), Index: i, Count: n})
	s.Update(0, endpoints(m))
	s.refresh(0)
	return s
}

func always(p *model.Policy) { p.Balance.ApertureAbove = 0 }

// TestTheLoadOfAllClientsTogetherIsEven: the sum over the clients of what each endpoint weighs is the same
// for each endpoint.
func TestTheLoadOfAllClientsTogetherIsEven(t *testing.T) {
	for _, c := range []struct{ n, m int }{{10, 30}, {7, 100}, {100, 130}, {3, 500}, {13, 13}, {200, 17}, {50, 1000}} {
		sum := make([]float64, c.m)
		for i := range c.n {
			s := seat(i, c.n, c.m, always)
			for j, e := range s.all {
				sum[j] += e.arc
			}
		}
		lo, hi := slices.Min(sum), slices.Max(sum)
		if hi-lo > 1e-9 || lo <= 0 {
			t.Errorf("%d clients, %d endpoints: from %v to %v", c.n, c.m, lo, hi)
		}
	}
}

func TestPicksOfAllClientsTogetherAreEven(t *testing.T) {
	const n, m, each = 40, 150, 5000
	got := map[string]int{}
	for i := range n {
		s := seat(i, n, m, by(model.Random))
		r := seeded()
		for range i {
			r.Uint64()
		}
		for range each {
			got[s.Pick(0, Request{Rand: r.Uint64()}).Workload.Name]++
		}
	}
	mean := n * each / m
	for i := range m {
		if k := got[fmt.Sprint(i)]; k < mean*85/100 || k > mean*115/100 {
			t.Errorf("endpoint %d got %d, the mean is %d", i, k, mean)
		}
	}
}

func TestAClientKeepsToItsAperture(t *testing.T) {
	for _, c := range []struct{ n, m, most int }{{1000, 1000, 26}, {100, 1000, 32}, {10, 1000, 102}, {1000, 200, 26}} {
		s := seat(3, c.n, c.m, func(*model.Policy) {})
		if k := len(s.usable); k < 24 || k > c.most {
			t.Errorf("%d clients, %d endpoints: %d are used, want 24 to %d", c.n, c.m, k, c.most)
		}
	}
	for _, c := range []struct {
		name   string
		n, m   int
		change func(*model.Policy)
	}{
		{"the service is small", 1000, 24, func(*model.Policy) {}},
		{"apertures are off", 1000, 1000, func(p *model.Policy) { p.Balance.ApertureMin = 0 }},
		{"nobody knows how many clients there are", 0, 1000, func(*model.Policy) {}},
		{"there is one client", 1, 1000, func(*model.Policy) {}},
		{"hashes decide", 1000, 1000, by(model.Maglev)},
	} {
		if s := seat(0, c.n, c.m, c.change); len(s.usable) != c.m {
			t.Errorf("%s: %d of %d endpoints are used", c.name, len(s.usable), c.m)
		}
	}
}

func inside(s *Set) map[string]bool {
	m := map[string]bool{}
	for _, e := range s.usable {
		m[e.Workload.Name] = true
	}
	return m
}

func TestLittleMovesWhenAClientOrAnEndpointComes(t *testing.T) {
	const n, m = 500, 1000
	lost, had := 0, 0
	for i := 0; i < n; i += 7 {
		before := inside(seat(i, n, m, func(*model.Policy) {}))
		for _, s := range []*Set{seat(i, n+1, m, func(*model.Policy) {}), seat(i, n, m+1, func(*model.Policy) {})} {
			after := inside(s)
			for name := range before {
				had++
				if !after[name] {
					lost++
				}
			}
		}
	}
	if share := float64(lost) / float64(had); share > 0.12 {
		t.Errorf("%.0f %% of connections are cut by one more client or endpoint", share*100)
	}
}

func TestAnApertureOfWhichMostIsIllIsMadeLonger(t *testing.T) {
	s := seat(5, 1000, 1000, func(p *model.Policy) { p.Health = &model.HealthCheck{Unhealthy: 1, Healthy: 1} })
	was := len(s.usable)
	for _, e := range slices.Clone(s.usable)[:was-2] {
		e.Checked(0, false)
	}
	s.Pick(0, Request{Rand: 1})
	if k := len(s.usable); k < was/2 || k > 4*was {
		t.Errorf("%d of %d are ill, and %d are used now", was-2, was, k)
	}
	for _, e := range s.usable {
		if !e.Healthy() {
			t.Fatal("one that is ill is used")
		}
	}
}

func TestCoverIsASharePart(t *testing.T) {
	for _, c := range []struct {
		i, parts, n, j, m int
		want              float64
	}{
		{0, 1, 4, 0, 4, 1}, {0, 1, 4, 1, 4, 0}, {3, 2, 4, 3, 4, 1}, {3, 2, 4, 0, 4, 1}, {3, 2, 4, 1, 4, 0},
		{0, 1, 2, 0, 3, 1}, {0, 1, 2, 1, 3, 0.5}, {1, 1, 2, 1, 3, 0.5}, {0, 9, 4, 2, 3, 1},
	} {
		if got := covered(c.i, c.parts, c.n, c.j, c.m); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
