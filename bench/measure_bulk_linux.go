package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// bulkTime bounds one transfer of bulkBytes.
const bulkTime = 60 * time.Second

// move moves n bytes through the peer.
func (r *runner) move(ctx context.Context, w *work, up bool, n int64, begin func() error) (loadResult, error) {
	way := "down"
	if up {
		way = "up"
	}
	return r.lab.run(ctx, bulkTime, []string{"load-bulk", string(w.c.proto), way, w.d.target, strconv.FormatInt(n, 10)}, begin)
}

// bulk takes a sample of one large body: what a GiB costs, how fast it goes, and how large the
// proxies become meanwhile.
func (r *runner) bulk(ctx context.Context, w *work) (sample, error) {
	s, d, k := w.measured(), w.d, w.c.kind
	if _, err := r.move(ctx, w, k == kindUp, bulkBytes/64, func() error { return nil }); err != nil {
		return s, err
	}
	for _, p := range d.proxies {
		if err := forgetPeak(p.PID()); err != nil {
			return s, fmt.Errorf("memory of %s: %w", p.Name, err)
		}
	}
	var before usage
	load, err := r.move(ctx, w, k == kindUp, bulkBytes, func() (err error) {
		before, err = readUsage(d.proxies, w.backend)
		return err
	})
	if err != nil {
		return s, err
	}
	after, err := readUsage(d.proxies, w.backend)
	if err != nil {
		return s, err
	}
	if load.bytes != bulkBytes || load.duration <= 0 {
		return s, fmt.Errorf("%w: %d bytes in %s", errShort, load.bytes, load.duration)
	}
	// A byte cannot be moved through a proxy in less than this, not even by splice: 1 GiB is
	// 16,384 buffers of 64 KiB.
	if err := carriedBy(d.proxies, before, after, bulkBytes>>16); err != nil {
		return s, err
	}
	for _, p := range d.proxies {
		mb, err := peak(p.PID())
		if err != nil {
			return s, fmt.Errorf("memory of %s: %w", p.Name, err)
		}
		s.RSS = append(s.RSS, mb)
	}
	s.count(load, before, after)
	const gib = float64(bulkBytes) / (1 << 30)
	if len(d.proxies) > 0 {
		s.set(k, "cpu_s_per_gib", (after.proxies-before.proxies).Seconds()/gib)
		s.set(k, "rss_peak_mb", largest(s.RSS))
	}
	s.set(k, "machine_s_per_gib", machineTime(before, after).Seconds()/gib)
	s.set(k, "gib_per_s", gibPerSecond(load))
	return s, nil
}

func gibPerSecond(l loadResult) float64 {
	if l.duration <= 0 {
		return 0
	}
	return float64(l.bytes) / (1 << 30) / l.duration.Seconds()
}
