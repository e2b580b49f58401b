package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// loadShort makes connection after connection to target, atOnce at a time, for d: each carries one
// request ("http": GET, closed by the server after the answer; "tcp": an echo, closed by us), and
// is closed. A latency is from the beginning of connect to the end of the answer.
func loadShort(proto string, target netip.AddrPort, atOnce int, d time.Duration, begin func() error) (loadResult, error) {
	ep, err := newPoll()
	if err != nil {
		return loadResult{}, err
	}
	l := &connLoad{ep: ep, target: target, http: proto == "http", conns: map[int]*shortConn{}, in: make([]byte, 64<<10)}
	l.out = []byte(strings.Repeat("w", smallBytes))
	if l.http {
		l.out = fmt.Appendf(nil, "GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", bodySmall, target)
	}
	defer l.close()
	if err := begin(); err != nil {
		return loadResult{}, err
	}
	start := time.Now()
	end := start.Add(d)
	for time.Now().Before(end) {
		for len(l.conns) < atOnce {
			if err := l.open(); err != nil {
				return l.res, err
			}
		}
		events, err := ep.wait(int(time.Until(end)/time.Millisecond) + 1)
		if err != nil {
			return l.res, err
		}
		for _, e := range events {
			if c := l.conns[int(e.Fd)]; c != nil {
				l.serve(c)
			}
		}
		if l.res.failed > maxFailures {
			return l.res, fmt.Errorf("%d connections failed, the last with: %w", l.res.failed, l.last)
		}
	}
	l.res.duration = time.Since(start)
	l.res.setPercentiles(l.us)
	return l.res, nil
}

type connLoad struct {
	ep      *poll
	target  netip.AddrPort
	http    bool
	out, in []byte
	conns   map[int]*shortConn
	res     loadResult
	us      []uint32
	last    error
}

// shortConn is a connection with one request.
type shortConn struct {
	fd       int
	since    time.Time
	sent     bool
	received int  // of an echo
	whole    bool // the answer is there
	counted  bool // and in the result; only the end is missing
	a        answer
}

func (l *connLoad) close() {
	for fd := range l.conns {
		_ = unix.Close(fd)
	}
	_ = unix.Close(l.ep.fd)
}

// open begins to connect.
func (l *connLoad) open() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c := &shortConn{fd: fd, since: time.Now()}
	if err := unix.Connect(fd, sockaddr(l.target)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		return fmt.Errorf("connecting to %s: %w", l.target, err)
	}
	l.conns[fd] = c
	return l.ep.add(fd, unix.EPOLLOUT)
}

// serve does what the connection is ready for, and closes it when that was the last.
func (l *connLoad) serve(c *shortConn) {
	err := l.turn(c)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case errors.Is(err, errClosed) && c.counted: // as it should
	case err != nil:
		l.last = err
		l.res.failed++
	case !c.whole || c.counted:
		return
	default:
		c.counted = true
		l.res.requests++
		l.res.bytes += smallBytes
		if len(l.us) < maxLatencies {
			l.us = append(l.us, uint32(time.Since(c.since).Microseconds()))
		}
		if l.http {
			return // the server closes: that is waited for
		}
	}
	delete(l.conns, c.fd)
	_ = unix.Close(c.fd)
}

// turn sends the request or reads the answer. It sets whole when the answer is, and gives
// errClosed for the end of the connection.
func (l *connLoad) turn(c *shortConn) error {
	if !c.sent {
		if n, err := unix.Write(c.fd, l.out); err != nil || n != len(l.out) { // a failed connect shows here
			return fmt.Errorf("sent %d of %d bytes: %w", n, len(l.out), err)
		}
		c.sent = true
		return l.ep.modify(c.fd, unix.EPOLLIN)
	}
	n, err := unix.Read(c.fd, l.in)
	if err != nil {
		return err
	}
	if n == 0 {
		return errClosed
	}
	if l.http {
		c.whole, err = c.a.feed(l.in[:n])
		if err == nil && c.whole && c.a.length != smallBytes {
			err = fmt.Errorf("a body of %d bytes, want %d", c.a.length, smallBytes)
		}
		return err
	}
	c.received += n
	c.whole = c.received == len(l.out)
	if c.received > len(l.out) {
		return fmt.Errorf("more came back than was sent: %d of %d bytes", c.received, len(l.out))
	}
	return nil
}
