package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// loadTCP keeps conns connections to target busy for d: each sends size bytes, waits until they
// have all come back, and begins again (a closed loop). It is the process that measures latency,
// so it reads the clock once per answer and stores, and sorts at the end.
func loadTCP(target netip.AddrPort, conns, size int, d time.Duration) (loadResult, error) {
	ep, err := newPoll()
	if err != nil {
		return loadResult{}, err
	}
	defer func() { _ = unix.Close(ep.fd) }()
	var (
		res loadResult
		us  []uint32
		all = map[int]*loadConn{}
		out = []byte(strings.Repeat("w", size))
		in  = make([]byte, 256<<10)
	)
	defer func() {
		for fd := range all {
			_ = unix.Close(fd)
		}
	}()
	for range conns {
		fd, err := dialTCP(target)
		if err != nil {
			return res, err
		}
		all[fd] = &loadConn{fd: fd}
		if err := ep.add(fd, unix.EPOLLIN); err != nil {
			return res, err
		}
	}
	start := time.Now()
	for _, c := range all {
		c.begin(start)
		if err := c.send(out, ep); err != nil {
			res.failed++
		}
	}
	end := start.Add(d)
	for now := start; now.Before(end) && len(all) > 0; now = time.Now() {
		events, err := ep.wait(int(end.Sub(now)/time.Millisecond) + 1)
		if err != nil {
			return res, err
		}
		for _, e := range events {
			c := all[int(e.Fd)]
			took, finished, err := c.turn(e.Events, in, out, ep)
			if err != nil {
				res.failed++
				delete(all, c.fd)
				_ = unix.Close(c.fd)
				continue
			}
			if finished {
				res.requests++
				res.bytes += int64(size)
				if len(us) < maxLatencies {
					us = append(us, uint32(took.Microseconds()))
				}
			}
		}
	}
	res.duration = time.Since(start)
	res.setPercentiles(us)
	return res, nil
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
func (c *loadConn) turn(events uint32, in, out []byte, ep *poll) (took time.Duration, finished bool, err error) {
	if events&unix.EPOLLOUT != 0 && c.blocked {
		if err := c.send(out, ep); err != nil {
			return 0, false, err
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return 0, false, nil
	}
	n, err := unix.Read(c.fd, in)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if n == 0 {
		return 0, false, errClosed
	}
	c.received += n
	if c.received > len(out) {
		return 0, false, fmt.Errorf("more came back than was sent: %d of %d bytes", c.received, len(out))
	}
	if c.received < len(out) {
		return 0, false, nil
	}
	now := time.Now()
	took = now.Sub(c.since)
	c.begin(now)
	return took, true, c.send(out, ep)
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

// runLoadTCP is the load generator as a program: ADDR CONNS SIZE DURATION; it prints a line that
// parseResult reads.
func runLoadTCP(args []string, out io.Writer) error {
	if len(args) != 4 {
		return fmt.Errorf("want ADDR CONNS SIZE DURATION, have %q", args)
	}
	target, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	conns, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	r, err := loadTCP(target, conns, size, d)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%srequests=%d bytes=%d micros=%d failed=%d p50=%d p99=%d p999=%d\n", resultPrefix,
		r.requests, r.bytes, r.duration.Microseconds(), r.failed, r.p50.Microseconds(), r.p99.Microseconds(), r.p999.Microseconds())
	return err
}
