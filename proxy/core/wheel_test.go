package core

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// clock is the obvious wheel: a list of all armed timers, searched each time.
type clock struct {
	now   time.Duration
	armed map[int]time.Duration // by timer; when it is due
}

// due gives the timers that are due up to now, and forgets them.
func (c *clock) due() []int {
	var out []int
	for id, at := range c.armed {
		if at <= c.now {
			out = append(out, id)
			delete(c.armed, id)
		}
	}
	slices.Sort(out)
	return out
}

// earliest tells when the first timer is due.
func (c *clock) earliest() (time.Duration, bool) {
	first := time.Duration(math.MaxInt64)
	for _, at := range c.armed {
		first = min(first, at)
	}
	return first, len(c.armed) > 0
}

// ceil and floor are to whole ticks.
func ceil(d time.Duration) time.Duration  { return (d + tick - 1) / tick * tick }
func floor(d time.Duration) time.Duration { return d / tick * tick }

// testWheel is a wheel with numbered timers beside its reference.
type testWheel struct {
	t      *testing.T
	w      wheel
	ref    clock
	timers []timer
	fired  []int
	// rearm says what a timer arms when it fires; nil: nothing.
	rearm func(id int) (other int, after time.Duration)
}

func newTestWheel(t *testing.T, start time.Duration, n int) *testWheel {
	x := &testWheel{t: t, ref: clock{now: start, armed: map[int]time.Duration{}}, timers: make([]timer, n)}
	x.w.init(start)
	for i := range x.timers {
		x.timers[i].fire = func() {
			x.fired = append(x.fired, i)
			if x.rearm != nil {
				if other, after := x.rearm(i); other >= 0 {
					x.w.arm(&x.timers[other], x.ref.now+after)
				}
			}
		}
	}
	return x
}

// arm arms a timer in both. A timer fires at the end of the tick that holds its time, and not
// within the present one.
func (x *testWheel) arm(id int, at time.Duration) {
	x.w.arm(&x.timers[id], at)
	x.ref.armed[id] = dueAt(x.ref.now, at)
}

// dueAt is when a timer for at fires that is armed now: at the end of its tick, or if that is more than
// a turn away at a coarser border behind it.
func dueAt(now, at time.Duration) time.Duration {
	const border = coarse * tick
	if at >= math.MaxInt64-2*border {
		return at
	}
	due := max(ceil(at), floor(now)+tick)
	if due-floor(now) > slots*tick {
		due = (due + border - 1) / border * border
	}
	return due
}

func (x *testWheel) disarm(id int) {
	x.w.disarm(&x.timers[id])
	delete(x.ref.armed, id)
}

func (x *testWheel) advance(now time.Duration) {
	x.t.Helper()
	x.ref.now = now
	want := x.ref.due()
	x.fired = nil
	x.w.advance(now)
	slices.Sort(x.fired)
	if !slices.Equal(x.fired, want) {
		x.t.Fatalf("at %s %v fired, want %v", now, x.fired, want)
	}
}

// check holds what the wheel says of itself against the reference.
func (x *testWheel) check() {
	x.t.Helper()
	first, any := x.ref.earliest()
	at, ok := x.w.next()
	if any && (!ok || at > first) {
		x.t.Fatalf("at %s the next timer is due at %s, the wheel wants to be woken at %s (%v)", x.ref.now, first, at, ok)
	}
	if ok && at <= floor(x.ref.now) {
		x.t.Fatalf("at %s the wheel wants to be woken at %s: a busy loop", x.ref.now, at)
	}
	for id := range x.timers {
		if _, want := x.ref.armed[id]; x.timers[id].armed() != want {
			x.t.Fatalf("timer %d is armed: %v, want %v", id, !want, want)
		}
	}
}

