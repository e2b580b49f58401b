//go:build linux

// Package epoll runs the data path on Linux: one loop a core, each with its own epoll instance
// and its own core.Core. A connection stays on its loop. Nothing on a request's way wakes a
// goroutine; handshakes and name look-ups, which may block, run on goroutines that hand their
// result to the loop.
package epoll

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"golang.org/x/sys/unix"
)

const (
	readSize  = 128 << 10
	batch     = 256              // events per wake-up
	lingerFor = 5 * time.Second  // how long a closed connection may take to send what it has
	tellEvery = 10 * time.Second // how often the log hears of a lack that lasts
	idleWait  = 10 * time.Second // longest sleep; a net under the wake-ups
)

// Loop is one event loop.
type Loop struct {
	opt    *drive.Options
	core   *core.Core
	epfd   int
	epfile *os.File        // epfd in the runtime's poller
	park   syscall.RawConn // of epfile
	alarm  time.Duration   // when the deadline of epfile is; 0: passed
	wakefd int
	start  time.Time
	ctx    context.Context // of handshakes and look-ups
	stop   context.CancelFunc

	// Of wait: fields instead of variables, for what is passed to park goes to the heap.
	events  []unix.EpollEvent
	poll    func(uintptr) bool // pollOnce
	ready   int                // events that it found
	pollErr syscall.Errno

	all  []*Loop      // of the driver, this one included
	load atomic.Int32 // accepted connections that it has

	conns     []*conn // by descriptor
	gen       uint32
	listeners []*listener
	lingering map[*conn]time.Time
	late      late

	read, plain []byte
	cipher      []byte
	unsent      unsent
	pipes       pipes

	mu     sync.Mutex // guards inbox, woken and freed
	inbox  []func()
	woken  bool
	freed  bool           // the descriptors are closed
	shakes sync.WaitGroup // handshakes and look-ups under way

	door     door      // who is not let in yet; the loop's goroutine only
	turns    turns     // of the handshakes of those
	calm     *calm     // the driver's
	shaking  int       // handshakes under way; the loop's goroutine only
	draining bool      // no new connections
	ended    bool      // everything is being closed
	told     time.Time // when the log last heard that accepting fails
}

type listener struct {
	fd     int
	v6     bool
	core   *core.Listener
	paused bool        // out of descriptors
	tls    *tls.Config // of links, from the first one on
}

func newLoop(opt *drive.Options, i int, start time.Time) (*Loop, error) {
	l := &Loop{
		opt: opt, start: start, read: make([]byte, readSize), plain: make([]byte, readSize+16<<10),
		lingering: map[*conn]time.Time{}, epfd: -1, wakefd: -1, late: late{epfd: -1}, events: make([]unix.EpollEvent, batch),
	}
	l.poll = l.pollOnce
	var err error
	if l.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err = unix.SetNonblock(l.epfd, true); err != nil { // or os.NewFile would not poll it
		l.free()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	l.epfile = os.NewFile(uintptr(l.epfd), "epoll")
	if l.park, err = l.epfile.SyscallConn(); err != nil {
		l.free()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if l.wakefd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		l.free()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if err = l.add(l.wakefd, unix.EPOLLIN); err != nil {
		l.free()
		return nil, err
	}
	if err = l.openLate(); err != nil {
		l.free()
		return nil, err
	}
	cfg := opt.Core
	cfg.Host = l
	cfg.Now = l.now()
	l.core = core.New(cfg)
	return l, nil
}

func (l *Loop) now() time.Duration { return time.Since(l.start) }

// free closes the loop's own descriptors. What is posted afterwards is dropped: its wake-up would
// be written to whatever has the descriptor's number by then.
func (l *Loop) free() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.freed, l.inbox = true, nil
	if l.epfile != nil {
		l.epfile.Close() //nolint:errcheck // nothing can be done
	} else if l.epfd >= 0 {
		unix.Close(l.epfd) //nolint:errcheck // nothing can be done
	}
	for _, fd := range []int{l.wakefd, l.late.epfd} {
		if fd >= 0 {
			unix.Close(fd) //nolint:errcheck // nothing can be done
		}
	}
}

// add watches a descriptor that is no connection; its generation is 0.
func (l *Loop) add(fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd)}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll add: %w", err)
	}
	return nil
}

// post runs f on the loop, or drops it and reports false if the loop has ended. Safe for concurrent use.
func (l *Loop) post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.freed {
		return false
	}
	l.inbox = append(l.inbox, f)
	if !l.woken {
		l.woken = true
		one := [8]byte{1}
		unix.Write(l.wakefd, one[:]) //nolint:errcheck // the counter cannot overflow: one write per wake-up
	}
	return true
}

// posted reports whether something waits to be run.
func (l *Loop) posted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inbox) > 0
}

