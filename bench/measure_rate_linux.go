package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// leastKept is the share of what was due that must have been answered well: a generator that gets
// no further measures something else.
const leastKept = 0.99

// rateLoad is a constant rate of small requests to target for d, or until end is closed.
func (r *runner) rateLoad(ctx context.Context, target string, perSecond int, d time.Duration, end <-chan struct{}, begin func() error) (loadResult, error) {
	p, err := r.lab.launch(ctx, []string{"load-rate", target, strconv.Itoa(rateConns), strconv.Itoa(perSecond), d.String()}, begin)
	if err != nil {
		return loadResult{}, err
	}
	select {
	case <-end:
		p.Interrupt()
	case <-p.Done:
	case <-ctx.Done():
	}
	load, err := r.lab.result(ctx, p, false, d)
	if err != nil {
		return load, err
	}
	if due := load.requests + load.failed; load.requests == 0 || float64(load.requests) < leastKept*float64(due) {
		return load, fmt.Errorf("%w: %d of %d requests that were due were answered", errShort, load.requests, due)
	}
	return load, nil
}

// rate takes a sample of a constant rate: the number of the case, a second.
func (r *runner) rate(ctx context.Context, w *work) (sample, error) {
	s, d := w.measured(), w.d
	if _, err := r.rateLoad(ctx, d.target, w.c.conns, warmUp, nil, func() error { return nil }); err != nil {
		return s, err
	}
	var before usage
	load, err := r.rateLoad(ctx, d.target, w.c.conns, rateTime, nil, func() (err error) {
		before, err = readUsage(d.proxies, w.backend)
		return err
	})
	if err != nil {
		return s, err
	}
	if err := s.settle(w, load, before); err != nil {
		return s, err
	}
	s.setLatencies(w.c.kind, load)
	return s, nil
}

func (s *sample) setLatencies(k kind, load loadResult) {
	for _, x := range []struct {
		name string
		d    time.Duration
	}{{"p50_us", load.p50}, {"p99_us", load.p99}, {"p999_us", load.p999}, {"late_p99_us", load.late}} {
		s.set(k, x.name, float64(x.d.Microseconds()))
	}
}

// beside takes a sample of small requests at a constant rate: alone, and while a large body goes
// through the same proxies, up to the end of that.
func (r *runner) beside(ctx context.Context, w *work) (sample, error) {
	s, d, k := w.measured(), w.d, w.c.kind
	nothing := func() error { return nil }
	if _, err := r.rateLoad(ctx, d.target, w.c.conns, warmUp, nil, nothing); err != nil {
		return s, err
	}
	alone, err := r.rateLoad(ctx, d.target, w.c.conns, besideAlone, nil, nothing)
	if err != nil {
		return s, err
	}
	var before usage
	var moved loadResult
	var failed error
	end := make(chan struct{})
	joined := false
	load, err := r.rateLoad(ctx, d.target, w.c.conns, bulkTime, end, func() (err error) {
		if before, err = readUsage(d.proxies, w.backend); err != nil {
			return err
		}
		joined = true
		go func() { // ends with the transfer, which has a time limit; waited for below
			defer close(end)
			moved, failed = r.move(ctx, w, k == kindBesideUp, bulkBytes, nothing)
		}()
		return nil
	})
	if joined {
		<-end
	}
	if err != nil {
		return s, err
	}
	if failed != nil {
		return s, fmt.Errorf("the large body: %w", failed)
	}
	load.cpu += moved.cpu
	if err := s.settle(w, load, before); err != nil {
		return s, err
	}
	s.set(k, "alone_p99_us", float64(alone.p99.Microseconds()))
	s.set(k, "beside_p99_us", float64(load.p99.Microseconds()))
	s.set(k, "beside_added_p99_us", float64((load.p99 - alone.p99).Microseconds()))
	s.set(k, "bulk_gib_per_s", gibPerSecond(moved))
	s.set(k, "late_p99_us", float64(load.late.Microseconds()))
	return s, nil
}
