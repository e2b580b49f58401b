//go:build linux

package epoll

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackOnceWhenABurstOfHandshakesIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		c := calm{release: func() { n.Add(1) }}
		expect := func(want int32, when string) {
			t.Helper()
			synctest.Wait()
			if got := n.Load(); got != want {
				t.Errorf("%s: %d releases, want %d", when, got, want)
			}
		}
		few := func() {
			for range manyShakes - 1 {
				c.shaken()
			}
			time.Sleep(2 * calmAfter)
		}
		few()
		expect(0, "after few")
		for range 100 { // a burst that goes on
			c.shaken()
			time.Sleep(calmAfter / 2)
		}
		expect(0, "during the burst")
		time.Sleep(calmAfter)
		expect(1, "after the burst")
		time.Sleep(time.Hour)
		expect(1, "an hour later")
		few()
		expect(1, "after few more")
		c.shaken()
		time.Sleep(2 * calmAfter)
		expect(2, "after as many as before")
		few()
		c.shaken()
		c.stop()
		time.Sleep(time.Hour)
		expect(2, "after the end")
	})
}

func TestTheEndWaitsForMemoryThatIsBeingGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := false
		c := calm{release: func() { time.Sleep(time.Minute); over = true }}
		for range manyShakes {
			c.shaken()
		}
		time.Sleep(2 * calmAfter)
		c.stop()
		if !over {
			t.Error("a release was under way after the end")
		}
	})
}
