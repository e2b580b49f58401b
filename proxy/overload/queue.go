package overload

import (
	"math/bits"
	"time"

	"github.com/weft-mesh/weft/model"
)

const (
	classes = 4  // priorities
	flows   = 64 // callers are told apart by a hash
)

// class is the place of a priority in arrays: 0 is sheddable.
func class(p model.Priority) int { return int(p - model.PrioritySheddable) }

// queue is the requests that wait: a line for each priority, and in it a flow for each caller.
// Priorities are strict. Callers are served in turn, one who had nothing waiting before those who
// had (deficit round robin with fq_codel's new flows, RFC 8290; all requests are of one size).
//
// How long one may wait follows CoDel as Facebook uses it, caller by caller: the interval, or the
// target if something of the caller has waited all through an interval, or it asks for more than its
// share. Of such a caller the last comes first: what has waited long has most likely been given up.
// Critical requests may always wait for the interval.
type queue struct {
	cfg   model.Queue
	n     int
	class [classes]line
	press [classes]uint64 // callers who ask for more than their share
}

// line is what waits of one priority.
type line struct {
	n     int
	busy  uint64 // flows that are not empty
	fresh uint64 // of those, the ones that had nothing waiting and were not served since
	next  int    // the flow whose turn it is
	flow  *[flows]flow
}

// flow is what waits of one caller.
type flow struct {
	list
	began time.Duration // since when there is something
}

func (q *queue) add(now time.Duration, t *Turn) {
	t.place, t.since = waiting, now
	l := &q.class[class(t.priority)]
	if l.flow == nil {
		l.flow = new([flows]flow)
	}
	f := &l.flow[t.flow]
	if f.n == 0 {
		f.began = now
		l.fresh |= 1 << t.flow
	}
	f.push(t)
	l.busy |= 1 << t.flow
	l.n++
	q.n++
}

func (q *queue) remove(t *Turn) {
	l := &q.class[class(t.priority)]
	f := &l.flow[t.flow]
	if f.remove(t); f.n == 0 {
		l.busy &^= 1 << t.flow
		l.fresh &^= 1 << t.flow
	}
	t.place = outside
	l.n--
	q.n--
}

// standing reports whether a caller's requests of a priority wait because there are too many.
func (q *queue) standing(now time.Duration, i int, f uint8) bool {
	if q.press[i]&(1<<f) != 0 {
		return true
	}
	l := &q.class[i]
	return l.busy&(1<<f) != 0 && now-l.flow[f].began >= q.cfg.Interval
}

// above reports whether requests wait that are as important as p or more.
func (q *queue) above(p model.Priority) bool {
	for i := class(p); i < classes; i++ {
		if q.class[i].n > 0 {
			return true
		}
	}
	return false
}

// pop takes out whose turn it is among those of priority i.
func (q *queue) pop(now time.Duration, i int) *Turn {
	l := &q.class[i]
	if l.busy == 0 {
		return nil
	}
	turn := l.busy
	if l.fresh != 0 {
		turn = l.fresh
	}
	// The first of them from next on, around the end.
	f := uint8((l.next + bits.TrailingZeros64(bits.RotateLeft64(turn, -l.next))) % flows)
	l.next = int(f+1) % flows
	l.fresh &^= 1 << f
	t := l.flow[f].head
	if q.standing(now, i, f) {
		t = l.flow[f].tail
	}
	q.remove(t)
	return t
}

// until is when a request that waits is to be sent away.
func (q *queue) until(t *Turn) time.Duration {
	i := class(t.priority)
	at := t.since + q.cfg.Interval
	switch {
	case t.priority >= model.PriorityCritical:
		return at
	case q.press[i]&(1<<t.flow) != 0:
		return t.since + q.cfg.Target
	}
	return min(at, max(t.since+q.cfg.Target, q.class[i].flow[t.flow].began+q.cfg.Interval))
}

// first gives who is to be sent away first, and when.
func (q *queue) first() (t *Turn, at time.Duration) {
	for i := range q.class {
		l := &q.class[i]
		for busy := l.busy; busy != 0; busy &= busy - 1 {
			head := l.flow[bits.TrailingZeros64(busy)].head
			if u := q.until(head); t == nil || u < at {
				t, at = head, u
			}
		}
	}
	return t, at
}

// expired takes out one that has waited for too long.
func (q *queue) expired(now time.Duration) *Turn {
	t, at := q.first()
	if t == nil || at > now {
		return nil
	}
	q.remove(t)
	return t
}

// yields gives who makes room in a full queue for one of priority p: of the least important, if they
// are no more important than that, the oldest of the caller with the most.
func (q *queue) yields(p model.Priority) *Turn {
	for i := range class(p) + 1 {
		l := &q.class[i]
		if l.busy == 0 {
			continue
		}
		most := 0
		for f := range l.flow {
			if l.flow[f].n > l.flow[most].n {
				most = f
			}
		}
		return l.flow[most].head
	}
	return nil
}
