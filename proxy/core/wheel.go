package core

import (
	"math"
	"math/bits"
	"time"
)

// tick is the resolution of timers. Deadlines of requests and connections do not need better.
const (
	tick  = 4 * time.Millisecond
	slots = 1024 // 4 s a turn; later timers wait in their slot for further turns
	// coarse is the resolution, in ticks, of timers that are more than a turn away. They share few
	// slots, so that thousands of idle connections wake the loop 4 times a second and not 250 times:
	// with 8,000 of them a loop that did nothing else used 13 ms a second.
	coarse = 64
)

// timer is one armed wake-up, a node of a slot's ring. It is embedded in what it wakes, so that
// arming costs no allocation. The zero value is disarmed.
type timer struct {
	prev, next *timer
	at         int64 // in ticks
	fire       func()
}

func (t *timer) armed() bool { return t.next != nil }

func (t *timer) unlink() {
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next = nil, nil
}

// wheel is a hashed timing wheel (Varghese and Lauck, 1987): O(1) to arm and disarm. A bitmap of
// occupied slots tells when the next wake-up is due, so an idle proxy sleeps.
type wheel struct {
	slot     [slots]timer
	due      timer // ring of those that fireSlot is about to fire; here, since on the stack it would escape
	occupied [slots / 64]uint64
	cur      int64 // all timers at or before this tick have fired
}

func (w *wheel) init(now time.Duration) {
	for i := range w.slot {
		w.slot[i].prev, w.slot[i].next = &w.slot[i], &w.slot[i]
	}
	w.due.prev, w.due.next = &w.due, &w.due
	w.cur = int64(now / tick)
}

// arm sets t to fire at the given time, or up to a tick later, or up to a quarter of a second later if
// that is more than 4 s away; an armed timer is moved. A time that has passed means the next tick.
func (w *wheel) arm(t *timer, at time.Duration) {
	if t.armed() {
		t.unlink()
	}
	t.at = int64(at / tick)
	if at%tick > 0 { // rounding up by adding first would overflow for the far future
		t.at++
	}
	t.at = max(t.at, w.cur+1)
	if t.at-w.cur > slots && t.at < math.MaxInt64-coarse {
		t.at = (t.at + coarse - 1) / coarse * coarse
	}
	i := t.at % slots
	head := &w.slot[i]
	t.prev, t.next = head.prev, head
	head.prev.next, head.prev = t, t
	w.occupied[i/64] |= 1 << (i % 64)
}

// disarm stops t if it is armed.
func (w *wheel) disarm(t *timer) {
	if t.armed() {
		t.unlink()
	}
}

// advance fires everything due at now, tick by tick, those of one tick in the order in which they
// were armed. A callback may arm and disarm timers, but not advance.
func (w *wheel) advance(now time.Duration) {
	target := int64(now / tick)
	for w.cur < target {
		step := w.toNext()
		if w.cur+step > target {
			w.cur = target
			return
		}
		w.cur += step
		w.fireSlot(w.cur % slots)
	}
}

// fireSlot fires the due timers of a slot and keeps those of later turns.
func (w *wheel) fireSlot(i int64) {
	head := &w.slot[i]
	due := &w.due // a ring of its own, so that callbacks may touch the slot
	for t := head.next; t != head; {
		next := t.next
		if t.at <= w.cur {
			t.unlink()
			t.prev, t.next = due.prev, due
			due.prev.next, due.prev = t, t
		}
		t = next
	}
	if head.next == head {
		w.occupied[i/64] &^= 1 << (i % 64)
	}
	for due.next != due {
		t := due.next
		t.unlink()
		t.fire()
	}
}

// toNext returns how many ticks ahead the next occupied slot is, at most slots.
func (w *wheel) toNext() int64 {
	start := (w.cur + 1) % slots
	word, bit := start/64, uint(start%64)
	for n := int64(0); n <= int64(len(w.occupied)); n++ {
		m := w.occupied[word]
		if n == 0 {
			m &= ^uint64(0) << bit
		}
		if m != 0 {
			at := word*64 + int64(bits.TrailingZeros64(m))
			d := (at - start + slots) % slots
			return d + 1
		}
		word = (word + 1) % int64(len(w.occupied))
	}
	return slots
}

// next returns when advance should be called again; ok is false if nothing is armed.
func (w *wheel) next() (at time.Duration, ok bool) {
	for _, m := range w.occupied {
		if m != 0 {
			return time.Duration(w.cur+w.toNext()) * tick, true
		}
	}
	return 0, false
}
