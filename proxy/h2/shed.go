package h2

// Queued returns how many octets given to Send wait in all streams of the connection.
func (c *Conn) Queued() int { return c.queued }

// Held returns how much memory that takes, in octets, what is kept for more of it included.
func (c *Conn) Held() int { return c.lent + len(c.spare)*chunkSize }

// Unkeep gives back what is kept for streams that will have to wait.
func (c *Conn) Unkeep() { c.spare = nil }

// Shed resets the streams on which most octets wait, until at least n octets of memory are freed or nothing
// waits any more, and returns how many were. The handler is told by OnReset. It is for an owner that
// holds as much as it may for peers that do not read: each such stream counts as ended by the
// peer's doing, so that a peer with many of them loses the connection. Not to be called by a handler.
func (c *Conn) Shed(n int) (freed int) {
	c.enter()
	held := c.Held()
	c.Unkeep()
	for held-c.Held() < n && c.queued > 0 && c.err == nil {
		c.sweep = c.streams.appendAll(c.sweep[:0])
		most := 0
		for _, s := range c.sweep {
			most = max(most, s.Pending())
		}
		for _, s := range c.sweep {
			if pending := s.Pending(); pending > 0 && pending >= most/2 && held-c.Held() < n && c.err == nil {
				c.streamError(s, EnhanceYourCalm, "its peer does not read it")
				c.Unkeep()
			}
		}
		clear(c.sweep)
		c.sweep = c.sweep[:0]
	}
	c.leave()
	return held - c.Held()
}
