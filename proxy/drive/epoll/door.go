//go:build linux

package epoll

import (
	"net/netip"
	"time"
)

const (
	maxAtDoor = 1024            // connections of a loop's link listeners whose handshake is not over
	doorFor   = 5 * time.Second // how long they may take
)

// door is the connections to link listeners that are not links yet: nobody knows who they are. Each
// may say nothing, or half of a handshake, for doorFor, so their number is bounded. When it is full
// an old one makes room for the new one: of the new one's own address if that has its fair share
// already, else of the address that has most. So a peer that is honest, and quick, comes in while
// somebody floods, whatever the flood's rate. The zero value is empty.
type door struct {
	first, last *conn // in the order in which they came
	n           int
	from        map[netip.Addr]int
}

// enter lets c wait. The caller closes whom it returns, if anybody, to make room.
func (d *door) enter(c *conn, now time.Duration) (out *conn) {
	addr := c.remote.Addr()
	if d.n >= maxAtDoor {
		out = d.oldestOf(d.yields(addr))
		d.leave(out)
	}
	if d.from == nil {
		d.from = map[netip.Addr]int{}
	}
	d.from[addr]++
	d.n++
	c.waits, c.since = true, now
	c.before, c.after = d.last, nil
	if d.last == nil {
		d.first = c
	} else {
		d.last.after = c
	}
	d.last = c
	return out
}

// yields gives the address that has to make room for one of addr.
func (d *door) yields(addr netip.Addr) netip.Addr {
	if d.from[addr]*len(d.from) >= d.n && d.from[addr] > 0 {
		return addr
	}
	most := 0
	for a, n := range d.from {
		if n > most {
			addr, most = a, n
		}
	}
	return addr
}

func (d *door) oldestOf(addr netip.Addr) *conn {
	for c := d.first; c != nil; c = c.after {
		if c.remote.Addr() == addr {
			return c
		}
	}
	return d.first
}

// leave takes c out. Idempotent.
func (d *door) leave(c *conn) {
	if !c.waits {
		return
	}
	c.waits = false
	if c.before == nil {
		d.first = c.after
	} else {
		c.before.after = c.after
	}
	if c.after == nil {
		d.last = c.before
	} else {
		c.after.before = c.before
	}
	c.before, c.after = nil, nil
	d.n--
	addr := c.remote.Addr()
	if d.from[addr]--; d.from[addr] == 0 {
		delete(d.from, addr)
	}
}

// welcome takes a connection of a link listener. Its handshake starts with its first bytes: until
// then it costs a socket and a conn.
func (l *Loop) welcome(c *conn) {
	if out := l.door.enter(c, l.now()); out != nil {
		l.turnAway(out)
	}
	c.silent = true
	l.interest(c)
}

// turnAway closes a connection that is not a link yet and has had its time.
func (l *Loop) turnAway(c *conn) {
	l.opt.Core.Shard.Refused("W3016")
	l.closeFD(c)
}

// expireDoor turns away those that take too long.
func (l *Loop) expireDoor() {
	for c := l.door.first; c != nil && l.now()-c.since >= doorFor; c = l.door.first {
		l.turnAway(c)
	}
}
