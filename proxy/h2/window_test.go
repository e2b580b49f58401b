package h2

import (
	"testing"
	"time"
)

// A window grows while its data come fast and are consumed at once, within what all connections
// share, and loses the growth when its consumer falls behind, or with its stream.
func TestWindowsGrowForWhoKeepsUpAndShrinkForWhoDoesNot(t *testing.T) {
	const base, most = 64 << 10, 1 << 20
	carry := func(t *testing.T, growth int, pause time.Duration) (cl, sv *side, st *Stream, left *int) {
		left = &growth
		cl, sv = pair(t, Config{StreamWindow: most}, Config{StreamWindow: base, MaxStreamWindow: most, Growth: left})
		now := time.Unix(1e9, 0)
		st = mustOpen(t, cl, post("/", -1), false)
		for range 64 {
			now = now.Add(pause)
			sv.c.SetNow(now)
			st.Send(make([]byte, base), false)
			if err := exchange(cl, sv, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		return cl, sv, st, left
	}
	t.Run("fast", func(t *testing.T) {
		cl, sv, st, left := carry(t, 32<<20, time.Millisecond)
		if got := 32<<20 - *left; got != most-base {
			t.Errorf("grew by %d, want %d", got, most-base)
		}
		sv.hold = true // the consumer stops; it goes on for a while, far behind
		st.Send(make([]byte, most), false)
		if err := exchange(cl, sv, 1<<20); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			sv.streams[0].Consumed(100 << 10)
			if err := exchange(cl, sv, 1<<20); err != nil {
				t.Fatal(err)
			}
			st.Send(make([]byte, 100<<10), false)
		}
		if got := sv.streams[0].window; got >= most {
			t.Errorf("the window is %d still", got)
		}
		st.Reset(Cancel)
		if err := exchange(cl, sv, 1<<20); err != nil {
			t.Fatal(err)
		}
		if *left != 32<<20 {
			t.Errorf("%d bytes of growth were lost with the stream", 32<<20-*left)
		}
	})
	t.Run("slow", func(t *testing.T) {
		// The first 64 KiB come at once.
		if _, _, _, left := carry(t, 32<<20, time.Second); *left < 32<<20-base {
			t.Errorf("grew by %d", 32<<20-*left)
		}
	})
	t.Run("no more to share", func(t *testing.T) {
		if _, _, _, left := carry(t, 100<<10, time.Millisecond); *left != 100<<10-base {
			t.Errorf("%d bytes are left", *left)
		}
	})
}
