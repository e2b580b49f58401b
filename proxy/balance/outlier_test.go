package balance

import (
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

// ended gives an endpoint a request that ends.
func ended(e *Endpoint, now time.Duration, failed bool) bool {
	e.Start()
	return e.Settle(now, ms, failed)
}

func failing(e *Endpoint, now time.Duration, n int) {
	for range n {
		ended(e, now, true)
	}
}

func stateOf(e *Endpoint) State {
	s, _ := e.State()
	return s
}

func TestFailuresInARowEject(t *testing.T) {
	s := with(4, func(*model.Policy) {})
	warm(s, ms)
	bad := s.all[1]
	failing(bad, time.Second, 4)
	ended(bad, time.Second, false)
	failing(bad, time.Second, 4)
	if stateOf(bad) != Ready {
		t.Fatal("ejected though it never failed five times in a row")
	}
	if !ended(bad, time.Second, true) || stateOf(bad) != Ejected {
		t.Fatalf("after five failures it is %s", stateOf(bad))
	}
	if n := picked(s, time.Second, 1000, nil)["1"]; n != 0 {
		t.Errorf("an ejected endpoint was picked %d times", n)
	}
}

func TestAConnectionThatCannotBeMadeEjectsAtOnce(t *testing.T) {
	s := with(4, func(*model.Policy) {})
	warm(s, ms)
	s.all[0].Start()
	if !s.all[0].Unreachable(time.Second) || stateOf(s.all[0]) != Ejected {
		t.Errorf("it is %s", stateOf(s.all[0]))
	}
}

func TestOneRequestTriesAnEjectedEndpointAndOnSuccessItComesBackGradually(t *testing.T) {
	s := with(4, func(*model.Policy) {})
	warm(s, ms)
	bad := s.all[2]
	failing(bad, 0, 5)
	if n := picked(s, 3900*ms, 1000, nil)["2"]; n != 0 {
		t.Fatalf("picked %d times before its time was over", n)
	}
	if n := picked(s, 6100*ms, 1000, nil)["2"]; n != 1 {
		t.Fatalf("%d requests try it, want one", n)
	}
	if stateOf(bad) != Trying {
		t.Fatalf("it is %s", stateOf(bad))
	}
	now := 6200 * ms
	ended(bad, now, false)
	if stateOf(bad) != Returning {
		t.Fatalf("after a success it is %s", stateOf(bad))
	}
	bad.ewma = float64(ms) // its failures made it dear; this is about weight
	early := picked(s, now, 8000, nil)["2"]
	if early == 0 || early > 8000/4/3 {
		t.Errorf("at first it got %d of 8000, want about a tenth of a fair share", early)
	}
	for _, e := range s.all {
		e.ewma, e.stamp = float64(ms), now+20*time.Second
	}
	late := picked(s, now+20*time.Second, 8000, nil)["2"]
	if late < 1800 || late > 2200 {
		t.Errorf("in the end it got %d of 8000, want a quarter", late)
	}
	if stateOf(bad) != Ready {
		t.Errorf("in the end it is %s", stateOf(bad))
	}
}

func TestAnEjectionLastsTwiceAsLongEachTimeUpToABound(t *testing.T) {
	s := with(2, func(p *model.Policy) { p.Outlier.EjectMax = 60 * time.Second })
	warm(s, ms)
	bad := s.all[0]
	failing(bad, 0, 5)
	now := time.Duration(0)
	for i, want := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
		want *= time.Second
		d := bad.accrual.until - now
		if d < want*8/10 || d > want*12/10 {
			t.Fatalf("ejection %d lasts %s, want %s give or take a fifth", i+1, d, want)
		}
		now = bad.accrual.until
		if e := s.Pick(now, Request{Rand: 1}); e != bad {
			t.Fatalf("ejection %d: nobody tries it", i+1)
		}
		ended(bad, now, true)
		if stateOf(bad) != Ejected {
			t.Fatalf("after a failed try it is %s", stateOf(bad))
		}
	}
	// Well for long: the next ejection is a first one.
	now = bad.accrual.until
	s.Pick(now, Request{Rand: 1})
	ended(bad, now, false)
	for range 100 {
		now += 5 * time.Second
		s.Pick(now, Request{Rand: 1})
		ended(bad, now, false)
	}
	failing(bad, now, 5)
	if d := bad.accrual.until - now; d > 6*time.Second {
		t.Errorf("after 500 s without a failure it is ejected for %s, want 5 s", d)
	}
}

