package fleet

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestEventsComeInOrderOfTimeAndThenOfPushing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q queue
	n := 0
	var last event
	check := func() {
		e := q.pop()
		if n++; n > 1 && e.before(&last) && last.at <= e.at {
			t.Fatalf("event %d/%d after %d/%d", e.at, e.seq, last.at, last.seq)
		}
		if e.at < last.at && n > 1 {
			t.Fatalf("event of %d after one of %d", e.at, last.at)
		}
		last = e
	}
	now := time.Duration(0)
	for range 20_000 { // as in a world: nothing is pushed into the past
		for range r.IntN(4) {
			q.push(event{at: now + time.Duration(r.IntN(50))})
		}
		if len(q.heap) > 0 {
			check()
			now = last.at
		}
	}
	for len(q.heap) > 0 {
		check()
	}
}

func TestAHistogramIsRightToTwoPercent(t *testing.T) {
	var h Histogram
	for i := 1; i <= 10_000; i++ {
		h.Add(time.Duration(i) * 100 * time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := q * 10_000 * float64(100*time.Microsecond)
		if got := float64(h.Quantile(q)); got < want*0.98 || got > want*1.02 {
			t.Errorf("the %g quantile is %v, want %v", q, time.Duration(got), time.Duration(want))
		}
	}
	if h.Quantile(0) > 102*time.Microsecond || h.N() != 10_000 {
		t.Errorf("the least is %v of %d", h.Quantile(0), h.N())
	}
	for _, d := range []time.Duration{-5, 0, 1, 63, 64, 65, 1 << 40, 1<<63 - 1} {
		i := bucketOf(d)
		if m := middleOf(i); i >= histCount || float64(m) < float64(max(d, 0))*0.98-1 || float64(m) > float64(max(d, 0))*1.02+1 {
			t.Errorf("%d is counted as %d", d, m)
		}
	}
	var sum Histogram
	sum.Merge(&h)
	sum.Merge(&h)
	if sum.N() != 20_000 || sum.Quantile(0.5) != h.Quantile(0.5) || sum.Mean() != h.Mean() {
		t.Errorf("merged: %d, median %v, mean %v", sum.N(), sum.Quantile(0.5), sum.Mean())
	}
}
