package resilience

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestEveryLatencyLiesInItsBucket(t *testing.T) {
	last := -1
	for us := 0; us < 1<<27; us += 1 + us/50 {
		d := time.Duration(us) * time.Microsecond
		i := bucket(d)
		if i < last || i >= buckets {
			t.Fatalf("%s is in bucket %d behind %d", d, i, last)
		}
		if d >= upper(i) || i > 0 && d < upper(i-1) {
			t.Fatalf("%s is in bucket %d, from %s to %s", d, i, upper(max(i-1, 0)), upper(i))
		}
		last = i
	}
	if i := bucket(time.Hour); i != buckets-1 {
		t.Errorf("an hour is in bucket %d", i)
	}
	if i := bucket(-time.Second); i != 0 {
		t.Errorf("a negative latency is in bucket %d", i)
	}
}

func TestAQuantileIsAtMostAnEighthTooHigh(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var l Latencies
	var all []time.Duration
	for range 5000 {
		d := time.Duration(r.ExpFloat64() * float64(20*time.Millisecond))
		all = append(all, d)
		l.Observe(0, d)
	}
	slices.Sort(all)
	for _, p := range []float64{50, 90, 95, 99, 99.9} {
		exact := all[int(float64(len(all))*p/100)-1]
		got, ok := l.Above(p)
		if !ok || got < exact || got > exact*115/100 {
			t.Errorf("%v %%: got %s, exactly %s", p, got, exact)
		}
		over := 0
		for _, d := range all {
			if d > got {
				over++
			}
		}
		if float64(over) > float64(len(all))*(100-p)/100 {
			t.Errorf("%v %%: %d of %d take longer than %s", p, over, len(all), got)
		}
	}
}

func TestThereIsNoEstimateOfFewSamples(t *testing.T) {
	var l Latencies
	for range enough - 1 {
		l.Observe(0, time.Millisecond)
	}
	if d, ok := l.Above(95); ok {
		t.Errorf("%d samples give %s", enough-1, d)
	}
	l.Observe(0, time.Millisecond)
	if _, ok := l.Above(95); !ok {
		t.Errorf("%d samples give nothing", enough)
	}
}

func TestOldLatenciesAreForgotten(t *testing.T) {
	var l Latencies
	now := time.Duration(0)
	observe := func(n int, d time.Duration) {
		for range n {
			now += 10 * time.Millisecond
			l.Observe(now, d)
		}
	}
	observe(2000, time.Second)
	observe(4000, time.Millisecond) // 40 s
	if d, _ := l.Above(95); d > 2*time.Millisecond {
		t.Errorf("after 40 s of 1 ms: %s", d)
	}
	now += time.Hour
	if d, ok := l.Above(95); !ok || d > 2*time.Millisecond {
		t.Errorf("an hour without requests: %s, %v; want what was known", d, ok)
	}
}
