package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/api/report"
)

// numBuckets bounds what is kept: longer latencies than some 134 s are counted in the last bucket.
const numBuckets = 200

// Histogram counts durations in the buckets of api/report. One goroutine writes, any may read.
type Histogram struct {
	buckets [numBuckets]atomic.Uint64
	sum     atomic.Uint64 // microseconds
}

// Observe counts one duration. It must be called by the owning loop only: it adds without a
// locked instruction.
func (h *Histogram) Observe(d time.Duration) {
	us := uint64(max(d, 0) / time.Microsecond)
	add(&h.buckets[min(int(report.BucketOf(us)), numBuckets-1)], 1)
	add(&h.sum, us)
}

// add increments a counter that only one goroutine writes.
func add(c *atomic.Uint64, n uint64) { c.Store(c.Load() + n) }
