package core

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/resilience"
)

// field gives the value of a field of a request as an application got it.
func field(request, name string) string {
	head, _, _ := strings.Cut(request, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if n, v, ok := strings.Cut(line, ": "); ok && strings.EqualFold(n, name) {
			return v
		}
	}
	return ""
}

// mustBeLeft fails if a field does not say that a little less than d is left.
func mustBeLeft(t *testing.T, request, name string, d time.Duration) {
	t.Helper()
	got, ok := resilience.ParseTimeout([]byte(field(request, name)))
	if !ok || got > d || got < d-3*time.Millisecond {
		t.Errorf("%s says %q, want a little less than %s", name, field(request, name), d)
	}
}

func ordinary(*model.Calls) {}

const inTime = "GET / HTTP/1.1\r\nHost: cart\r\nWeft-Timeout: 250m\r\n\r\n"

func TestTheTimeThatIsLeftGoesAlong(t *testing.T) {
	for name, makeRig := range bothWays {
		t.Run(name, func(t *testing.T) {
			r := trialOf(t, makeRig, ordinary)
			mustAnswer(t, r.tell(inTime, 0), "200")
			mustBeLeft(t, r.asked[0], fieldTimeout, 250*time.Millisecond)

			grpc := "POST / HTTP/1.1\r\nHost: cart\r\nContent-Type: application/grpc\r\nGrpc-Timeout: 2S\r\nContent-Length: 0\r\n\r\n"
			mustAnswer(t, r.tell(grpc, 0), "200")
			mustBeLeft(t, r.asked[1], fieldGRPCTimeout, 2*time.Second)
			if field(r.asked[1], fieldTimeout) != "" {
				t.Errorf("it is said twice: %q", r.asked[1])
			}

			both := strings.Replace(grpc, "Content-Type", "Weft-Timeout: 1S\r\nWeft-Timeout: 3S\r\nContent-Type", 1)
			mustAnswer(t, r.tell(both, 0), "200")
			mustBeLeft(t, r.asked[2], fieldGRPCTimeout, time.Second)
			mustBeLeft(t, r.asked[2], fieldTimeout, time.Second)
			if n := strings.Count(r.asked[2], fieldTimeout); n != 1 {
				t.Errorf("it is said %d times: %q", n, r.asked[2])
			}

			// Of who does not speak gRPC, grpc-timeout is a field like any other.
			mustAnswer(t, r.tell("GET / HTTP/1.1\r\nHost: cart\r\nGrpc-Timeout: 2S\r\n\r\n", 0), "200")
			if field(r.asked[3], fieldGRPCTimeout) != "2S" || field(r.asked[3], fieldTimeout) != "" {
				t.Errorf("the application got %q", r.asked[3])
			}
		})
	}
}

func TestARoutesTimeoutGoesAlongToo(t *testing.T) {
	r := newTrial(t, func(c *model.Calls) { c.Timeouts.Request = time.Second })
	mustAnswer(t, r.tell(getItems, 0), "200")
	mustBeLeft(t, r.asked[0], fieldTimeout, time.Second)
	mustAnswer(t, r.tell(strings.Replace(inTime, "250m", "2S", 1), 0), "200") // it can only shorten
	mustBeLeft(t, r.asked[1], fieldTimeout, time.Second)
	mustAnswer(t, r.tell(inTime, 0), "200")
	mustBeLeft(t, r.asked[2], fieldTimeout, 250*time.Millisecond)

	r = newTrial(t, func(c *model.Calls) {
		c.Timeouts = model.Timeouts{Request: time.Second, BackendRequest: 200 * time.Millisecond}
	})
	mustAnswer(t, r.tell(getItems, 0), "200")
	mustBeLeft(t, r.asked[0], fieldTimeout, 200*time.Millisecond)
}

func TestWhoSaysNothingIsToldNothing(t *testing.T) {
	r := newTrial(t, ordinary)
	mustAnswer(t, r.tell(getItems, 0), "200")
	if strings.Contains(r.asked[0], "timeout") {
		t.Errorf("the application got %q", r.asked[0])
	}
	for _, bad := range []string{"soon", "-1S", "123456789m", "1.5S", ""} {
		mustAnswer(t, r.tell(strings.Replace(inTime, "250m", bad, 1), 0), "200")
	}
}

func TestALaterTryHasLessTime(t *testing.T) {
	r := newTrial(t, on(model.RetryCodes), strings.Replace(busyAnswer, "Content", "Retry-After: 1\r\nContent", 1))
	mustAnswer(t, r.tell(strings.Replace(inTime, "250m", "3S", 1), 1200*time.Millisecond), "200")
	if len(r.asked) != 2 {
		t.Fatalf("asked %d times", len(r.asked))
	}
	if got, _ := resilience.ParseTimeout([]byte(field(r.asked[1], fieldTimeout))); got > 2*time.Second || got < 1900*time.Millisecond {
		t.Errorf("the second try has %s", got)
	}
}

