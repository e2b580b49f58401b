package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// warmUp is the load before each measurement: connections are made, caches and branch predictors
// are filled, and what the peer did to itself while it waited for its turn is undone.
const warmUp = 150 * time.Millisecond

// runner goes through the plan.
type runner struct {
	lab   *lab
	peers []peer
	plan  schedule
	end   time.Time // no measurement begins after it
	out   io.Writer // for people
	lines *json.Encoder
	log   *slog.Logger

	incomplete bool // something asked for was not measured
}

// run measures all cases and gives the results of those of which there are any. It returns early,
// with what it has, when the time is over or ctx ends.
func (r *runner) run(ctx context.Context, cases []benchCase) ([]result, error) {
	var out []result
	for i, c := range cases {
		if !time.Now().Before(r.end) {
			r.incomplete = true
			_, _ = fmt.Fprintf(r.out, "\nbench: the time is over; %d of %d cases were not measured (-for)\n", len(cases)-i, len(cases))
			break
		}
		res, err := r.runCase(ctx, c, r.peersOf(c, cases))
		if err != nil {
			return out, err
		}
		if len(res.peers) == 0 {
			continue
		}
		out = append(out, res)
		if err := writeTable(r.out, res); err != nil {
			return out, err
		}
		for _, s := range res.peers {
			if err := r.lines.Encode(s); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// peersOf leaves direct out of a case of two hops when the same case of one hop is measured too:
// without a proxy they are the same.
func (r *runner) peersOf(c benchCase, cases []benchCase) []peer {
	twin := c
	twin.hops = 1
	again := false
	for _, x := range cases {
		again = again || c.hops == 2 && x == twin
	}
	var out []peer
	for _, p := range r.peers {
		if p.name() != "direct" || !again {
			out = append(out, p)
		}
	}
	return out
}

// runCase brings all peers up, lets them take turns, and ends them. A peer that fails is left out
// of the case and said so; the error is for what concerns all.
func (r *runner) runCase(ctx context.Context, c benchCase, peers []peer) (result, error) {
	res := result{c: c}
	backend, err := r.lab.backend(ctx, c)
	if err != nil {
		return res, err
	}
	deployed := make([]*deployment, len(peers)) // nil: failed
	defer func() {
		for _, d := range deployed {
			if d != nil {
				d.stop()
			}
		}
	}()
	for i, p := range peers {
		d, err := p.start(ctx, r.lab, c)
		if err == nil {
			err = d.ready(ctx, r.lab, c)
		}
		if err != nil {
			if d != nil {
				d.stop()
			}
			if ctx.Err() != nil {
				return res, ctx.Err()
			}
			r.leaveOut(c, p, err)
			continue
		}
		deployed[i] = d
	}
	samples := make([][]sample, len(peers))
	for round := 0; round < r.plan.rounds; round++ {
		if round > 0 && !time.Now().Before(r.end) {
			break
		}
		for _, i := range turn(len(peers), round) {
			if deployed[i] == nil {
				continue
			}
			s, err := r.measure(ctx, c, deployed[i], backend, round)
			if err != nil {
				if ctx.Err() != nil {
					return res, ctx.Err()
				}
				r.leaveOut(c, peers[i], err)
				deployed[i].stop()
				deployed[i], samples[i] = nil, nil
				continue
			}
			samples[i] = append(samples[i], s)
			if err := r.lines.Encode(s); err != nil {
				return res, err
			}
		}
	}
	for i, p := range peers {
		res.peers = append(res.peers, summarize(c.id(), p.name(), samples[i]))
	}
	return res, nil
}

// leaveOut reports that a peer could not be measured in a case.
func (r *runner) leaveOut(c benchCase, p peer, err error) {
	r.incomplete = true
	_, _ = fmt.Fprintf(r.out, "\nbench: %s is left out of %s\n  why   %v\n", p.name(), c.id(), err)
}

// errNothing is a run in which no request succeeded.
var errNothing = errors.New("no request succeeded")

// errShort is answers that count as good and are not whole.
var errShort = errors.New("bodies were cut short")

// errBypassed is a proxy that cannot have carried the load: the bench has wired it wrongly, and its
// figures would be somebody else's. No proxy reads and writes a request in leastCPU.
var errBypassed = errors.New("the load went past a proxy")

const leastCPU = 500 * time.Nanosecond

// attempts is how often a measurement is tried. On a starved machine a load generator may get no
// turn before it is told to stop; that says nothing about the peer.
const attempts = 3

// measure takes one sample, and tries again if that fails while the proxies are still there.
func (r *runner) measure(ctx context.Context, c benchCase, d *deployment, backend *process, round int) (s sample, err error) {
	for range attempts {
		if s, err = r.try(ctx, c, d, backend, round); err == nil || ctx.Err() != nil {
			return s, err
		}
		for _, p := range d.proxies {
			select {
			case <-p.done:
				return s, p.failure()
			default:
			}
		}
		r.log.Debug("measured again", "case", c.id(), "peer", d.peer, "err", err)
	}
	return s, err
}

// try takes one sample.
func (r *runner) try(ctx context.Context, c benchCase, d *deployment, backend *process, round int) (sample, error) {
	s := sample{Type: "sample", Case: c.id(), Peer: d.peer, Round: round, IdleRSS: d.idle}
	if _, err := r.lab.load(ctx, c, d.target, warmUp, func() error { return nil }); err != nil {
		return s, err
	}
	var before usage
	load, err := r.lab.load(ctx, c, d.target, r.plan.slot, func() (err error) {
		before, err = readUsage(d.proxies, backend)
		return err
	})
	if err != nil {
		return s, err
	}
	after, err := readUsage(d.proxies, backend)
	if err != nil {
		return s, err
	}
	if s.RSS, err = rssOf(d.proxies); err != nil {
		return s, err
	}
	if load.requests == 0 || load.duration <= 0 {
		return s, fmt.Errorf("%w (%d failed)", errNothing, load.failed)
	}
	if want := load.requests * int64(c.body.bytes()); load.bytes < want {
		return s, fmt.Errorf("%w: %d bytes came back in %d answers, want at least %d", errShort, load.bytes, load.requests, want)
	}
	for i, p := range d.proxies {
		if used := after.each[i] - before.each[i]; used < time.Duration(load.requests)*leastCPU {
			return s, fmt.Errorf("%w: %s used %s of processor time for %d requests", errBypassed, p.name, used, load.requests)
		}
	}
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(load.requests) }
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	s.Requests, s.Failed, s.Seconds = load.requests, load.failed, load.duration.Seconds()
	s.RPS = float64(load.requests) / load.duration.Seconds()
	s.CPUMicros, s.UserMicros = per(after.proxies-before.proxies), per(after.user-before.user)
	s.LoadMicros, s.BackMicros = per(load.cpu), per(after.backend-before.backend)
	s.P50, s.P99, s.P999 = micros(load.p50), micros(load.p99), micros(load.p999)
	if total := after.total - before.total; total > 0 {
		ours := after.proxies - before.proxies + after.backend - before.backend + load.cpu
		s.OtherBusy = max(0, float64(after.busy-before.busy-ours)/float64(total))
	}
	return s, nil
}
