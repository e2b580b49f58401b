package sim_test

import (
	"testing"
	"time"
)

// linked has a caller whose links to all servers of web stand.
func linked(t *testing.T, seed uint64) *world {
	w := newWorld(t, seed, nil)
	w.timeout = 0
	w.publish("web")
	for range 12 {
		w.single(&ask{method: "GET", download: 10}, nil)
	}
	w.net.Run(2 * time.Second)
	return w
}

func TestARequestOnALinkThatSwallowsEverythingIsGivenUpWithinASecond(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		w := linked(t, seed)
		for _, x := range w.servers["web"] {
			w.net.Path(w.callers[0].host, x.host).Cut()
		}
		a := &ask{method: "POST", upload: 10, download: 10}
		w.single(a, nil)
		w.net.Run(1050 * time.Millisecond)
		if a.outcomes != 1 || a.status < 500 {
			t.Errorf("seed %d: %v: nothing was noticed", seed, a)
		}
		for _, x := range w.servers["web"] {
			w.net.Path(w.callers[0].host, x.host).Heal()
		}
		w.settle()
		w.report(seed)
	}
}

func TestOneOfThreeEndpointsThatIsSwallowedIsFeltForASecondOnly(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		w := linked(t, seed)
		hole := w.servers["web"][0]
		w.net.Path(w.callers[0].host, hole.host).Cut()
		w.net.Note("cut")
		var late []*ask
		for i := range 400 { // 4 s
			a := &ask{method: "GET", download: 10}
			w.single(a, nil)
			if i >= 120 {
				late = append(late, a)
			}
			w.net.Run(10 * time.Millisecond)
		}
		w.net.Run(100 * time.Millisecond)
		bad := 0
		for _, a := range late {
			if a.outcomes != 1 || a.status != 200 {
				bad++
			}
		}
		if bad > 0 {
			t.Errorf("seed %d: %d of %d requests that began later than 1.2 s after an endpoint was lost did not succeed", seed, bad, len(late))
		}
		w.net.Path(w.callers[0].host, hole.host).Heal()
		w.settle()
		w.report(seed)
	}
}

func TestASlowApplicationIsNotTakenForABlackHole(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		w := newWorld(t, seed, nil)
		if w.limits.MaxPoolConns > 0 {
			continue // requests would wait for each other
		}
		w.timeout = 0
		w.publish("web")
		for _, x := range w.servers["web"] {
			x.app.pace = 40 * time.Second // it thinks for up to so long
		}
		var all []*ask
		for range 10 {
			a := &ask{method: "GET", download: 10}
			all = append(all, a)
			w.single(a, nil)
		}
		w.net.Run(45 * time.Second)
		for _, a := range all {
			if a.status != 200 {
				t.Errorf("seed %d: %v did not get its answer", seed, a)
			}
		}
		for _, x := range w.servers["web"] {
			x.app.pace = 0
		}
		w.settle()
		w.report(seed)
	}
}