// run is the loop. It ends when ctx does, or when draining and nothing is under way.
func (l *Loop) run(ctx context.Context) error {
	l.ctx, l.stop = context.WithCancel(ctx)
	wake := context.AfterFunc(ctx, func() { l.post(func() {}) })
	defer wake()
	defer l.shutdown()
	for ctx.Err() == nil {
		n, err := l.wait()
		if err != nil {
			return err
		}
		l.core.SetNow(l.now())
		for i := range l.events[:n] {
			l.event(&l.events[i])
		}
		l.serveLate()
		l.core.Tick()
		l.core.Flush()
		l.expireLingering()
		l.expireDoor()
		if l.draining && !l.core.Busy() && !l.posted() && len(l.lingering) == 0 && l.shaking == 0 && l.door.n == 0 {
			return nil
		}
	}
	return nil
}

// wait looks for events without telling the scheduler; only an idle loop parks, on the runtime's
// network poller, where it holds neither a thread nor a processor. A blocking system call instead
// cost a wake-up of the runtime's monitor and a futex call for each request at low load.
func (l *Loop) wait() (n int, err error) {
	l.setAlarm()
	err = l.park.Read(l.poll)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.alarm = 0
		return 0, nil
	}
	if err == nil {
		err = waitError(l.pollErr)
	}
	return l.ready, err
}

// pollOnce reports whether there is something to do: ready events, or an error.
func (l *Loop) pollOnce(uintptr) bool {
	l.ready, l.pollErr = pollNow(l.epfd, l.events)
	return l.ready > 0 || l.pollErr != 0 && l.pollErr != unix.EINTR
}

func waitError(errno syscall.Errno) error {
	if errno != 0 && errno != unix.EINTR {
		return fmt.Errorf("epoll wait: %w", errno)
	}
	return nil
}

// setAlarm makes park end when a timer is due. An alarm that is already set earlier is left, so
// that a busy loop does not set one for each wait.
func (l *Loop) setAlarm() {
	now := l.now()
	at := now + idleWait
	if t, ok := l.core.NextTimer(); ok {
		at = min(at, t)
	}
	if c := l.door.first; c != nil {
		at = min(at, c.since+doorFor)
	}
	if l.draining || len(l.lingering) > 0 {
		at = min(at, now+50*time.Millisecond)
	}
	if l.alarm > now && l.alarm <= at {
		return
	}
	l.alarm = max(at, now+time.Millisecond)
	l.epfile.SetReadDeadline(l.start.Add(l.alarm)) //nolint:errcheck // fails only for a closed file
}

// event acts on one readiness.
func (l *Loop) event(ev *unix.EpollEvent) {
	fd, gen := int(ev.Fd), uint32(ev.Pad)
	if gen == 0 {
		if fd == l.wakefd {
			l.takeInbox()
			return
		}
		if fd == l.late.epfd {
			l.late.ready = true
			return
		}
		for _, ln := range l.listeners {
			if ln.fd == fd {
				l.late.come = append(l.late.come, ln)
				return
			}
		}
		return
	}
	c := l.connOf(ev)
	if c == nil {
		return // of a socket that was closed in this very batch
	}
	if c.dialing {
		l.dialed(c)
		return
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		l.writable(c)
	}
	if c.closed && !c.shaking {
		if ev.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			l.closeFD(c)
		}
		return
	}
	if ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.readable(c, ev.Events)
	}
}

func (l *Loop) takeInbox() {
	var b [8]byte
	unix.Read(l.wakefd, b[:]) //nolint:errcheck // only resets the counter
	l.mu.Lock()
	in := l.inbox
	l.inbox = nil
	l.woken = false
	l.mu.Unlock()
	for _, f := range in {
		f()
	}
}

func (l *Loop) newConn(fd int, remote netip.AddrPort) *conn {
	l.gen++
	if l.gen == 0 || int32(l.gen) == 0 {
		l.gen = 1
	}
	c := &conn{loop: l, fd: fd, gen: l.gen, remote: remote}
	for fd >= len(l.conns) {
		l.conns = append(l.conns, make([]*conn, 64)...)
	}
	l.conns[fd] = c
	return c
}

