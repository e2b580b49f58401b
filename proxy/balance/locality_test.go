package balance

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

// zones is a set of near endpoints in the client's zone and far ones in another.
func zones(near, far int, change func(*model.Policy)) *Set {
	s := &Set{}
	s.Configure(Config{Policy: policy(change), Zone: "a"})
	eps := endpoints(near + far)
	for i := range eps {
		eps[i].Zone = "a"
		if i >= near {
			eps[i].Zone = "b"
		}
	}
	s.Update(0, eps)
	return s
}

// away is the share of n picks that left the zone.
func away(s *Set, now time.Duration, n int) float64 {
	r, out := seeded(), 0
	for range n {
		if s.Pick(now, Request{Rand: r.Uint64()}).Zone != "a" {
			out++
		}
	}
	return float64(out) / float64(n)
}

func TestRequestsStayInTheZone(t *testing.T) {
	for _, a := range []model.Algorithm{model.PeakEWMA, model.LeastRequest, model.RoundRobin, model.Random} {
		s := zones(3, 30, by(a))
		warm(s, ms)
		if got := away(s, 0, 2000); got > 0 {
			t.Errorf("%s: %v left the zone", a, got)
		}
	}
	off := zones(3, 30, func(p *model.Policy) { p.Balance.Locality = false })
	warm(off, ms)
	if got := away(off, 0, 2000); got < 0.85 {
		t.Errorf("without locality only %v left the zone", got)
	}
}

func TestAZoneWithoutEndpointsUsesTheOthers(t *testing.T) {
	s := zones(0, 3, func(*model.Policy) {})
	if got := away(s, 0, 100); got != 1 {
		t.Errorf("%v left the zone", got)
	}
}

func TestOnlyTheExcessOfAZoneWithTooFewHealthyEndpointsLeavesIt(t *testing.T) {
	s := zones(10, 10, func(p *model.Policy) { p.Health = &model.HealthCheck{Unhealthy: 1, Healthy: 1} })
	warm(s, ms)
	for _, e := range s.all[:2] {
		e.Checked(0, false)
	}
	if got := away(s, 0, 5000); got > 0 {
		t.Errorf("8 of 10 are healthy and %v left the zone", got)
	}
	for _, e := range s.all[2:5] {
		e.Checked(0, false)
	}
	if got := away(s, 0, 5000); got < 0.27 || got > 0.33 {
		t.Errorf("5 of 10 are healthy, good for 0.7 of the load, and %v left the zone", got)
	}
	for _, e := range s.all[5:9] {
		e.Checked(0, false)
	}
	s.all[9].Start()
	if e := s.Pick(0, Request{Rand: 1, Avoid: s.all[9]}); e.Zone != "b" {
		t.Error("the only one of the zone was to be avoided, and none further away was picked")
	}
}

func TestAZoneWhoseEndpointsReportTooMuchUseGivesTheExcessAway(t *testing.T) {
	s := zones(4, 4, func(*model.Policy) {})
	warm(s, ms)
	reporting(s, time.Second, 20*time.Second, func(i int) Load { return Load{QPS: 100, Utilization: 1.6} })
	if got := away(s, 20*time.Second, 5000); got < 0.45 || got > 0.55 {
		t.Errorf("at twice the use that it should have %v left the zone, want half", got)
	}
}

// loaded drives a set against servers that take longer the more they have in flight in all.
func loaded(s *Set, perSecond int, last time.Duration, service func(e *Endpoint, now time.Duration, busy int) time.Duration) (out map[time.Duration]float64) {
	type finish struct {
		at, took time.Duration
		e        *Endpoint
	}
	var under []finish
	r := rand.New(rand.NewPCG(3, 4))
	out = map[time.Duration]float64{}
	n, left := 0, 0
	for now := time.Duration(0); now < last; now += time.Second / time.Duration(perSecond) {
		keep := under[:0]
		for _, f := range under {
			if f.at <= now {
				f.e.Settle(f.at, f.took, false)
			} else {
				keep = append(keep, f)
			}
		}
		under = keep
		e := s.Pick(now, Request{Rand: r.Uint64()})
		e.Start()
		took := service(e, now, e.Inflight)
		under = append(under, finish{now + took, took, e})
		n++
		if e.Zone != "a" {
			left++
		}
		if n == perSecond { // a second's share
			out[now.Truncate(time.Second)] = float64(left) / float64(n)
			n, left = 0, 0
		}
	}
	return out
}

func TestAZoneThatCannotTakeTheLoadSpillsUntilItCanAndTakesItBack(t *testing.T) {
	s := zones(4, 4, func(*model.Policy) {})
	// Each server does 10 ms of work at a time; from the fifth to the fifteenth second those of the zone
	// do it four times as slowly, and 100 ms behind each other.
	free := map[*Endpoint]time.Duration{}
	got := loaded(s, 300, 90*time.Second, func(e *Endpoint, now time.Duration, _ int) time.Duration {
		work := 10 * ms
		if e.Zone == "a" && now > 5*time.Second && now < 15*time.Second {
			work = 40 * ms
		}
		end := max(free[e], now) + work
		free[e] = end
		return end - now
	})
	if v := got[4*time.Second]; v > 0.1 {
		t.Errorf("before the zone was slow %v left it", v)
	}
	if v := got[12*time.Second]; v < 0.4 {
		t.Errorf("while it could take a third of the load only %v left it", v)
	}
	if v := got[88*time.Second]; v > 0.1 {
		t.Errorf("long after it was well again %v left it", v)
	}
}
