package balance

import (
	"math"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

func TestANewEndpointBeginsWithLittleAndGrows(t *testing.T) {
	s := with(3, by(model.Random))
	warm(s, ms)
	s.Update(time.Second, endpoints(4))
	share := func(now time.Duration) int { return picked(s, now, 10_000, nil)["3"] }
	if n := share(time.Second); n > 600 {
		t.Errorf("at first it got %d of 10,000, want a tenth of a fair share", n)
	}
	if st := stateOf(s.all[3]); st != Starting {
		t.Errorf("it is %s", st)
	}
	half := share(6 * time.Second) // its latency is not known, so it grows as slowly as said
	if half < 1200 || half > 1900 {
		t.Errorf("after half the time it got %d of 10,000, want about 1550", half)
	}
	if n := share(12 * time.Second); n < 2300 || n > 2700 {
		t.Errorf("in the end it got %d of 10,000, want a quarter", n)
	}
	if st := stateOf(s.all[3]); st != Ready {
		t.Errorf("in the end it is %s", st)
	}
}

func TestTheWeightOfANewEndpointThatIsFastGrowsFaster(t *testing.T) {
	grown := func(rtt time.Duration) float64 {
		s := with(3, by(model.Random))
		s.Update(0, endpoints(4))
		for i := range 12 {
			now := time.Duration(i) * 250 * ms
			for j, e := range s.all {
				e.Start()
				if j == 3 {
					e.Settle(now, rtt, false)
				} else {
					e.Settle(now, ms, false)
				}
			}
			s.Pick(now, Request{Rand: 1})
		}
		return s.all[3].ramp.factor()
	}
	if fast, slow := grown(ms), grown(10*ms); fast < 2*slow {
		t.Errorf("after 3 s a fast one has %.2f of its weight, a slow one %.2f", fast, slow)
	}
}

func TestTheFirstEndpointsOfASetBeginWithAll(t *testing.T) {
	s := with(3, by(model.Random))
	s.Pick(0, Request{Rand: 1})
	for _, e := range s.all {
		if e.weight != 1 || stateOf(e) != Ready {
			t.Errorf("weight %v, %s", e.weight, stateOf(e))
		}
	}
}

func TestAnEndpointThatAsksToBeLeftAloneGetsLittleForAsLongAsItSaid(t *testing.T) {
	for _, a := range []model.Algorithm{model.PeakEWMA, model.Random, model.RoundRobin} {
		s := with(4, by(a))
		warm(s, ms)
		s.all[0].LeaveAlone(0, 3*time.Second)
		if n := picked(s, time.Second, 8000, nil)["0"]; n > 300 {
			t.Errorf("%s: meanwhile it got %d of 8000", a, n)
		}
		if n := picked(s, 3*time.Second, 8000, nil)["0"]; n < 1700 {
			t.Errorf("%s: afterwards it got %d of 8000, want a quarter", a, n)
		}
		s.all[0].LeaveAlone(0, time.Hour)
		if n := picked(s, 61*time.Second, 8000, nil)["0"]; n < 1700 {
			t.Errorf("%s: it asked for an hour, and has it", a)
		}
	}
}

func reporting(s *Set, from, to time.Duration, load func(i int) Load) {
	for now := from; now <= to; now += time.Second {
		for i, e := range s.all {
			e.Report(now, load(i))
		}
	}
}

func TestReportsMakeWeightsAfterTheirBlackoutAndUntilTheyExpire(t *testing.T) {
	s := with(2, by(model.Random))
	warm(s, ms)
	reporting(s, time.Second, 9*time.Second, func(i int) Load { return Load{QPS: 100, Utilization: []float64{0.2, 0.6}[i]} })
	if n := picked(s, 9*time.Second, 10_000, nil)["0"]; n < 4700 || n > 5300 {
		t.Errorf("before the blackout is over one got %d of 10,000", n)
	}
	reporting(s, 10*time.Second, 30*time.Second, func(i int) Load { return Load{QPS: 100, Utilization: []float64{0.2, 0.6}[i]} })
	if n := picked(s, 30*time.Second, 10_000, nil)["0"]; n < 7200 || n > 7800 {
		t.Errorf("an endpoint with three times the room got %d of 10,000, want 7500", n)
	}
	if n := picked(s, 4*time.Minute, 10_000, nil)["0"]; n < 4700 || n > 5300 {
		t.Errorf("after reports have stopped for minutes one got %d of 10,000", n)
	}
}

func TestErrorsCountAgainstAnEndpointsReport(t *testing.T) {
	s := with(2, by(model.Random))
	reporting(s, time.Second, 30*time.Second, func(i int) Load { return Load{QPS: 100, Utilization: 0.5, EPS: []float64{0, 50}[i]} })
	if n := picked(s, 30*time.Second, 10_000, nil)["1"]; n < 3000 || n > 3700 {
		t.Errorf("one of which half fails got %d of 10,000, want a third", n)
	}
}

func TestALyingReportIsCountedAndIgnored(t *testing.T) {
	for _, l := range []Load{
		{QPS: math.NaN(), Utilization: 0.5}, {QPS: math.Inf(1), Utilization: 0.5}, {QPS: -1, Utilization: 0.5},
		{QPS: 10, Utilization: math.NaN()}, {QPS: 10, Utilization: -0.5}, {QPS: 10, Utilization: 1e9}, {QPS: 1e30, Utilization: 0.5},
		{QPS: 10, Utilization: 0.5, EPS: math.NaN()}, {QPS: 10, Utilization: 0.5, EPS: 1e6},
	} {
		s := with(2, by(model.Random))
		reporting(s, time.Second, 30*time.Second, func(i int) Load {
			if i == 0 {
				return l
			}
			return Load{QPS: 100, Utilization: 0.5}
		})
		if n := picked(s, 30*time.Second, 10_000, nil)["0"]; n < 4700 || n > 5300 {
			t.Errorf("%+v: it got %d of 10,000", l, n)
		}
		if s.Counts().Lies != 30 {
			t.Errorf("%+v: %d lies were counted, want 30", l, s.Counts().Lies)
		}
	}
}

func TestAReportChangesAWeightWithinBoundsOnly(t *testing.T) {
	s := with(10, by(model.Random))
	reporting(s, time.Second, 30*time.Second, func(i int) Load {
		if i == 0 {
			return Load{QPS: 1e6, Utilization: 1e-6} // it would like to have everything
		}
		return Load{QPS: 100, Utilization: 0.5}
	})
	n := picked(s, 30*time.Second, 10_000, nil)["0"]
	if n > 10_000*4/(4+9)*11/10 { // against nine others
		t.Errorf("it got %d of 10,000", n)
	}
}

func TestReportsAreNotReadWhereTheyAreTurnedOff(t *testing.T) {
	s := with(2, func(p *model.Policy) { p.Balance.LoadReports = false; p.Balance.Algorithm = model.Random })
	reporting(s, time.Second, 30*time.Second, func(i int) Load { return Load{QPS: 100, Utilization: []float64{0.1, 0.9}[i]} })
	if n := picked(s, 30*time.Second, 10_000, nil)["0"]; n < 4700 || n > 5300 {
		t.Errorf("one got %d of 10,000", n)
	}
}
