package overload

import (
	"fmt"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

// adaptive is the default with a limit that follows the latency.
func adaptive() model.Guard {
	g := model.DefaultPolicy.Guard
	g.Concurrency.Adaptive = true
	return g
}

// The figure: at five times what an application can do, it does nine tenths of its best, and
// whoever is admitted is served in at most twice the time of an idle day.
func TestFiveTimesTheLoadCostsLittleOfTheBest(t *testing.T) {
	for _, c := range []struct {
		name string
		mean time.Duration
		work func(w *world, mean time.Duration) time.Duration
	}{
		{"exponential", 20 * time.Millisecond, (*world).exponential},
		{"nearly constant", 20 * time.Millisecond, (*world).nearly},
		{"nearly constant, slow", 200 * time.Millisecond, (*world).nearly},
		{"fast and slow ones", 20 * time.Millisecond, func(w *world, m time.Duration) time.Duration {
			if w.rng.IntN(10) == 0 {
				return 5 * m
			}
			return m / 2
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(2) {
				const workers = 16
				w := newWorld(seed, workers, adaptive())
				best := workers / c.mean.Seconds()
				if c.name == "fast and slow ones" {
					best = workers / (0.95 * c.mean.Seconds())
				}
				any := func() *call { return &call{work: c.work(w, c.mean), req: tree(w)} }
				w.poisson(0.3*best, 0, 20*time.Second, any)
				w.poisson(5*best, 20*time.Second, 45*time.Second, any)
				w.run(45 * time.Second)
				idle := w.outcome(5*time.Second, 20*time.Second, nil)
				if idle.refused > 0 {
					t.Errorf("seed %d: %d refused while there was no overload", seed, idle.refused)
				}
				over := w.outcome(20*time.Second+max(5*time.Second, 75*c.mean), 44*time.Second, nil)
				t.Logf("seed %d: %.2f of the best, p99 %v, idle %v, %+v", seed, over.rate/best, over.p99, idle.p99, w.g.State())
				if over.rate < 0.9*best {
					t.Errorf("seed %d: %.0f answers a second, want 0.9 of %.0f", seed, over.rate, best)
				}
				if over.p99 > 2*idle.p99 {
					t.Errorf("seed %d: p99 %v, want at most twice %v", seed, over.p99, idle.p99)
				}
			}
		})
	}
}

// tree gives a request of a tree of its own.
func tree(w *world) Request { return Request{Tree: w.rng.Uint32()} }

// What is critical is not lost while there is anything else to refuse, from the first moment on.
func TestCriticalRequestsAreNotLostWhileOthersCanBeRefused(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(seed, 16, adaptive())
		of := func(p model.Priority) func() *call {
			return func() *call {
				r := tree(w)
				r.Priority = p
				return &call{work: w.exponential(20 * time.Millisecond), req: r}
			}
		}
		w.poisson(200, 0, 40*time.Second, of(model.PriorityDefault))
		w.poisson(3000, 10*time.Second, 40*time.Second, of(model.PriorityDefault))
		w.poisson(500, 10*time.Second, 40*time.Second, of(model.PrioritySheddable))
		w.poisson(200, 0, 40*time.Second, of(model.PriorityCritical))
		w.poisson(50, 0, 40*time.Second, of(model.PriorityCriticalPlus))
		w.run(42 * time.Second)
		for _, p := range []model.Priority{model.PriorityCritical, model.PriorityCriticalPlus} {
			o := w.outcome(0, 41*time.Second, func(c *call) bool { return c.req.Priority == p })
			if o.refused > 0 {
				t.Errorf("seed %d: %d of %d %s requests were refused", seed, o.refused, o.came, p)
			}
		}
		low := w.outcome(20*time.Second, 40*time.Second, func(c *call) bool { return c.req.Priority == model.PrioritySheddable })
		mid := w.outcome(20*time.Second, 40*time.Second, func(c *call) bool { return c.req.Priority == model.PriorityDefault })
		if 10*low.answered > low.came || mid.answered == 0 {
			t.Errorf("seed %d: sheddable %+v, default %+v", seed, low, mid)
		}
	}
}

