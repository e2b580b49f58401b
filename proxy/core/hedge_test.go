package core

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/resilience"
)

// learn makes the caller's core believe that its answers took so long up to now.
func (r *rig) learn(d time.Duration) {
	c := r.client.core
	for src := range c.table.Sets {
		l := new(resilience.Latencies)
		for range 100 {
			l.Observe(c.now, d)
		}
		c.set(src).latencies = l
	}
}

func hedged(c *model.Calls) { c.Hedge = &model.Hedge{Percentile: 95, Min: time.Millisecond} }

// newHedgeTrial is a trial whose answers took 30 ms so far.
func newHedgeTrial(t *testing.T, makeRig func(testing.TB, *model.Service, Limits) *rig, change func(*model.Calls), answers ...string) *trial {
	r := trialOf(t, makeRig, change, answers...)
	r.settle()
	r.learn(30 * time.Millisecond)
	return r
}

var bothWays = map[string]func(testing.TB, *model.Service, Limits) *rig{"link": newRig, "hop": newNodeRig}

func TestASlowRequestIsAskedOfAnotherToo(t *testing.T) {
	for name, makeRig := range bothWays {
		t.Run(name, func(t *testing.T) {
			r := newHedgeTrial(t, makeRig, hedged, "")
			c := r.dial()
			c.send([]byte(getItems))
			r.pass(25*time.Millisecond, time.Millisecond)
			if len(r.asked) != 1 {
				t.Fatalf("asked %d times before its time", len(r.asked))
			}
			r.pass(25*time.Millisecond, time.Millisecond)
			got := string(c.in)
			mustAnswer(t, got, "200")
			if !strings.HasSuffix(got, "hello") || !strings.Contains(got, "weft-attempts: 2\r\n") {
				t.Errorf("got %q", got)
			}
			if len(r.asked) != 2 || r.at[0] == r.at[1] || !r.pipes[0].other.gone {
				t.Errorf("asked %d times at %v; the first is cancelled: %v", len(r.asked), r.at, r.pipes[0].other.gone)
			}
			if !strings.Contains(r.asked[1], "weft-attempt: 2\r\n") {
				t.Errorf("the second is %q", r.asked[1])
			}
			s := r.counted()
			if s.Hedges.Load() != 1 || s.HedgesWon.Load() != 1 || s.Retries.Load() != 0 || s.Successes.Load() != 1 || s.Opened.Load() != 1 {
				t.Errorf("counted %d hedges, %d won, %d retries, %d of %d", s.Hedges.Load(), s.HedgesWon.Load(), s.Retries.Load(), s.Successes.Load(), s.Opened.Load())
			}
			r.mustHoldNothing()
			mustAnswer(t, r.tell(getItems, 0), "200")
		})
	}
}

// mustHoldNothing fails if a request is under way at either end.
func (r *rig) mustHoldNothing() {
	r.t.Helper()
	for _, h := range []*host{r.client, r.server} {
		if u := h.core.Usage(); u.Inflight > 0 || u.Waiters > 0 || h.core.parked > 0 {
			r.t.Errorf("something is left: %+v, %d bytes", u, h.core.parked)
		}
	}
}

func TestTheFirstMayStillWin(t *testing.T) {
	for name, makeRig := range bothWays {
		t.Run(name, func(t *testing.T) {
			r := newHedgeTrial(t, makeRig, hedged, "", "")
			c := r.dial()
			c.send([]byte(getItems))
			r.pass(50*time.Millisecond, time.Millisecond)
			if len(r.asked) != 2 {
				t.Fatalf("asked %d times", len(r.asked))
			}
			r.pipes[0].send([]byte(wellAnswer))
			r.settle()
			mustAnswer(t, string(c.in), "200")
			if s := r.counted(); s.Hedges.Load() != 1 || s.HedgesWon.Load() != 0 {
				t.Errorf("%d hedges, %d won", s.Hedges.Load(), s.HedgesWon.Load())
			}
			if !r.pipes[1].other.gone {
				t.Error("the second is not cancelled")
			}
			r.mustHoldNothing()
		})
	}
}

