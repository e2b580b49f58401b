//go:build linux

package flood

import (
	"testing"
	"time"
)

// TestOutcomesAreJudged: what is a miss, what the machine is to blame for.
func TestOutcomesAreJudged(t *testing.T) {
	if full {
		t.Skip("skipped: the long variant allows for nothing")
	}
	calm := outcome{
		before: time.Millisecond, during: 3 * time.Millisecond, after: 2 * time.Millisecond,
		directBefore: 200 * time.Microsecond, directDuring: 200 * time.Microsecond, directAfter: 200 * time.Microsecond,
	}
	for _, tc := range []struct {
		name   string
		change func(*outcome)
		late   bool
	}{
		{"within the bounds", func(*outcome) {}, false},
		{"late during the attack", func(o *outcome) { o.during = 5 * time.Millisecond }, true},
		{"late during the attack, as the control client is", func(o *outcome) { o.during, o.directDuring = 5*time.Millisecond, time.Millisecond }, false},
		{"late after it", func(o *outcome) { o.after = 4 * time.Millisecond }, true},
		{"connections that stay", func(o *outcome) { o.gone = 2 * time.Second }, true},
		{"requests given up", func(o *outcome) { o.slow = []string{"one"} }, true},
		{"everything late on a machine that is too busy", func(o *outcome) {
			o.during, o.after, o.gone, o.slow, o.directDuring = time.Minute, time.Minute, time.Minute, []string{"one"}, time.Second
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := calm
			tc.change(&o)
			if got := o.late(&attack{}); (got != "") != tc.late {
				t.Errorf("judged %q", got)
			}
		})
	}
}
