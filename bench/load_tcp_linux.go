package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// setUpTime bounds how long the connections may take to be made and to carry their first message.
const setUpTime = 20 * time.Second

// loadTCP keeps conns connections to target busy for d: each sends size bytes, waits until they
// have all come back, and begins again (a closed loop). Before that each carries one message, and
// begin is called when they all have: what a connection costs to set up (a TLS handshake, at some
// peers) must not be counted as what a message costs.
//
// It is the process that measures latency, so it reads the clock once per answer and stores, and
// sorts at the end.
func loadTCP(target netip.AddrPort, conns, size int, d time.Duration, begin func() error) (loadResult, error) {
	ep, err := newPoll()
	if err != nil {
		return loadResult{}, err
	}
	l := &tcpLoad{ep: ep, conns: map[int]*loadConn{}, out: []byte(strings.Repeat("w", size)), in: make([]byte, 256<<10)}
	defer l.close()
	for range conns {
		fd, err := dialTCP(target)
		if err != nil {
			return l.res, err
		}
		l.conns[fd] = &loadConn{fd: fd}
		if err := ep.add(fd, unix.EPOLLIN); err != nil {
			return l.res, err
		}
	}
	start := l.sendAll()
	if err := l.loop(start.Add(setUpTime), false); err != nil {
		return l.res, err
	}
	if waiting := len(l.conns) - int(l.res.requests); waiting > 0 {
		return l.res, fmt.Errorf("%d of %d connections carried nothing within %s", waiting, conns, setUpTime)
	}
	if err := begin(); err != nil {
		return l.res, err
	}
	l.res, l.us = loadResult{failed: l.res.failed}, l.us[:0]
	start = l.sendAll()
	if err := l.loop(start.Add(d), true); err != nil {
		return l.res, err
	}
	l.res.duration = time.Since(start)
	l.res.setPercentiles(l.us)
	return l.res, nil
}

// tcpLoad is the state of the load generator.
type tcpLoad struct {
	ep      *poll
	conns   map[int]*loadConn
	out, in []byte
	res     loadResult
	us      []uint32 // latencies, at most maxLatencies
}

func (l *tcpLoad) close() {
	for fd := range l.conns {
		_ = unix.Close(fd)
	}
	_ = unix.Close(l.ep.fd)
}

// sendAll begins a message on each connection and gives the time at which it did.
func (l *tcpLoad) sendAll() time.Time {
	now := time.Now()
	for _, c := range l.conns {
		c.begin(now)
		if err := c.send(l.out, l.ep); err != nil {
			l.drop(c)
		}
	}
	return now
}

func (l *tcpLoad) drop(c *loadConn) {
	l.res.failed++
	delete(l.conns, c.fd)
	_ = unix.Close(c.fd)
}

// loop serves the connections until end or until none is left. With again, a connection whose
// message has come back begins another; without, loop returns when all have come back.
func (l *tcpLoad) loop(end time.Time, again bool) error {
	for now := time.Now(); now.Before(end) && len(l.conns) > 0; now = time.Now() {
		if !again && int(l.res.requests) >= len(l.conns) {
			return nil
		}
		events, err := l.ep.wait(int(end.Sub(now)/time.Millisecond) + 1)
		if err != nil {
			return err
		}
		for _, e := range events {
			if c := l.conns[int(e.Fd)]; c != nil {
				l.serve(c, e.Events, again)
			}
		}
	}
	return nil
}

func (l *tcpLoad) serve(c *loadConn, events uint32, again bool) {
	finished, err := c.turn(events, l.in, l.out, l.ep)
	if err != nil {
		l.drop(c)
		return
	}
	if !finished {
		return
	}
	now := time.Now()
	l.res.requests++
	l.res.bytes += int64(len(l.out))
	if len(l.us) < maxLatencies {
		l.us = append(l.us, uint32(now.Sub(c.since).Microseconds()))
	}
	if !again {
		return
	}
	c.begin(now)
	if err := c.send(l.out, l.ep); err != nil {
		l.drop(c)
	}
}

// loadConn is one connection of the load generator, with one message on its way.
type loadConn struct {
	fd             int
	sent, received int
	since          time.Time
	blocked        bool // waiting for room to send
}

func (c *loadConn) begin(now time.Time) { c.sent, c.received, c.since = 0, 0, now }

// send writes what is left of the message, and asks for EPOLLOUT while something is.
func (c *loadConn) send(out []byte, ep *poll) error {
	n, err := unix.Write(c.fd, out[c.sent:])
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return err
	}
	c.sent += max(n, 0)
	blocked := c.sent < len(out)
	if blocked == c.blocked {
		return nil
	}
	c.blocked = blocked
	if blocked {
		return ep.modify(c.fd, unix.EPOLLIN|unix.EPOLLOUT)
	}
	return ep.modify(c.fd, unix.EPOLLIN)
}

// turn does what the connection is ready for and reports a message that has come back whole.
func (c *loadConn) turn(events uint32, in, out []byte, ep *poll) (finished bool, err error) {
	if events&unix.EPOLLOUT != 0 && c.blocked {
		if err := c.send(out, ep); err != nil {
			return false, err
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return false, nil
	}
	n, err := unix.Read(c.fd, in)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if n == 0 {
		return false, errClosed
	}
	c.received += n
	if c.received > len(out) {
		return false, fmt.Errorf("more came back than was sent: %d of %d bytes", c.received, len(out))
	}
	return c.received == len(out), nil
}

func dialTCP(target netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	err = unix.Connect(fd, sockaddr(target))
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("connecting to %s: %w", target, err)
	}
	return fd, nil
}
