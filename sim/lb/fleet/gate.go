package fleet

import "time"

// Verdict is what becomes of a try at a server's door.
type Verdict uint8

// The verdicts.
const (
	Wait   Verdict = iota // it stays in the queue
	Pass                  // it goes in
	Reject                // it is turned away, unprocessed
)

// Arrival is a try at a server's door.
type Arrival struct {
	ID     int32
	Class  int8
	Client int32
	Tree   uint32        // a hash of the request tree: the same at all tiers
	Left   time.Duration // until its caller gives up
}

// Guard stands before a server and decides how many requests it has at a time, and which.
type Guard interface {
	// Arrive: a try has come.
	Arrive(now time.Duration, a Arrival) Verdict
	// Next gives a try that waited, or had to make room, and what becomes of it, until there is none.
	Next(now time.Duration) (id int32, v Verdict, ok bool)
	// Wake is when Next has something to say at the latest though nothing ended meanwhile; 0: never.
	Wake(now time.Duration) time.Duration
	// Finished: a try that went in was answered.
	Finished(now time.Duration, id int32)
	// Leave: nobody waits any more for a try, in the queue or inside.
	Leave(now time.Duration, id int32)
}

// verdict carries out what the guard said of a try.
func (w *World) verdict(t int32, v Verdict) {
	switch v {
	case Pass:
		w.enter(t)
	case Reject:
		w.answer(t, Refused)
	}
}

// passGate lets in, or turns away, what waits at a server's door and need not any more.
func (w *World) passGate(tier uint8, server int32) {
	s := &w.tiers[tier].servers[server]
	for {
		id, v, ok := s.gate.Next(w.now)
		if !ok {
			break
		}
		w.verdict(id, v)
	}
	if at := s.gate.Wake(w.now); at > w.now && (s.wake <= w.now || at < s.wake) {
		s.wake = at
		w.at(at, evGuard, server, int32(tier), 0)
	}
}

// guardTimer: a guard wanted to be asked.
func (w *World) guardTimer(e *event) {
	if s := &w.tiers[e.b].servers[e.a]; s.wake == e.at {
		s.wake = 0
		w.passGate(uint8(e.b), e.a)
	}
}
