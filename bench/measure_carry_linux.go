package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// carry takes a sample of a load that is kept up for a slot: requests, messages or connections, as
// many as come through.
func (r *runner) carry(ctx context.Context, w *work) (sample, error) {
	s, d := w.measured(), w.d
	if _, err := r.lab.load(ctx, w.c, d.target, warmUp, func() error { return nil }); err != nil {
		return s, err
	}
	var before usage
	load, err := r.lab.load(ctx, w.c, d.target, r.plan.slot, func() (err error) {
		before, err = readUsage(d.proxies, w.backend)
		return err
	})
	if err != nil {
		return s, err
	}
	err = s.settle(w, load, before)
	return s, err
}

// settle takes what a load that has just ended has cost since before, and refuses one that was not
// carried whole by the proxies.
func (s *sample) settle(w *work, load loadResult, before usage) error {
	after, err := readUsage(w.d.proxies, w.backend)
	if err != nil {
		return err
	}
	if s.RSS, err = rssOf(w.d.proxies); err != nil {
		return err
	}
	if err := wholeBodies(load, w.c); err != nil {
		return err
	}
	if err := carriedBy(w.d.proxies, before, after, load.requests); err != nil {
		return err
	}
	s.count(load, before, after)
	return nil
}

// carryOnLoops is carry, after a look whether the proxies have the loops that they were told to.
func (r *runner) carryOnLoops(ctx context.Context, w *work) (sample, error) {
	loops := 1
	if v, ok := w.p.(weft); ok {
		loops = max(1, v.variant.loops)
	}
	for _, p := range w.d.proxies {
		n, err := pollers(p.PID())
		if err != nil {
			return sample{}, err
		}
		// Each loop has a second one, for newcomers; one more is the Go runtime's own, if it has one.
		if n != 2*loops && n != 2*loops+1 {
			return sample{}, fmt.Errorf("%s has %d epoll descriptors, want two for each of %d loops, and perhaps the runtime's", p.Name, n, loops)
		}
	}
	return r.carry(ctx, w)
}

// carryReported is carry, after which, in the first round, the control plane must have heard of the
// load, or not, as the variant wants it.
func (r *runner) carryReported(ctx context.Context, w *work) (sample, error) {
	s, err := r.carry(ctx, w)
	us, ok := w.p.(weft)
	if err != nil || w.round > 0 || !ok {
		return s, err
	}
	if us.variant.unreported {
		if err := wait(ctx, 2*calm); err != nil { // reports are sent each second
			return s, err
		}
		heard, err := us.edges(ctx, w.d)
		if err == nil && len(heard) > 0 {
			err = fmt.Errorf("the control plane has heard of %d callers, want none", len(heard))
		}
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s, rig.Await(ctx, "the report of the load", w.d.others, func(ctx context.Context) error {
		heard, err := us.edges(ctx, w.d)
		if err == nil && len(heard) == 0 {
			err = errors.New("the control plane has heard of no caller")
		}
		return err
	})
}

// wholeBodies checks that something came back, and all of it.
func wholeBodies(load loadResult, c benchCase) error {
	if load.requests == 0 || load.duration <= 0 {
		return fmt.Errorf("%w (%d failed)", errNothing, load.failed)
	}
	if want := load.requests * int64(c.body.bytes()); load.bytes < want {
		return fmt.Errorf("%w: %d bytes came back in %d answers, want at least %d", errShort, load.bytes, load.requests, want)
	}
	return nil
}

// carriedBy checks that each proxy worked for n requests.
func carriedBy(proxies []*rig.Process, before, after usage, n int64) error {
	for i, p := range proxies {
		if used := after.each[i] - before.each[i]; used < time.Duration(n)*leastCPU {
			return fmt.Errorf("%w: %s used %s of processor time for %d requests", errBypassed, p.Name, used, n)
		}
	}
	return nil
}

// count fills in what every kind of request has.
func (s *sample) count(load loadResult, before, after usage) {
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	per := func(d time.Duration) float64 { return micros(d) / float64(load.requests) }
	s.Requests, s.Failed, s.Seconds = load.requests, load.failed, load.duration.Seconds()
	s.RPS = float64(load.requests) / load.duration.Seconds()
	s.CPUMicros, s.UserMicros = per(after.proxies-before.proxies), per(after.user-before.user)
	s.LoadMicros, s.BackMicros = per(load.cpu), per(after.backend-before.backend)
	s.MachineMicros = per(machineTime(before, after))
	s.P50, s.P99, s.P999 = micros(load.p50), micros(load.p99), micros(load.p999)
	s.others(before, after, load.cpu)
}

// others fills in how busy the machine was with other things.
func (s *sample) others(before, after usage, load time.Duration) {
	if total := after.total - before.total; total > 0 {
		ours := after.proxies - before.proxies + after.backend - before.backend + load
		s.OtherBusy = max(0, float64(after.busy-before.busy-ours)/float64(total))
	}
}
