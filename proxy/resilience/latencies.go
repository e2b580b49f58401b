package resilience

import (
	"math/bits"
	"time"
)

const (
	fineness = 8   // buckets for each doubling: a quantile is at most an eighth too high
	buckets  = 200 // up to 134 s
	enough   = 32  // samples without which there is no estimate

	// turn is how long samples are gathered before the oldest are forgotten.
	turn = 10 * time.Second
)

// Latencies estimates quantiles of the latencies of the last ten to twenty seconds, or of the last
// that there were, in constant memory. The zero value is ready. Not safe for concurrent use.
type Latencies struct {
	now, before histogram
	since       time.Duration // the beginning of now
}

type histogram struct {
	n      int
	counts [buckets]uint32
}

// Observe counts one latency.
func (l *Latencies) Observe(now, d time.Duration) {
	if now-l.since >= turn && l.now.n >= enough {
		l.before, l.now, l.since = l.now, histogram{}, now
	}
	l.now.n++
	l.now.counts[bucket(d)]++
}

// Above gives the latency that all but a share of the requests stay below. percent is from 0 to 100.
// ok is false while too few were seen.
func (l *Latencies) Above(percent float64) (d time.Duration, ok bool) {
	n := l.now.n + l.before.n
	if n < enough {
		return 0, false
	}
	over := int(float64(n) * (100 - percent) / 100)
	for i := buckets - 1; ; i-- {
		over -= int(l.now.counts[i]) + int(l.before.counts[i])
		if over < 0 || i == 0 {
			return upper(i), true
		}
	}
}

// bucket is where a latency is counted: whole microseconds up to 16, from there on fineness of equal
// width for each doubling.
func bucket(d time.Duration) int {
	us := min(uint64(max(d, 0)/time.Microsecond), 1<<27-1)
	shift := max(bits.Len64(us)-4, 0)
	return shift*fineness + int(us>>shift)
}

// upper is the end of a bucket.
func upper(i int) time.Duration {
	shift := max(i/fineness-1, 0)
	return time.Duration(i-shift*fineness+1) << shift * time.Microsecond
}
