//go:build linux

package epoll

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"golang.org/x/sys/unix"
)

// feed is the transport under a crypto/tls connection that is driven by a loop. During the
// handshake, which runs on a goroutine of its own because crypto/tls cannot resume one, Read
// waits for bytes that the loop pushes. Afterwards Read never waits: it takes what the loop has
// just read and then answers errNoBytes, which crypto/tls takes for a temporary error: it keeps
// partial records and may be called again.
type feed struct {
	c     *conn
	turns *turns // who is not known yet computes in turn; nil: at once

	mu       sync.Mutex // guards what follows, during the handshake only
	cond     *sync.Cond
	shaking  bool
	shaken   []byte // bytes for the handshake
	shakeEOF bool
	shakeErr error

	in   []byte // after the handshake: bytes of this wake-up
	eof  bool
	cork bool // collect records instead of writing each
}

// errNoBytes is a temporary net.Error.
var errNoBytes net.Error = noBytes{}

type noBytes struct{}

func (noBytes) Error() string   { return "no bytes at present" }
func (noBytes) Timeout() bool   { return false }
func (noBytes) Temporary() bool { return true }

// errTruncated ends a connection whose peer closed its socket without a close-notify. crypto/tls
// itself takes an end between two records for a good one, but then whoever can end the TCP
// connection could cut a response short unseen (RFC 8446 section 6.1).
var errTruncated = errors.New("the connection ended without a TLS close-notify: what came may be incomplete")

// maxShaken is how many bytes are kept for a handshake before its socket is not read any more. A
// peer whose side is done may already be sending a full window of requests.
//
// It is more than a handshake has: a chain of the mesh has 1 or 2 KiB.
const maxShaken = 16 << 10

func newFeed(c *conn) *feed {
	f := &feed{c: c, shaking: true}
	f.cond = sync.NewCond(&f.mu)
	return f
}

// push gives the handshake bytes that the loop read. It reports whether it has room for more.
func (f *feed) push(p []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shaken = append(f.shaken, p...)
	f.cond.Signal()
	return len(f.shaken) < maxShaken
}

// stop ends the handshake: eof or a broken connection (err).
func (f *feed) stop(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.shakeEOF = true
	} else {
		f.shakeErr = err
	}
	f.cond.Signal()
}

// over reports whether the peer has left before its handshake had its turn: nothing is computed for it.
func (f *feed) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shakeEOF || f.shakeErr != nil
}

var errPeerLeft = errors.New("the peer left before its handshake began")

// take ends the time of the handshake. It gives the bytes that were not used for it, whether the
// peer's end came meanwhile, and what broke the connection, if anything did.
func (f *feed) take() (rest []byte, eof bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shaking = false
	rest = f.shaken
	f.shaken = nil
	return rest, f.shakeEOF, f.shakeErr
}

// Read implements net.Conn for crypto/tls.
func (f *feed) Read(p []byte) (int, error) {
	if !f.shaking {
		if len(f.in) > 0 {
			n := copy(p, f.in)
			f.in = f.in[n:]
			return n, nil
		}
		if f.eof {
			return 0, errTruncated // not reached after a close-notify
		}
		return 0, errNoBytes
	}
	f.pass()
	f.mu.Lock()
	for len(f.shaken) == 0 && !f.shakeEOF && f.shakeErr == nil {
		f.cond.Wait()
	}
	f.mu.Unlock()
	f.turn()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shakeErr != nil {
		return 0, f.shakeErr
	}
	if len(f.shaken) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.shaken)
	f.shaken = f.shaken[:copy(f.shaken, f.shaken[n:])]
	return n, nil
}

// turn waits for the turn to compute, and pass gives it on.
func (f *feed) turn() {
	if f.turns != nil {
		f.turns.take(f.c.remote.Addr())
	}
}

func (f *feed) pass() {
	if f.turns != nil {
		f.turns.pass()
	}
}

// Write implements net.Conn for crypto/tls.
func (f *feed) Write(p []byte) (int, error) {
	if !f.shaking {
		if f.cork {
			f.c.pending = append(f.c.pending, p...)
		} else {
			f.c.send(p)
		}
		return len(p), nil
	}
	return f.writeShaking(p)
}