func TestAFailedHedgeHarmsNobody(t *testing.T) {
	for name, makeRig := range bothWays {
		for _, harm := range []string{busyAnswer, "reset", "garbage\r\n\r\n"} {
			r := newHedgeTrial(t, makeRig, hedged, "", harm)
			c := r.dial()
			c.send([]byte(getItems))
			r.pass(50*time.Millisecond, time.Millisecond)
			if len(r.asked) != 2 || len(c.in) > 0 {
				t.Fatalf("%s, %.5q: asked %d times, got %q", name, harm, len(r.asked), c.in)
			}
			r.pipes[0].send([]byte(wellAnswer))
			r.settle()
			mustAnswer(t, string(c.in), "200")
			r.mustHoldNothing()
		}
	}
}

func TestAHedgeStandsInForAFirstThatBreaks(t *testing.T) {
	for name, makeRig := range bothWays {
		for _, harm := range []string{"reset", busyAnswer} {
			for _, well := range []bool{true, false} {
				r := newHedgeTrial(t, makeRig, func(c *model.Calls) { hedged(c); on(model.RetryCodes | model.RetryReset)(c); c.Retry.Attempts = 1 }, "", "", "")
				c := r.dial()
				c.send([]byte(getItems))
				r.pass(50*time.Millisecond, time.Millisecond)
				if len(r.asked) != 2 {
					t.Fatalf("%s: asked %d times", name, len(r.asked))
				}
				breaks := func(p *pipe) {
					if harm == "reset" {
						p.other.eof = true
					} else {
						p.send([]byte(harm))
					}
				}
				breaks(r.pipes[0])
				r.pass(10*time.Millisecond, time.Millisecond)
				if len(c.in) > 0 || len(r.asked) != 2 {
					t.Fatalf("%s, %.5q: asked %d times, got %q", name, harm, len(r.asked), c.in)
				}
				if well {
					r.pipes[1].send([]byte(wellAnswer))
					r.settle()
					mustAnswer(t, string(c.in), "200")
					r.mustHoldNothing()
					continue
				}
				breaks(r.pipes[1])
				r.pass(100*time.Millisecond, time.Millisecond)
				if len(r.asked) != 3 {
					t.Fatalf("%s, %.5q: both broke; asked %d times, got %q", name, harm, len(r.asked), c.in)
				}
				r.pipes[2].send([]byte(wellAnswer))
				r.settle()
				mustAnswer(t, string(c.in), "200")
				r.mustHoldNothing()
			}
		}
	}
}

func TestWhatIsNotSafeIsNotHedged(t *testing.T) {
	for _, request := range []string{
		"POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 0\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: cart\r\nContent-Length: 10\r\n\r\nhello", // not complete
		"GET / HTTP/1.1\r\nHost: cart\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: cart\r\nWeft-Attempt: 2\r\n\r\n",
	} {
		r := newHedgeTrial(t, newRig, hedged, "", "")
		r.dial().send([]byte(request))
		if r.pass(500*time.Millisecond, time.Millisecond); len(r.asked) > 1 || r.client.core.shard == nil {
			t.Errorf("%q was asked %d times", request, len(r.asked))
		}
	}
	r := newHedgeTrial(t, newRig, func(c *model.Calls) { hedged(c); c.Retry.Budget = model.RetryBudget{Window: time.Second} }, "", "")
	r.dial().send([]byte(getItems))
	if r.pass(500*time.Millisecond, time.Millisecond); len(r.asked) > 1 {
		t.Errorf("without a budget it was asked %d times", len(r.asked))
	}
}

