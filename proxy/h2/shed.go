package h2

// Queued returns how many octets given to Send wait in all streams of the connection.
func (c *Conn) Queued() int { return c.queued }

// Shed resets the streams on which most octets wait, until at least n octets are freed or nothing
// waits any more, and returns how many were. The handler is told by OnReset. It is for an owner that
// holds as much as it may for peers that do not read: each such stream counts as ended by the
// peer's doing, so that a peer with many of them loses the connection. Not to be called by a handler.
func (c *Conn) Shed(n int) (freed int) {
	c.enter()
	for freed < n && c.queued > 0 && c.err == nil {
		c.sweep = c.streams.appendAll(c.sweep[:0])
		most := 0
		for _, s := range c.sweep {
			most = max(most, s.Pending())
		}
		for _, s := range c.sweep {
			if pending := s.Pending(); pending > 0 && pending >= most/2 && freed < n && c.err == nil {
				freed += pending
				c.streamError(s, EnhanceYourCalm, "its peer does not read it")
			}
		}
		clear(c.sweep)
		c.sweep = c.sweep[:0]
		if most == 0 {
			break
		}
	}
	c.leave()
	return freed
}
