package balance

import (
	"fmt"
	"testing"

	"github.com/weft-mesh/weft/model"
)

var hashing = []model.Algorithm{model.RingHash, model.Maglev}

// homes gives where each of n hashes goes.
func homes(s *Set, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s.Pick(0, Request{Rand: 1, Hash: uint64(i), Hashed: true}).Workload.Name
	}
	return out
}

func TestTheSameHashGoesToTheSameEndpointAtEachClient(t *testing.T) {
	for _, a := range hashing {
		one, two := with(20, by(a)), with(0, by(a))
		eps := endpoints(20)
		for i := range 10 { // told in another order
			eps[i], eps[19-i] = eps[19-i], eps[i]
		}
		two.Update(0, eps)
		x, y := homes(one, 1000), homes(two, 1000)
		for i := range x {
			if x[i] != y[i] {
				t.Fatalf("%s: hash %d goes to %s and %s", a, i, x[i], y[i])
			}
		}
	}
}

func TestFewHashesMoveWhenAnEndpointLeaves(t *testing.T) {
	for _, a := range hashing {
		s := with(20, by(a))
		before := homes(s, 5000)
		s.Update(0, endpoints(19))
		moved, lost := 0, 0
		for i, h := range homes(s, 5000) {
			switch {
			case before[i] == "19":
				lost++
			case h != before[i]:
				moved++
			}
		}
		if lost == 0 || moved > 5000/50 {
			t.Errorf("%s: %d of 5000 hashes moved beside the %d that had to", a, moved, lost)
		}
	}
}

func TestOnlyTheHashesOfAnEjectedEndpointMoveAndTheyComeBack(t *testing.T) {
	for _, a := range hashing {
		s := with(10, by(a))
		warm(s, ms)
		before := homes(s, 2000)
		failing(s.all[3], 0, 5)
		for i, h := range homes(s, 2000) {
			if h == "3" || before[i] != "3" && h != before[i] {
				t.Fatalf("%s: hash %d went from %s to %s", a, i, before[i], h)
			}
		}
		s.all[3].accrual = accrual{}
		s.ejected, s.stale = 0, true
		for i, h := range homes(s, 2000) {
			if h != before[i] {
				t.Fatalf("%s: hash %d did not come back", a, i)
			}
		}
	}
}

func TestNoEndpointGetsMoreThanItsBoundFromOneHash(t *testing.T) {
	for _, a := range hashing {
		for _, n := range []int{2, 10, 300} {
			s := with(n, by(a))
			for i := range 20 * n { // all with one hash, none is over
				e := s.Pick(0, Request{Rand: uint64(i), Hash: 7, Hashed: true})
				e.Start()
				if limit := 1.25*float64(i+1)/float64(n) + 1; float64(e.Inflight) > limit {
					t.Fatalf("%s, %d endpoints: one has %d of %d in flight", a, n, e.Inflight, i+1)
				}
			}
		}
	}
}

func TestARequestWithoutItsHashGoesToTheCheaperOfTwo(t *testing.T) {
	s := with(2, by(model.Maglev))
	warm(s, ms)
	s.all[0].ewma = float64(100 * ms)
	for i := range uint64(100) {
		if e := s.Pick(0, Request{Rand: i << 30}); e != s.all[1] {
			t.Fatal("the dearer was picked")
		}
	}
}

func TestATableIsFullAndEven(t *testing.T) {
	for _, n := range []int{1, 10, 100, 1000} {
		s := with(n+1, by(model.Maglev))
		s.Update(0, endpoints(n))
		s.hashed.build(s, model.Maglev)
		got := make([]int, n)
		for _, i := range s.hashed.slots {
			got[i]++
		}
		for i, k := range got {
			if k < tableSize/n || k > tableSize/n+1 {
				t.Errorf("%d endpoints: number %d has %d slots", n, i, k)
			}
		}
	}
}

func TestHashesOfBytesDiffer(t *testing.T) {
	seen := map[uint64]string{}
	for i := range 10_000 {
		s := fmt.Sprint("user-", i)
		h := Hash([]byte(s))
		if o, taken := seen[h]; taken {
			t.Fatalf("%q and %q", s, o)
		}
		seen[h] = s
	}
	if HashMore(Hash([]byte("ab")), []byte("c")) == HashMore(Hash([]byte("a")), []byte("bc")) {
		t.Error("two lists of parts have the same hash")
	}
}
