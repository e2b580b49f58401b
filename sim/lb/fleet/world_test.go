package fleet

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

const ms = time.Millisecond

func exponential(mean time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(mean)) }
}

func fixed(d time.Duration) func(*rand.Rand) time.Duration {
	return func(*rand.Rand) time.Duration { return d }
}

// one is a world of one tier.
func one(seed uint64, clients int, rate float64, t Tier) Config {
	if t.Calls.Timeout == 0 {
		t.Calls.Timeout = 10 * time.Second
	}
	if t.Calls.Choose == nil {
		t.Calls.Choose = LeastLoaded
	}
	return Config{Seed: seed, Clients: clients, Rate: rate, Warm: time.Second, Length: 20 * time.Second, Tiers: []Tier{t}}
}

// An M/M/1 queue whose server is shared takes 1/(mu-lambda) on average (Kleinrock, 1967): a model
// that misses that says nothing about balancers.
func TestASharedProcessorTakesAsLongAsTheorySays(t *testing.T) {
	for _, c := range []struct{ load, cores float64 }{{0.3, 1}, {0.5, 1}, {0.8, 1}} {
		cfg := one(1, 1, c.load*100, Tier{Servers: 1, Cores: c.cores, Work: exponential(10 * ms)})
		cfg.Length = 1500 * time.Second
		got := New(cfg).Run().All.Mean()
		want := time.Duration(float64(10*ms) / (1 - c.load))
		if got < want*93/100 || got > want*107/100 {
			t.Errorf("at a load of %g a request takes %v on average, want %v", c.load, got, want)
		}
	}
}

// Whatever the distribution: sharing a processor is insensitive to it.
func TestOnlyTheMeanOfTheWorkMatters(t *testing.T) {
	uneven := func(r *rand.Rand) time.Duration { // the same mean of 10 ms
		if r.Float64() < 0.1 {
			return 55 * ms
		}
		return 5 * ms
	}
	cfg := one(1, 1, 70, Tier{Servers: 1, Cores: 1, Work: uneven})
	cfg.Length = 1500 * time.Second
	got := New(cfg).Run().All.Mean()
	if want := 33333 * time.Microsecond; got < want*92/100 || got > want*108/100 {
		t.Errorf("a request takes %v on average, want %v", got, want)
	}
}

func TestRequestsRunAtFullSpeedWhileThereAreCores(t *testing.T) {
	cfg := one(1, 1, 100, Tier{Servers: 1, Cores: 50, Work: fixed(10 * ms)})
	cfg.Latency = ms
	r := New(cfg).Run()
	if got := r.All.Quantile(1); got < 11900*time.Microsecond || got > 12200*time.Microsecond {
		t.Errorf("the longest took %v, want 12 ms: the work and the way", got)
	}
}

func TestASlowServerIsSlowAtOnceAndFastAgainAfterwards(t *testing.T) {
	cfg := one(1, 1, 100, Tier{Servers: 1, Work: fixed(10 * ms)})
	cfg.Window = time.Second
	cfg.Script = []Step{
		{5 * time.Second, func(w *World) { w.SetSpeed(0, 0, 0.1) }},
		{10 * time.Second, func(w *World) { w.SetSpeed(0, 0, 1) }},
	}
	r := New(cfg).Run()
	for i, want := range map[int]time.Duration{3: 10 * ms, 6: 100 * ms, 12: 10 * ms} {
		if got := r.Windows[i].Latency.Quantile(0.5); got < want*98/100 || got > want*102/100 {
			t.Errorf("in second %d the median is %v, want %v", i, got, want)
		}
	}
}

// busy is a world in which everything happens: several tiers, faults, retries, hedges, probes.
func busy(seed uint64) Config {
	policy := model.DefaultPolicy
	asking := policy
	asking.Balance.Algorithm = model.Prequal
	calls := func(p *model.Policy) Calls {
		return Calls{
			Choose: Weft(p), Timeout: 300 * ms, TryTimeout: 80 * ms, Attempts: 2, On: OnFailed | OnTimeout | OnBroken,
			Backoff: 5 * ms, BackoffMax: 20 * ms, Marked: true, Silence: 50 * ms, Connect: 20 * ms,
			Budget: WeftBudget(policy.Calls.Retry.Budget), Hedge: WeftHedge(model.Hedge{Percentile: 90, Min: ms}),
		}
	}
	return Config{
		Seed: seed, Clients: 5, Rate: 800, Latency: 200 * time.Microsecond, Warm: time.Second, Length: 4 * time.Second, Window: 100 * ms,
		Tiers: []Tier{
			{Servers: 4, Cores: 4, Work: exponential(2 * ms), Calls: calls(&policy)},
			{Servers: 6, Cores: 2, Work: exponential(5 * ms), Calls: calls(&asking), Guard: WeftGuard(policy.Guard),
				Vary: func(r *rand.Rand, _ int) (float64, time.Duration) {
					return 1 + 2*r.Float64(), time.Duration(r.ExpFloat64() * float64(200*ms))
				}},
		},
		Script: []Step{
			{500 * ms, func(w *World) { w.SetMode(1, 0, Black) }},
			{1000 * ms, func(w *World) { w.SetMode(1, 1, Failing); w.SetMode(0, 2, Black) }},
			{1500 * ms, func(w *World) { w.SetSpeed(1, 2, 0.05) }},
			{2000 * ms, func(w *World) { w.SetMode(1, 0, Healthy); w.SetMode(0, 2, Healthy) }},
			{2500 * ms, func(w *World) { w.SetMode(1, 1, Healthy); w.SetSpeed(1, 2, 1) }},
			{3000 * ms, func(w *World) { w.SetRate(2500) }},
		},
	}
}

