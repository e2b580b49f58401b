package balance

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

// run is what a simulated load was served like.
type run struct {
	p50, p99 time.Duration
	served   []int // by endpoint
}

type finish struct {
	at, took time.Duration
	endpoint *Endpoint
	index    int
}

type finishes []finish

func (f finishes) Len() int           { return len(f) }
func (f finishes) Less(i, j int) bool { return f[i].at < f[j].at }
func (f finishes) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *finishes) Push(x any)        { *f = append(*f, x.(finish)) }
func (f *finishes) Pop() any          { old := *f; x := old[len(old)-1]; *f = old[:len(old)-1]; return x }

// simulate sends requests at a rate (Poisson) to single-server queues with the given mean service
// times (exponential), for a while. update, if not nil, may change the set each simulated second.
func simulate(eps []model.Endpoint, service []time.Duration, perSecond float64, last time.Duration, seed uint64,
	pick func(*Set, time.Duration, *rand.Rand) *Endpoint, update func(second int, s *Set, now time.Duration)) run {
	rng := rand.New(rand.NewPCG(seed, 7))
	var s Set
	s.Update(0, eps)
	index := map[string]int{}
	for i, e := range eps {
		index[e.Workload.Name] = i
	}
	free := make([]time.Duration, len(service)) // when a server is done with its queue
	out := run{served: make([]int, len(service))}
	var took []time.Duration
	var under finishes
	second := 0
	for now := time.Duration(0); now < last; now += time.Duration(rng.ExpFloat64() / perSecond * float64(time.Second)) {
		if int(now/time.Second) > second {
			second++
			if update != nil {
				update(second, &s, now)
			}
		}
		for len(under) > 0 && under[0].at <= now {
			f := heap.Pop(&under).(finish)
			f.endpoint.Settle(f.at, f.took, false)
			took = append(took, f.took)
			out.served[f.index]++
		}
		e := pick(&s, now, rng)
		e.Start()
		i := index[e.Workload.Name]
		end := max(free[i], now) + time.Duration(rng.ExpFloat64()*float64(service[i]))
		free[i] = end
		heap.Push(&under, finish{end, end - now, e, i})
	}
	slices.Sort(took)
	out.p50, out.p99 = took[len(took)/2], took[len(took)*99/100]
	return out
}

func byCost(s *Set, now time.Duration, r *rand.Rand) *Endpoint {
	return s.Pick(now, Request{Rand: r.Uint64()})
}
func atRandom(s *Set, _ time.Duration, r *rand.Rand) *Endpoint { return s.all[r.IntN(len(s.all))] }

// The setting of Finagle's measurement: eleven servers, one of them slow.
func TestOneSlowEndpointOfElevenIsNotFeltInTheTail(t *testing.T) {
	service := slices.Repeat([]time.Duration{5 * time.Millisecond}, 11)
	service[4] = 50 * time.Millisecond
	const load = 1000 // requests a second; the ten fast ones can do 2000, the slow one 20
	for seed := range uint64(2) {
		ours := simulate(endpoints(11), service, load, 20*time.Second, seed, byCost, nil)
		random := simulate(endpoints(11), service, load, 20*time.Second, seed, atRandom, nil)
		t.Logf("two choices by peak EWMA: p50 %s p99 %s, the slow one served %d; random: p50 %s p99 %s, %d",
			ours.p50, ours.p99, ours.served[4], random.p50, random.p99, random.served[4])
		if ours.p99*10 > random.p99 {
			t.Errorf("seed %d: p99 is %s, with random choice %s; want a tenth at most", seed, ours.p99, random.p99)
		}
		if ours.p99 > 50*time.Millisecond {
			t.Errorf("seed %d: p99 is %s, with servers of 5 ms at half their load", seed, ours.p99)
		}
		total := 0
		for _, n := range ours.served {
			total += n
		}
		if share := float64(ours.served[4]) / float64(total); share > 0.02 {
			t.Errorf("seed %d: the slow endpoint served %.1f %%", seed, share*100)
		}
	}
}

func TestWithEqualEndpointsTheLoadIsEvenAndTheTailShorterThanAtRandom(t *testing.T) {
	service := slices.Repeat([]time.Duration{5 * time.Millisecond}, 11)
	ours := simulate(endpoints(11), service, 1600, 20*time.Second, 1, byCost, nil)
	random := simulate(endpoints(11), service, 1600, 20*time.Second, 1, atRandom, nil)
	t.Logf("p99 %s, at random %s; served %v", ours.p99, random.p99, ours.served)
	if ours.p99 >= random.p99 {
		t.Errorf("p99 is %s, at random %s", ours.p99, random.p99)
	}
	lo, hi := slices.Min(ours.served), slices.Max(ours.served)
	if hi > lo*2 {
		t.Errorf("the least served endpoint got %d, the most %d", lo, hi)
	}
}

// A new instance must take its share within seconds, or scaling out does not help.
func TestAnEndpointThatJoinsTakesItsShareWithinSeconds(t *testing.T) {
	service := slices.Repeat([]time.Duration{time.Millisecond}, 4)
	eps := endpoints(4)
	joined := 0
	got := simulate(eps, service, 1500, 15*time.Second, 1, func(s *Set, now time.Duration, r *rand.Rand) *Endpoint {
		e := s.Pick(now, Request{Rand: r.Uint64()})
		if now > 10*time.Second && e.Workload.Name == "3" {
			joined++
		}
		return e
	}, func(second int, s *Set, now time.Duration) {
		switch second {
		case 1:
			s.Update(now, eps[:3])
		case 9: // away long enough to be new
			s.Update(now, eps)
		}
	})
	if want := 5 * 1500 / 4; joined < want/2 {
		t.Errorf("from one second after it joined it got %d of 7500 requests, want about %d (served %v)", joined, want, got.served)
	}
}
