package fleet

import (
	"math/bits"
	"time"
)

const (
	subBits   = 6 // 64 buckets for each doubling: a bucket is 1.6 % wide at most
	subCount  = 1 << subBits
	histCount = (64 - subBits) * subCount
)

// Histogram counts durations in buckets whose width is 1.6 % of them at most. The zero value is
// empty.
type Histogram struct {
	counts [histCount]uint32
	n      uint64
	sum    float64
}

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < subCount {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return (shift+1)*subCount + int(v>>shift) - subCount
}

// middleOf is the middle of a bucket.
func middleOf(i int) time.Duration {
	if i < subCount {
		return time.Duration(i)
	}
	shift := i/subCount - 1
	low := uint64(i%subCount+subCount) << shift
	return time.Duration(low + 1<<shift/2)
}

// Add counts one.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.n++
	h.sum += float64(d)
}

// Merge adds what o counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.sum += o.sum
}

// N is how many were counted.
func (h *Histogram) N() uint64 { return h.n }

// Mean is their mean; 0 of none.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.n))
}

// Quantile is the value that a share q (0 to 1) of them does not exceed; 0 of none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(q*float64(h.n-1)) + 1
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen >= rank {
			return middleOf(i)
		}
	}
	return middleOf(histCount - 1)
}
