package balance

import (
	"math/bits"
	"slices"
	"time"
)

const (
	levels  = 20 // of numbers in flight, by powers of two
	lastFew = 9  // latencies that are remembered at each
)

// Meter is the callee's side of Prequal: how many requests an application has in flight, and how
// long those took that began when it had about so many. The zero value is ready. Not safe for
// concurrent use.
type Meter struct {
	inflight int
	levels   [levels]level
}

// level is the last latencies at about one number in flight, in microseconds.
type level struct {
	last [lastFew]uint32
	n    uint32 // noted so far
}

func levelOf(inflight int) int { return min(bits.Len(uint(max(inflight, 0))), levels-1) }

// Begin counts a request. What it returns goes to End.
func (m *Meter) Begin() (before int) {
	before = m.inflight
	m.inflight++
	return before
}

// End counts its end. took is how long its response took to begin; negative: it had none.
func (m *Meter) End(before int, took time.Duration) {
	m.inflight--
	if took < 0 {
		return
	}
	l := &m.levels[levelOf(before)]
	l.last[l.n%lastFew] = uint32(min(took/time.Microsecond, 1<<32-1))
	l.n++
}

// Load is the number of requests in flight and the median latency of the last that began at the level
// nearest to it; 0: none has ended yet.
func (m *Meter) Load() (inflight int, latency time.Duration) {
	at := levelOf(m.inflight)
	for d := range levels {
		if i := at - d; i >= 0 && m.levels[i].n > 0 {
			return m.inflight, m.levels[i].median()
		}
		if i := at + d; i < levels && m.levels[i].n > 0 {
			return m.inflight, m.levels[i].median()
		}
	}
	return m.inflight, 0
}

func (l *level) median() time.Duration {
	v := l.last
	few := v[:min(l.n, lastFew)]
	slices.Sort(few)
	return time.Duration(few[len(few)/2]) * time.Microsecond
}
