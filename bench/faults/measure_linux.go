package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

const (
	readyWait = 20 * time.Second
	warmUp    = time.Second // of load before anything is counted
)

// measure runs one scenario with one peer, from the start of its proxies to their end.
func (l *lab) measure(ctx context.Context, s scenario, p peer, o options) (r result, err error) {
	d, err := p.start(ctx, l, s)
	defer d.stop()
	if err != nil {
		return r, err
	}
	client := l.httpClient()
	defer client.CloseIdleConnections()
	do := get(client, "http://"+d.target+"/")
	ready, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	if err := rig.Await(ready, p.name(), d.processes, func(ctx context.Context) error {
		for range 3 * s.servers { // so many that each was asked, most likely
			if !do(ctx) {
				return errors.New("a request was not answered")
			}
		}
		return nil
	}); err != nil {
		return r, err
	}
	load(ctx, time.Now(), o.rate, warmUp, do)
	before, err := l.apps.count()
	if err != nil {
		return r, err
	}
	t := timesIn(o.each)
	start := time.Now()
	done := make(chan []outcome, 1)
	go func() { done <- load(ctx, start, o.rate, t.total(), do) }() // ends with its time, or ctx
	err = l.happen(ctx, s, start, t)
	out := <-done
	if err != nil {
		return r, err
	}
	for _, p := range d.processes {
		if p.Ended() {
			return r, p.Failure()
		}
	}
	given, err := l.apps.count()
	if err != nil {
		return r, err
	}
	return resultOf(s, p.name(), p.version(), o.rate, t, out, given-before), nil
}

// happen makes the fault begin and end at its times. Whatever comes in between, it ends.
func (l *lab) happen(ctx context.Context, s scenario, start time.Time, t times) error {
	if !rest(ctx, time.Until(start.Add(t.before))) {
		return ctx.Err()
	}
	err := l.begin(ctx, s)
	if err == nil {
		rest(ctx, time.Until(start.Add(t.before+t.during)))
	}
	if healed := l.end(context.WithoutCancel(ctx), s); err == nil && healed != nil {
		err = fmt.Errorf("ending the fault: %w", healed)
	}
	return errors.Join(err, ctx.Err())
}
