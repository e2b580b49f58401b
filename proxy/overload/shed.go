package overload

import (
	"math"
	"time"

	"github.com/weft-mesh/weft/model"
)

const (
	// shedEvery is how often it is decided anew what is shed.
	shedEvery = 100 * time.Millisecond
	// surplus is how much more than the application took is let through to the queue, so that it is
	// never short of work.
	surplus = 1.25
)

// shedder refuses at once what would wait in vain. From what came and what the application took in
// the last period it finds the priority at which there was enough: what is less important is refused,
// what is more important is not, and of that priority each caller gets an equal share of what is left
// (max-min fair). Which of a caller's requests are in its share is decided by a hash of the request
// tree, so that at all services the same trees fall, and no work is done for what fails elsewhere.
//
// The priorities from critical on are never shed here: they wait their time.
type shedder struct {
	start    time.Duration // of the period
	entered  int           // requests that the application took in it
	answered int           // and those that it answered
	came     [classes]int
	by       [2][flows]int32 // those of the two lowest, by caller

	cut  int           // the priority, as a class; -1: nothing is shed
	way  bool          // all critical ones together are less than the application answers
	keep [flows]uint32 // of that priority, by caller: requests whose hash is below are refused
}

// arrived notes a request that came.
func (s *shedder) arrived(p model.Priority, flow uint8) {
	i := class(p)
	s.came[i]++
	if i < len(s.by) {
		s.by[i][flow]++
	}
}

// sheds reports whether a request is to be refused.
func (s *shedder) sheds(p model.Priority, flow uint8, tree uint32) bool {
	i := class(p)
	return i < s.cut || i == s.cut && tree < s.keep[flow]
}

// roll ends the period if it is time, and reports whether it did.
func (s *shedder) roll(now time.Duration) bool {
	d := now - s.start
	if d < shedEvery {
		return false
	}
	s.cut, s.way = -1, 10*(s.came[2]+s.came[3]) < 9*s.answered
	if d < 2*shedEvery { // else the last overload is long ago
		s.decide()
	}
	s.start, s.entered, s.answered, s.came, s.by = now, 0, 0, [classes]int{}, [2][flows]int32{}
	return true
}

// pressed gives the callers who ask for more than their share of a priority.
func (s *shedder) pressed(i int) (set uint64) {
	switch {
	case i < s.cut:
		return ^uint64(0)
	case i == s.cut && i < len(s.by):
		for f, keep := range s.keep {
			if keep > 0 {
				set |= 1 << f
			}
		}
	}
	return set
}

func (s *shedder) decide() {
	room := float64(s.entered)*surplus + 4
	for i := classes - 1; i >= 0; i-- {
		if float64(s.came[i]) <= room {
			room -= float64(s.came[i])
			continue
		}
		if i >= len(s.by) { // critical ones alone are too many: nobody else has a chance
			s.cut = len(s.by)
			s.keep = [flows]uint32{}
			return
		}
		s.cut = i
		share := fairShare(&s.by[i], room)
		for f, n := range s.by[i] {
			s.keep[f] = 0
			if over := 1 - share/float64(n); n > 0 && over > 0 {
				s.keep[f] = uint32(over * math.MaxUint32)
			}
		}
		return
	}
}

// fairShare is the most that each may have so that all together have room: those who want less
// leave the rest to the others.
func fairShare(want *[flows]int32, room float64) float64 {
	share, left, n := 0.0, room, 0
	for _, w := range want {
		if w > 0 {
			n++
		}
	}
	for n > 0 {
		share = left / float64(n)
		more := 0 // who wants more than the share
		rest := room
		for _, w := range want {
			if float64(w) > share {
				more++
			} else {
				rest -= float64(w)
			}
		}
		if more == n || more == 0 {
			break
		}
		n, left = more, rest
	}
	return share
}
