package h2

// abandon takes a stream that is to be reset and whose reset the peer would charge us too much for.
// It reports false if the stream may be reset now. An abandoned stream is forgotten by its owner;
// what comes for it is dropped, and it counts as open, as it does for the peer, until it is reset.
func (c *Conn) abandon(s *Stream) bool {
	l := &c.cfg.Limits
	if c.cfg.Role != Client || c.err != nil || s.head || c.now.Sub(s.opened) >= resetGrace {
		return false
	}
	if c.cancels.charge(1, l.CancelBurst) {
		return false
	}
	c.cancels.spent-- // it was not sent
	s.abandoned = true
	s.User = nil
	if s.list != nil {
		s.list.remove(s)
	}
	s.queue.drop(c)
	s.trailers.set = false
	c.abandoned = append(c.abandoned, s.ID)
	return true
}

// resetAbandoned resets abandoned streams that are old enough for it to cost nothing.
func (c *Conn) resetAbandoned() {
	n := 0
	for ; n < len(c.abandoned); n++ {
		s := c.streams.get(c.abandoned[n])
		if s == nil { // reset when it was answered
			continue
		}
		if c.now.Sub(s.opened) < resetGrace && c.err == nil {
			break
		}
		s.reset(Cancel)
	}
	if n > 0 {
		c.abandoned = c.abandoned[:copy(c.abandoned, c.abandoned[n:])]
	}
}
