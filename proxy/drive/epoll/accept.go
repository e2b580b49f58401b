//go:build linux

package epoll

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/proxy/capture"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"golang.org/x/sys/unix"
)

// listen takes part in accepting from a listener. Its descriptor is duplicated: the loop closes
// its own.
func (l *Loop) listen(ln drive.Listener) error {
	rc, err := ln.TCP.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	var derr error
	err = rc.Control(func(orig uintptr) { fd, derr = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, derr); err != nil {
		return fmt.Errorf("duplicating a listener: %w", err)
	}
	a, _ := ln.TCP.Addr().(*net.TCPAddr)
	tune(fd, a.AddrPort().Addr()) // most of it is inherited by what it accepts
	x := &listener{fd: fd, core: ln.Core, v6: a != nil && a.IP.To4() == nil}
	l.listeners = append(l.listeners, x)
	// EPOLLEXCLUSIVE: one idle loop wakes for a connection, not all.
	return l.add(fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
}

// arrival is a connection that was accepted and has no loop yet.
type arrival struct {
	fd     int
	remote netip.AddrPort
	core   *core.Listener
	v6     bool
}

// accept takes what has arrived, bounded, so that a flood of connections does not starve those
// that are there. Which loop the kernel wakes says nothing of how busy it is, so connections go to
// the loop that has the fewest; those of one turn are handed over together.
func (l *Loop) accept(ln *listener) {
	var away map[*Loop][]arrival
	for range 16 {
		fd, sa, err := unix.Accept4(ln.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EAGAIN:
			l.handOver(away)
			return
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default: // EMFILE and the like: leave the rest in the backlog and try again soon
			l.opt.Core.Shard.Refused("W3012")
			if now := time.Now(); now.Sub(l.told) >= tellEvery {
				l.told = now
				l.opt.Log.Warn("cannot accept", "code", "W3012", "err", err)
			}
			l.pauseAccept(ln)
			l.handOver(away)
			return
		}
		tuneAccepted(fd)
		a := arrival{fd, addrOf(sa), ln.core, ln.v6}
		to := l.emptiest()
		to.load.Add(1)
		if to == l {
			l.take(a)
			continue
		}
		if away == nil {
			away = map[*Loop][]arrival{}
		}
		away[to] = append(away[to], a)
	}
	l.handOver(away)
}

// emptiest gives the loop for the next connection: this one, if no other has clearly fewer. A loop
// that drains keeps what comes still: the others may be at their end.
func (l *Loop) emptiest() *Loop {
	if l.draining {
		return l
	}
	best, least := l, l.load.Load()-1
	for _, o := range l.all {
		if n := o.load.Load(); n < least {
			best, least = o, n
		}
	}
	return best
}

// handOver gives connections to other loops. It keeps those of loops that have ended.
func (l *Loop) handOver(away map[*Loop][]arrival) {
	for to, list := range away {
		take := func(l *Loop) {
			for _, a := range list {
				l.take(a)
			}
		}
		if !to.post(func() { take(to) }) {
			l.load.Add(int32(len(list)))
			take(l)
		}
	}
}

// take makes an accepted connection the loop's. load counts it already.
func (l *Loop) take(a arrival) {
	c := l.newConn(a.fd, a.remote)
	c.accept, c.late, c.counted = a.core, lateNew, true
	if l.ended {
		l.closeFD(c)
		return
	}
	if a.core.Kind == core.ListenLink {
		l.welcome(c)
		return
	}
	accept := core.Accept{Listener: a.core, Remote: c.remote}
	if a.core.Kind == core.ListenTransparent {
		dst, err := capture.OriginalDst(a.fd, a.v6)
		if err != nil {
			l.core.Warn("no original destination", "code", "W3013", "from", c.remote, "err", err)
			l.closeFD(c)
			return
		}
		accept.OrigDst = dst
	}
	l.accepted(c, accept)
}

func (l *Loop) accepted(c *conn, a core.Accept) {
	c.accept = nil
	a.Driver = c
	cc := l.core.Accept(a)
	if cc == nil {
		l.closeFD(c)
		return
	}
	c.core = cc
	if !c.closed {
		l.interest(c)
	}
}

func (l *Loop) pauseAccept(ln *listener) {
	if ln.paused {
		return
	}
	ln.paused = true
	unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, ln.fd, nil) //nolint:errcheck // it is registered
	time.AfterFunc(100*time.Millisecond, func() {
		l.post(func() {
			if ln.paused && !l.draining {
				ln.paused = false
				l.add(ln.fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE) //nolint:errcheck // it was registered before
			}
		})
	})
}

// stopAccepting closes the loop's listeners.
func (l *Loop) stopAccepting() {
	for _, ln := range l.listeners {
		if ln.fd >= 0 {
			unix.Close(ln.fd) //nolint:errcheck // nothing can be done
			ln.fd = -1
		}
	}
	l.listeners = nil
}
