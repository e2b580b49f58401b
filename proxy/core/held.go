package core

import "errors"

// What waits for slow readers is the one thing that a peer can make a proxy hold without limit:
// each stream and each connection has back-pressure, but there may be thousands of them. So the loop
// counts it, and beyond Limits.MaxHeld those lose that hold most for the longest time: a stream is
// reset, a connection of its own is reset as a whole. Readers that keep up come back to nothing
// again and again and are not met.

var errShed = errors.New("it does not read what is sent to it, and the proxy holds as much as it may")

// account notes how much memory what waits for the connection's peer takes, and since when
// something has been waiting.
func (cn *Conn) account() {
	held, waits := cn.queued, cn.queued
	if cn.h2 != nil {
		held += cn.h2.Held()
		waits += cn.h2.Queued()
	}
	if cn.closed || held == cn.held && waits == cn.waits {
		return
	}
	if cn.waits == 0 {
		cn.behind = cn.core.now
	}
	cn.core.held += held - cn.held
	cn.held, cn.waits = held, waits
}

// unaccount forgets it: the connection is gone.
func (cn *Conn) unaccount() {
	cn.core.held -= cn.held
	cn.held, cn.waits = 0, 0
}

// blame is how much a connection is to blame for what is held: bytes times time, in which the
// first moment counts little and all is equal after a while.
func (cn *Conn) blame() int64 {
	const tick, most = 1 << 20, 10_000 // about a millisecond; about ten seconds
	return int64(cn.waits) * (1 + min(int64(cn.core.now-cn.behind)/tick, most))
}

// shed brings what is held down to three quarters of the limit, if it is above it. It reports
// whether it did anything.
func (c *Core) shed() bool {
	if c.held <= c.limits.MaxHeld {
		return false
	}
	for cn := c.conns.head; cn != nil; cn = cn.next {
		if cn.h2 != nil && cn.held > cn.waits { // what is kept for use again harms nobody
			cn.h2.Unkeep()
			cn.account()
		}
	}
	done := false
	for target := c.limits.MaxHeld / 4 * 3; c.held > target; {
		var worst int64
		for cn := c.conns.head; cn != nil; cn = cn.next {
			if cn.waits > 0 {
				worst = max(worst, cn.blame())
			}
		}
		if worst == 0 {
			break
		}
		for cn := c.conns.head; cn != nil; cn = cn.next {
			if cn.waits > 0 && cn.blame() >= worst/2 {
				c.shedding = append(c.shedding, cn) // ending one may end another
			}
		}
		for i, cn := range c.shedding {
			c.shedding[i] = nil
			if c.held > target && !cn.closed {
				done = true
				cn.shed(c.held - target)
			}
		}
		c.shedding = c.shedding[:0]
	}
	return done
}

// shed frees some of what waits for the connection's peer: what is asked for, but at most half of it if
// it belongs to many.
func (cn *Conn) shed(n int) {
	c := cn.core
	c.shard.Refused("W3015")
	c.warn("cut off a reader that is behind", "code", "W3015", "peer", cn.peer, "remote", cn.remote, "waits", cn.waits, "for", c.now-cn.behind)
	if cn.h2 != nil && cn.h2.Held() >= cn.queued {
		cn.room()
		cn.h2.Shed(min(n, max(cn.h2.Held()/2, 1)))
		err := cn.h2.Err()
		cn.touch()
		cn.account()
		if err == nil {
			return
		}
		cn.h2.Closed(err) // it had too many such streams, and was told
	}
	cn.gone()
	cn.h.closed(errShed)
	c.host.Close(cn, true)
}