func TestAHedgeHasTheBodyToo(t *testing.T) {
	r := newHedgeTrial(t, newRig, hedged, "")
	mustAnswer(t, r.tell("PUT / HTTP/1.1\r\nHost: cart\r\nContent-Length: 5\r\n\r\nhello", 60*time.Millisecond), "200")
	if len(r.asked) != 2 || !strings.HasSuffix(r.asked[1], "\r\n\r\nhello") {
		t.Errorf("asked %q", r.asked)
	}
	r.mustHoldNothing()
}

// The answer of a hedge may be long, and its reader slow.
func TestALongAnswerOfAHedgeArrivesWhole(t *testing.T) {
	for name, makeRig := range bothWays {
		body := strings.Repeat("0123456789", 50_000)
		r := newHedgeTrial(t, makeRig, hedged, "", "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n"+body)
		r.slow = true
		got := r.tell(getItems, 100*time.Millisecond)
		if !strings.HasSuffix(got, "\r\n\r\n"+body) {
			t.Errorf("%s: got %d bytes", name, len(got))
		}
		r.mustHoldNothing()
	}
}

func TestACallerThatGivesUpEndsBoth(t *testing.T) {
	for name, makeRig := range bothWays {
		r := newHedgeTrial(t, makeRig, hedged, "", "")
		c := r.dial()
		c.send([]byte(getItems))
		r.pass(50*time.Millisecond, time.Millisecond)
		c.other.gone = true
		r.client.core.Closed(c.other.conn, errReset)
		r.pass(2*time.Millisecond, time.Millisecond)
		if len(r.pipes) != 2 || !r.pipes[0].other.gone || !r.pipes[1].other.gone {
			t.Errorf("%s: of %d tries not all were cancelled", name, len(r.pipes))
		}
		r.mustHoldNothing()
	}
}

// The latencies that decide are those of the answers.
func TestHedgesBeginBehindTheMeasuredPercentile(t *testing.T) {
	r := newTrial(t, hedged)
	for i := range 100 {
		r.answers = append(r.answers, "")
		c := r.dial()
		c.send([]byte(getItems))
		r.settle()
		r.now += 20 * time.Millisecond
		r.pipes[i].send([]byte(wellAnswer))
		r.settle()
		mustAnswer(t, string(c.in), "200")
	}
	r.answers = append(r.answers, "")
	r.dial().send([]byte(getItems))
	r.pass(18*time.Millisecond, time.Millisecond)
	if len(r.asked) != 101 {
		t.Errorf("asked %d times before", len(r.asked)-100)
	}
	r.pass(15*time.Millisecond, time.Millisecond)
	if len(r.asked) != 102 {
		t.Errorf("asked %d times behind", len(r.asked)-100)
	}
}

func TestTrailersOfAHedgeArrive(t *testing.T) {
	for name, makeRig := range bothWays {
		r := newHedgeTrial(t, makeRig, hedged, "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")
		if got := r.tell(getItems, 60*time.Millisecond); !strings.HasSuffix(got, "\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n") {
			t.Errorf("%s: got %q", name, got)
		}
		r.mustHoldNothing()
	}
}

// An answer that has begun is not begun again by somebody else.
func TestAnAnswerOfAHedgeThatBreaksOffIsCut(t *testing.T) {
	for name, makeRig := range bothWays {
		r := newHedgeTrial(t, makeRig, func(c *model.Calls) { hedged(c); on(model.RetryReset)(c) }, "", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		c := r.dial()
		c.send([]byte(getItems))
		r.pass(50*time.Millisecond, time.Millisecond)
		if len(r.asked) != 2 || !strings.HasSuffix(string(c.in), "hello") {
			t.Fatalf("%s: asked %d times, got %q", name, len(r.asked), c.in)
		}
		r.pipes[1].other.eof = true
		r.pass(100*time.Millisecond, time.Millisecond)
		if !c.eof || len(r.asked) != 2 {
			t.Errorf("%s: asked %d times; the caller's connection has ended: %v", name, len(r.asked), c.eof)
		}
		r.mustHoldNothing()
	}
}
