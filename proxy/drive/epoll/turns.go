//go:build linux

package epoll

import (
	"net/netip"
	"sync"
)

// turns lets one handshake of a loop compute at a time. Each costs some 0.3 ms of processor time,
// and whoever can connect can ask for it; without turns, a thousand goroutines that compute would
// each be as important to the scheduler as the loop with everybody's requests. The addresses that
// the handshakes came from have their turns one after the other, so that a flood from one delays
// the others by one handshake and not by a thousand. The zero value is ready. Safe for concurrent use.
type turns struct {
	mu    sync.Mutex // guards what follows
	taken bool
	lines []*turnLine // the first is served next; none is empty
}

// turnLine is those who wait of one address.
type turnLine struct {
	from netip.Addr
	wait []chan struct{}
}

// take waits for a turn. Whoever has it computes for less than a millisecond, or passes it on while
// it waits for bytes.
func (t *turns) take(from netip.Addr) {
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return
	}
	mine := make(chan struct{})
	t.line(from).wait = append(t.line(from).wait, mine)
	t.mu.Unlock()
	<-mine
}

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

// pass gives the turn to the next.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		t.taken = false
		return
	}
	l := t.lines[0]
	next := l.wait[0]
	l.wait[0] = nil
	l.wait = l.wait[1:]
	t.lines = t.lines[:copy(t.lines, t.lines[1:])]
	if len(l.wait) > 0 {
		t.lines = append(t.lines, l)
	}
	close(next)
}
