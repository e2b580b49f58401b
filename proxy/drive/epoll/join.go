//go:build linux

package epoll

import (
	"github.com/weft-mesh/weft/proxy/core"
	"golang.org/x/sys/unix"
)

// Two joined connections carry each other's bytes without the core. Small pieces are read and
// written at once. A direction that proves to be bulk goes through a pipe (splice), whose pages
// never enter the process: half the CPU of copying at 64 KiB messages, a third of it in a stream
// (docs/decisions/0008). It is the sender's backlog that stops its reading: as long as the other
// has not taken what there is, nothing more is read.
const (
	largeRead = 32 << 10 // a read of this size speaks for bulk
	bulkAfter = 2        // so many in a row prove it
	smallMove = 16 << 10 // a splice of less speaks against it
	copyAfter = 4        // so many in a row prove it
)

// relay is one direction of two joined connections.
type relay struct {
	to    *conn
	pipe  *pipe // holds what the kernel of to has not taken; nil: nothing
	late  int   // bytes of to.pending that are not told to the core yet
	large uint8 // large reads in a row
	small uint8 // small splices in a row
}

// Join implements core.Host.
func (l *Loop) Join(a, b *core.Conn) bool {
	x, _ := a.Driver.(*conn)
	y, _ := b.Driver.(*conn)
	if x == nil || y == nil || !x.plain() || !y.plain() {
		return false
	}
	x.relay, y.relay = &relay{to: y}, &relay{to: x}
	return true
}

// plain reports whether the socket can be joined.
func (c *conn) plain() bool {
	return c.tls == nil && c.fd >= 0 && !c.dialing && !c.closed && c.relay == nil && len(c.pending) == 0
}

// forward carries what can be read from c, as much as one turn allows.
func (l *Loop) forward(c *conn) {
	r := c.relay
	if r.large >= bulkAfter && l.splice(c) {
		return
	}
	n, err := readNow(c.fd, l.read)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != 0:
		l.broke(c, err)
	case n == 0:
		l.endOf(c)
	default:
		if r.large++; n < largeRead {
			r.large = 0
		}
		r.to.send(l.read[:n])
		r.late = len(r.to.pending)
		l.core.Moved(c.core, r.to.core, n-r.late)
		if r.late > 0 {
			l.block(c)
		}
	}
}

// splice carries a piece through a pipe. It reports false if it cannot, and then nothing has
// happened.
func (l *Loop) splice(c *conn) bool {
	r := c.relay
	p := l.pipes.get()
	if p == nil {
		r.large = 0
		return false
	}
	n, err := spliceNow(c.fd, p.w, pipeSize)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		l.pipes.put(p)
	case err == unix.EINVAL || err == unix.ENOSYS || err == unix.EPERM: // none that a socket has
		l.pipes.put(p)
		l.pipes.useless()
		return false
	case err != 0:
		l.pipes.put(p)
		l.broke(c, err)
	case n == 0:
		l.pipes.put(p)
		l.endOf(c)
	default:
		if r.small++; n >= smallMove {
			r.small = 0
		}
		if r.small >= copyAfter {
			r.small, r.large = 0, 0
		}
		p.held, r.pipe = n, p
		if !l.pour(c) {
			r.to.piped = true
			l.interest(r.to)
			l.block(c)
		}
	}
	return true
}

// pour empties c's pipe into the other socket. It reports whether all has gone.
func (l *Loop) pour(c *conn) bool {
	r := c.relay
	p := r.pipe
	for p.held > 0 {
		n, err := spliceNow(p.r, r.to.fd, p.held)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != 0 || n == 0:
			// The socket is broken: the loop learns it from epoll, with what can still be read there.
			r.to.lose(err)
			r.pipe = nil
			l.pipes.drop(p)
			return true
		}
		p.held -= n
		l.core.Moved(c.core, r.to.core, n)
	}
	r.pipe = nil
	l.pipes.put(p)
	return true
}

// block stops reading from c until the other has taken what there is.
func (l *Loop) block(c *conn) {
	c.off = true
	l.interest(c)
}

// taken: c, which is joined, can take more of what waits for it.
func (l *Loop) taken(c *conn) {
	from := c.relay.to
	r := from.relay
	if len(c.pending) > 0 {
		c.sendPending()
		if len(c.pending) > 0 {
			return
		}
		l.core.Moved(from.core, c.core, r.late)
		r.late = 0
	}
	if r.pipe != nil && !l.pour(from) {
		return
	}
	c.piped = false
	l.interest(c)
	if c.finishing {
		unix.Shutdown(c.fd, unix.SHUT_WR) //nolint:errcheck // a broken socket shows in epoll
	}
	if from.off {
		from.off = false
		l.interest(from)
	}
}

// endOf: the peer of c, which is joined, has ended its direction, and all before that has gone.
func (l *Loop) endOf(c *conn) {
	if c.lost != 0 {
		l.broke(c, c.lost)
		return
	}
	c.eof = true
	l.interest(c)
	l.core.EOF(c.core)
}

// part ends a joining. With keep, what is in a pipe for one of the two waits as other bytes do.
func (l *Loop) part(c *conn, keep bool) {
	if c.relay == nil {
		return
	}
	for _, from := range [2]*conn{c, c.relay.to} {
		to, p := from.relay.to, from.relay.pipe
		if p == nil {
			continue
		}
		if keep {
			to.pending = p.empty(to.pending)
		}
		l.pipes.drop(p)
	}
	o := c.relay.to
	c.relay, c.piped = nil, false
	o.relay, o.piped = nil, false
}
