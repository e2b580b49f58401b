//go:build linux

package epoll

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"golang.org/x/sys/unix"
)

// Dial implements core.Host.
func (l *Loop) Dial(cc *core.Conn, d core.Dial) {
	if l.ended {
		return
	}
	if d.Host == "" {
		l.connect(cc, d)
		return
	}
	l.shakes.Add(1)
	go func() { // resolves the name; bounded by the dial's timeout
		defer l.shakes.Done()
		ctx, cancel := context.WithTimeout(l.ctx, d.Timeout)
		defer cancel()
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", d.Host)
		l.post(func() {
			if err == nil && len(addrs) == 0 {
				err = fmt.Errorf("%s has no address", d.Host)
			}
			if err == nil {
				d.Addr = netip.AddrPortFrom(preferV4(addrs), d.Port)
				if l.core.Own(d.Addr) {
					err = core.ErrLoop
				}
			}
			switch {
			case cc.Gone() || l.ended:
			case err != nil:
				l.core.Connected(cc, err)
			default:
				l.connect(cc, d)
			}
		})
	}()
}

func preferV4(addrs []netip.Addr) netip.Addr {
	for _, a := range addrs {
		if a.Unmap().Is4() {
			return a.Unmap()
		}
	}
	return addrs[0]
}

// connect starts a connection. Failures are told later, as Host.Dial promises.
func (l *Loop) connect(cc *core.Conn, d core.Dial) {
	fail := func(err error) { l.post(func() { l.core.Connected(cc, err) }) }
	family := unix.AF_INET
	if d.Addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fail(fmt.Errorf("socket: %w", err))
		return
	}
	tune(fd, d.Addr.Addr())
	err = unix.Connect(fd, sockaddr(d.Addr))
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd) //nolint:errcheck // nothing can be done
		fail(fmt.Errorf("connecting to %s: %w", d.Addr, err))
		return
	}
	c := l.newConn(fd, d.Addr)
	c.core = cc
	c.dial = &d
	c.dialing = true
	cc.Driver = c
	l.interest(c)
	if d.Timeout > 0 {
		gen := c.gen
		c.stopTimer = time.AfterFunc(d.Timeout, func() {
			l.post(func() {
				if c.gen == gen && c.dialing && c.fd >= 0 {
					l.connectFailed(c, fmt.Errorf("connecting to %s: no answer in %s", d.Addr, d.Timeout))
				}
			})
		})
	}
}

func (l *Loop) connectFailed(c *conn, err error) {
	cc := c.core
	c.dialing = false
	gone := c.closed
	l.closeFD(c)
	if !gone {
		l.core.Connected(cc, err)
	}
}

// dialed: the socket is connected, or not to be.
func (l *Loop) dialed(c *conn) {
	if c.stopTimer != nil {
		c.stopTimer.Stop()
	}
	if err := sockError(c.fd); err != nil {
		l.connectFailed(c, fmt.Errorf("connecting to %s: %w", c.remote, err))
		return
	}
	c.dialing = false
	if c.dial.Peer == "" {
		l.interest(c)
		l.core.Connected(c.core, nil)
		return
	}
	l.shake(c, nil, l.opt.Security.Client(c.dial.Workload, c.dial.Peer), max(c.dial.Timeout, time.Second))
}

// established: a handshake is over, well or not.
func (l *Loop) established(c *conn, err error) {
	peer := ""
	var until time.Time
	if err == nil {
		cs := c.tls.ConnectionState()
		peer, until, err = drive.Identify(l.opt.Security, &cs)
	}
	if err != nil {
		err = l.opt.Security.Explain(err, c.remote.String())
	}
	if c.accept == nil { // we dialed
		if err != nil {
			l.connectFailed(c, err)
			return
		}
		l.interest(c)
		l.core.ConnectedUntil(c.core, l.coreTime(until))
		return
	}
	if err != nil {
		l.opt.Core.Shard.Refused("W3014")
		l.core.Warn("link refused", "code", "W3014", "from", c.remote, "err", err)
		l.closeFD(c)
		return
	}
	l.accepted(c, core.Accept{Listener: c.accept, Remote: c.remote, Peer: peer, Until: l.coreTime(until)})
}

// coreTime turns an instant of the wall clock into the core's time.
func (l *Loop) coreTime(t time.Time) time.Duration { return l.now() + time.Until(t) }

// sockError takes the pending error of a socket.
func sockError(fd int) error {
	e, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if e != 0 {
		return unix.Errno(e)
	}
	return nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func addrOf(sa unix.Sockaddr) netip.AddrPort {
	switch s := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr).Unmap(), uint16(s.Port))
	}
	return netip.AddrPort{}
}
