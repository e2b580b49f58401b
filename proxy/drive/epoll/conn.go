//go:build linux

package epoll

import (
	"crypto/tls"
	"net/netip"
	"syscall"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"golang.org/x/sys/unix"
)

// conn is one socket of a loop.
type conn struct {
	loop   *Loop
	core   *core.Conn
	fd     int
	gen    uint32 // tells events of this socket from those of an earlier one with the same number
	remote netip.AddrPort
	mask   uint32 // what epoll watches
	late   lateness

	tls  *tls.Conn
	feed *feed

	pending []byte        // bytes that the kernel has not taken yet
	relay   *relay        // its bytes go to another connection, without the core
	piped   bool          // bytes in a pipe wait for it
	lost    syscall.Errno // what a write was told; see lose

	accept    *core.Listener // accepted and not yet told to the core (handshake)
	dialing   bool
	shaking   bool
	full      bool // the handshake has more bytes than it needs: not read meanwhile
	off       bool // the core does not want to read
	eof       bool // the peer has ended its direction
	hup       bool // both directions have ended, and what came is not all read: out of epoll until it is wanted
	finishing bool // FIN after pending
	closing   bool // close after pending
	closed    bool // for the core
	counted   bool // in the loop's load
	stopTimer *time.Timer
	dial      *core.Dial

	// Of a link listener, until it is a link; see door.
	before, after *conn
	since         time.Duration // when it came
	waits         bool
	silent        bool // and has said nothing yet
}

// send writes p now as far as the kernel takes it, and keeps the rest. Order is kept.
func (c *conn) send(p []byte) {
	if len(c.pending) == 0 {
		for len(p) > 0 {
			n, err := writeNow(c.fd, p)
			if n > 0 {
				p = p[n:]
			}
			if err == unix.EINTR {
				continue
			}
			if err != 0 {
				if err != unix.EAGAIN {
					// The socket is broken; the loop learns it from epoll, with what can still be read.
					c.lose(err)
					return
				}
				break
			}
		}
	}
	if len(p) > 0 {
		c.pending = c.loop.unsent.add(c.pending, p)
		c.loop.interest(c)
	}
}

// lose notes that a write failed. The kernel tells a loss once, and reading, which comes to it
// behind what arrived before, finds an end. EPIPE is none: there the peer had ended before.
func (c *conn) lose(err syscall.Errno) {
	if err != unix.EPIPE {
		c.lost = err
	}
}

// sendPending goes on where send stopped.
func (c *conn) sendPending() {
	p := c.pending
	for len(p) > 0 {
		n, err := writeNow(c.fd, p)
		if n > 0 {
			p = p[n:]
		}
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			break
		}
		if err != 0 {
			c.lose(err)
			p = nil
			break
		}
	}
	if len(p) == 0 {
		c.dropPending()
		return
	}
	if len(p) < len(c.pending) {
		c.pending = c.loop.unsent.rest(c.pending, p)
	}
}

// dropPending gives the buffer of what waited back to the loop.
func (c *conn) dropPending() {
	c.loop.unsent.put(c.pending)
	c.pending = nil
}

// write is Host.Write.
func (c *conn) write(p []byte) int {
	if c.tls == nil {
		c.send(p)
		return len(c.pending)
	}
	// Records of one batch go out with one system call: more than one record is collected first.
	const oneRecord = 16 << 10
	if len(p) > oneRecord && len(c.pending) == 0 {
		c.pending = c.loop.cipher[:0]
		c.feed.cork = true
		c.tls.Write(p) //nolint:errcheck // the transport never fails; a broken socket shows in epoll
		c.feed.cork = false
		out := c.pending
		c.pending = nil
		c.loop.cipher = out[:0]
		c.send(out)
		return len(c.pending)
	}
	c.tls.Write(p) //nolint:errcheck // as above
	return len(c.pending)
}
