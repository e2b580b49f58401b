package resilience

import (
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

func TestOnlyWhatThePolicyNamesIsTriedAgain(t *testing.T) {
	const all = model.RetryReset | model.RetryTimeout | model.RetryCodes | model.RetryGRPC
	for _, c := range []struct {
		name     string
		on       model.RetryOn
		attempts int
		cause    Cause
		tries    int
		want     bool
	}{
		{"not sent, by default", 0, 2, NotSent, 2, true},
		{"not sent, three tries made", 0, 2, NotSent, 3, false},
		{"not sent, though no attempts are given", 0, 0, NotSent, 2, true},
		{"not processed, though no attempts are given", all, 0, NotProcessed, 1, true},
		{"not processed, many attempts", 0, 5, NotProcessed, 5, true},
		{"stale, by default", 0, 2, Stale, 1, true},
		{"reset, by default", 0, 2, Reset, 1, false},
		{"reset", model.RetryReset, 2, Reset, 2, true},
		{"reset, too often", model.RetryReset, 2, Reset, 3, false},
		{"reset, no attempts", model.RetryReset, 0, Reset, 1, false},
		{"timeout, all but it", all &^ model.RetryTimeout, 2, Timeout, 1, false},
		{"timeout", model.RetryTimeout, 1, Timeout, 1, true},
		{"code", model.RetryCodes, 1, Code, 1, true},
		{"grpc", model.RetryGRPC, 1, GRPC, 1, true},
		{"grpc, all but it", all &^ model.RetryGRPC, 1, GRPC, 1, false},
	} {
		r := &model.Retry{On: c.on, Attempts: c.attempts}
		if got := Wanted(r, c.cause, c.tries); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestAnAnswerIsACauseByItsStatus(t *testing.T) {
	r := &model.Retry{On: model.RetryCodes | model.RetryGRPC, Codes: []int{500, 503}, GRPC: []int{8, 14}}
	for _, c := range []struct {
		status int
		grpc   string
		cause  Cause
		ok     bool
	}{
		{503, "", Code, true}, {500, "", Code, true}, {502, "", 0, false}, {200, "", 0, false},
		{200, "14", GRPC, true}, {200, "8", GRPC, true}, {200, "0", 0, false}, {200, "2", 0, false},
		{200, "999999999999999999999", 0, false}, {200, "x", 0, false}, {503, "0", Code, true},
	} {
		cause, ok := Answered(r, c.status, []byte(c.grpc))
		if cause != c.cause || ok != c.ok {
			t.Errorf("%d, grpc-status %q: got %v %v", c.status, c.grpc, cause, ok)
		}
	}
	r.On = 0
	if _, ok := Answered(r, 503, []byte("14")); ok {
		t.Error("codes that are listed and not turned on count")
	}
}

func TestOnlyIdempotentMethodsMayBeRepeatedUndeclared(t *testing.T) {
	r := &model.Retry{}
	for method, want := range map[string]bool{
		"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true,
		"POST": false, "PATCH": false, "CONNECT": false, "get": false, "": false, "LOCK": false,
	} {
		if got := Repeatable(r, []byte(method)); got != want {
			t.Errorf("%s: got %v", method, got)
		}
	}
	if r.Idempotent = true; !Repeatable(r, []byte("POST")) {
		t.Error("POST is declared and may not be repeated")
	}
}

func TestTheNumberOfATryIsReadStrictly(t *testing.T) {
	for v, want := range map[string]int{"2": 2, "10": 10, "": 1, "1": 1, "0": 1, "-3": 1, "+3": 1, "100": 1, "2x": 1, " 2": 1} {
		if got := Tries([]byte(v)); got != want {
			t.Errorf("%q: got %d, want %d", v, got, want)
		}
	}
}

func TestBackoffIsARandomPartOfABoundThatDoubles(t *testing.T) {
	p := &model.Retry{Backoff: 25 * time.Millisecond, BackoffMax: 250 * time.Millisecond}
	for tries, bound := range []time.Duration{25, 25, 50, 100, 200, 250, 250, 250} {
		bound *= time.Millisecond
		if got := Backoff(p, tries, 1<<64-1); got >= bound || got < bound*99/100 {
			t.Errorf("after %d tries at most %s, want just below %s", tries, got, bound)
		}
		if got := Backoff(p, tries, 0); got != 0 {
			t.Errorf("after %d tries at least %s", tries, got)
		}
		if got := Backoff(p, tries, 1<<63); got != bound/2 {
			t.Errorf("after %d tries in the middle %s", tries, got)
		}
	}
	if got := Backoff(&model.Retry{}, 3, 1<<63); got != 0 {
		t.Errorf("without a backoff: %s", got)
	}
}

func fields(kv ...string) (f []message.Field) {
	for i := 0; i < len(kv); i += 2 {
		f = append(f, message.Field{Name: []byte(kv[i]), Value: []byte(kv[i+1])})
	}
	return f
}

func TestAnAnswerMayAskForAWait(t *testing.T) {
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	for _, c := range []struct {
		name  string
		f     []message.Field
		wait  time.Duration
		never bool
	}{
		{"nothing", nil, 0, false},
		{"seconds", fields("retry-after", "3"), 3 * time.Second, false},
		{"a time", fields("date", date, "retry-after", "Sun, 06 Nov 1994 08:49:40 GMT"), 3 * time.Second, false},
		{"a time that has passed", fields("date", date, "retry-after", "Sun, 06 Nov 1994 08:49:30 GMT"), 0, false},
		{"a time without a date", fields("retry-after", date), 0, false},
		{"seconds below zero", fields("retry-after", "-3"), 0, false},
		{"very many seconds", fields("retry-after", "4294967295"), longest, false},
		{"nonsense", fields("retry-after", "soon"), 0, false},
		{"push-back", fields("grpc-retry-pushback-ms", "250"), 250 * time.Millisecond, false},
		{"push-back of nothing", fields("grpc-retry-pushback-ms", "0", "retry-after", "9"), 0, false},
		{"push-back for ever", fields("grpc-retry-pushback-ms", "-1"), 0, true},
		{"push-back that is no number", fields("grpc-retry-pushback-ms", "1s"), 0, true},
		{"push-back that is empty", fields("grpc-retry-pushback-ms", ""), 0, true},
	} {
		if wait, never := Asked(c.f); wait != c.wait || never != c.never {
			t.Errorf("%s: got %s, never %v", c.name, wait, never)
		}
	}
}
