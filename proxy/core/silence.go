package core

import "time"

// A peer or an application that is waited for and says nothing may be slow, or the way to it may
// swallow everything. HTTP/2 tells the two apart: a PING is answered by whoever speaks HTTP/2 there, not
// by what it waits for itself. A peer's proxy does so at once, however slow its application is, so a
// link is given up a second after the last sign of life that was due. An application may be busy
// with something else, and is given longer. Silence is what is not heard: what we send ourselves into
// a dead connection proves nothing. A link on which nothing is waited for is not asked.
const (
	linkPatience = 500 * time.Millisecond // of silence on a link, while a request waits
	linkAnswer   = 500 * time.Millisecond // for the answer to a PING on it
	pingAfter    = 10 * time.Second       // the same for applications,
	pingTimeout  = 5 * time.Second        // and for answers that may have to wait behind bulk
	lateness     = 300 * time.Millisecond // of a timer, more than the wheel's: this loop was away, and what came meanwhile may not be read yet
)

// silence is what is known of a connection's. Times are 0 if there is none.
type silence struct {
	asked    time.Duration // when the first request was sent since something was heard
	pinged   time.Duration // when an unanswered PING was sent
	patience time.Duration // with silence: longer after each answer that brought no news, as when a request takes its time
	dueAt    time.Duration // when tick comes
}

// patience is how much silence a busy connection is allowed at first.
func (s *h2Client) patience() time.Duration {
	if s.p.link() {
		return linkPatience
	}
	return pingAfter
}

func (s *h2Client) tickAt(at time.Duration) {
	s.silence.dueAt = at
	s.c.core.wheel.arm(&s.c.watch, at)
}

// expect: a request was sent, and something is to be heard.
func (s *h2Client) expect() {
	now, q := s.c.core.now, &s.silence
	if q.asked <= s.heard {
		q.asked = now
	}
	q.patience = s.patience()
	if q.dueAt > now+q.patience {
		s.tickAt(now + q.patience)
	}
}

// hear: there is a sign of life.
func (s *h2Client) hear() {
	q := &s.silence
	if q.pinged != 0 {
		q.pinged = 0
		q.patience = min(2*q.patience, pingAfter)
	}
	s.heard = s.c.core.now
}

// listen looks whether a connection that something is waited for on is alive. late is by how much this
// look comes late itself.
func (s *h2Client) listen(late time.Duration) {
	c, q := s.c.core, &s.silence
	answer := pingTimeout
	if s.p.link() && s.bulk == 0 && s.c.queued == 0 {
		answer = linkAnswer
	}
	since := max(s.heard, q.asked)
	switch {
	case q.pinged != 0 && late > lateness:
		q.pinged = c.now
		s.tickAt(c.now + answer)
	case q.pinged != 0 && c.now-q.pinged >= answer:
		c.warn("peer does not answer", "code", "W3306", "to", s.p.where(), "peer", s.p.key.peer)
		s.closed(errReset)
		s.c.abort()
	case q.pinged != 0:
		s.tickAt(q.pinged + answer)
	case c.now-since >= q.patience:
		q.pinged = c.now
		s.c.room()
		s.h.Ping([8]byte{'w', 'e', 'f', 't'})
		s.c.touch()
		s.tickAt(c.now + answer)
	default:
		s.tickAt(since + q.patience)
	}
}
