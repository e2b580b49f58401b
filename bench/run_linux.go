package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
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

// peersOf gives those that a case is measured with, or the variants of weft that it compares.
func (r *runner) peersOf(c benchCase, cases []benchCase) []peer {
	var out []peer
	for _, p := range r.peers {
		if !takesPart(p.name(), c, cases) {
			continue
		}
		w, isWeft := p.(weft)
		if !isWeft || len(c.spec().variants) == 0 {
			out = append(out, p)
			continue
		}
		for _, v := range c.spec().variants {
			w.variant = v
			out = append(out, w)
		}
	}
	return out
}

// runCase lets the peers take turns, all up from the beginning to the end unless each measurement
// wants a new one. A peer that fails is left out of the case and said so; the error is for what
// concerns all.
func (r *runner) runCase(ctx context.Context, c benchCase, peers []peer) (res result, err error) {
	res.c = c
	if len(peers) == 0 {
		return res, nil
	}
	spec := c.spec()
	turns := make([]work, len(peers))
	defer func() {
		for _, w := range turns {
			w.stop()
		}
	}()
	for i, p := range peers {
		turns[i] = work{c: c, p: p}
		if spec.bare {
			continue
		}
		if turns[i].backend, err = r.lab.backend(ctx, c); err != nil {
			return res, err
		}
		if spec.fresh {
			continue
		}
		if err := turns[i].start(ctx, r.lab); err != nil {
			if ctx.Err() != nil {
				return res, ctx.Err()
			}
			r.leaveOut(c, p, err)
			turns[i].out = true
		}
	}
	samples := make([][]sample, len(peers))
	rounds := r.plan.rounds
	if spec.rounds > 0 {
		rounds = spec.rounds
	}
	for round := range rounds {
		if round > 0 && !time.Now().Before(r.end) {
			break
		}
		if err := r.round(ctx, turns, round, samples); err != nil {
			return res, err
		}
	}
	for i, p := range peers {
		res.peers = append(res.peers, summarize(c.id(), p.name(), samples[i]))
	}
	return res, nil
}

// round measures each once and adds what came of it to samples.
func (r *runner) round(ctx context.Context, turns []work, round int, samples [][]sample) error {
	var got []sample
	var whose []int
	for _, i := range turn(len(turns), round) {
		w := &turns[i]
		if w.out {
			continue
		}
		w.round = round
		s, err := r.measure(ctx, w)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.leaveOut(w.c, w.p, err)
			w.stop()
			w.out, samples[i] = true, nil
			continue
		}
		got, whose = append(got, s), append(whose, i)
	}
	if len(got) > 0 {
		relate(turns[0].c, got)
	}
	for n, s := range got {
		samples[whose[n]] = append(samples[whose[n]], s)
		if err := r.lines.Encode(s); err != nil {
			return err
		}
	}
	return nil
}

// leaveOut reports that a peer could not be measured in a case.
func (r *runner) leaveOut(c benchCase, p peer, err error) {
	r.incomplete = true
	_, _ = fmt.Fprintf(r.out, "\nbench: %s is left out of %s\n  why   %v\n", p.name(), c.id(), err)
}

// work is one peer's turn in one case.
type work struct {
	c       benchCase
	p       peer
	d       *deployment // nil: not up
	backend *rig.Process
	round   int
	out     bool // it failed and is not measured any more
}

// start brings the peer up and waits until it carries a request.
func (w *work) start(ctx context.Context, l *lab) error {
	d, err := w.p.start(ctx, l, w.c)
	w.d = d
	if err == nil {
		err = d.ready(ctx, l, w.c)
	}
	if err != nil {
		w.stop()
	}
	return err
}

// stop ends what start started.
func (w *work) stop() {
	if w.d != nil {
		w.d.stop()
		w.d = nil
	}
}

// measured gives the sample that all kinds begin with.
func (w *work) measured() sample {
	s := sample{Type: "sample", Case: w.c.id(), Peer: w.p.name(), Round: w.round, Per: w.c.spec().per}
	if w.d != nil {
		s.IdleRSS = w.d.idle
	}
	return s
}

// attempts is how often a measurement is tried. On a starved machine a load generator may get no
// turn before it is told to stop; that says nothing about the peer.
const attempts = 3

// measurers are the ways to take a sample, by kind.
var measurers = map[kind]func(*runner, context.Context, *work) (sample, error){
	kindCarry: (*runner).carry, kindStream: (*runner).carry, kindFlow: (*runner).carry, kindConn: (*runner).carry,
	kindTelemetry: (*runner).carryReported, kindRoutes: (*runner).carry, kindLoops: (*runner).carryOnLoops,
	kindNewLink: (*runner).newLinks, kindIdle: (*runner).idle, kindActive: (*runner).idle,
	kindDown: (*runner).bulk, kindUp: (*runner).bulk,
	kindRate: (*runner).rate, kindBesideUp: (*runner).beside, kindBesideDown: (*runner).beside,
	kindStart: (*runner).startUp, kindDecide: (*runner).decide,
}

// measure takes one sample, and tries again if that fails while the proxies are still there.
func (r *runner) measure(ctx context.Context, w *work) (s sample, err error) {
	for range attempts {
		if w.c.spec().fresh {
			w.stop()
			if err := w.start(ctx, r.lab); err != nil {
				return s, err
			}
		}
		if s, err = measurers[w.c.kind](r, ctx, w); err == nil || ctx.Err() != nil {
			break
		}
		if w.d != nil {
			for _, p := range w.d.proxies {
				select {
				case <-p.Done:
					return s, p.Failure()
				default:
				}
			}
		}
		r.log.Debug("measured again", "case", w.c.id(), "peer", w.p.name(), "err", err)
	}
	if w.c.spec().fresh {
		w.stop()
	}
	return s, err
}
