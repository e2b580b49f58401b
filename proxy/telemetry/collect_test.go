package telemetry

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

// collect gives what one Collect tells, by key. A key that is told twice fails the test.
func collect(t testing.TB, c *Collector) map[report.Key]report.Counts {
	t.Helper()
	out := map[report.Key]report.Counts{}
	c.Collect(func(s report.Series) {
		if _, twice := out[s.Key]; twice {
			t.Errorf("told twice: %+v", s.Key)
		}
		out[s.Key] = s.Counts
	})
	return out
}

func one(t testing.TB, c *Collector) (k report.Key, counts report.Counts) {
	t.Helper()
	got := collect(t, c)
	if len(got) != 1 {
		t.Fatalf("%d series told, want 1: %+v", len(got), got)
	}
	for k, counts = range got {
	}
	return k, counts
}

func TestAReportHasOnlyWhatHappenedSinceTheLast(t *testing.T) {
	r := NewRegistry(1)
	c := NewCollector(r)
	if got := collect(t, c); len(got) != 0 {
		t.Errorf("before anything: %+v", got)
	}
	s := r.Shard(0).Get(key("cart"))
	if got := collect(t, c); len(got) != 0 {
		t.Errorf("before the first request: %+v", got)
	}
	s.Start()
	s.Start()
	s.End(200, false, false, time.Millisecond, 1, 2)
	k, got := one(t, c)
	want := report.Counts{
		Opened: 2, Active: 1, Success: 1, Status: [6]uint64{2: 1}, BytesOut: 1, BytesIn: 2,
		Latency: []report.Bucket{{Index: report.BucketOf(1000), Count: 1}}, LatencySumMicros: 1000,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("first: %s", d)
	}
	if k.Route != "HTTPRoute shop/cart rule 0" || k.Backend.Name != "cart-v2" || k.Protocol != "http" || !k.TLS {
		t.Errorf("key: %+v", k)
	}
	if got := collect(t, c); len(got) != 0 {
		t.Errorf("a request that is under way is told again although nothing happened: %+v", got)
	}
	s.End(503, true, false, time.Millisecond, 0, 0)
	_, got = one(t, c)
	want = report.Counts{
		Failure: 1, Status: [6]uint64{5: 1}, LatencySumMicros: 1000,
		Latency: []report.Bucket{{Index: report.BucketOf(1000), Count: 1}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("second: %s", d)
	}
}

func TestWithoutARouteTheServicesDefaultIsNamed(t *testing.T) {
	r := NewRegistry(1)
	r.Shard(0).Get(Key{Service: model.Name{Namespace: "a", Name: "b"}}).Start()
	if k, _ := one(t, NewCollector(r)); k.Route != "default" || k.Backend != k.Service {
		t.Errorf("%+v", k)
	}
}

func TestLoopsAndPortsOfOneKeyAreAddedUp(t *testing.T) {
	r := NewRegistry(2)
	c := NewCollector(r)
	k, other := key("cart"), key("cart")
	other.Port = 81
	all := []*Series{r.Shard(0).Get(k), r.Shard(1).Get(k), r.Shard(1).Get(other)}
	for _, s := range all {
		s.Start()
		s.Start()
		s.End(200, false, false, time.Millisecond, 0, 0)
	}
	_, got := one(t, c)
	if got.Success != 3 || got.Active != 3 || len(got.Latency) != 1 || got.Latency[0].Count != 3 {
		t.Errorf("%+v", got)
	}
	all[1].End(200, false, false, time.Millisecond, 0, 0) // on one loop only
	if _, got := one(t, c); got.Success != 1 || got.Active != 2 {
		t.Errorf("the requests under way on the other loop are gone: %+v", got)
	}
}

// With -race this also shows that reading beside a writing loop is allowed.
func TestTheSumOfAllReportsIsWhatHappened(t *testing.T) {
	const loops, requests = 2, 20_000
	r := NewRegistry(loops)
	c := NewCollector(r)
	var wg sync.WaitGroup
	for i := range loops {
		wg.Go(func() {
			sh := r.Shard(i)
			for n := range requests {
				s := sh.Get(key([]string{"cart", "stock", "pay"}[n%3]))
				s.Start()
				s.End([]int{200, 404, 503}[n%3], n%3 == 2, n%5 == 0, time.Duration(n)*time.Microsecond, 3, 5)
				sh.Conn(true)
				sh.Refused([]string{"W3001", "W3002"}[n%2])
				sh.Conn(false)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var sum report.Counts
	rounds := 0
	take := func() {
		for _, d := range collect(t, c) {
			for _, n := range []uint64{d.Success, d.Failure, d.Opened, d.GRPCFailures, d.BytesIn, d.BytesOut} {
				if n > loops*requests*5 {
					t.Fatalf("a counter went back: %+v", d)
				}
			}
			if d.Active < 0 || d.Active > loops {
				t.Errorf("%d active", d.Active)
			}
			sum.Add(&d)
		}
		rounds++
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		take()
	}
	take()
	if got := collect(t, c); len(got) != 0 {
		t.Errorf("something is left: %+v", got)
	}
	const all = loops * requests
	failed := uint64(loops * (requests / 3))
	if sum.Requests() != all || sum.Failure != failed || sum.Opened != all || sum.BytesOut != 3*all || sum.BytesIn != 5*all {
		t.Errorf("after %d reports: %+v, want %d requests, %d failures", rounds, sum, all, failed)
	}
	var inBuckets, byClass uint64
	for _, b := range sum.Latency {
		inBuckets += b.Count
	}
	for _, n := range sum.Status {
		byClass += n
	}
	if inBuckets != all || byClass != all {
		t.Errorf("%d in buckets, %d by class, want %d", inBuckets, byClass, all)
	}
}