// interest makes epoll watch what the connection's state asks for.
func (l *Loop) interest(c *conn) {
	var want uint32
	if c.hup && c.off {
		if c.registered() {
			unix.EpollCtl(l.pollOf(c), unix.EPOLL_CTL_DEL, c.fd, nil) //nolint:errcheck // it is registered
			c.mask = 0
		}
		return
	}
	if !c.off && !c.eof && !c.closing && !c.dialing || c.shaking && !c.full && !c.eof {
		want |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if len(c.pending) > 0 || c.piped || c.dialing {
		want |= unix.EPOLLOUT
	}
	if want|watched == c.mask {
		return
	}
	ev := unix.EpollEvent{Events: want, Fd: int32(c.fd), Pad: int32(c.gen)}
	op := unix.EPOLL_CTL_MOD
	if !c.registered() {
		op = unix.EPOLL_CTL_ADD
	}
	if err := unix.EpollCtl(l.pollOf(c), op, c.fd, &ev); err != nil {
		l.opt.Log.Error("epoll control", "err", err)
	}
	c.mask = want | watched
}

// watched is a bit in mask that epoll does not know: the socket is registered.
const watched = 1 << 27

func (c *conn) registered() bool { return c.mask&watched != 0 }

// readable reads once: what is left wakes the loop again.
func (l *Loop) readable(c *conn, events uint32) {
	broken := events & (unix.EPOLLERR | unix.EPOLLHUP)
	switch {
	case c.full && broken == 0, c.off && !c.shaking && broken == 0:
		return
	case c.off && !c.shaking && !c.eof && broken == unix.EPOLLHUP:
		// Both directions have ended in good order, and what came last waits to be read until the
		// other end has room. Epoll would report it all the while.
		c.hup = true
		l.interest(c)
		return
	case c.eof && broken != 0, c.off && !c.shaking: // broken while nobody wanted to read
		l.broke(c, sockError(c.fd))
		return
	case c.relay != nil:
		l.forward(c)
		return
	}
	buf := l.read
	if c.late != lateNot {
		buf = buf[:lateRead]
	}
	n, err := readNow(c.fd, buf)
	if n < lateBulk || c.late != lateNot {
		l.arrived(c, n, err)
		return
	}
	begun := l.now()
	l.arrived(c, n, err)
	l.dismiss(c, l.now()-begun)
}

// arrived deals with what was read: n bytes, the end, or an error.
func (l *Loop) arrived(c *conn, n int, err syscall.Errno) {
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case c.silent && (err != 0 || n == 0): // never said anything, e.g. a probe
		l.closeFD(c)
	case err != 0:
		if c.shaking {
			c.feed.stop(err)
			c.eof = true
			l.interest(c)
			return
		}
		l.broke(c, err)
	case n == 0 && c.lost != 0 && !c.shaking:
		l.broke(c, c.lost)
	case n == 0:
		c.eof = true
		l.interest(c)
		switch {
		case c.shaking:
			c.feed.stop(nil)
		case c.tls != nil:
			c.feed.eof = true
			l.decrypt(c, nil)
		default:
			l.core.EOF(c.core)
		}
	case c.silent:
		c.silent = false
		l.shake(c, &l.turns, l.linkTLS(c.accept), doorFor)
		c.feed.push(l.read[:n])
	case c.shaking:
		if !c.feed.push(l.read[:n]) {
			c.full = true
			l.interest(c)
		}
	case c.tls != nil:
		l.decrypt(c, l.read[:n])
	default:
		l.core.Received(c.core, l.read[:n])
	}
}

// writable sends what waited.
func (l *Loop) writable(c *conn) {
	if c.relay != nil {
		l.taken(c)
		return
	}
	if len(c.pending) == 0 {
		return
	}
	before := len(c.pending)
	c.sendPending()
	if len(c.pending) > 0 {
		if c.closing && len(c.pending) < before { // a slow reader gets everything, a dead one is let go
			l.lingering[c] = time.Now().Add(lingerFor)
		}
		return
	}
	l.interest(c)
	if c.closing {
		l.closeFD(c)
		return
	}
	if c.finishing {
		unix.Shutdown(c.fd, unix.SHUT_WR) //nolint:errcheck // a broken socket shows in epoll
	}
	if c.core != nil && !c.closed {
		l.core.Drained(c.core)
	}
}

// broke tells the core that a connection is no more.
func (l *Loop) broke(c *conn, err error) {
	if c.closed {
		l.closeFD(c)
		return
	}
	c.closed = true
	cc := c.core
	l.closeFD(c)
	if cc != nil {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		l.core.Closed(cc, err)
	}
}

// closeFD closes the socket and forgets it. While a handshake's goroutine uses it, that waits.
func (l *Loop) closeFD(c *conn) {
	c.closed = true
	l.door.leave(c)
	delete(l.lingering, c)
	if c.stopTimer != nil {
		c.stopTimer.Stop()
	}
	if c.shaking {
		c.feed.stop(net.ErrClosed)
		return // shaken comes back here
	}
	if c.fd < 0 {
		return
	}
	l.part(c, false)
	if c.counted {
		c.counted = false
		l.load.Add(-1)
	}
	l.conns[c.fd] = nil
	unix.Close(c.fd) //nolint:errcheck // nothing can be done
	c.fd = -1
	c.dropPending()
}

func (l *Loop) expireLingering() {
	if len(l.lingering) == 0 {
		return
	}
	now := time.Now()
	for c, until := range l.lingering {
		if now.After(until) {
			l.closeFD(c)
		}
	}
}

// shutdown ends everything that is left.
func (l *Loop) shutdown() {
	l.ended = true
	l.stop()
	l.stopAccepting()
	for _, c := range l.conns {
		if c != nil {
			l.closeFD(c)
		}
	}
	l.pipes.close()
	l.shakes.Wait()
	l.takeInbox()
	for _, c := range l.conns {
		if c != nil {
			c.shaking = false
			l.closeFD(c)
		}
	}
	l.free()
}
