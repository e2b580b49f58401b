package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// The generator of a constant rate: requests fall due at equal distances, whatever the answers do
// (an open loop). A latency counts from the moment at which its request was due, also when no
// connection was free or this program was late: what a slow answer makes others wait is part of
// the figure (no coordinated omission). How late the program itself was is told beside it.

// pool is HTTP/1.1 connections to one target, each with at most one request on its way.
type pool struct {
	ep      *poll
	target  netip.AddrPort
	request []byte
	conns   map[int]*rateConn
	free    []*rateConn // in the order in which they became free: all are used
	res     loadResult
	us      []uint32
	in      []byte
}

type rateConn struct {
	fd   int
	busy bool
	due  time.Time // when the request on its way was due
	a    answer
}

func newPool(target netip.AddrPort) (*pool, error) {
	ep, err := newPoll()
	if err != nil {
		return nil, err
	}
	return &pool{ep: ep, target: target, request: fmt.Appendf(nil, "GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n", bodySmall, target),
		conns: map[int]*rateConn{}, in: make([]byte, 64<<10)}, nil
}

func (p *pool) close() {
	for fd := range p.conns {
		_ = unix.Close(fd)
	}
	_ = unix.Close(p.ep.fd)
}

// poolStep is how many requests are on their way while nothing is measured: fewer than any queue
// takes, and than make a proxy open a link for each.
const poolStep = 16

// grow opens connections until there are n, and has a request answered on each new one.
func (p *pool) grow(n int) error {
	for len(p.conns) < n {
		before := len(p.conns)
		for range min(n-before, poolStep) {
			fd, err := dialTCP(p.target)
			if err != nil {
				return err
			}
			c := &rateConn{fd: fd}
			p.conns[fd] = c
			if err := p.ep.add(fd, unix.EPOLLIN); err != nil {
				return err
			}
			p.send(c, time.Now())
		}
		if err := p.settle(time.Now().Add(setUpTime)); err != nil {
			return err
		}
	}
	return nil
}

// askAll has a request answered on every connection and gives how many were.
func (p *pool) askAll() (int64, error) {
	before := p.res.requests
	for left := len(p.free); left > 0; left -= poolStep {
		for range min(left, poolStep, len(p.free)) {
			c := p.free[0]
			p.free = p.free[1:]
			p.send(c, time.Now())
		}
		if err := p.settle(time.Now().Add(setUpTime)); err != nil {
			return 0, err
		}
	}
	return p.res.requests - before, nil
}

// settle waits until no request is on its way.
func (p *pool) settle(end time.Time) error {
	for len(p.free) < len(p.conns) {
		left := time.Until(end)
		if left <= 0 {
			return fmt.Errorf("%d of %d connections got no answer", len(p.conns)-len(p.free), len(p.conns))
		}
		if err := p.wait(int(left/time.Millisecond) + 1); err != nil {
			return err
		}
	}
	return nil
}

// send puts a request on a connection that has none.
func (p *pool) send(c *rateConn, due time.Time) {
	c.due, c.busy = due, true
	c.a.reset()
	if n, err := unix.Write(c.fd, p.request); err != nil || n != len(p.request) { // it fits into any empty buffer
		p.drop(c)
	}
}

func (p *pool) drop(c *rateConn) {
	p.res.failed++
	delete(p.conns, c.fd)
	_ = unix.Close(c.fd)
	for i, f := range p.free {
		if f == c {
			p.free = append(p.free[:i], p.free[i+1:]...)
			break
		}
	}
}

// wait serves what comes within millis (-1: for ever).
func (p *pool) wait(millis int) error {
	events, err := p.ep.wait(millis)
	if err != nil {
		return err
	}
	for _, e := range events {
		if c := p.conns[int(e.Fd)]; c != nil {
			p.serve(c)
		}
	}
	return nil
}

func (p *pool) serve(c *rateConn) {
	n, err := unix.Read(c.fd, p.in)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err != nil || n == 0 || !c.busy {
		p.drop(c)
		return
	}
	done, err := c.a.feed(p.in[:n])
	if err != nil {
		p.drop(c)
		return
	}
	if !done {
		return
	}
	c.busy = false
	p.res.requests++
	p.res.bytes += int64(c.a.length)
	if len(p.us) < maxLatencies {
		p.us = append(p.us, uint32(time.Since(c.due).Microseconds()))
	}
	p.free = append(p.free, c)
}