func TestJitterSpreadsTheEndsOfEjections(t *testing.T) {
	s := with(40, func(p *model.Policy) {})
	warm(s, ms)
	ends := map[time.Duration]bool{}
	for _, e := range s.all[:20] {
		failing(e, 0, 5)
		ends[e.accrual.until/(100*ms)] = true
	}
	if len(ends) < 8 {
		t.Errorf("20 ejections end at %d different tenths of a second", len(ends))
	}
}

func TestNeverAllAreEjectedAndNoMoreThanAllowed(t *testing.T) {
	for _, c := range []struct{ n, percent, want int }{{1, 100, 0}, {2, 50, 1}, {3, 50, 1}, {10, 50, 5}, {10, 100, 9}, {5, 10, 1}, {10, 0, 0}} {
		s := with(c.n, func(p *model.Policy) { p.Outlier.MaxPercent = c.percent; p.Balance.PanicPercent = 0 })
		warm(s, ms)
		for _, e := range s.all {
			failing(e, 0, 20)
		}
		if s.ejected != c.want {
			t.Errorf("%d endpoints at %d %%: %d ejected, want %d", c.n, c.percent, s.ejected, c.want)
		}
		if e := s.Pick(0, Request{Rand: 1}); e == nil {
			t.Errorf("%d endpoints at %d %%: nothing to pick", c.n, c.percent)
		}
	}
}

func TestASetThatShrinksTakesEjectedEndpointsBack(t *testing.T) {
	s := with(10, func(*model.Policy) {})
	warm(s, ms)
	for _, e := range s.all[:5] {
		failing(e, 0, 5)
	}
	s.Update(0, endpoints(2))
	if s.ejected != 1 {
		t.Fatalf("of two endpoints %d are ejected, want one", s.ejected)
	}
	if left := s.Update(0, endpoints(10)[5:]); len(left) != 2 || s.ejected != 0 {
		t.Errorf("%d are counted as ejected after they left", s.ejected)
	}
}

func TestAShareOfFailuresEjectsOnlyIfTheOthersDoBetter(t *testing.T) {
	run := func(othersFail bool) State {
		s := with(4, func(p *model.Policy) { p.Outlier.Consecutive = 0 })
		for i := range 400 { // 40 s
			now := time.Duration(i) * 100 * ms
			for j, e := range s.all {
				ended(e, now, (j == 0 || othersFail) && i%2 == 0)
			}
		}
		return stateOf(s.all[0])
	}
	if got := run(false); got == Ready {
		t.Error("an endpoint of which half fails, while the others are well, is ready")
	}
	if got := run(true); got != Ready {
		t.Errorf("when half fails everywhere, one is %s", got)
	}
}

func TestRefusalsEjectOnlyWhereTheOthersDoNotRefuse(t *testing.T) {
	run := func(all bool) State {
		s := with(4, func(*model.Policy) {})
		warm(s, ms)
		for i := range 100 {
			now := time.Duration(i) * 100 * ms
			for j, e := range s.all {
				e.Start()
				if j == 0 || all {
					e.Refused(now)
				} else {
					e.Settle(now, ms, false)
				}
			}
		}
		return stateOf(s.all[0])
	}
	if got := run(false); got == Ready {
		t.Error("an endpoint that refuses everything for 10 s is ready")
	}
	if got := run(true); got != Ready {
		t.Errorf("when all are overloaded, one is %s", got)
	}
}

func TestAnEndpointManyTimesSlowerThanTheOthersIsEjectedIfAskedFor(t *testing.T) {
	for _, factor := range []float64{0, 10} {
		s := with(5, func(p *model.Policy) { p.Outlier.SlowFactor = factor })
		for i := range 40 {
			for j, e := range s.all {
				e.Start()
				rtt := ms
				if j == 3 {
					rtt = 50 * ms
				}
				e.Settle(time.Duration(i)*100*ms, rtt, false)
			}
			s.Pick(time.Duration(i)*100*ms, Request{Rand: 1})
		}
		if got := stateOf(s.all[3]) == Ejected; got != (factor > 0) {
			t.Errorf("factor %v: ejected %v", factor, got)
		}
	}
}

