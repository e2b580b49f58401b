package sim_test

import (
	"fmt"
	"testing"
	"time"
)

// A request that waited for a connection is kept whole, and then gets one that was used before.
// If the application closes that one without an answer, it may have executed the request.
func TestAPostThatWaitedIsNotSentAgainOnAStaleConnection(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := newWorld(t, seed, nil)
		w.servers["web"] = w.servers["web"][:1]
		w.publish("web")
		w.servers["web"][0].app.pace = 50 * time.Millisecond
		w.net.Run(10 * time.Millisecond)
		var posts []*ask
		for i := range 12 { // more than it is given connections for, if the world limits them
			a := &ask{method: "GET", download: 100}
			if i%2 == 1 {
				a = &ask{method: "POST", harm: "end"}
				posts = append(posts, a)
			}
			w.single(a, func(c *client) { c.name += fmt.Sprint(" stale ", i) })
		}
		w.net.Run(10 * time.Second)
		for _, a := range posts {
			if a.executed > 1 || a.outcomes != 1 || a.status != 502 {
				t.Errorf("seed %d: %v: want one execution and 502", seed, a)
			}
		}
		w.report(seed)
	}
}
