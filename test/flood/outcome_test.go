//go:build linux

package flood

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// outcome is what one attack did.
type outcome struct {
	before, during, after                   time.Duration // p99 of honest requests
	directBefore, directDuring, directAfter time.Duration // of the control client's
	links                                   time.Duration // the slowest new link of an honest peer, with a request on it
	growth                                  [2]int64      // resident memory of caller's and callee's proxy, since the start
	cpu                                     [2]time.Duration
	refused                                 [2]map[string]int
	gone                                    time.Duration // until no connection of the attacker was left
	left                                    int           // that were left nevertheless
	report                                  attackReport
	failed, slow                            []string // honest requests
}

// within reports whether a p99 is within the ratio of what it was. Unless full, what the machine alone
// costs is allowed for: noise, and what the control client lost in the same window, once for each
// of the processes that a request meets beside those that the control client's does.
func (o *outcome) within(now, direct time.Duration, ratio float64) bool {
	bound := time.Duration(ratio * float64(o.before))
	if !full {
		bound += noise + 3*direct
	}
	return now <= bound
}

// judge reports what does not depend on how busy the machine is.
func (o *outcome) judge(t *testing.T) {
	t.Helper()
	for i, who := range []string{"caller's", "callee's"} {
		if o.growth[i] > maxGrowth {
			t.Errorf("the %s proxy has grown by %d MiB, want at most %d", who, o.growth[i]>>20, maxGrowth>>20)
		}
	}
	if o.left > 0 {
		t.Errorf("%d connections of the attacker are there %s after its end", o.left, patience)
	}
	if len(o.failed) > 0 {
		t.Errorf("%d honest requests failed, the first one: %s", len(o.failed), o.failed[0])
	}
	if o.report.Conns == 0 {
		t.Error("the attacker made no connection: nothing was tested")
	}
}

// late says what took too long, or "". Where the control client is late too, nothing can be said.
func (o *outcome) late(at *attack) string {
	switch {
	case !full && max(o.directBefore, o.directDuring, o.directAfter) > busy:
		return ""
	case len(o.slow) > 0:
		return fmt.Sprintf("%d honest requests were given up, the first one: %s", len(o.slow), o.slow[0])
	case at.hungry && full:
		if o.during > o.before+maxAdded {
			return fmt.Sprintf("p99 of honest requests was %s before and %s beside it, more than %s above", ms(o.before), ms(o.during), ms(maxAdded))
		}
	case !o.within(o.during, o.directDuring, maxRatio):
		return fmt.Sprintf("p99 of honest requests was %s before the attack and %s during it, more than %.1f times as much", ms(o.before), ms(o.during), maxRatio)
	}
	switch {
	case !o.within(o.after, o.directAfter, maxAfter):
		return fmt.Sprintf("p99 of honest requests was %s before the attack and %s a second after it, more than %.1f times as much", ms(o.before), ms(o.after), maxAfter)
	case o.gone > recoverIn:
		return fmt.Sprintf("connections of the attacker were there until %s after its end", ms(o.gone))
	}
	return ""
}

func (o *outcome) String() string {
	return fmt.Sprintf("p99 %s -> %s -> %s (direct %s -> %s -> %s), new links up to %s, memory %+d %+d MiB, CPU %s %s, gone in %s; attacker: %d conns, %d cut, %d not made, CPU %s of %s; refused %s",
		ms(o.before), ms(o.during), ms(o.after), ms(o.directBefore), ms(o.directDuring), ms(o.directAfter), ms(o.links), o.growth[0]>>20, o.growth[1]>>20,
		o.cpu[0], o.cpu[1], ms(o.gone), o.report.Conns, o.report.Cut, o.report.Refused, o.report.CPU.Round(time.Millisecond), o.report.Wall.Round(time.Millisecond), o.codes())
}

// codes lists what the proxies refused.
func (o *outcome) codes() string {
	sum := map[string]int{}
	for _, m := range o.refused {
		for code, n := range m {
			sum[code] += n
		}
	}
	var out []string
	for _, code := range slices.Sorted(maps.Keys(sum)) {
		out = append(out, fmt.Sprintf("%s %d", code, sum[code]))
	}
	return strings.Join(out, ", ")
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

// row is an outcome as it is published.
type row struct {
	name, where string
	outcome     outcome
}

// table writes rows as markdown.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| attack | listener | p99 before, ms | during | after | direct, during | new link, at most | memory, MiB | gone in, ms | cut | refused |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	n := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/1e6) }
	for _, r := range rows {
		o := &r.outcome
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %+d, %+d | %.0f | %d of %d | %s |\n", r.name, r.where, n(o.before), n(o.during), n(o.after),
			n(o.directDuring), n(o.links), o.growth[0]>>20, o.growth[1]>>20, float64(o.gone)/1e6, o.report.Cut, o.report.Conns, o.codes())
	}
	return b.String()
}
