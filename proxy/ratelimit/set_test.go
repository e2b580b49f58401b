package ratelimit

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

func set(t *testing.T, list ...model.RateLimit) *Set {
	t.Helper()
	s, problems := New(list, 42, nil)
	for _, p := range problems {
		t.Fatal(p)
	}
	return s
}

// ask takes n times at one moment and gives how often there was a token.
func ask(s *Set, now time.Duration, n int, caller, path string, kv ...string) (taken int) {
	var q decide.Query
	r := Request{Caller: caller, Path: []byte(path), Query: &q}
	for i := 0; i < len(kv); i += 2 {
		r.Fields = append(r.Fields, message.Field{Name: []byte(kv[i]), Value: []byte(kv[i+1])})
	}
	for range n {
		if _, ok := s.Take(now, &r); ok {
			taken++
		}
	}
	return taken
}

func TestABucketGivesItsBurstAndThenItsRate(t *testing.T) {
	s := set(t, model.RateLimit{Rate: 10, Burst: 5})
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{0, 5}, {50 * time.Millisecond, 0}, {100 * time.Millisecond, 1}, {350 * time.Millisecond, 2}, {time.Hour, 5}} {
		if got := ask(s, c.at, 100, "", "/"); got != c.want {
			t.Errorf("at %v: %d tokens, want %d", c.at, got, c.want)
		}
	}
}

func TestARefusalSaysHowLongToWait(t *testing.T) {
	s := set(t, model.RateLimit{Name: "slow", Rate: 0.25, Burst: 1})
	var q decide.Query
	r := Request{Query: &q}
	s.Take(0, &r)
	no, ok := s.Take(time.Second, &r)
	if ok || no.Wait != 3*time.Second || no.Seconds() != 3 || no.Limit.Name != "slow" {
		t.Errorf("%v, %+v", ok, no)
	}
	if no, _ = s.Take(3990*time.Millisecond, &r); no.Seconds() != 1 {
		t.Errorf("a wait of %v is said to be %d s", no.Wait, no.Seconds())
	}
}

func TestEachCallerHasABucket(t *testing.T) {
	s := set(t, model.RateLimit{By: model.LimitIdentity, Rate: 1, Burst: 3})
	if a, b, more := ask(s, 0, 9, "a", "/"), ask(s, 0, 9, "b", "/"), ask(s, 0, 9, "a", "/"); a != 3 || b != 3 || more != 0 {
		t.Errorf("a %d, b %d, a again %d", a, b, more)
	}
}

func TestEachValueOfAHeaderHasABucket(t *testing.T) {
	s := set(t, model.RateLimit{By: model.LimitHeader, Header: "x-user", Rate: 1, Burst: 3})
	if a, b := ask(s, 0, 9, "", "/", "x-user", "a"), ask(s, 0, 9, "", "/", "x-user", "b"); a != 3 || b != 3 {
		t.Errorf("a %d, b %d", a, b)
	}
	if got := ask(s, 0, 9, "", "/"); got != 9 {
		t.Errorf("requests without the field: %d of 9", got)
	}
}

func TestALimitIsForWhatItsConditionsName(t *testing.T) {
	s := set(t,
		model.RateLimit{Name: "api", Path: &model.PathMatch{Value: "/api"}, Rate: 1, Burst: 2},
		model.RateLimit{Name: "beta", Headers: []model.ValueMatch{{Name: "x-beta", Value: "yes"}}, Rate: 1, Burst: 1},
	)
	if got := ask(s, 0, 9, "", "/other"); got != 9 {
		t.Errorf("elsewhere: %d of 9", got)
	}
	if got := ask(s, 0, 9, "", "/api/x"); got != 2 {
		t.Errorf("below the path: %d", got)
	}
	if got := ask(s, 0, 9, "", "/other", "x-beta", "yes"); got != 1 {
		t.Errorf("with the field: %d", got)
	}
}

