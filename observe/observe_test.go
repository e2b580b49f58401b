package observe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

// clock is a clock that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func name(n string) model.Name { return model.Name{Namespace: "shop", Name: n} }

func series(from, to, route, backend string, ok, failed uint64, us ...uint64) report.Series {
	s := report.Series{Key: report.Key{Source: name(from), Service: name(to), Route: route, Backend: name(backend), Protocol: "http", TLS: true}}
	s.Success, s.Failure = ok, failed
	for _, v := range us {
		s.Latency = report.MergeBuckets(s.Latency, []report.Bucket{{Index: report.BucketOf(v), Count: 1}})
		s.LatencySumMicros += v
	}
	return s
}

func newStore() (*Store, *clock) {
	c := &clock{time.Date(2026, 6, 1, 12, 0, 5, 0, time.UTC)}
	return New(c.now), c
}

func TestTrafficIsGroupedAsAsked(t *testing.T) {
	s, c := newStore()
	plain := series("web", "cart", "r1", "cart", 10, 0)
	plain.TLS = false
	s.Add("p1", 1, []report.Series{
		series("web", "cart", "r1", "cart", 20, 10, 1000, 2000), series("web", "cart", "r1", "cart-v2", 10, 0),
		series("web", "cart", "r2", "cart", 5, 0), series("api", "cart", "r1", "cart", 1, 0), plain,
	})
	c.t = c.t.Add(20 * time.Second)
	for _, q := range []struct {
		q    Query
		rows int
	}{
		{Query{Group: ByBackend}, 4}, {Query{Group: ByRoute}, 3}, {Query{Group: ByEdge}, 2}, {Query{Group: ByService}, 1},
		{Query{Source: name("api")}, 1}, {Query{Service: model.Name{Namespace: "bank"}}, 0}, {Query{Inbound: true}, 0},
	} {
		if got := s.Stat(q.q); len(got.Rows) != q.rows {
			t.Errorf("%+v: %d rows, want %d", q.q, len(got.Rows), q.rows)
		}
	}
	a := s.Stat(Query{Group: ByService})
	r := a.Rows[0]
	if r.Requests() != 56 || r.SuccessRate != 46.0/56 || r.MTLS != 46.0/56 {
		t.Errorf("%d requests, success %v, mTLS %v", r.Requests(), r.SuccessRate, r.MTLS)
	}
	if got := a.To.Sub(a.From); got != 20*time.Second || r.RPS != 2.8 {
		t.Errorf("covered %s, %v requests a second", got, r.RPS)
	}
	if p := r.Quantile(0.99); p < 1900*time.Microsecond || p > 2200*time.Microsecond {
		t.Errorf("p99 is %s", p)
	}
}

// What stayed within a proxy is neither mTLS nor in the clear.
func TestLocalTrafficIsAShareOfItsOwn(t *testing.T) {
	s, _ := newStore()
	near := series("web", "cart", "r1", "cart", 30, 0)
	near.TLS, near.Local = false, true
	s.Add("p1", 1, []report.Series{series("web", "cart", "r1", "cart", 10, 0), near})
	rows := s.Stat(Query{}).Rows
	if len(rows) != 1 || rows[0].Requests() != 40 || rows[0].MTLS != 0.25 || rows[0].Local != 0.75 {
		t.Errorf("%+v, want one row of 40 requests, a quarter over mTLS and the rest local", rows)
	}
}

func TestWorkloadsOfAnAccountAreOneRowUnlessEachIsAskedFor(t *testing.T) {
	s, _ := newStore()
	of := func(workload, account string, us ...uint64) report.Series {
		x := series(workload, "cart", "r", "cart", uint64(len(us)), 0, us...)
		x.SourceIdentity = account
		return x
	}
	s.Add("p1", 1, []report.Series{of("web-1", "web", 1000, 1000, 1000), of("nobody-7", "", 1000)})
	s.Add("p2", 1, []report.Series{of("web-2", "web", 9000), of("api-1", "api", 1000)})
	account := func(id string) model.Name {
		if id == "" {
			return model.Name{}
		}
		return name(id)
	}
	for _, c := range []struct {
		what string
		q    Query
		want string
	}{
		{"accounts are the default", Query{}, "api 1, nobody-7 1, web 4"},
		{"instances on demand", Query{Instances: true}, "api-1 1, nobody-7 1, web-1 3, web-2 1"},
		{"an account chooses its workloads", Query{Source: name("web")}, "web 4"},
		{"a workload chooses itself", Query{Source: name("web-2")}, "web 1"},
		{"a name without a namespace is one in any", Query{Source: model.Name{Name: "web"}}, "web 4"},
		{"other names of workloads are looked up by the caller", Query{Source: name("front"), Sources: map[model.Name]bool{name("web-1"): true}}, "web 3"},
		{"nobody", Query{Source: name("tea")}, ""},
		{"whom the registry knows", Query{Identities: map[model.Name]string{name("nobody-7"): "web"}}, "api 1, web 5"},
	} {
		c.q.Account = account
		var got []string
		for _, r := range s.Stat(c.q).Rows {
			got = append(got, fmt.Sprintf("%s %d", r.Source.Name, r.Requests()))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", c.what, strings.Join(got, ", "), c.want)
		}
	}
	// The percentiles are those of all requests, not a mean of each workload's.
	r := s.Stat(Query{Account: account, Source: name("web")}).Rows[0]
	if p50, p99 := r.Quantile(0.5), r.Quantile(0.99); p50 > 1200*time.Microsecond || p99 < 8*time.Millisecond {
		t.Errorf("p50 %s, p99 %s of three requests of 1 ms and one of 9 ms", p50, p99)
	}
}

