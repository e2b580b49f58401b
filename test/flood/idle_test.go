//go:build linux

package flood

import (
	"testing"
	"time"
)

// TestIdleConnectionsCostLittle measures what connections cost on which nothing happens any more: the
// resident memory of the proxy that holds them, less what it had before, divided by their number.
//
// What was garbage when they were made counts until the runtime's collector has taken it. It does so
// after two minutes at the latest; the long variant waits for that and holds the goals. The short
// one, with a fifth of the connections, allows for as much garbage again and for the buffers that a
// proxy keeps for use again, whatever it holds.
func TestIdleConnectionsCostLittle(t *testing.T) {
	const kept = 6 << 20 // buffers, exchanges and parsers of a loop that was busy once
	for _, tc := range []struct {
		name, attack string
		link         bool
		count        int
		goal         float64 // KiB of each
	}{
		{"HTTP/1.1 connections", "idle after a request", false, 20_000, 2},
		{"links", "idle links", true, 1000, 16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			most, wait := tc.goal, 150*time.Second
			count := min(tc.count, openFiles()-500)
			if !full {
				count = tc.count / 5
				most, wait = 3*tc.goal+float64(kept>>10)/float64(count), 300*time.Millisecond
			}
			target, p := w.outbound, w.caller
			if tc.link {
				target, p = w.link, w.callee
			}
			before := resident(p.pid())
			a := playing(t, "attack", order{Attack: tc.attack, Target: target, Link: tc.link, App: w.app, Identity: w.identity, Share: 1, Count: count})
			var hello string
			a.hear(&hello)
			eventually(t, "all connections are there", func() bool { return connections(t, target, attackerIP) >= count })
			time.Sleep(wait) // nothing happens
			if n := connections(t, target, attackerIP); n < count {
				t.Errorf("%d of %d connections are there", n, count)
			}
			h := &honest{addr: w.outbound}
			if err := h.once(); err != nil {
				t.Errorf("beside them: %v", err)
			}
			each := float64(resident(p.pid())-before) / float64(count) / 1024
			t.Logf("%d %s: %.2f KiB of resident memory each, goal %.0f", count, tc.name, each, tc.goal)
			if each > most {
				t.Errorf("each costs %.2f KiB, want at most %.2f", each, most)
			}
		})
	}
}
