package control

import (
	"fmt"
	"testing"
	"time"
)

func TestALimiterAllowsABurstAndThenARate(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimiter(3, time.Second, func() time.Time { return now })
	allowed := func(key string, n int) (ok int) {
		for range n {
			if l.take(key) {
				ok++
			}
		}
		return ok
	}
	if got := allowed("a", 10); got != 3 {
		t.Errorf("at first %d, want 3", got)
	}
	if got := allowed("b", 10); got != 3 {
		t.Errorf("another key has %d, want 3", got)
	}
	now = now.Add(2 * time.Second)
	if got := allowed("a", 10); got != 2 {
		t.Errorf("two seconds later %d, want 2", got)
	}
	now = now.Add(time.Hour)
	if got := allowed("a", 10); got != 3 {
		t.Errorf("an hour later %d, want 3", got)
	}
	for i := range maxLimited {
		l.take(fmt.Sprint(i))
	}
	if l.take("new") || len(l.full) > maxLimited {
		t.Errorf("%d keys are remembered", len(l.full))
	}
	now = now.Add(time.Hour)
	if !l.take("new") {
		t.Error("the keys of long ago are still in the way")
	}
}