func TestABatchThatComesTwiceCountsOnce(t *testing.T) {
	s, _ := newStore()
	b := []report.Series{series("web", "cart", "r", "cart", 1, 0)}
	for _, in := range []struct {
		instance string
		seq      uint64
		taken    bool
	}{{"a", 1, true}, {"a", 1, false}, {"a", 2, true}, {"a", 1, false}, {"b", 1, true}, {"a", 7, true}} {
		if got := s.Add(in.instance, in.seq, b); got != in.taken {
			t.Errorf("%s %d: %v", in.instance, in.seq, got)
		}
	}
	if n := s.Stat(Query{}).Rows[0].Requests(); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
}

func TestOldTrafficIsForgotten(t *testing.T) {
	s, c := newStore()
	s.Add("a", 1, []report.Series{series("web", "cart", "r", "cart", 1, 0)})
	c.t = c.t.Add(2 * time.Minute)
	if got := s.Stat(Query{Window: time.Minute}); len(got.Rows) != 0 {
		t.Errorf("after two minutes the last minute has %v", got.Rows)
	}
	if got := s.Stat(Query{Window: 5 * time.Minute}); len(got.Rows) != 1 || got.To.Sub(got.From) != 2*time.Minute {
		t.Errorf("five minutes have %d rows over %s", len(got.Rows), got.To.Sub(got.From))
	}
	for i := range 400 {
		c.t = c.t.Add(Window)
		s.Add("a", uint64(i+2), []report.Series{series("web", "cart", "r", "cart", 1, 0)})
	}
	if n := len(s.windows); n > int(Keep/Window)+1 {
		t.Errorf("%d windows are kept", n)
	}
	if s.bytes > 182*cellBytes {
		t.Errorf("%d bytes are counted", s.bytes)
	}
}

func TestMemoryIsBoundedWhateverIsReported(t *testing.T) {
	s, c := newStore()
	s.maxSeries, s.maxBytes = 100, 500_000
	for w := range 20 {
		c.t = c.t.Add(Window)
		for b := range 15 {
			var batch []report.Series
			for i := range 10 {
				one := series("web", fmt.Sprintf("made-up-%d-%d-%d", w, b, i), "r", "x", 1, 0)
				for j := range 30 {
					one.Latency = append(one.Latency, report.Bucket{Index: uint16(j), Count: 1})
				}
				batch = append(batch, one)
			}
			s.Add("a", uint64(w*100+b+1), batch)
		}
	}
	// The newest window is always whole, so one window may be above the cap.
	if limit := s.maxBytes + (s.maxSeries+1)*(cellBytes+40*bucketBytes); s.bytes > limit || len(s.windows) < 2 {
		t.Errorf("%d bytes in %d windows, want at most %d", s.bytes, len(s.windows), limit)
	}
	if s.Dropped() != 20*50 {
		t.Errorf("%d series dropped, want %d", s.Dropped(), 20*50)
	}
	var other uint64
	for _, r := range s.Stat(Query{Window: Window}).Rows {
		if r.Service.Name == Other {
			other += r.Requests()
		}
	}
	if other == 0 {
		t.Error("what had no room was lost instead of counted under other")
	}
}

func TestOpenConnectionsAreSummedOverProxiesAndForgottenWithThem(t *testing.T) {
	s, c := newStore()
	open := func(n int64) []report.Series {
		x := series("web", "cart", "r", "cart", 0, 0)
		x.Active, x.Opened = n, 1
		return []report.Series{x}
	}
	s.Add("a", 1, open(3))
	s.Add("b", 1, open(4))
	active := func() (n int64) {
		for _, r := range s.Stat(Query{}).Rows {
			n += r.Active
		}
		return n
	}
	if got := active(); got != 7 {
		t.Errorf("%d open, want 7", got)
	}
	s.Add("a", 2, open(1))
	s.Gone("b")
	if got := active(); got != 1 {
		t.Errorf("%d open, want 1", got)
	}
	c.t = c.t.Add(activeLife)
	if got := active(); got != 0 {
		t.Errorf("%d open at a proxy that is silent", got)
	}
}
