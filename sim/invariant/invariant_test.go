package invariant

import (
	"strings"
	"testing"
	"time"
)

// clock is a time that a test sets.
type clock struct{ now time.Duration }

func (c *clock) read() time.Duration { return c.now }

func get(service, caller string) *Request {
	return &Request{Method: "GET", Service: service, Caller: caller, Proxy: "edge"}
}

func at(service string, version int) Arrival {
	return Arrival{Service: service, Workload: service + "-1", Caller: "web", Version: version, Checked: true}
}

// TestEachInvariantIsNoticed breaks one after the other, and also shows the nearest thing that is no
// violation.
func TestEachInvariantIsNoticed(t *testing.T) {
	endpoint := [][2]string{{"10.0.0.1:4143", "cart"}}
	for _, tc := range []struct {
		name string
		want string // the invariant; empty: nothing is wrong
		do   func(w *Watch, c *clock)
	}{
		{"a request of another service", "S1", func(w *Watch, _ *clock) {
			r := get("cart", "web")
			w.Begin(r)
			w.Arrived(r, at("stock", 0))
		}},
		{"a request in another's name", "S1", func(w *Watch, _ *clock) {
			r := get("cart", "batch")
			w.Begin(r)
			w.Arrived(r, at("cart", 0))
		}},
		{"another's response", "S1", func(w *Watch, _ *clock) { w.Crossed(get("cart", "web"), "7") }},
		{"a request that nobody sent", "S1", func(w *Watch, _ *clock) { w.Arrived(nil, at("cart", 0)) }},
		{"a closed part that is reached", "S2", func(w *Watch, _ *clock) {
			w.Published("cart", true)
			r := get("cart", "web")
			r.Private = true
			w.Begin(r)
			w.Arrived(r, at("cart", 1))
		}},
		{"a version that does not exist yet", "S2", func(w *Watch, _ *clock) {
			w.Published("cart", false)
			r := get("cart", "web")
			w.Begin(r)
			w.Arrived(r, at("cart", 2))
		}},
		{"a refusal that no version is the reason for", "S2", func(w *Watch, _ *clock) {
			w.Published("cart", false)
			r := get("cart", "web")
			r.Private = true
			w.Begin(r)
			w.Answered(r, 404, noRoute)
		}},
		{"a refusal by a version that came meanwhile", "", func(w *Watch, _ *clock) {
			w.Published("cart", false)
			r := get("cart", "web")
			r.Private = true
			w.Begin(r)
			w.Published("cart", true)
			w.Answered(r, 404, noRoute)
		}},
		{"a POST executed twice", "S3", func(w *Watch, _ *clock) {
			r := get("cart", "web")
			r.Method = "POST"
			w.Begin(r)
			w.Arrived(r, at("cart", 0))
			w.Arrived(r, at("cart", 0))
		}},
		{"a GET executed twice", "", func(w *Watch, _ *clock) {
			r := get("cart", "web")
			w.Begin(r)
			w.Arrived(r, at("cart", 0))
			w.Arrived(r, at("cart", 0))
		}},
		{"a dial to an endpoint that left long ago", "S4", func(w *Watch, c *clock) {
			w.Learned("edge", "cart", 1, endpoint)
			w.Learned("edge", "cart", 1, nil)
			c.now += time.Second
			w.Dialed("edge", "10.0.0.1:4143", "cart")
		}},
		{"a dial to an endpoint that has come back", "", func(w *Watch, c *clock) {
			w.Learned("edge", "cart", 1, endpoint)
			w.Learned("edge", "cart", 1, nil)
			w.Learned("edge", "cart", 1, endpoint)
			c.now += time.Second
			w.Dialed("edge", "10.0.0.1:4143", "cart")
		}},
		{"a dial by a proxy that was started since", "", func(w *Watch, c *clock) {
			w.Learned("edge", "cart", 1, endpoint)
			w.Learned("edge", "cart", 1, nil)
			w.ProxyStarted("edge")
			c.now += time.Second
			w.Dialed("edge", "10.0.0.1:4143", "cart")
		}},
		{"an older configuration", "S5", func(w *Watch, _ *clock) {
			w.Learned("edge", "cart", 2, nil)
			w.Learned("edge", "cart", 1, nil)
		}},
		{"a decision by an older configuration", "S5", func(w *Watch, _ *clock) {
			w.Published("cart", false)
			w.Published("cart", false)
			w.Learned("edge", "cart", 2, nil)
			r := get("cart", "web")
			w.Begin(r)
			w.Arrived(r, at("cart", 1))
		}},
		{"too much for one connection", "S6", func(w *Watch, _ *clock) { w.Holds("edge", maxQueued+1, maxQueued+1) }},
		{"too much for all", "S6", func(w *Watch, _ *clock) { w.Holds("edge", 1, maxTotal+1) }},
		{"two outcomes", "S7", func(w *Watch, _ *clock) {
			r := get("cart", "web")
			w.Begin(r)
			w.Lost(r, "x")
			w.Lost(r, "x")
		}},
		{"an answer that nobody gave", "S7", func(w *Watch, _ *clock) {
			r := get("cart", "web")
			w.Begin(r)
			w.Answered(r, 200, "")
		}},
		{"a failure without a reason", "S7", func(w *Watch, _ *clock) {
			r := get("cart", "web")
			w.Begin(r)
			w.Answered(r, 503, "")
		}},
		{"a reason that cannot be", "S7", func(w *Watch, _ *clock) {
			r := get("cart", "web")
			w.Begin(r)
			w.Answered(r, 503, "W3309")
		}},
		{"no outcome", "S7", func(w *Watch, _ *clock) { w.Begin(get("cart", "web")); w.CheckOpen() }},
		{"another's bytes", "S7", func(w *Watch, _ *clock) { w.Garbled(get("cart", "web"), "at 7") }},
		{"no HTTP", "S7", func(w *Watch, _ *clock) { w.NoHTTP("edge", "x") }},
		{"a storm of dials", "S8", func(w *Watch, _ *clock) {
			w.Begin(get("cart", "web"))
			for range freeDials + dialsEach + 1 {
				w.Dialed("edge", "10.0.0.1:4143", "cart")
			}
		}},
		{"a request that is sent again and again", "S8", func(w *Watch, _ *clock) {
			r := get("cart", "web")
			w.Begin(r)
			for range executions + 1 {
				w.Arrived(r, at("cart", 0))
			}
		}},
		{"a connection in the clear", "S9", func(w *Watch, _ *clock) { w.Dialed("edge", "10.0.0.1:4143", "") }},
		{"an old version long after the last fault", "L1", func(w *Watch, c *clock) {
			w.Published("cart", false)
			w.Published("cart", false)
			w.Settled()
			c.now += 2 * time.Second
			r := get("cart", "web")
			w.Begin(r)
			w.Arrived(r, at("cart", 1))
		}},
		{"an old version just after it was replaced", "", func(w *Watch, c *clock) {
			w.Published("cart", false)
			w.Settled()
			c.now += 2 * time.Second
			w.Published("cart", false)
			r := get("cart", "web")
			w.Begin(r)
			w.Arrived(r, at("cart", 1))
		}},
		{"a proxy that was not told", "L1", func(w *Watch, _ *clock) {
			w.Published("cart", false)
			w.Learned("edge", "cart", 1, nil)
			w.Published("cart", false)
			w.CheckCurrent("edge")
		}},
		{"a failure while all is well", "L2", func(w *Watch, _ *clock) {
			w.Fine()
			r := get("cart", "web")
			w.Begin(r)
			w.Answered(r, 503, "W3305")
		}},
		{"a caller that gives up while all is well", "", func(w *Watch, _ *clock) {
			w.Fine()
			r := get("cart", "web")
			w.Begin(r)
			w.GaveUp(r)
		}},
		{"a failure of a request that began before", "", func(w *Watch, c *clock) {
			r := get("cart", "web")
			w.Begin(r)
			c.now++
			w.Fine()
			w.Answered(r, 503, "W3305")
		}},
		{"something that is left", "L3", func(w *Watch, _ *clock) { w.AtRest("edge", "a timer") }},
		{"an endpoint that is not forgiven", "L4", func(w *Watch, _ *clock) {
			w.Forgiven()
			for range 100 {
				r := get("cart", "web")
				w.Begin(r)
				w.Arrived(r, at("cart", 0))
			}
			w.CheckForgiven("cart", []string{"cart-1", "cart-2"})
		}},
		{"too few requests to tell", "", func(w *Watch, _ *clock) {
			w.Forgiven()
			w.CheckForgiven("cart", []string{"cart-1", "cart-2"})
		}},
		{"a panic", "P", func(w *Watch, _ *clock) { w.Broken("index out of range") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c clock
			var told []string
			w := New(c.read, func(line string) { told = append(told, line) })
			tc.do(w, &c)
			got := ""
			if len(w.Findings) > 0 {
				got = w.Findings[0].Name
			}
			if got != tc.want {
				t.Errorf("found %q, want %q: %v", got, tc.want, w.Findings)
			}
			if tc.want != "" && (len(told) == 0 || !strings.Contains(told[0], tc.want+" at ")) {
				t.Errorf("told %q", told)
			}
		})
	}
}

func TestEveryInvariantSaysWhatItIsFor(t *testing.T) {
	seen := map[string]bool{}
	for _, i := range All {
		if i.Name == "" || i.Says == "" || i.Harm == "" || seen[i.Name] {
			t.Errorf("%+v", *i)
		}
		seen[i.Name] = true
	}
}
