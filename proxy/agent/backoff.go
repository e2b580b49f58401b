package agent

import (
	"context"
	"time"
)

// Pauses between attempts to reach the control plane: from 50 ms, doubling, to 2 s, so that a
// restarted control plane knows everybody again before it gives up on what it remembers (it waits
// 15 s), and 2000 proxies do not come at once.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// pause gives the wait before attempt n (from 0). r, uniform in [0, 1), spreads it over its
// upper half.
func pause(n int, r float64) time.Duration {
	d := lastPause
	if n < 6 {
		d = min(firstPause<<n, lastPause)
	}
	return d/2 + time.Duration(r*float64(d/2))
}

// sleep waits, and is false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
