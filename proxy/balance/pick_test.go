package balance

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

var algorithms = []model.Algorithm{
	model.PeakEWMA, model.LeastRequest, model.RoundRobin, model.Random, model.Prequal, model.RingHash, model.Maglev,
}

func by(a model.Algorithm) func(*model.Policy) {
	return func(p *model.Policy) { p.Balance.Algorithm = a }
}

func TestEachAlgorithmSharesOutByWeight(t *testing.T) {
	for _, a := range algorithms {
		t.Run(a.String(), func(t *testing.T) {
			s := with(0, by(a))
			eps := endpoints(4)
			eps[0].Weight, eps[1].Weight, eps[2].Weight, eps[3].Weight = 5, 3, 1, 1
			s.Update(0, eps)
			warm(s, ms)
			r, got := seeded(), map[string]int{}
			const picks = 20_000
			for range picks {
				got[s.Pick(0, Request{Rand: r.Uint64(), Hash: r.Uint64(), Hashed: true}).Workload.Name]++
			}
			for i, w := range []int{5, 3, 1, 1} {
				want := picks * w / 10
				slack := want / 8
				if a == model.RingHash {
					slack = want / 3 // a hundred points each make arcs of different lengths
				}
				if n := got[fmt.Sprint(i)]; n < want-slack || n > want+slack {
					t.Errorf("endpoint %d got %d of %d, want about %d", i, n, picks, want)
				}
			}
		})
	}
}

func TestEachAlgorithmAvoidsWhatItShould(t *testing.T) {
	for _, a := range algorithms {
		for _, weighted := range []bool{false, true} {
			for n := 2; n < 5; n++ {
				s := with(0, by(a))
				eps := endpoints(n)
				if weighted {
					eps[0].Weight = 100
				}
				s.Update(0, eps)
				warm(s, ms)
				for _, e := range s.all {
					e.Reply(0, 1, ms)
				}
				r := seeded()
				for range 500 {
					if e := s.Pick(0, Request{Rand: r.Uint64(), Hash: r.Uint64(), Hashed: true, Avoid: s.all[0]}); e == s.all[0] {
						t.Fatalf("%s, %d endpoints, weighted %v: what was to be avoided was picked", a, n, weighted)
					}
				}
			}
		}
	}
}

func TestEachAlgorithmFindsTheOnlyEndpointAndNoneInAnEmptySet(t *testing.T) {
	for _, a := range algorithms {
		s := with(0, by(a))
		if e := s.Pick(0, Request{Hashed: true}); e != nil {
			t.Errorf("%s picked %v of none", a, e.Addr)
		}
		s.Update(0, endpoints(1))
		if e := s.Pick(0, Request{Hashed: true, Avoid: s.all[0]}); e != s.all[0] {
			t.Errorf("%s did not pick the only one", a)
		}
	}
}

func TestRoundRobinIsSmooth(t *testing.T) {
	s := with(7, by(model.RoundRobin))
	r := seeded()
	last := map[*Endpoint]int{}
	for i := range 7 * 20 {
		e := s.Pick(0, Request{Rand: r.Uint64()})
		if at, seen := last[e]; seen && i-at != 7 {
			t.Fatalf("equal endpoints: %s came after %d picks, want 7", e.Workload.Name, i-at)
		}
		last[e] = i
	}
	// Of weights 5, 1, 1 the heavy one may come five times in seven picks, but not all in one go with the
	// others far apart: nginx's measure of smoothness.
	s = with(0, by(model.RoundRobin))
	eps := endpoints(3)
	eps[0].Weight = 5
	s.Update(0, eps)
	gap := map[string]int{}
	for range 7000 {
		name := s.Pick(0, Request{Rand: r.Uint64()}).Workload.Name
		for i := range 3 {
			gap[fmt.Sprint(i)]++
		}
		if (name == "1" || name == "2") && gap[name] > 16 {
			t.Fatalf("a light endpoint waited for %d picks, want about 7", gap[name])
		}
		gap[name] = 0
	}
}

func TestClientsThatBeginTogetherDoNotAllBeginWithTheSameEndpoint(t *testing.T) {
	first := map[string]int{}
	r := seeded()
	for range 200 {
		first[with(10, by(model.RoundRobin)).Pick(0, Request{Rand: r.Uint64()}).Workload.Name]++
	}
	if len(first) < 8 {
		t.Errorf("of ten endpoints only %d are anybody's first", len(first))
	}
}

func TestLeastRequestTakesTheFreerOfTwo(t *testing.T) {
	s := with(2, by(model.LeastRequest))
	warm(s, ms)
	s.all[0].ewma = 1 // it is fast, which does not count
	s.all[0].Start()
	for _, r := range []uint64{0, math.MaxUint64, 1 << 40} {
		if e := s.Pick(0, Request{Rand: r}); e != s.all[1] {
			t.Fatalf("picked %s", e.Workload.Name)
		}
	}
}

func TestAClockThatJumpsIsCountedAndDoesNoHarm(t *testing.T) {
	for _, a := range algorithms {
		s := with(10, by(a))
		warm(s, ms)
		r := seeded()
		for i, now := range []time.Duration{time.Hour, 0, -time.Hour, math.MaxInt64 / 2, 5, time.Second} {
			for range 100 {
				e := s.Pick(now, Request{Rand: r.Uint64(), Hash: r.Uint64(), Hashed: true})
				if e == nil {
					t.Fatalf("%s: jump %d: nothing was picked", a, i)
				}
				e.Start()
				e.Settle(now, ms, r.IntN(3) == 0)
			}
		}
		if s.Counts().Clock != 3 {
			t.Errorf("%s: %d backward jumps were counted, want 3", a, s.Counts().Clock)
		}
		for range 100 { // and what was ejected at a later time than now comes back
			now := 20 * time.Minute
			e := s.Pick(now, Request{Rand: r.Uint64()})
			e.Start()
			e.Settle(now, ms, false)
		}
		if s.ejected > 0 {
			t.Errorf("%s: %d are ejected for good", a, s.ejected)
		}
	}
}
