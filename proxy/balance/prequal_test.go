package balance

import (
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

func prequal(n int) *Set {
	s := with(n, by(model.Prequal))
	warm(s, ms)
	s.Pick(0, Request{Rand: 1})
	return s
}

func TestPrequalTakesTheFastestOfTheCold(t *testing.T) {
	s := prequal(10)
	for i := range 5 {
		s.all[i].Reply(0, 2, 20*ms)
	}
	s.all[5].Reply(0, 2, 4*ms)
	s.all[6].Reply(0, 100, ms) // fastest, and hot
	if e := s.Pick(0, Request{Rand: 1}); e != s.all[5] {
		t.Errorf("picked %s, want the fastest with few requests in flight", e.Workload.Name)
	}
}

func TestPrequalTakesTheLeastLoadedIfAllAreHot(t *testing.T) {
	s := prequal(3)
	for range 60 {
		s.all[0].Reply(0, 1, ms) // what is usual
	}
	s.pool.n = 0
	s.all[0].Reply(0, 50, ms)
	s.all[1].Reply(0, 40, 5*ms)
	s.all[2].Reply(0, 60, ms)
	if e := s.Pick(0, Request{Rand: 1}); e != s.all[1] {
		t.Errorf("picked %s", e.Workload.Name)
	}
}

func TestPrequalFallsBackWithoutTwoFreshReplies(t *testing.T) {
	s := prequal(4)
	s.Pick(0, Request{Rand: 1})
	before := s.Counts().Fallback
	s.all[0].Reply(0, 1, ms)
	s.Pick(0, Request{Rand: 1})
	if s.Counts().Fallback != before+1 {
		t.Error("one reply was enough")
	}
	s.all[1].Reply(0, 1, ms)
	s.Pick(0, Request{Rand: 1})
	if s.Counts().Fallback != before+1 {
		t.Error("two replies were not enough")
	}
	s.all[0].Reply(0, 1, ms)
	s.all[1].Reply(0, 1, ms)
	s.Pick(1100*ms, Request{Rand: 1})
	if s.Counts().Fallback != before+2 {
		t.Error("replies of more than a second ago were used")
	}
}

func TestAReplyIsUsedOnce(t *testing.T) {
	s := prequal(3)
	for _, e := range s.all {
		e.Reply(0, 1, ms)
	}
	a, b := s.Pick(0, Request{Rand: 1}), s.Pick(0, Request{Rand: 1})
	if a == b || s.Replies() != 1 {
		t.Errorf("picked %s and %s, and %d replies are left", a.Workload.Name, b.Workload.Name, s.Replies())
	}
	before := s.Counts().Fallback
	s.Pick(0, Request{Rand: 1})
	if s.Counts().Fallback != before+1 {
		t.Error("the last reply alone was used")
	}
}

func TestThePoolIsBoundedAndForgetsThoseThatLeave(t *testing.T) {
	s := prequal(100)
	for i, e := range s.all {
		e.Reply(time.Duration(i), 1, ms)
	}
	if s.pool.n != poolSize {
		t.Fatalf("%d replies are kept", s.pool.n)
	}
	s.Update(0, endpoints(90))
	for _, r := range s.pool.list[:s.pool.n] {
		if r.e.Gone() {
			t.Fatal("a reply of an endpoint that left is kept")
		}
	}
	for range 1000 {
		if e := s.Pick(100*ms, Request{Rand: 1}); e.Gone() {
			t.Fatal("picked one that left")
		}
	}
}

func TestAReplyThatCannotBeTrueIsCountedAndIgnored(t *testing.T) {
	s := prequal(3)
	e := s.all[0]
	e.Reply(0, -1, ms)
	e.Reply(0, 1<<40, ms)
	e.Reply(0, 1, -ms)
	e.Reply(0, 1, 1000*time.Hour)
	if s.pool.n != 0 || s.Counts().Lies != 4 {
		t.Errorf("%d kept, %d counted", s.pool.n, s.Counts().Lies)
	}
	e.Start()
	e.Settle(0, time.Second, false) // it takes a second, whatever it says
	e.Reply(0, 0, time.Microsecond)
	if s.pool.n != 0 || s.Counts().Lies != 5 {
		t.Errorf("an endpoint that takes a second was believed that it takes a microsecond")
	}
}

func TestProbesAreBoundedByPicksAndByTime(t *testing.T) {
	s := prequal(50)
	r := seeded()
	count := func(picks int, each time.Duration) (n int) {
		start := s.pool.paid
		for i := range picks {
			if s.NextProbe(start+time.Duration(i+1)*each, r.Uint64()) != nil {
				n++
			}
		}
		return n
	}
	if n := count(10_000, 100*time.Microsecond); n < 1000 || n > 1060 { // a second
		t.Errorf("10,000 picks in a second cause %d probes, want a tenth and 50", n)
	}
	if n := count(100, 100*ms); n < 95 {
		t.Errorf("100 picks in 10 s cause %d probes, want one each", n)
	}
	if n := count(100, 0); n > 15 {
		t.Errorf("100 picks in a moment cause %d probes", n)
	}
}

func TestTheMeterTellsTheLatencyNearThePresentLevel(t *testing.T) {
	var m Meter
	if n, l := m.Load(); n != 0 || l != 0 {
		t.Errorf("a new one tells %d, %s", n, l)
	}
	for range 20 { // alone: 2 ms
		m.End(m.Begin(), 2*ms)
	}
	var begun []int
	for range 40 {
		begun = append(begun, m.Begin())
	}
	if n, l := m.Load(); n != 40 || l != 2*ms {
		t.Errorf("with 40 in flight and nothing known of that, it tells %d, %s", n, l)
	}
	for i := range 30 { // the last ones, that found others before them
		m.End(begun[39-i], 50*ms)
	}
	if n, l := m.Load(); n != 10 || l != 50*ms {
		t.Errorf("with 10 in flight it tells %d, %s", n, l)
	}
	for i := range 10 {
		m.End(begun[i], -1)
	}
	if n, l := m.Load(); n != 0 || l != 2*ms {
		t.Errorf("in the end it tells %d, %s", n, l)
	}
}
