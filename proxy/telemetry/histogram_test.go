package telemetry

import (
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
)

// bucketOf gives the only bucket that is not empty.
func bucketOf(t testing.TB, h *Histogram) int {
	t.Helper()
	found := -1
	for i := range h.buckets {
		switch n := h.buckets[i].Load(); {
		case n > 1 || n == 1 && found >= 0:
			t.Fatalf("more than one value was counted: bucket %d has %d, after bucket %d", i, n, found)
		case n == 1:
			found = i
		}
	}
	return found
}

func TestBucketsBeginAndEndWhereTheirBoundsSay(t *testing.T) {
	for i := range numBuckets - 1 {
		lo, hi := report.BucketBounds(uint16(i))
		for _, us := range []uint64{lo, (lo + hi) / 2, hi - 1} {
			var h Histogram
			h.Observe(time.Duration(us) * time.Microsecond)
			if got := bucketOf(t, &h); got != i {
				t.Errorf("%d µs is in bucket %d, want %d (%d to below %d)", us, got, i, lo, hi)
			}
			if h.sum.Load() != us {
				t.Errorf("%d µs: the sum is %d", us, h.sum.Load())
			}
		}
	}
}

func TestTheHistogramHasNoHoles(t *testing.T) {
	for i := range numBuckets - 1 {
		_, hi := report.BucketBounds(uint16(i))
		if lo, _ := report.BucketBounds(uint16(i + 1)); lo != hi {
			t.Errorf("bucket %d ends at %d, the next begins at %d", i, hi, lo)
		}
	}
}

func TestExtremesHaveABucket(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want int
	}{
		{0, 0}, {-time.Second, 0}, {999 * time.Nanosecond, 0}, {time.Microsecond, 1},
		{3 * time.Minute, numBuckets - 1}, {1<<63 - 1, numBuckets - 1},
	} {
		var h Histogram
		h.Observe(c.d)
		if got := bucketOf(t, &h); got != c.want {
			t.Errorf("%s is in bucket %d, want %d", c.d, got, c.want)
		}
	}
}

func TestABucketIsAtMostAnEighthWide(t *testing.T) {
	for i := 8; i < numBuckets; i++ {
		if lo, hi := report.BucketBounds(uint16(i)); (hi-lo)*8 > lo {
			t.Errorf("bucket %d: %d to %d", i, lo, hi)
		}
	}
}