func TestTimersFireWhenAndOnlyWhenTheyAreDue(t *testing.T) {
	const turn = slots * tick
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		start := time.Duration(r.Int64N(int64(time.Hour)))
		x := newTestWheel(t, start, 40)
		far := []time.Duration{10 * tick, turn / 2, turn, 3 * turn, 24 * time.Hour}
		for range 400 {
			switch id := r.IntN(len(x.timers)); r.IntN(10) {
			case 0, 1, 2, 3:
				x.arm(id, x.ref.now+time.Duration(r.Int64N(int64(far[r.IntN(len(far))])))-2*tick) // some in the past
			case 4:
				x.arm(id, ceil(x.ref.now)+time.Duration(r.IntN(3))*turn) // exactly on a border, and whole turns ahead
			case 5:
				x.disarm(id)
			case 6:
				x.arm(id, math.MaxInt64-time.Duration(r.IntN(2))) // never
			case 7:
				if at, ok := x.w.next(); ok { // as a driver does
					x.advance(max(at, x.ref.now))
				}
			default:
				x.advance(x.ref.now + time.Duration(r.Int64N(int64(far[r.IntN(4)]))))
			}
			x.check()
		}
	}
}

// A driver sleeps until next and advances then: every timer must fire within its tick.
func TestADriverThatSleepsUntilNextIsNeverLate(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var w wheel
	w.init(0)
	var now time.Duration
	left := 500
	timers := make([]timer, left)
	for i := range timers {
		at := time.Duration(r.Int64N(int64(time.Minute)))
		timers[i].fire = func() {
			left--
			if late := now - at; late < 0 || now > max(tick, dueAt(0, at)) {
				t.Errorf("a timer for %s fired at %s", at, now)
			}
		}
		w.arm(&timers[i], at)
	}
	wakes := 0
	for left > 0 {
		at, ok := w.next()
		if !ok {
			t.Fatalf("the wheel sleeps for ever with %d timers armed", left)
		}
		now = max(now, at)
		w.advance(now)
		wakes++
	}
	if at, ok := w.next(); ok {
		t.Errorf("nothing is armed and the wheel wants to be woken at %s", at)
	}
	if most := 500 + int(time.Minute/(slots*tick))*500; wakes > most {
		t.Errorf("%d wake-ups for 500 timers", wakes)
	}
}

func TestAnIdleWheelSleeps(t *testing.T) {
	var w wheel
	w.init(time.Hour)
	if at, ok := w.next(); ok {
		t.Errorf("an empty wheel wants to be woken at %s", at)
	}
	var x timer
	x.fire = func() { t.Error("fired") }
	w.arm(&x, time.Hour+time.Second)
	w.disarm(&x)
	w.disarm(&x)  // twice does no harm
	for range 2 { // one useless wake-up is allowed: disarming does not search
		if at, ok := w.next(); ok {
			w.advance(at)
		}
	}
	if at, ok := w.next(); ok {
		t.Errorf("a disarmed timer keeps the wheel awake at %s", at)
	}
}

// Idle connections have timers minutes away, at any time: together they must not keep a loop awake.
func TestThousandsOfFarTimersWakeALoopSeldom(t *testing.T) {
	var w wheel
	w.init(0)
	timers := make([]timer, 8000)
	for i := range timers {
		timers[i].fire = func() { t.Error("it fired too early") }
		w.arm(&timers[i], 5*time.Minute+time.Duration(i)*731*time.Microsecond)
	}
	wakes := 0
	for now := time.Duration(0); now < time.Minute; wakes++ {
		now, _ = w.next()
		w.advance(now)
	}
	if most := 5 * 60; wakes > most {
		t.Errorf("%d wake-ups in a minute, want at most %d", wakes, most)
	}
}

