package fleet

import (
	"math"
	"time"

	"github.com/weft-mesh/weft/proxy/balance"
)

// Mode is how a server behaves.
type Mode uint8

// The modes.
const (
	Healthy Mode = iota
	Failing      // answers every request at once, with a failure
	Black        // swallows everything; the network says nothing
)

// server is a processor that its requests share: each runs at full speed while there are no more of
// them than cores, and at its share otherwise. All requests progress alike, so one number, progress,
// tells how much work each has had, and those that will be done first are those whose target is least.
type server struct {
	cores float64 // how many requests run at full speed
	speed float64 // 1: work takes as long as was drawn
	mode  Mode

	progress float64 // ns of work that a request has had that was there from the beginning
	stamp    time.Duration
	running  []int32 // tries, a heap by target
	due      time.Duration
	busy     float64       // ns of core time used
	ok       int           // requests done since the last report
	meter    balance.Meter // what it says of its load: requests in flight, and how long they take
	variety  uint32        // of evVary: later ones replace earlier
	gate     Guard
	wake     time.Duration // of the gate's timer; 0: none
}

const never = time.Duration(math.MaxInt64)

// rate is at which speed each request runs.
func (s *server) rate() float64 {
	n := float64(len(s.running))
	if n <= s.cores {
		return s.speed
	}
	return s.speed * s.cores / n
}

// advance brings progress up to now. Whatever changes the rate calls it first.
func (s *server) advance(now time.Duration) {
	if dt := float64(now - s.stamp); dt > 0 && len(s.running) > 0 {
		s.progress += dt * s.rate()
		s.busy += dt * min(float64(len(s.running)), s.cores)
	}
	s.stamp = now
}

// next is when the first request will be done if nothing changes.
func (s *server) next(now time.Duration, tries []try) time.Duration {
	if len(s.running) == 0 {
		return never
	}
	r := s.rate()
	if r <= 0 {
		return never
	}
	left := (tries[s.running[0]].target - s.progress) / r
	if left >= float64(never-now) {
		return never
	}
	return now + time.Duration(math.Ceil(max(left, 0)))
}

// add takes a request whose work is w.
func (s *server) add(tries []try, t int32, w time.Duration) {
	tries[t].target = s.progress + float64(max(w, 1))
	s.running = append(s.running, t)
	s.up(tries, len(s.running)-1)
}

// remove lets go of a request wherever it is in the heap.
func (s *server) remove(tries []try, t int32) {
	i := int(tries[t].pos)
	last := len(s.running) - 1
	moved := s.running[last]
	s.running = s.running[:last]
	tries[t].pos = -1
	if i == last {
		return
	}
	s.running[i] = moved
	tries[moved].pos = int32(i)
	s.up(tries, i)
	s.down(tries, int(tries[moved].pos))
}

func (s *server) up(tries []try, i int) {
	h := s.running
	t := h[i]
	for i > 0 {
		p := (i - 1) / 2
		if tries[h[p]].target <= tries[t].target {
			break
		}
		h[i] = h[p]
		tries[h[i]].pos = int32(i)
		i = p
	}
	h[i] = t
	tries[t].pos = int32(i)
}

func (s *server) down(tries []try, i int) {
	h := s.running
	t := h[i]
	for {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && tries[h[c+1]].target < tries[h[c]].target {
			c++
		}
		if tries[t].target <= tries[h[c]].target {
			break
		}
		h[i] = h[c]
		tries[h[i]].pos = int32(i)
		i = c
	}
	h[i] = t
	tries[t].pos = int32(i)
}
