package resilience

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

var usual = model.DefaultPolicy.Calls.Retry.Budget // 20 %, 10 a second, 10 s

// failing makes requests at a rate, each of which is repeated as often as the budget lets it, and
// gives the load that arrives as a multiple of the requests.
func failing(b *Budget, from, to time.Duration, perSecond, repeats int) float64 {
	made, sent := 0, 0
	for now := from; now < to; now += time.Second / time.Duration(perSecond) {
		b.Request(now)
		made, sent = made+1, sent+1
		for range repeats {
			if !b.Take(now) {
				break
			}
			sent++
		}
	}
	return float64(sent) / float64(made)
}

func TestAFailingServiceGetsAFifthMoreAtMost(t *testing.T) {
	for _, perSecond := range []int{50, 200, 5000} {
		b := NewBudget(usual, 1)
		failing(&b, 0, 30*time.Second, perSecond, 0) // all was well
		if got := failing(&b, 30*time.Second, 60*time.Second, perSecond, 10); got > 1.201 || got < 1.15 {
			t.Errorf("%d requests a second became %.3f times as many", perSecond, got)
		}
	}
}

func TestFewRequestsMayBeRepeatedUpToTheMinimum(t *testing.T) {
	b := NewBudget(usual, 1)
	if got := failing(&b, 0, time.Minute, 4, 2); got != 3 {
		t.Errorf("4 a second, which may have 10 repeats a second, became %.2f times as many", got)
	}
}

func TestTheMinimumIsDividedAmongTheLoops(t *testing.T) {
	for loops, want := range map[int]int{1: 100, 2: 50, 8: 12, 1000: 1} {
		b := NewBudget(usual, loops)
		if got := b.Left(0); got != want {
			t.Errorf("one of %d loops has %d repeats in a window, want %d", loops, got, want)
		}
	}
}

func TestNothingIsRepeatedWithoutABudget(t *testing.T) {
	b := NewBudget(model.RetryBudget{Window: time.Second}, 1)
	for now := time.Duration(0); now < 10*time.Second; now += time.Millisecond {
		b.Request(now)
		if b.Take(now) {
			t.Fatal("a repeat was given")
		}
	}
}

func TestWhatIsOlderThanTheWindowDoesNotCount(t *testing.T) {
	b := NewBudget(model.RetryBudget{Percent: 50, Window: 10 * time.Second}, 1)
	for range 100 {
		b.Request(0)
	}
	if got := b.Left(8900 * time.Millisecond); got != 50 {
		t.Errorf("within the window %d are left, want 50", got)
	}
	if got := b.Left(10 * time.Second); got != 0 {
		t.Errorf("behind it %d are left", got)
	}
	if got := b.Left(time.Hour); got != 0 {
		t.Errorf("an hour later %d are left", got)
	}
}

// TestTheSumsAreThoseOfTheWindow compares with a budget that remembers every event.
func TestTheSumsAreThoseOfTheWindow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := model.RetryBudget{Percent: 30, MinPerSecond: 3, Window: 2 * time.Second}
	b := NewBudget(p, 1)
	type event struct {
		slot   int64
		repeat bool
	}
	var all []event
	now := time.Duration(0)
	for range 20_000 {
		now += time.Duration(r.Int64N(int64(50 * time.Millisecond)))
		if r.IntN(500) == 0 {
			now += time.Duration(r.Int64N(int64(5 * time.Second)))
		}
		slot := int64(now / (p.Window / slots))
		requests, repeats := 0, 0
		for i := len(all) - 1; i >= 0 && all[i].slot > slot-slots; i-- {
			if all[i].repeat {
				repeats++
			} else {
				requests++
			}
		}
		want := max(requests*p.Percent/100, 6) - repeats
		if got := b.Left(now); got != want {
			t.Fatalf("at %s: %d left, want %d", now, got, want)
		}
		if r.IntN(3) == 0 {
			if b.Take(now) != (want > 0) {
				t.Fatalf("at %s, with %d left: taken is %v", now, want, want <= 0)
			}
			if want > 0 {
				all = append(all, event{slot, true})
			}
		} else {
			b.Request(now)
			all = append(all, event{slot, false})
		}
	}
}

func TestABudgetAllocatesNothing(t *testing.T) {
	b := NewBudget(usual, 2)
	var l Latencies
	now := time.Duration(0)
	allocs.None(t, 1000, func() {
		now += 7 * time.Millisecond
		b.Request(now)
		b.Take(now)
		l.Observe(now, now%time.Second)
		l.Above(95)
	})
}
