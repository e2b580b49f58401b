package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// calm is how long the proxies are left alone before they are looked at, and quiet how long their
// processor time is watched while nothing happens.
const (
	calm   = time.Second
	quiet  = 2 * time.Second
	active = 2 * time.Second // of load on the active connections
)

// idle takes a sample of connections that do nothing: what they cost in memory and time, and what
// active ones beside them feel. An idle one costs the growth from a fifth of them to all, divided by
// so many: what the first ones cost a proxy once is not theirs. Of two proxies the one is looked at
// that holds the connections: that of the client, or that of the server for links.
func (r *runner) idle(ctx context.Context, w *work) (sample, error) {
	s, d, k := w.measured(), w.d, w.c.kind
	n := w.c.conns
	if k == kindActive {
		n = 0
	}
	holder := d.proxies[0]
	if w.c.proto == protoLink {
		holder = d.proxies[len(d.proxies)-1]
	}
	before, err := rss(holder.PID())
	if err != nil {
		return s, err
	}
	var fifth, all float64
	var used time.Duration
	var start, end usage
	steps := []func() error{
		func() (err error) {
			fifth, err = r.calmRSS(ctx, holder)
			return err
		},
		func() (err error) {
			if all, err = r.calmRSS(ctx, holder); err != nil {
				return err
			}
			if used, err = r.usedIn(ctx, quiet, holder); err != nil {
				return err
			}
			start, err = readUsage(d.proxies, w.backend)
			return err
		},
		func() (err error) {
			if end, err = readUsage(d.proxies, w.backend); err == nil {
				s.RSS, err = rssOf([]*rig.Process{holder})
			}
			return err
		},
	}
	load, err := r.idleLoad(ctx, w, n, steps)
	if err != nil {
		return s, err
	}
	if load.held != int64(n) {
		return s, fmt.Errorf("%w: of %d idle connections %d still answered", errShort, n, load.held)
	}
	if n > 0 {
		s.set(k, "rss_idle_mb", all)
		s.set(k, "idle_conn_kib", (all-fifth)*1e6/1024/float64(n-n/5))
		s.set(k, "idle_cpu_ms_per_s", float64(used.Microseconds())/1e3/quiet.Seconds())
	}
	s.set(k, "rss_before_mb", before)
	if w.c.proto == protoLink {
		s.Requests, s.Seconds = load.requests, load.duration.Seconds()
		return s, nil
	}
	if err := wholeBodies(load, w.c); err != nil {
		return s, err
	}
	if err := carriedBy(d.proxies, start, end, load.requests); err != nil {
		return s, err
	}
	s.count(load, start, end)
	s.set(k, "rss_active_mb", largest(s.RSS))
	s.setLatencies(k, load)
	return s, nil
}

// idleLoad runs the generator of n idle connections, or links.
func (r *runner) idleLoad(ctx context.Context, w *work, n int, steps []func() error) (loadResult, error) {
	if w.c.proto == protoLink {
		args, err := r.linkArgs(w, "idle", n, 0)
		if err != nil {
			return loadResult{}, err
		}
		return r.lab.run(ctx, setUpTime, args, steps...)
	}
	on := activeConns
	if w.c.kind == kindActive {
		on = w.c.conns
	}
	return r.lab.run(ctx, 3*setUpTime, []string{"load-idle", w.d.target, strconv.Itoa(n), strconv.Itoa(on), strconv.Itoa(activeRate), active.String()}, steps...)
}

// calmRSS leaves the process alone for a while and gives its resident set.
func (r *runner) calmRSS(ctx context.Context, p *rig.Process) (float64, error) {
	if err := wait(ctx, calm); err != nil {
		return 0, err
	}
	return rss(p.PID())
}

// usedIn gives the processor time that the process uses in d.
func (r *runner) usedIn(ctx context.Context, d time.Duration, p *rig.Process) (time.Duration, error) {
	from, err := cpuTime(p.PID())
	if err != nil {
		return 0, err
	}
	if err := wait(ctx, d); err != nil {
		return 0, err
	}
	to, err := cpuTime(p.PID())
	return to - from, err
}

// wait lets d go by, for something that is measured over time.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// linkArgs writes down how the peer's server side is spoken to and gives the arguments of the
// generator of links.
func (r *runner) linkArgs(w *work, mode string, n int, d time.Duration) ([]string, error) {
	b, err := json.Marshal(w.d.link)
	if err != nil {
		return nil, err
	}
	file := r.lab.file("link.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	return []string{"load-link", mode, file, strconv.Itoa(n), d.String()}, nil
}

// newLinks takes a sample of links that are made for one request each. The client's side has no
// part in it: the generator is the other end of the link.
func (r *runner) newLinks(ctx context.Context, w *work) (sample, error) {
	s := w.measured()
	if len(w.d.proxies) != 2 {
		return s, errors.New("there is no proxy at the server's side")
	}
	callee := w.d.proxies[1:]
	if _, err := r.linksFor(ctx, w, warmUp, func() error { return nil }); err != nil {
		return s, err
	}
	var before usage
	load, err := r.linksFor(ctx, w, r.plan.slot, func() (err error) {
		before, err = readUsage(callee, w.backend)
		return err
	})
	if err != nil {
		return s, err
	}
	after, err := readUsage(callee, w.backend)
	if err != nil {
		return s, err
	}
	if err := wholeBodies(load, w.c); err != nil {
		return s, err
	}
	if err := carriedBy(callee, before, after, load.requests); err != nil {
		return s, err
	}
	if s.RSS, err = rssOf(callee); err != nil {
		return s, err
	}
	s.count(load, before, after)
	return s, nil
}

func (r *runner) linksFor(ctx context.Context, w *work, d time.Duration, begin func() error) (loadResult, error) {
	args, err := r.linkArgs(w, "new", w.c.conns, d)
	if err != nil {
		return loadResult{}, err
	}
	return r.lab.run(ctx, d, args, begin)
}
