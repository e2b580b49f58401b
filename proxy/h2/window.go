package h2

import "time"

// growWithin is how soon half a window must have been used up for it to grow: slower streams would
// gain nothing.
const growWithin = 100 * time.Millisecond

// giveBack returns window to the peer, half a window at a time.
func (s *Stream) giveBack(n int) {
	if s.closed || s.remoteEnd {
		return
	}
	s.recvCredit += n
	c := s.c
	if s.recvCredit < (s.window+1)/2 || s.recvCredit == 0 || c.err != nil {
		return
	}
	s.adapt()
	s.creditAt = c.now
	if s.recvCredit == 0 {
		return
	}
	*c.out = appendWindowUpdate(*c.out, s.ID, uint32(s.recvCredit))
	s.recvAdj += int64(s.recvCredit)
	s.recvCredit = 0
}

// adapt doubles the window of a stream whose data come fast and do not wait, and takes the growth
// from one whose consumer is behind. Both go through the credit that is about to be returned.
func (s *Stream) adapt() {
	c := s.c
	switch {
	case s.unconsumed > s.window/4:
		s.recvCredit -= s.shrink(s.recvCredit)
	case s.unconsumed <= s.window/8 && c.now.Sub(s.creditAt) < growWithin:
		more := min(s.window, int(c.cfg.MaxStreamWindow)-s.window)
		if c.cfg.Growth != nil && more > 0 && more <= *c.cfg.Growth {
			*c.cfg.Growth -= more
			s.window += more
			s.recvCredit += more
		}
	}
}

// shrink takes up to n bytes of what the window has grown by, and returns how many.
func (s *Stream) shrink(n int) int {
	n = min(n, s.window-int(s.c.cfg.StreamWindow))
	if n <= 0 {
		return 0
	}
	s.window -= n
	*s.c.cfg.Growth += n
	return n
}