// An application that is well is never limited, whatever it is like. Each of these was, or is, a
// complaint about adaptive limits somewhere.
func TestAHealthyApplicationIsLeftAlone(t *testing.T) {
	const end = 60 * time.Second
	for _, c := range []struct {
		name string
		run  func(w *world)
	}{
		{"slow", func(w *world) {
			w.workers = 1000
			w.poisson(200, 0, end, func() *call { return &call{work: w.exponential(2 * time.Second)} })
		}},
		{"slow from its first request on, with many at once", func(w *world) {
			w.workers = 3000
			w.poisson(2000, 0, end, func() *call { return &call{work: time.Second} })
		}},
		{"in bursts of 500", func(w *world) {
			w.workers = 16
			w.poisson(50, 0, end, func() *call { return &call{work: w.exponential(10 * time.Millisecond)} })
			for at := time.Second; at < end; at += 3 * time.Second {
				w.at(at, func() {
					for range 500 {
						w.arrive(&call{work: w.exponential(10 * time.Millisecond)})
					}
				})
			}
		}},
		{"fast and slow pages", func(w *world) {
			w.workers = 64
			w.poisson(500, 0, end, func() *call {
				if w.rng.IntN(10) == 0 {
					return &call{work: 500 * time.Millisecond, req: Request{Kind: 7}}
				}
				return &call{work: 5 * time.Millisecond, req: Request{Kind: 3}}
			})
		}},
		{"fast, then slow pages, told apart by nothing", func(w *world) {
			w.workers = 500
			w.poisson(300, 0, end, func() *call {
				if w.now > 20*time.Second && w.rng.IntN(2) == 0 {
					return &call{work: 400 * time.Millisecond}
				}
				return &call{work: 5 * time.Millisecond}
			})
		}},
		{"a report at the hour", func(w *world) {
			w.workers = 64
			w.poisson(500, 0, end, func() *call { return &call{work: 5 * time.Millisecond, req: Request{Kind: 3}} })
			w.poisson(1, 0, end, func() *call { return &call{work: time.Second, req: Request{Kind: 9}} })
			w.poisson(40, 30*time.Second, 40*time.Second, func() *call { return &call{work: time.Second, req: Request{Kind: 9}} })
		}},
		{"long polls", func(w *world) {
			w.workers = 8
			w.poisson(100, 0, end, func() *call {
				return &call{hold: time.Duration(w.rng.Int64N(int64(30 * time.Second))), req: Request{Kind: 5}}
			})
			w.poisson(300, 0, end, func() *call { return &call{work: w.exponential(5 * time.Millisecond), req: Request{Kind: 3}} })
		}},
		{"a closed circle of a thousand clients", func(w *world) {
			w.workers = 16
			w.poisson(50, 0, 10*time.Second, func() *call { return &call{work: w.exponential(time.Millisecond)} })
			var again func(*call)
			again = func(*call) {
				if w.now < end {
					w.arrive(&call{work: w.exponential(time.Millisecond), then: again})
				}
			}
			w.at(10*time.Second, func() {
				for range 1000 {
					again(nil)
				}
			})
		}},
		{"nine tenths busy", func(w *world) {
			w.workers = 8
			w.poisson(720, 0, end, func() *call { return &call{work: w.exponential(10 * time.Millisecond)} })
		}},
		{"a pause of half a second now and then", func(w *world) {
			w.workers = 16
			w.poisson(500, 0, end, func() *call { return &call{work: w.exponential(10 * time.Millisecond)} })
			for at := 5 * time.Second; at < end; at += 5 * time.Second {
				w.at(at, func() { w.busy += 1000 })
				w.at(at+500*time.Millisecond, func() {
					w.busy -= 1000
					for len(w.backlog) > 0 && w.busy < w.workers {
						next := w.backlog[0]
						w.backlog = w.backlog[1:]
						w.work(next)
					}
				})
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(2) {
				w := newWorld(seed, 16, adaptive())
				c.run(w)
				w.run(end)
				if o := w.outcome(0, end, nil); o.refused > 0 {
					t.Errorf("seed %d: %d of %d refused: %+v", seed, o.refused, o.came, w.g.State())
				}
			}
		})
	}
}

// Latency that rises for a reason of the application's own looks like overload while it rises. Giving
// the application less does not help, which is noticed, and it is left alone again.
func TestASlowDatabaseIsNotTakenForOverloadForLong(t *testing.T) {
	const from = 20 * time.Second
	for name, slow := range map[string]func(w *world) time.Duration{
		"at once":               func(w *world) time.Duration { return w.exponential(500 * time.Millisecond) },
		"by two seconds in six": func(w *world) time.Duration { return 10*time.Millisecond + min((w.now-from)/3, 2*time.Second) },
		"by a second in ten":    func(w *world) time.Duration { return 10*time.Millisecond + min((w.now-from)/10, time.Second) },
	} {
		for seed := range uint64(4) {
			w := newWorld(seed, 100_000, adaptive())
			w.poisson(500, 0, 90*time.Second, func() *call {
				d := w.exponential(10 * time.Millisecond)
				if w.now > from {
					d = slow(w)
				}
				return &call{work: d, req: tree(w)}
			})
			w.run(90 * time.Second)
			o := w.outcome(from, from+20*time.Second, nil)
			after := w.outcome(from+20*time.Second, 89*time.Second, nil)
			t.Logf("%s, seed %d: %d of %d refused meanwhile; %+v", name, seed, o.refused, o.came, w.g.State().Counts)
			if 4*o.refused > o.came || after.refused > 0 {
				t.Errorf("%s, seed %d: %d of %d refused while it became slow, %d of %d afterwards", name, seed, o.refused, o.came, after.refused, after.came)
			}
		}
	}
}

// When the load is gone, so are the refusals.
func TestWhenTheOverloadEndsNobodyIsRefused(t *testing.T) {
	w := newWorld(1, 16, adaptive())
	any := func() *call { return &call{work: w.exponential(20 * time.Millisecond), req: tree(w)} }
	w.poisson(200, 0, 55*time.Second, any)
	w.poisson(4000, 10*time.Second, 20*time.Second, any)
	w.run(60 * time.Second)
	if s := w.g.State(); s.Closed == 0 {
		t.Fatalf("there was no overload: %+v", s)
	}
	if o := w.outcome(22*time.Second, 60*time.Second, nil); o.refused > 0 {
		t.Errorf("%d of %d refused when all was over", o.refused, o.came)
	}
	if s := w.g.State(); s.Limited || s.InFlight != 0 || s.Waiting != 0 {
		t.Errorf("at the end: %+v", s)
	}
}

// One caller that asks ten times as often as all others together takes nothing from them.
func TestAGreedyCallerTakesNothingFromTheOthers(t *testing.T) {
	w := newWorld(1, 16, adaptive())
	from := func(id string) func() *call {
		return func() *call {
			r := tree(w)
			r.Caller = id
			return &call{work: w.exponential(20 * time.Millisecond), req: r}
		}
	}
	for i := range 4 {
		w.poisson(80, 0, 60*time.Second, from(fmt.Sprint("modest ", i)))
	}
	w.poisson(4000, 10*time.Second, 60*time.Second, from("greedy"))
	w.run(60 * time.Second)
	for i := range 4 {
		id := fmt.Sprint("modest ", i)
		o := w.outcome(20*time.Second, 59*time.Second, func(c *call) bool { return c.req.Caller == id })
		if 100*o.refused > 2*o.came {
			t.Errorf("%s: %d of %d refused", id, o.refused, o.came)
		}
	}
}

// What is refused is refused by whole request trees: a tree with calls to two overloaded services
// is mostly served at both or at none.
func TestTheSameRequestTreesFallEverywhere(t *testing.T) {
	fate := func(seed uint64) map[uint32]bool {
		w := newWorld(seed, 16, adaptive())
		n := uint32(0)
		w.poisson(3000, 0, 20*time.Second, func() *call {
			n++
			return &call{work: w.exponential(20 * time.Millisecond), req: Request{Tree: n * 2654435761}}
		})
		w.run(20 * time.Second)
		out := map[uint32]bool{}
		for _, c := range w.done {
			if c.came > 8*time.Second {
				out[c.req.Tree] = c.refused == Enter
			}
		}
		return out
	}
	a, b := fate(1), fate(2)
	both, one := 0, 0
	for k, served := range a {
		other, seen := b[k]
		switch {
		case seen && served && other:
			both++
		case seen && served != other:
			one++
		}
	}
	if 2*both < one { // by chance it would be an eighth
		t.Errorf("%d trees served at both services, %d at one only", both, one)
	}
}

// Who gives up before it could be answered is told at once, and the time is spent on others.
func TestWhatCannotBeAnsweredInTimeIsRefusedAtOnce(t *testing.T) {
	w := newWorld(1, 16, adaptive())
	w.poisson(200, 0, 60*time.Second, func() *call { return &call{work: 20 * time.Millisecond, req: tree(w)} })
	w.poisson(3000, 10*time.Second, 60*time.Second, func() *call {
		return &call{work: 20 * time.Millisecond, req: tree(w), patience: 10 * time.Millisecond}
	})
	w.run(60 * time.Second)
	o := w.outcome(20*time.Second, 60*time.Second, func(c *call) bool { return c.patience > 0 })
	late := w.g.State().Why[Late]
	if late == 0 {
		t.Errorf("nobody was refused for want of time: %+v, %+v", o, w.g.State())
	}
}

// Under overload latency follows what is under way; otherwise it does not.
func TestTheCauseOfSlownessIsFoundByComparing(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after level
		want          cause
	}{
		{"half as many, half as slow", level{100, 10}, level{50, 5}, load},
		{"half as many, as slow", level{100, 10}, level{50, 10}, itself},
		{"half as many, slower", level{100, 10}, level{50, 12}, itself},
		{"twice as many, twice as slow", level{50, 5}, level{100, 10}, load},
		{"twice as many, as slow", level{50, 5}, level{100, 5}, itself},
		{"about as many", level{100, 10}, level{80, 10}, unknown},
		{"nothing to compare with", level{}, level{80, 10}, unknown},
	} {
		l := limit{ref: c.before}
		if got := l.compare(c.after); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestALimitThatIsNotAdaptiveIsWhatIsConfigured(t *testing.T) {
	cfg := adaptive()
	cfg.Concurrency.Adaptive, cfg.Concurrency.Max = false, 10
	g := New(&cfg, 1)
	turns := make([]Turn, 30)
	for i := range turns {
		v, _ := g.Arrive(0, &turns[i], &Request{})
		if want := i < 10; (v == Enter) != want {
			t.Fatalf("request %d: verdict %d", i, v)
		}
	}
	if at, ok := g.Deadline(); !ok || at != 100*time.Millisecond {
		t.Errorf("those who wait are sent away at %v, %v", at, ok)
	}
	g.Answered(0, &turns[0], 0, true)
	if n := g.Next(0); n != &turns[10] || g.Next(0) != nil {
		t.Errorf("after one answer not exactly the first that waits enters")
	}
}

// A limit that somebody has written down holds for slow requests as for others.
func TestAConfiguredLimitHoldsForLongRequests(t *testing.T) {
	cfg := adaptive()
	cfg.Concurrency = model.Concurrency{Min: 1, Max: 1, Tolerance: 1.5}
	g := New(&cfg, 1)
	now := time.Duration(0)
	for range 20 {
		var x Turn
		if v, _ := g.Arrive(now, &x, &Request{}); v != Enter {
			t.Fatalf("verdict %d", v)
		}
		now += 30 * time.Second
		if v, _ := g.Arrive(now, new(Turn), &Request{}); v != Wait {
			t.Fatalf("a second one has verdict %d", v)
		}
		g.Answered(now, &x, 0, true)
		g.Expired(now + time.Second)
		now += time.Second
	}
}

func TestAGuardAllocatesNothing(t *testing.T) {
	cfg := adaptive()
	cfg.Concurrency = model.Concurrency{Min: 1, Max: 1, Tolerance: 1.5}
	g := New(&cfg, 1)
	var a, b Turn
	r := Request{Caller: "spiffe://m/ns/shop/sa/web"}
	now := time.Duration(0)
	allocs.None(t, 1000, func() {
		now += time.Millisecond
		g.Arrive(now, &a, &r)
		g.Arrive(now, &b, &r)
		g.Answered(now, &a, 0, true)
		g.Answered(now, g.Next(now), 0, true)
	})
}

func BenchmarkGuard(b *testing.B) {
	cfg := adaptive()
	g := New(&cfg, 1)
	var t Turn
	path := []byte("/shop/items/17?a=b")
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += time.Microsecond
		g.Arrive(now, &t, &Request{Kind: KindOf(path), Caller: "spiffe://m/ns/shop/sa/web"})
		g.Answered(now, &t, 0, true)
	}
}

func TestTheLoopsOfAProxyShareItsLimit(t *testing.T) {
	cfg := adaptive()
	cfg.Concurrency.Min, cfg.Concurrency.Max = 3, 10
	g := New(&cfg, 4)
	if g.limit.cfg.Min != 1 || g.limit.cfg.Max != 3 {
		t.Errorf("min %d, max %d", g.limit.cfg.Min, g.limit.cfg.Max)
	}
}
