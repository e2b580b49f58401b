//go:build linux

package epoll

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A connection that was just accepted is nobody's yet: it may be one of thousands that each make the
// loop work for a millisecond until their budget is used up and the next one comes. So newcomers have
// an epoll instance of their own, which is watched by the loop's, and a turn of bounded length after
// everybody else's events have been dealt with and their output was written. A connection leaves it
// for the loop's own with its second event, if its first was cheap, and comes back with one that was
// dear. However many newcomers there are and whatever they do, others wait lateTurn and the rest of
// one event; and a link with a thousand requests in one read does not hold up who has one.
const (
	lateTurn  = 500 * time.Microsecond
	lateRead  = 4 << 10                // bytes read at a time: what a flood sends behind its first frames is not looked at
	lateBatch = 16                     // events looked at together; each may take its time
	lateCheap = 200 * time.Microsecond // an event of a connection that may join the others
	lateDear  = time.Millisecond       // an event of one that must leave them
	lateBulk  = 1 << 10                // bytes; reading fewer is not worth looking at the clock for
)

// late is the newcomers' part of a loop.
type late struct {
	epfd   int
	ready  bool        // some have events
	come   []*listener // have connections to accept
	events [lateBatch]unix.EpollEvent
}

func (l *Loop) openLate() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	l.late.epfd = fd
	return l.add(fd, unix.EPOLLIN)
}

// serveLate gives newcomers their turn.
func (l *Loop) serveLate() {
	if !l.late.ready && len(l.late.come) == 0 {
		return
	}
	l.core.Flush()
	for i, ln := range l.late.come {
		l.late.come[i] = nil
		if ln.fd >= 0 {
			l.accept(ln)
		}
	}
	l.late.come = l.late.come[:0]
	if !l.late.ready {
		return
	}
	l.late.ready = false
	now := l.now()
	end := now + lateTurn
	for {
		n, errno := pollNow(l.late.epfd, l.late.events[:])
		if n <= 0 || errno != 0 {
			return // what is left wakes the loop again
		}
		for i := range l.late.events[:n] {
			ev := &l.late.events[i]
			c := l.connOf(ev)
			if c != nil && c.late == lateKnown {
				l.admit(c)
			}
			l.event(ev)
			then := now
			now = l.now()
			if c != nil && c.late == lateNew && c.core != nil && now-then < lateCheap { // handshakes tell nothing
				c.late = lateKnown
			}
			if now >= end {
				return
			}
		}
	}
}

// lateness is how far a connection has come.
type lateness uint8

const (
	lateNot   lateness = iota // it is among the loop's own, as what was dialed is from the start
	lateNew                   // nothing is known of it
	lateKnown                 // its last event was cheap: it joins the others with the next
)

// admit moves a connection to the loop's own.
func (l *Loop) admit(c *conn) {
	if c.registered() {
		unix.EpollCtl(l.late.epfd, unix.EPOLL_CTL_DEL, c.fd, nil) //nolint:errcheck // it is registered
		c.mask = 0
	}
	c.late = lateNot
	l.interest(c)
}

// dismiss makes an accepted connection late again if what it sent took too long to deal with. What
// was dialed stays: everybody's responses come from there.
func (l *Loop) dismiss(c *conn, took time.Duration) {
	if took < lateDear || c.closed || c.dial != nil {
		return
	}
	if c.registered() {
		unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, c.fd, nil) //nolint:errcheck // it is registered
		c.mask = 0
	}
	c.late = lateNew
	l.interest(c)
}

// connOf finds the connection of an event; nil if it is none, or closed.
func (l *Loop) connOf(ev *unix.EpollEvent) *conn {
	fd, gen := int(ev.Fd), uint32(ev.Pad)
	if gen == 0 || fd >= len(l.conns) || l.conns[fd] == nil || l.conns[fd].gen != gen {
		return nil
	}
	return l.conns[fd]
}

// pollOf is the instance that watches a connection.
func (l *Loop) pollOf(c *conn) int {
	if c.late == lateNot {
		return l.epfd
	}
	return l.late.epfd
}