// atRate sends perSecond requests a second until d is over or stop is closed, and waits for their
// answers. The result counts these alone.
func (p *pool) atRate(perSecond int, d time.Duration, stop <-chan struct{}) (loadResult, error) {
	// Timers end up to 50 µs late by themselves, to save power; not here (prctl(2)).
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	alarm, err := newAlarm(p.ep)
	if err != nil {
		return loadResult{}, err
	}
	defer alarm.close()
	p.res, p.us = loadResult{}, p.us[:0]
	gap := time.Second / time.Duration(perSecond)
	total := int(d / gap)
	var late []uint32
	start := time.Now()
	due := func(i int) time.Time { return start.Add(time.Duration(i) * gap) }
	noticed, sent := 0, 0 // requests that have fallen due; of them, those that a connection was free for
	for sent < total {
		select {
		case <-stop:
			total = noticed
		default:
		}
		now := time.Now()
		for noticed < total && !due(noticed).After(now) {
			if len(late) < maxLatencies {
				late = append(late, uint32(now.Sub(due(noticed)).Microseconds()))
			}
			noticed++
		}
		for sent < noticed && len(p.free) > 0 {
			c := p.free[0]
			p.free = p.free[1:]
			p.send(c, due(sent))
			sent++
		}
		if len(p.conns) == 0 || now.Sub(start) > d+settleTime {
			break
		}
		if noticed < total {
			if err := alarm.set(time.Until(due(noticed))); err != nil {
				return p.res, err
			}
		}
		if sent < total {
			if err := p.wait(int(settleTime / time.Millisecond)); err != nil {
				return p.res, err
			}
			alarm.clear()
		}
	}
	p.res.failed += int64(total - sent) // never sent: everything was stuck
	if err := p.settle(time.Now().Add(settleTime)); err != nil {
		p.res.failed += int64(len(p.conns) - len(p.free))
	}
	p.res.duration = time.Since(start)
	p.res.setPercentiles(p.us)
	var l loadResult
	l.setPercentiles(late)
	p.res.late = l.p99
	return p.res, nil
}

// alarm wakes a poll at a time, to the microsecond: epoll's own timeout is in milliseconds.
type alarm struct{ fd int }

func newAlarm(ep *poll) (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	if err := ep.add(fd, unix.EPOLLIN); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &alarm{fd}, nil
}

// set lets it go off after d; at once if that is over.
func (a *alarm) set(d time.Duration) error {
	return unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}, nil)
}

// clear makes it ready to be waited for again.
func (a *alarm) clear() {
	var count [8]byte
	_, _ = unix.Read(a.fd, count[:]) // EAGAIN: it has not gone off
}

func (a *alarm) close() { _ = unix.Close(a.fd) }

// loadRate is the generator as a program: conns connections, perSecond requests a second.
func loadRate(target netip.AddrPort, conns, perSecond int, d time.Duration, stop <-chan struct{}, begin func() error) (loadResult, error) {
	p, err := newPool(target)
	if err != nil {
		return loadResult{}, err
	}
	defer p.close()
	if err := p.grow(conns); err != nil {
		return loadResult{}, err
	}
	if err := begin(); err != nil {
		return loadResult{}, err
	}
	return p.atRate(perSecond, d, stop)
}

// loadIdle is what the kinds of idle connections need: idle connections, then active ones beside
// them. step is called when a fifth of the idle ones is there, when all are, when the active ones
// have been used for d, and at the end all idle ones have to answer again. held says how many did.
func loadIdle(target netip.AddrPort, idle, active, perSecond int, d time.Duration, step func() error) (loadResult, error) {
	still, err := newPool(target)
	if err != nil {
		return loadResult{}, err
	}
	defer still.close()
	for _, n := range []int{idle / 5, idle} {
		if err := still.grow(n); err != nil {
			return loadResult{}, err
		}
		if err := step(); err != nil {
			return loadResult{}, err
		}
	}
	busy, err := newPool(target)
	if err != nil {
		return loadResult{}, err
	}
	defer busy.close()
	if err := busy.grow(active); err != nil {
		return loadResult{}, err
	}
	r, err := busy.atRate(perSecond, d, nil)
	if err != nil {
		return r, err
	}
	if err := step(); err != nil {
		return r, err
	}
	r.held, err = still.askAll()
	return r, err
}
