package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"
)

// loadNewLinks makes link after link, atOnce at a time, for d: each carries one request and is
// dropped. A latency is from the beginning of the connection to the end of the answer.
func loadNewLinks(ctx context.Context, c linkConfig, atOnce int, d time.Duration, begin func() error) (loadResult, error) {
	t, err := c.tlsConfig()
	if err != nil {
		return loadResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d+settleTime)
	defer cancel()
	if err := begin(); err != nil {
		return loadResult{}, err
	}
	start := time.Now()
	end := start.Add(d)
	var mu sync.Mutex // guards what follows
	var res loadResult
	var us []uint32
	var last error
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for time.Now().Before(end) {
				began := time.Now()
				err := useLink(ctx, c, t)
				mu.Lock()
				if err != nil {
					res.failed++
					last = err
				} else {
					res.requests++
					us = append(us, uint32(time.Since(began).Microseconds()))
				}
				enough := res.failed > maxFailures
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	wg.Wait()
	if res.requests == 0 {
		return res, fmt.Errorf("no link was made: %w", last)
	}
	res.bytes, res.duration = res.requests*smallBytes, time.Since(start)
	res.setPercentiles(us)
	return res, nil
}

// useLink makes a link, has a request answered and drops it.
func useLink(ctx context.Context, c linkConfig, t *tls.Config) error {
	l, err := openLink(ctx, c, t)
	if err != nil {
		return err
	}
	defer l.close()
	return l.ask(ctx)
}

// loadIdleLinks makes n links, has a request answered on each, and keeps them. step is called when
// a fifth of them is there, when all are, and once more; then each has to answer again. held says
// how many did.
func loadIdleLinks(ctx context.Context, c linkConfig, n int, step func() error) (res loadResult, err error) {
	t, err := c.tlsConfig()
	if err != nil {
		return res, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var all []*link
	defer func() {
		for _, l := range all {
			l.close()
		}
	}()
	start := time.Now()
	for _, n := range []int{n / 5, n} {
		for len(all) < n {
			more, err := openLinks(ctx, c, t, min(n-len(all), linksAtOnce))
			all = append(all, more...)
			if err != nil {
				return res, err
			}
		}
		if err := step(); err != nil {
			return res, err
		}
	}
	if err := step(); err != nil {
		return res, err
	}
	for _, l := range all {
		if err := l.ask(ctx); err == nil {
			res.held++
		}
	}
	res.requests, res.bytes, res.duration = res.held, res.held*smallBytes, time.Since(start)
	return res, nil
}

// linksAtOnce is how many handshakes are on their way.
const linksAtOnce = 8

// openLinks makes n links at the same time and has a request answered on each. Those that were made
// are given also with an error.
func openLinks(ctx context.Context, c linkConfig, t *tls.Config, n int) ([]*link, error) {
	made, failed := make([]*link, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if made[i], failed[i] = openLink(ctx, c, t); failed[i] == nil {
				failed[i] = made[i].ask(ctx)
			}
		})
	}
	wg.Wait()
	var out []*link
	for _, l := range made {
		if l != nil {
			out = append(out, l)
		}
	}
	return out, errors.Join(failed...)
}
