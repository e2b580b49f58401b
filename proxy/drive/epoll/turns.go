//go:build linux

package epoll

import (
	"net/netip"
	"sync"
	"time"
)

// turns lets one handshake of a loop compute at a time. Each costs some 0.3 to 1 ms of processor time,
// and whoever can connect can ask for it; without turns, a thousand goroutines that compute would
// each be as important to the scheduler as the loop with everybody's requests. The addresses that
// the handshakes came from have their turns one after the other, so that a flood from one delays
// the others by one handshake and not by a thousand; and while more than restFrom wait of an address, it
// rests after a turn for as long as that took, so that a flood has half of one processor at most.
//
// The zero value is ready. Safe for concurrent use.
type turns struct {
	mu    sync.Mutex // guards what follows
	taken bool
	of    *turnLine // whose turn it is
	began time.Time
	lines []*turnLine // the first is served next; empty ones rest
	timer *time.Timer // for when all that wait rest
}

// turnLine is those who wait of one address.
type turnLine struct {
	from  netip.Addr
	wait  []chan struct{}
	until time.Time // rests until then
}

const (
	restFrom = 8                    // handshakes that wait of an address which make it a flood
	maxRest  = 5 * time.Millisecond // a turn that was longer was not computing all the while
)

// take waits for a turn. Whoever has it computes for about a millisecond, or passes it on while it
// waits for bytes.
func (t *turns) take(from netip.Addr) {
	t.mu.Lock()
	l := t.line(from)
	now := time.Now()
	if !t.taken && len(l.wait) == 0 && !now.Before(l.until) {
		t.give(l)
		t.mu.Unlock()
		return
	}
	mine := make(chan struct{})
	l.wait = append(l.wait, mine)
	if !t.taken {
		t.next(now)
	}
	t.mu.Unlock()
	<-mine
}

// line gives the line of an address. It is there until it is empty and has rested.
func (t *turns) line(from netip.Addr) *turnLine {
	for _, l := range t.lines {
		if l.from == from {
			return l
		}
	}
	l := &turnLine{from: from}
	t.lines = append(t.lines, l)
	return l
}

// give notes that l has the turn.
func (t *turns) give(l *turnLine) { t.taken, t.of, t.began = true, l, time.Now() }

// pass ends a turn and gives it to the next.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if l := t.of; len(l.wait) >= restFrom {
		l.until = now.Add(min(now.Sub(t.began), maxRest))
	}
	t.taken, t.of = false, nil
	t.next(now)
}

// next gives the turn to the oldest of the first line that waits and does not rest.
func (t *turns) next(now time.Time) {
	var soonest time.Time
	keep := t.lines[:0]
	var chosen *turnLine
	for _, l := range t.lines {
		rests := now.Before(l.until)
		switch {
		case len(l.wait) == 0 && !rests:
			continue // forgotten
		case len(l.wait) > 0 && !rests && chosen == nil:
			chosen = l // goes to the end
			continue
		case len(l.wait) > 0 && rests && (soonest.IsZero() || l.until.Before(soonest)):
			soonest = l.until
		}
		keep = append(keep, l)
	}
	clear(t.lines[len(keep):])
	t.lines = keep
	switch {
	case chosen != nil:
		t.lines = append(t.lines, chosen)
		t.give(chosen)
		mine := chosen.wait[0]
		chosen.wait[0] = nil
		chosen.wait = chosen.wait[1:]
		close(mine)
	case !soonest.IsZero():
		t.wake(soonest.Sub(now))
	}
}

// wake looks again after a while.
func (t *turns) wake(after time.Duration) {
	if t.timer != nil {
		t.timer.Reset(after)
		return
	}
	t.timer = time.AfterFunc(after, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.taken {
			t.next(time.Now())
		}
	})
}