func TestTheSameSeedGivesTheSameHistory(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := range uint64(5) {
		a, b := New(busy(seed)).Run(), New(busy(seed)).Run()
		if a.Hash != b.Hash || a.Events != b.Events || a.Calls != b.Calls {
			t.Errorf("seed %d: %x and %x, %d and %d events", seed, a.Hash, b.Hash, a.Events, b.Events)
		}
		if other, ok := seen[a.Hash]; ok {
			t.Errorf("seeds %d and %d have the same history", seed, other)
		}
		seen[a.Hash] = seed
	}
}

// A request that is forgotten, or ends twice, would falsify every figure.
func TestEveryCallEndsOnceAndLeavesNothingBehind(t *testing.T) {
	for seed := range uint64(10) {
		cfg := busy(seed)
		w := New(cfg)
		r := w.Run()
		drain(w)
		begun := 0
		if w.live != 0 {
			t.Errorf("seed %d: %d calls never ended", seed, w.live)
		}
		var sum uint64
		for _, n := range r.Outcomes {
			sum += n
		}
		if sum != r.Calls || r.All.N() != r.Calls || r.Good == 0 || r.Good == r.Calls {
			t.Errorf("seed %d: %d calls, %d outcomes, %d latencies, %d good", seed, r.Calls, sum, r.All.N(), r.Good)
		}
		for i := range w.tries {
			if x := &w.tries[i]; x.call >= 0 || x.inside {
				begun++
			}
		}
		if begun > 0 || len(w.free) != len(w.tries) || len(w.spare) != len(w.calls) {
			t.Errorf("seed %d: %d tries are waited for or worked on; %d of %d tries and %d of %d calls are free", seed, begun, len(w.free), len(w.tries), len(w.spare), len(w.calls))
		}
		if most := cfg.Tiers[0].Calls.Timeout; r.All.Quantile(1) > most*102/100 {
			t.Errorf("seed %d: a call took %v, its time is %v", seed, r.All.Quantile(1), most)
		}
		for i := range w.tiers {
			for c := range w.tiers[i].clients {
				if n := inflight(w.tiers[i].clients[c].choose); n != 0 {
					t.Errorf("seed %d: tier %d, client %d: the balancer believes that %d requests are in flight", seed, i, c, n)
				}
			}
		}
	}
}

// drain lets everything happen that follows from what has begun.
func drain(w *World) {
	for len(w.events.heap) > 0 {
		if e := w.events.pop(); e.kind != evArrival && e.kind != evVary && e.kind != evReport {
			w.now = e.at
			w.step(&e)
		}
	}
}

// inflight is what a balancer of ours believes.
func inflight(c Chooser) int {
	switch v := c.(type) {
	case *weft:
		return v.set.Inflight()
	case *prequal:
		return v.set.Inflight()
	}
	return 0
}

func TestACallerThatGivesUpStopsTheWork(t *testing.T) {
	run := func(careless bool) *Result {
		cfg := one(1, 1, 150, Tier{Servers: 1, Cores: 1, Work: fixed(10 * ms), Calls: Calls{Timeout: 50 * ms, Careless: careless}})
		return New(cfg).Run()
	}
	told, untold := run(false), run(true)
	if told.Tiers[0].MaxQueue > 40 {
		t.Errorf("up to %d requests were in the server, of callers that wait for 50 ms", told.Tiers[0].MaxQueue)
	}
	if untold.Tiers[0].MaxQueue < 500 {
		t.Errorf("at most %d requests were in the server, which nobody told that they were given up", untold.Tiers[0].MaxQueue)
	}
}

func TestRetriesAreWithinTheirBudget(t *testing.T) {
	p := model.RetryBudget{Percent: 20, MinPerSecond: 1, Window: 10 * time.Second}
	cfg := one(1, 1, 500, Tier{Servers: 3, Work: fixed(ms), Calls: Calls{Attempts: 5, On: OnFailed, Budget: WeftBudget(p)}})
	for i := range 3 {
		cfg.Script = append(cfg.Script, Step{0, func(w *World) { w.SetMode(0, i, Failing) }})
	}
	r := New(cfg).Run()
	if per := float64(r.Tiers[0].Tries) / float64(r.Calls); per < 1.1 || per > 1.21 {
		t.Errorf("%.3f tries a call, want 1.2 at most", per)
	}
	if r.Good != 0 || r.Outcomes[Failed] != r.Calls {
		t.Errorf("%d of %d were good, %d failed", r.Good, r.Calls, r.Outcomes[Failed])
	}
}