func TestATryThatTellsNothingIsFollowedByAnother(t *testing.T) {
	for name, end := range map[string]func(e *Endpoint, now time.Duration){
		"never sent":   func(e *Endpoint, now time.Duration) { e.Cancel() },
		"given up":     func(e *Endpoint, now time.Duration) { e.Abandoned(now, time.Second) },
		"refused":      func(e *Endpoint, now time.Duration) { e.Refused(now) },
		"never picked": func(e *Endpoint, now time.Duration) { e.Inflight-- }, // the caller did not use it
	} {
		s := with(2, func(*model.Policy) {})
		warm(s, ms)
		bad := s.all[0]
		failing(bad, 0, 5)
		now := 7 * time.Second
		if e := s.Pick(now, Request{Rand: 1}); e != bad {
			t.Fatalf("%s: it was not tried", name)
		}
		bad.Start()
		end(bad, now)
		if n := picked(s, now+11*time.Second, 10, nil)["0"]; n != 1 {
			t.Errorf("%s: %d requests try it after 11 s, want one", name, n)
		}
	}
}

func TestWhatWasUnderWayWhenAnEndpointWasEjectedDoesNotEjectItAgain(t *testing.T) {
	s := with(3, func(*model.Policy) {})
	warm(s, ms)
	bad := s.all[0]
	for range 50 {
		bad.Start()
	}
	for range 50 {
		bad.Settle(0, ms, true)
	}
	if bad.accrual.ejections != 1 || s.ejected != 1 {
		t.Errorf("%d ejections, %d out", bad.accrual.ejections, s.ejected)
	}
}

func TestIfTooFewAreHealthyHealthIsIgnored(t *testing.T) {
	s := with(10, func(p *model.Policy) { p.Health = &model.HealthCheck{Unhealthy: 1, Healthy: 1} })
	warm(s, ms)
	for _, e := range s.all[:5] {
		e.Checked(0, false)
	}
	if got := picked(s, 0, 1000, nil); len(got) != 5 {
		t.Errorf("half are healthy and %d are picked, want those five", len(got))
	}
	s.all[5].Checked(0, false)
	if got := picked(s, 0, 1000, nil); len(got) != 10 || s.Counts().Panic != 1000 {
		t.Errorf("less than half are healthy and %d are picked, want all; counted %d", len(got), s.Counts().Panic)
	}
	never := with(3, func(p *model.Policy) {
		p.Balance.PanicPercent = 0
		p.Health = &model.HealthCheck{Unhealthy: 1, Healthy: 1}
	})
	for _, e := range never.all {
		e.Checked(0, false)
	}
	if e := never.Pick(0, Request{}); e != nil {
		t.Error("health is never to be ignored, and an unhealthy endpoint was picked")
	}
}

func TestHealthChecksChangeAStateAfterSoManyInARow(t *testing.T) {
	s := with(2, func(p *model.Policy) { p.Health = &model.HealthCheck{Unhealthy: 3, Healthy: 2} })
	e := s.all[0]
	for i, step := range []struct {
		well    bool
		healthy bool
	}{{false, true}, {false, true}, {true, true}, {false, true}, {false, true}, {false, false}, {true, false}, {false, false}, {true, false}, {true, true}} {
		changed := e.Checked(time.Duration(i), step.well)
		if e.Healthy() != step.healthy {
			t.Fatalf("step %d: healthy %v, want %v", i, e.Healthy(), step.healthy)
		}
		if changed != (i == 5 || i == 9) {
			t.Errorf("step %d: changed %v", i, changed)
		}
	}
	if st, since := e.State(); st != Ready || since != 0 {
		t.Errorf("in the end it is %s since %s", st, since)
	}
}

// What all endpoints of a tier fail for lies behind them. Ejecting some would pile the load up on the
// rest, with nothing gained.
func TestNobodyIsEjectedWhileEverybodyFails(t *testing.T) {
	for _, n := range []int{2, 3, 10} {
		var s Set
		s.Update(0, endpoints(n))
		warm(&s, ms)
		now := time.Duration(0)
		fail := func(e *Endpoint) bool {
			now += ms
			e.Start()
			return e.Settle(now, ms, true)
		}
		for range 20 {
			for _, e := range s.all {
				if fail(e) {
					t.Fatalf("of %d endpoints that all fail one was ejected", n)
				}
			}
		}
		for _, e := range s.all[1:] { // all but one are well again
			e.Start()
			e.Settle(now, ms, false)
		}
		if !fail(s.all[0]) {
			t.Errorf("of %d endpoints the only one that goes on failing was not ejected", n)
		}
	}
}