// writeShaking writes a flight from the handshake's goroutine. Flights fit into an empty socket
// buffer; if not, the goroutine waits, bounded.
func (f *feed) writeShaking(p []byte) (int, error) {
	total := 0
	for total < len(p) {
		n, err := unix.Write(f.c.fd, p[total:])
		switch err {
		case nil:
			total += n
		case unix.EINTR:
		case unix.EAGAIN:
			fds := []unix.PollFd{{Fd: int32(f.c.fd), Events: unix.POLLOUT}}
			f.pass()
			k, err := unix.Poll(fds, 1000)
			f.turn()
			if err != nil && err != unix.EINTR || k == 0 {
				return total, errors.New("peer does not read its handshake")
			}
		default:
			return total, err
		}
	}
	return total, nil
}

// Close implements net.Conn. Only crypto/tls calls it, when the context of a handshake ends, from
// a goroutine of its own that may still run when HandshakeContext has returned: it must touch
// nothing but what the lock guards.
func (f *feed) Close() error {
	f.stop(net.ErrClosed)
	return nil
}

func (f *feed) LocalAddr() net.Addr              { return nil }
func (f *feed) RemoteAddr() net.Addr             { return nil }
func (f *feed) SetDeadline(time.Time) error      { return nil }
func (f *feed) SetReadDeadline(time.Time) error  { return nil }
func (f *feed) SetWriteDeadline(time.Time) error { return nil }

// linkTLS gives the settings of a listener's links. They follow the identity, so one is enough for
// all links.
func (l *Loop) linkTLS(of *core.Listener) *tls.Config {
	for _, ln := range l.listeners {
		if ln.core == of {
			if ln.tls == nil {
				ln.tls = l.opt.Security.Server(of.Workload)
			}
			return ln.tls
		}
	}
	return l.opt.Security.Server(of.Workload) // draining: the listener is closed
}

// shake runs the handshake of a connection on a goroutine, as a server if it was accepted. The loop
// waits for all of them when it ends; each is bounded by its timeout. In turns, if not nil, it takes
// part whenever it computes.
func (l *Loop) shake(c *conn, turns *turns, cfg *tls.Config, timeout time.Duration) {
	f := newFeed(c)
	f.turns = turns
	c.feed = f
	if c.accept != nil {
		c.tls = tls.Server(f, cfg)
	} else {
		c.tls = tls.Client(f, cfg)
	}
	c.shaking = true
	l.shaking++
	l.interest(c)
	l.shakes.Add(1)
	go func() {
		defer l.shakes.Done()
		ctx, cancel := context.WithTimeout(l.ctx, timeout)
		defer cancel()
		f.turn()
		err := errPeerLeft
		if !f.over() {
			err = c.tls.HandshakeContext(ctx)
		}
		f.pass()
		l.post(func() { l.shaken(c, err) })
	}()
}

// shaken takes a connection back from its handshake.
func (l *Loop) shaken(c *conn, err error) {
	f := c.feed
	rest, eof, broken := f.take()
	c.shaking, c.full = false, false
	l.shaking--
	l.calm.shaken()
	l.door.leave(c)
	if c.closed || errors.Is(err, errPeerLeft) { // given up meanwhile
		l.closeFD(c)
		return
	}
	if err == nil {
		err = broken
	}
	l.established(c, err)
	if err != nil || c.closed {
		return
	}
	// Even with no rest there may be bytes: crypto/tls reads as much as its buffer holds, so records
	// that came with the peer's last flight are inside it, and nothing else would wake the loop.
	f.eof = eof
	l.decrypt(c, rest)
}

// decrypt gives the core what the bytes of this wake-up hold.
func (l *Loop) decrypt(c *conn, in []byte) {
	f := c.feed
	f.in = in
	buf := l.plain
	n := 0
	for !c.closed {
		m, err := c.tls.Read(buf[n:])
		n += m
		if n > 0 && (err != nil || len(buf)-n < 16<<10) {
			l.core.Received(c.core, buf[:n])
			n = 0
		}
		if err == nil {
			continue
		}
		if err == errNoBytes { //nolint:errorlint // crypto/tls hands it through, and this is per record
			f.in = nil // an idle link must not keep what its handshake left over
			return
		}
		if c.closed {
			return
		}
		if err == io.EOF { //nolint:errorlint // as above: a close-notify
			c.eof = true
			l.interest(c)
			l.core.EOF(c.core)
			return
		}
		l.broke(c, l.opt.Security.Explain(err, c.remote.String()))
		return
	}
}
