package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestEveryValueIsInsideItsBucketAndBucketsAreNarrow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	last := uint16(0)
	for v := uint64(0); v < 5000; v++ {
		if b := BucketOf(v); b < last {
			t.Fatalf("bucket of %d is %d, before it %d", v, b, last)
		} else {
			last = b
		}
	}
	for range 200000 {
		v := r.Uint64() >> r.IntN(64)
		b := BucketOf(v)
		lo, hi := BucketBounds(b)
		if b >= NumBuckets || v < lo || (v >= hi && hi != math.MaxUint64) {
			t.Fatalf("%d is in bucket %d, [%d, %d)", v, b, lo, hi)
		}
		if hi != math.MaxUint64 && lo >= 8 && float64(hi-lo)/float64(lo) > 0.125 {
			t.Fatalf("bucket %d is [%d, %d)", b, lo, hi)
		}
	}
	for b := uint16(0); b < NumBuckets-1; b++ {
		_, hi := BucketBounds(b)
		if lo, _ := BucketBounds(b + 1); lo != hi {
			t.Fatalf("between buckets %d and %d: %d, %d", b, b+1, hi, lo)
		}
	}
}

func TestQuantilesAreRightToABucket(t *testing.T) {
	var values []uint64
	var c Counts
	r := rand.New(rand.NewPCG(3, 4))
	for range 10000 {
		v := uint64(math.Exp(r.NormFloat64()+7)) + 1
		values = append(values, v)
		c.Latency = MergeBuckets(c.Latency, []Bucket{{BucketOf(v), 1}})
	}
	slices.Sort(values)
	for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 1} {
		want := float64(values[min(int(q*10000), 9999)])
		if got := Quantile(c.Latency, q); math.Abs(got-want)/want > 0.14 {
			t.Errorf("q %v is %v, want %v", q, got, want)
		}
	}
	if got := Quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestAddingReportsIsTheSumAndSharesNothing(t *testing.T) {
	a := Counts{Success: 1, Latency: []Bucket{{1, 1}, {3, 1}}, Active: 5}
	b := Counts{Success: 2, Failure: 1, Latency: []Bucket{{0, 1}, {3, 2}, {9, 1}}, Active: 2}
	var sum Counts
	sum.Add(&a)
	sum.Add(&b)
	if !slices.Equal(sum.Latency, []Bucket{{0, 1}, {1, 1}, {3, 3}, {9, 1}}) || sum.Requests() != 4 || sum.Active != 2 {
		t.Errorf("%+v", sum)
	}
	if a.Latency[1].Count != 1 || b.Latency[1].Count != 2 {
		t.Error("a part was changed")
	}
	if sum.Zero() || !(&Counts{}).Zero() {
		t.Error("Zero")
	}
}
