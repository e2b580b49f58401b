package main

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The TCP echo server and its load generator are one epoll loop each, without goroutines: what
// they need themselves is taken from the proxies on a small machine, and must be little and even.

// serveTCP echoes what comes on addr ("ip:port") until the process ends. It returns only errors.
func serveTCP(addr string) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := unix.SetsockoptInt(ln, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	if err := unix.Bind(ln, sockaddr(at)); err != nil {
		return fmt.Errorf("bind %s: %w", addr, err)
	}
	if err := unix.Listen(ln, 1024); err != nil {
		return fmt.Errorf("listen %s: %w", addr, err)
	}
	ep, err := newPoll()
	if err != nil {
		return err
	}
	if err := ep.add(ln, unix.EPOLLIN); err != nil {
		return err
	}
	conns := map[int]*echoConn{}
	buf := make([]byte, 256<<10)
	for {
		events, err := ep.wait(-1)
		if err != nil {
			return err
		}
		for _, e := range events {
			fd := int(e.Fd)
			if fd == ln {
				if c, err := acceptEcho(ln, ep); err == nil {
					conns[c] = &echoConn{fd: c}
				}
				continue
			}
			c := conns[fd]
			if c == nil {
				continue
			}
			if err := c.turn(buf, ep); err != nil {
				delete(conns, fd)
				_ = unix.Close(fd)
			}
		}
	}
}

func acceptEcho(ln int, ep *poll) (int, error) {
	fd, _, err := unix.Accept4(ln, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return 0, err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := ep.add(fd, unix.EPOLLIN); err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// echoConn is one connection of the server. pending is what could not be written yet; while there
// is some, nothing more is read, so it is bounded by one buffer.
type echoConn struct {
	fd      int
	pending []byte
}

// turn does what the connection is ready for: writes what is pending, or reads once and writes.
func (c *echoConn) turn(buf []byte, ep *poll) error {
	data := c.pending
	if len(data) == 0 {
		n, err := unix.Read(c.fd, buf)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			return nil
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errClosed
		}
		data = buf[:n]
	}
	n, err := unix.Write(c.fd, data)
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return err
	}
	rest := data[max(n, 0):]
	had := len(c.pending) > 0
	c.pending = append([]byte(nil), rest...)
	switch {
	case len(rest) > 0 && !had:
		return ep.modify(c.fd, unix.EPOLLOUT)
	case len(rest) == 0 && had:
		return ep.modify(c.fd, unix.EPOLLIN)
	}
	return nil
}

// poll is an epoll descriptor with its buffer of events.
type poll struct {
	fd     int
	events [256]unix.EpollEvent
}

func newPoll() (*poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &poll{fd: fd}, nil
}

func (p *poll) add(fd int, events uint32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (p *poll) modify(fd int, events uint32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// wait returns the events that came within millis (-1: for ever); the slice lives until the next call.
func (p *poll) wait(millis int) ([]unix.EpollEvent, error) {
	n, err := unix.EpollWait(p.fd, p.events[:], millis)
	if errors.Is(err, unix.EINTR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("epoll wait: %w", err)
	}
	return p.events[:n], nil
}

func sockaddr(at netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
}