func TestARetryGoesElsewhere(t *testing.T) {
	cfg := one(1, 2, 500, Tier{Servers: 2, Work: fixed(ms), Calls: Calls{Attempts: 1, On: OnFailed}})
	cfg.Script = []Step{{0, func(w *World) { w.SetMode(0, 1, Failing) }}}
	if r := New(cfg).Run(); r.Success() != 1 {
		t.Errorf("%d of %d failed, with one good server and a retry", r.Calls-r.Good, r.Calls)
	}
}

func TestALinkIntoABlackHoleIsGivenUp(t *testing.T) {
	cfg := one(1, 1, 200, Tier{Servers: 2, Work: fixed(ms), Calls: Calls{Silence: 100 * ms, Connect: 50 * ms, Attempts: 2, On: OnBroken}})
	cfg.Script = []Step{{time.Second, func(w *World) { w.SetMode(0, 1, Black) }}}
	r := New(cfg).Run()
	if r.Success() != 1 {
		t.Errorf("%v of %d calls", r.Outcomes, r.Calls)
	}
	if slowest := r.All.Quantile(1); slowest > 160*ms {
		t.Errorf("the slowest took %v", slowest)
	}
}

func TestAHedgeGoesToAnotherServerAndTheFirstAnswerCounts(t *testing.T) {
	tier := Tier{Servers: 2, Work: fixed(2 * ms), Calls: Calls{Hedge: WeftHedge(model.Hedge{Percentile: 75, Min: ms}), Choose: Weft(&model.DefaultPolicy)}}
	cfg := one(1, 1, 200, tier)
	cfg.Script = []Step{{time.Second, func(w *World) { w.SetSpeed(0, 0, 0.001) }}, {5 * time.Second, func(w *World) { w.SetSpeed(0, 0, 1) }}}
	r := New(cfg).Run()
	if slowest := r.All.Quantile(1); slowest > 10*ms {
		t.Errorf("the slowest took %v, though the other server answers in 2 ms", slowest)
	}
	if r.Tiers[0].Tries <= r.Calls {
		t.Errorf("%d tries of %d calls: no hedges", r.Tiers[0].Tries, r.Calls)
	}
}

func TestMarksKeepTiersFromMultiplyingRetries(t *testing.T) {
	amplified := func(marked bool) float64 {
		calls := Calls{Choose: LeastLoaded, Timeout: time.Second, Attempts: 2, On: OnFailed, Marked: marked}
		cfg := Config{Seed: 1, Clients: 2, Rate: 100, Length: 5 * time.Second, Tiers: []Tier{
			{Servers: 3, Work: fixed(ms), Calls: calls}, {Servers: 3, Work: fixed(ms), Calls: calls},
		}}
		for i := range 3 {
			cfg.Script = append(cfg.Script, Step{0, func(w *World) { w.SetMode(1, i, Failing) }})
		}
		r := New(cfg).Run()
		return float64(r.Tiers[1].Tries) / float64(r.Calls)
	}
	if n := amplified(false); n < 8.9 {
		t.Errorf("without marks %.1f tries a call, want 9", n)
	}
	if n := amplified(true); n > 3.01 {
		t.Errorf("with marks %.1f tries a call, want 3", n)
	}
}

func TestWeightsFollowWhatServersUse(t *testing.T) {
	cfg := one(1, 4, 300, Tier{Servers: 2, Cores: 4, Work: fixed(10 * ms), Calls: Calls{Choose: WeightedRoundRobin}})
	cfg.ReportEvery = time.Second
	cfg.Warm = 20 * time.Second
	// The second does the same work in half of the core time.
	cfg.Script = nil
	w := New(cfg)
	w.SetSpeed(0, 1, 2)
	r := w.Run()
	if share := float64(r.Tiers[0].Served[1]) / float64(r.Tiers[0].Tries); share < 0.63 || share > 0.7 {
		t.Errorf("the server that is twice as fast got %.2f of the requests, want two thirds", share)
	}
}

func BenchmarkEvents(b *testing.B) {
	events := uint64(0)
	for i := range uint64(b.N) {
		cfg := one(i, 100, 20_000, Tier{Servers: 100, Cores: 4, Work: exponential(10 * ms), Calls: Calls{Choose: Weft(&model.DefaultPolicy)}})
		cfg.Latency, cfg.Length = 250*time.Microsecond, 2*time.Second
		events += New(cfg).Run().Events
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
}
