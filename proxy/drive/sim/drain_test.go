package sim_test

import (
	"testing"
	"time"
)

// The caller's proxy sends window updates for the response that it reads. They may not meet a
// closed socket: the reset that answers them takes the rest of the response along.
func TestADrainingProxySendsItsLastResponseWhole(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		w := newWorld(t, seed, nil)
		w.timeout = 0
		w.publish("web")
		for _, x := range w.servers["web"] {
			w.net.Path(w.callers[0].host, x.host).Bandwidth = []int{2 << 20, 150_000}[seed%2]
			x.app.pace = 400 * time.Millisecond // it answers when the draining has begun
		}
		a := &ask{method: "GET", download: 300_000 + 1000*int(seed)}
		w.single(a, nil)
		w.net.Run(20 * time.Millisecond)
		for _, x := range w.servers["web"] {
			x.proxy.Drain()
			w.net.After(2*time.Millisecond, func() { w.restart(x, 0) })
		}
		w.net.Run(10 * time.Second)
		if a.status != 200 {
			t.Errorf("seed %d: %v", seed, a)
		}
		for _, x := range w.servers["web"] {
			x.app.pace = 0
		}
		w.settle()
		w.report(seed)
	}
}