func TestACallbackMayArmAndDisarm(t *testing.T) {
	for _, after := range []time.Duration{-time.Hour, 0, 1, tick, slots * tick, 5 * slots * tick} {
		t.Run(fmt.Sprint("its own timer, again after ", after), func(t *testing.T) {
			var w wheel
			w.init(0)
			var now time.Duration
			var x timer
			var at []time.Duration
			x.fire = func() {
				at = append(at, now)
				if len(at) < 3 {
					w.arm(&x, now+after)
				}
			}
			w.arm(&x, tick)
			for range 100 {
				next, ok := w.next()
				if !ok {
					break
				}
				now = max(now, next)
				w.advance(now)
			}
			second := dueAt(tick, tick+after) // never within the same tick: that would not end
			if want := []time.Duration{tick, second, dueAt(second, second+after)}; !slices.Equal(at, want) {
				t.Errorf("it fired at %v, want %v", at, want)
			}
		})
	}
	t.Run("another that is due in the same tick", func(t *testing.T) {
		var w wheel
		w.init(0)
		var a, b, c timer
		a.fire = func() { w.disarm(&b); w.arm(&c, 10*tick) }
		b.fire = func() { t.Error("it fired after it was disarmed") }
		c.fire = func() { t.Error("it fired at its old time") }
		for _, x := range []*timer{&a, &b, &c} {
			w.arm(x, 3*tick)
		}
		w.advance(5 * tick)
		if a.armed() || b.armed() || !c.armed() {
			t.Errorf("armed: %v %v %v", a.armed(), b.armed(), c.armed())
		}
		fired := false
		c.fire = func() { fired = true }
		w.advance(10 * tick)
		if !fired {
			t.Error("the moved timer did not fire")
		}
	})
}

func TestATimerArmedInACallbackFiresInTheSameAdvanceIfItIsDue(t *testing.T) {
	x := newTestWheel(t, 0, 2)
	x.rearm = func(id int) (int, time.Duration) {
		if id == 0 {
			return 1, -time.Hour
		}
		return -1, 0
	}
	x.w.arm(&x.timers[0], tick)
	x.ref.now = 50 * tick
	x.w.advance(x.ref.now)
	if !slices.Equal(x.fired, []int{0, 1}) {
		t.Errorf("%v fired; a loop that comes late catches up at once", x.fired)
	}
}

func TestTimersOfOneTickFireInTheOrderOfArming(t *testing.T) {
	x := newTestWheel(t, 0, 20)
	var want []int
	for i := range x.timers {
		x.w.arm(&x.timers[i], 7*tick-time.Duration(i))
		want = append(want, i)
	}
	x.w.advance(7 * tick)
	if !slices.Equal(x.fired, want) {
		t.Errorf("%v: a simulation would not repeat", x.fired)
	}
}

func TestArmingMovesAnArmedTimer(t *testing.T) {
	x := newTestWheel(t, 0, 1)
	x.arm(0, 5*tick)
	x.arm(0, 2*slots*tick)
	x.advance(6 * tick)
	x.advance(slots * tick)
	x.arm(0, slots*tick+tick)
	x.advance(slots*tick + tick)
	x.check()
}

func TestTimeThatDoesNotAdvanceFiresNothing(t *testing.T) {
	x := newTestWheel(t, time.Second, 1)
	x.arm(0, time.Second)
	x.w.advance(time.Second)
	x.w.advance(0) // nor does time that goes back
	if len(x.fired) > 0 {
		t.Error("a timer fired within the tick in which it was armed")
	}
	x.advance(time.Second + tick)
}

func TestArmingAllocatesNothing(t *testing.T) {
	var w wheel
	w.init(0)
	x := timer{fire: func() {}}
	now := time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() {
		w.arm(&x, now+time.Second)
		w.arm(&x, now+5*time.Second)
		w.disarm(&x)
		w.arm(&x, now)
		now += tick
		w.advance(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkArmAdvance(b *testing.B) {
	var w wheel
	w.init(0)
	x := timer{fire: func() {}}
	now := time.Duration(0)
	for b.Loop() {
		w.arm(&x, now+30*time.Second)
		now += tick / 100
		w.advance(now)
	}
}

// One timer alone, on every slot: nothing else wakes the wheel for it.
func TestATimerAloneFiresWhicheverSlotItIsIn(t *testing.T) {
	for _, start := range []int64{0, 1, 63, 64, slots - 1, slots + 70} {
		for ahead := int64(1); ahead <= slots+64; ahead++ {
			var w wheel
			w.init(time.Duration(start) * tick)
			fired := false
			x := timer{fire: func() { fired = true }}
			due := time.Duration(start+ahead) * tick
			w.arm(&x, due)
			due = dueAt(time.Duration(start)*tick, due)
			for !fired {
				at, ok := w.next()
				if !ok || at > due {
					t.Fatalf("from tick %d, %d ahead: to be woken at %s (%v), due at %s", start, ahead, at, ok, due)
				}
				w.advance(at)
			}
		}
	}
}