func TestARequestEndsWithTheTimeOfItsCaller(t *testing.T) {
	for name, makeRig := range bothWays {
		t.Run(name, func(t *testing.T) {
			r := trialOf(t, makeRig, ordinary, "")
			c := r.dial()
			c.send([]byte(inTime))
			r.pass(245*time.Millisecond, time.Millisecond)
			if len(c.in) > 0 {
				t.Errorf("answered before: %q", c.in)
			}
			r.pass(15*time.Millisecond, time.Millisecond)
			got := string(c.in)
			if !strings.HasPrefix(got, "HTTP/1.1 504 ") || !strings.Contains(got, "W3308") || !strings.Contains(got, "the time that the caller gives it") {
				t.Errorf("got %q", got)
			}
			if !r.pipes[0].other.gone {
				t.Error("the application still works on it")
			}
			r.mustHoldNothing()
		})
	}
}

func TestWhatHasNoTimeLeftIsRefusedAtOnce(t *testing.T) {
	r := newTrial(t, ordinary)
	r.settle()
	got := r.tell(strings.Replace(inTime, "250m", "0m", 1), 0)
	if !strings.HasPrefix(got, "HTTP/1.1 504 ") || !strings.Contains(got, "W3312") || len(r.asked) > 0 {
		t.Errorf("asked %d times, got %q", len(r.asked), got)
	}
	got = r.tell("POST / HTTP/1.1\r\nHost: cart\r\nContent-Type: application/grpc\r\nGrpc-Timeout: 0S\r\nContent-Length: 0\r\n\r\n", 0)
	if !strings.Contains(got, "grpc-status: 4\r\n") || len(r.asked) > 0 {
		t.Errorf("gRPC: asked %d times, got %q", len(r.asked), got)
	}
}

// The callee's proxy keeps the time by itself: the caller's may be gone, or not keep it.
func TestTheCalleesProxyKeepsTheTime(t *testing.T) {
	r := newTrial(t, ordinary, "")
	c := r.dial()
	c.send([]byte(inTime))
	r.settle()
	cl := r.client.core // it stops here
	r.client.core = New(Config{Host: r.client, Now: r.now, Rand: cl.rand, Shard: cl.shard})
	r.pass(300*time.Millisecond, time.Millisecond)
	if !r.pipes[0].other.gone {
		t.Error("the application still works on it")
	}
	if u := r.server.core.Usage(); u.Used > 0 {
		t.Errorf("the callee's proxy holds %+v", u)
	}
}

func TestFirstContactIsPartOfTheTime(t *testing.T) {
	r := newTrial(t, ordinary)
	mine, theirs := &pipe{client: true}, &pipe{host: r.client}
	r.connect(mine, theirs)
	theirs.conn = r.client.core.Accept(Accept{Listener: &Listener{Kind: ListenProxy}, Driver: theirs})
	mine.send([]byte("GET http://unheard.shop/ HTTP/1.1\r\nHost: unheard.shop\r\nWeft-Timeout: 250m\r\n\r\n"))
	r.pass(270*time.Millisecond, time.Millisecond)
	if got := string(mine.in); !strings.HasPrefix(got, "HTTP/1.1 504 ") || !strings.Contains(got, "W3308") {
		t.Errorf("got %q", got)
	}
}

// A conversation begins in time and then lasts as long as it likes.
func TestAnUpgradedConnectionOutlivesTheDeadline(t *testing.T) {
	r := newTrial(t, func(c *model.Calls) { c.Timeouts.BackendRequest = 200 * time.Millisecond }, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	c := r.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\nConnection: upgrade\r\nUpgrade: echo\r\nWeft-Timeout: 250m\r\n\r\n"))
	r.pass(time.Second, time.Millisecond)
	r.pipes[0].send([]byte("still here"))
	r.settle()
	if !strings.HasSuffix(string(c.in), "still here") {
		t.Errorf("got %q", c.in)
	}
}

// Who gives up is not worked for, wherever it is noticed.
func TestWhatNobodyWaitsForIsCancelled(t *testing.T) {
	for name, makeRig := range bothWays {
		r := trialOf(t, makeRig, ordinary, "")
		c := r.dial()
		c.send([]byte(getItems))
		r.settle()
		if len(r.pipes) != 1 || r.pipes[0].other.gone {
			t.Fatalf("%s: asked %d times", name, len(r.pipes))
		}
		c.other.gone = true
		r.client.core.Closed(c.other.conn, errReset)
		r.pass(2*time.Millisecond, time.Millisecond)
		if !r.pipes[0].other.gone {
			t.Errorf("%s: the application still works for a caller that is gone", name)
		}
		r.mustHoldNothing()
	}
}
