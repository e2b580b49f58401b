package balance

import (
	"math"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

// TestWhateverHappensWhatIsPickedMayBe: endpoints come and go, fail, drain, lie, clocks jump, policies
// change; nobody is picked that left, no request is lost from the books, and there is always somebody
// to pick unless nobody is there.
func TestWhateverHappensWhatIsPickedMayBe(t *testing.T) {
	for seed := range uint64(15) {
		r := seeded()
		for range seed {
			r.Uint64()
		}
		s := &Set{}
		now := time.Duration(0)
		type under struct {
			e  *Endpoint
			at time.Duration
		}
		var open []under
		all := endpoints(30)
		for i := range all {
			all[i].Zone = []string{"a", "b", ""}[r.IntN(3)]
			all[i].Weight = uint32(r.IntN(4))
		}
		var given int
		for step := range 3000 {
			switch r.IntN(12) {
			case 0:
				if r.IntN(10) == 0 {
					p := policy(func(p *model.Policy) {
						p.Balance.Algorithm = algorithms[r.IntN(len(algorithms))]
						p.Balance.ApertureAbove = r.IntN(30)
						p.Balance.ApertureMin = r.IntN(8)
						p.Balance.Locality = r.IntN(2) == 0
						p.Balance.PanicPercent = 1 + r.IntN(100)
						p.Outlier.MaxPercent = r.IntN(101)
						p.Outlier.SlowFactor = float64(r.IntN(2) * 3)
						p.Health = []*model.HealthCheck{nil, {Unhealthy: 1, Healthy: 1}}[r.IntN(2)]
					})
					s.Configure(Config{Policy: p, Zone: []string{"", "a"}[r.IntN(2)], Index: r.IntN(6) - 1, Count: r.IntN(6)})
					for e := range s.All {
						if p.Health == nil {
							e.Unchecked(now)
						}
					}
				}
			case 1:
				if r.IntN(10) == 0 {
					r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
					given = r.IntN(len(all))
					for i := range all {
						all[i].Draining = r.IntN(5) == 0
					}
					for _, e := range s.Update(now, all[:given]) {
						if !e.Gone() {
							t.Fatalf("seed %d, step %d: one that left is not gone", seed, step)
						}
					}
				}
			case 2:
				now += time.Duration(r.Int64N(int64(time.Second)))
			case 3:
				if r.IntN(50) == 0 {
					now = time.Duration(r.Int64N(int64(time.Hour)))
				}
			case 4, 5, 6:
				if len(open) == 0 {
					continue
				}
				i := r.IntN(len(open))
				u := open[i]
				open[i] = open[len(open)-1]
				open = open[:len(open)-1]
				switch r.IntN(8) {
				case 0:
					u.e.Unreachable(now)
				case 1:
					u.e.Refused(now)
				case 2:
					u.e.Cancel()
				case 3:
					u.e.Abandoned(now, now-u.at)
				default:
					u.e.Settle(now, now-u.at, r.IntN(3) == 0)
				}
			case 7:
				for e := range s.All {
					switch r.IntN(8) {
					case 0:
						e.Report(now, Load{QPS: r.Float64() * 100, Utilization: []float64{r.Float64(), math.NaN(), -1}[r.IntN(3)]})
					case 1:
						e.Reply(now, r.IntN(100)-5, time.Duration(r.IntN(1e9))-1e6)
					case 2:
						e.Checked(now, r.IntN(2) == 0)
					case 3:
						e.LeaveAlone(now, time.Duration(r.IntN(1e10)))
					}
				}
			default:
				q := Request{Rand: r.Uint64(), Hash: r.Uint64() % 4, Hashed: r.IntN(4) > 0}
				if len(open) > 0 && r.IntN(4) == 0 {
					q.Avoid = open[r.IntN(len(open))].e
				}
				e := s.Pick(now, q)
				if e == nil {
					if s.Len() > 0 {
						t.Fatalf("seed %d, step %d: nothing to pick of %d", seed, step, s.Len())
					}
					continue
				}
				if e.Gone() {
					t.Fatalf("seed %d, step %d: picked one that left", seed, step)
				}
				e.Start()
				open = append(open, under{e, now})
				if p := s.NextProbe(now, r.Uint64()); p != nil && p.Gone() {
					t.Fatalf("seed %d, step %d: one that left is to be asked", seed, step)
				}
			}
			s.check(t, seed, step)
		}
		for _, u := range open {
			u.e.Settle(now, ms, false)
		}
		if s.Inflight() != 0 || s.inflight != 0 {
			t.Errorf("seed %d: %d and %d in flight in the end", seed, s.Inflight(), s.inflight)
		}
	}
}

// check holds the books to what they stand for.
func (s *Set) check(t *testing.T, seed uint64, step int) {
	t.Helper()
	out := 0
	for _, e := range s.all {
		if e.accrual.out() {
			out++
		}
		if e.Inflight < 0 || math.IsNaN(e.ewma) || math.IsInf(e.ewma, 0) || math.IsNaN(e.weight) {
			t.Fatalf("seed %d, step %d: %+v", seed, step, e)
		}
	}
	if out != s.ejected || out > s.mayEject() && out > 0 {
		t.Fatalf("seed %d, step %d: %d are ejected, counted %d, allowed %d", seed, step, out, s.ejected, s.mayEject())
	}
	if s.inflight != s.Inflight() {
		t.Fatalf("seed %d, step %d: %d in flight, counted %d", seed, step, s.Inflight(), s.inflight)
	}
	if sp := s.spill.share; sp < 0 || sp > 1 {
		t.Fatalf("seed %d, step %d: a share of %v is spilled", seed, step, sp)
	}
}