// However many values there are, memory stays as it is, and who goes on with one value is still
// bounded.
func TestAMillionValuesTakeNoMoreMemory(t *testing.T) {
	s := set(t, model.RateLimit{By: model.LimitHeader, Header: "x-user", Rate: 1, Burst: 2})
	ask(s, 0, 1, "", "/", "x-user", "first")
	var q decide.Query
	value := make([]byte, 0, 32)
	f := []message.Field{{Name: []byte("x-user")}}
	r := Request{Fields: f, Query: &q}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 1_000_000 {
		f[0].Value = fmt.Appendf(value[:0], "user %d", i)
		if _, ok := s.Take(time.Duration(i), &r); !ok {
			t.Fatalf("the first request of %s was refused", f[0].Value)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if got := ask(s, time.Millisecond, 99, "", "/", "x-user", "greedy"); got != 2 {
		t.Errorf("%d tokens of 2 afterwards", got)
	}
}

func TestALimitThatDoesNotChangeKeepsItsBuckets(t *testing.T) {
	same := model.RateLimit{Name: "same", Rate: 1, Burst: 2}
	s := set(t, same)
	ask(s, 0, 2, "", "/")
	next, _ := New([]model.RateLimit{{Name: "other", Rate: 100, Burst: 100}, same}, 1, s)
	if got := ask(next, 0, 9, "", "/"); got != 0 {
		t.Errorf("%d tokens of an empty bucket", got)
	}
	changed := same
	changed.Burst = 3
	next, _ = New([]model.RateLimit{changed}, 1, s)
	if got := ask(next, 0, 9, "", "/"); got != 3 {
		t.Errorf("%d tokens of a new bucket of 3", got)
	}
}

func TestWhatCannotBeCompiledIsSaid(t *testing.T) {
	s, problems := New([]model.RateLimit{{Name: "bad", Headers: []model.ValueMatch{{Name: "a", Value: "(", Regex: true}}}, {Name: "good", Rate: 1}}, 1, nil)
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "bad") || len(s.limits) != 1 {
		t.Errorf("%v, %d limits", problems, len(s.limits))
	}
}

func TestTheLoopsShareARate(t *testing.T) {
	s := set(t, model.RateLimit{By: model.LimitIdentity, Rate: 1, Burst: 100})
	var wg sync.WaitGroup
	var taken [4]int
	for i := range taken {
		wg.Go(func() { taken[i] = ask(s, 0, 100, "a", "/") })
	}
	wg.Wait()
	if sum := taken[0] + taken[1] + taken[2] + taken[3]; sum != 100 {
		t.Errorf("%d tokens of 100", sum)
	}
}

func TestOddRatesAreBounded(t *testing.T) {
	for _, c := range []struct {
		rate  float64
		burst int
	}{{0, 0}, {-1, -1}, {1e-9, 1}, {1e12, 1 << 30}, {1e-9, 1 << 30}} {
		r := rateOf(c.rate, c.burst)
		if r.every < 1 || r.every > 24*time.Hour || r.ahead < 0 {
			t.Errorf("%v, %d: %+v", c.rate, c.burst, r)
		}
		if _, wait := r.take(0, 0); wait != 0 {
			t.Errorf("%v, %d: the first token is not there", c.rate, c.burst)
		}
	}
}

func TestTheServiceIsAskedAboutItsLimitsOnly(t *testing.T) {
	s := set(t,
		model.RateLimit{Name: "here", Rate: 1, Burst: 1},
		model.RateLimit{Name: "all", Global: &model.GlobalLimit{Domain: "d"}},
		model.RateLimit{Name: "who", By: model.LimitIdentity, Global: &model.GlobalLimit{Domain: "d"}},
		model.RateLimit{Name: "user", By: model.LimitHeader, Header: "x-user", Global: &model.GlobalLimit{Domain: "d"}},
		model.RateLimit{Name: "elsewhere", Path: &model.PathMatch{Value: "/api"}, Global: &model.GlobalLimit{Domain: "d"}},
	)
	var q decide.Query
	var got []string
	s.Global(&Request{Caller: "me", Path: []byte("/"), Query: &q}, func(l *model.RateLimit, v string) { got = append(got, l.Name+"="+v) })
	if len(got) != 2 || got[0] != "all=" || got[1] != "who=me" {
		t.Errorf("asked %q", got)
	}
	if !s.HasGlobal() || ask(s, 0, 9, "", "/") != 1 {
		t.Error("global limits take no token here")
	}
}

func TestTakingATokenAllocatesNothing(t *testing.T) {
	s := set(t, model.RateLimit{Rate: 1e6, Burst: 1000}, model.RateLimit{By: model.LimitIdentity, Rate: 1e6, Burst: 1000},
		model.RateLimit{By: model.LimitHeader, Header: "x-user", Path: &model.PathMatch{Value: "/api"}, Rate: 1e6, Burst: 1000})
	var q decide.Query
	r := Request{Caller: "spiffe://m/ns/shop/sa/web", Path: []byte("/api/x"), Fields: []message.Field{{Name: []byte("x-user"), Value: []byte("somebody")}}, Query: &q}
	now := time.Duration(0)
	allocs.None(t, 1000, func() { now += time.Microsecond; s.Take(now, &r) })
}
