package core

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// rigOther is a second endpoint of the rig's service, behind the server's core.
func rigOther(r *rig) model.Endpoint {
	ep := rigEndpoint
	ep.Addr, ep.Link, ep.Workload.Name = netip.MustParseAddrPort("127.0.0.1:9100"), netip.MustParseAddrPort("10.0.0.9:9001"), "cart-2"
	r.server.core.locals[0].Ports = []AppPort{{Addr: rigApp}, {Addr: ep.Addr}}
	return ep
}

// trial is a rig of two endpoints whose application answers by a script.
type trial struct {
	*rig
	answers []string // of the requests in their order; "" is silence; behind the last all is well
	asked   []string // the requests, as the application got them
	at      []netip.AddrPort
	pipes   []*pipe
}

const (
	wellAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	busyAnswer = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
)

// newTrial makes a rig whose service's requests are tried as change says, beginning with the defaults.
func newTrial(t testing.TB, change func(*model.Calls), answers ...string) *trial {
	return trialOf(t, newRig, change, answers...)
}

func trialOf(t testing.TB, makeRig func(testing.TB, *model.Service, Limits) *rig, change func(*model.Calls), answers ...string) *trial {
	t.Helper()
	p := model.DefaultPolicy
	change(&p.Calls)
	svc := &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP, Policy: &p}}}
	r := &trial{rig: makeRig(t, svc, Limits{}), answers: answers}
	r.publish(svc, rigEndpoint, rigOther(r.rig))
	r.app = func(p *pipe, in []byte) {
		if n := len(r.pipes); n > 0 && r.pipes[n-1] == p && !whole(r.asked[n-1]) {
			r.asked[n-1] += string(in)
		} else {
			r.asked, r.at, r.pipes = append(r.asked, string(in)), append(r.at, p.addr), append(r.pipes, p)
		}
		if n := len(r.asked); whole(r.asked[n-1]) {
			answer := wellAnswer
			if n <= len(r.answers) {
				answer = r.answers[n-1]
			}
			switch answer {
			case "":
			case "reset":
				p.other.eof = true
			default:
				p.send([]byte(answer))
			}
		}
	}
	return r
}

// whole reports whether a request is complete.
func whole(request string) bool {
	head, body, ok := strings.Cut(request, "\r\n\r\n")
	if !ok {
		return false
	}
	var n int
	if _, v, ok := strings.Cut(strings.ToLower(head), "content-length: "); ok {
		_, _ = fmt.Sscan(v, &n)
	}
	return len(body) >= n
}

// tell sends a request and gives the answer that there is after a while.
func (r *trial) tell(request string, after time.Duration) string {
	c := r.dial()
	c.send([]byte(request))
	r.settle()
	for end := r.now + after; r.now < end; r.now += time.Millisecond {
		r.settle()
	}
	return string(c.in)
}

// counted gives the only outbound series.
func (r *trial) counted() *telemetry.Series {
	r.t.Helper()
	for _, s := range r.client.core.series {
		return s
	}
	r.t.Fatal("nothing was counted")
	return nil
}

func mustAnswer(t *testing.T, got, status string) {
	t.Helper()
	if !strings.HasPrefix(got, "HTTP/1.1 "+status+" ") {
		t.Errorf("got %q, want %s", got, status)
	}
}

func on(causes model.RetryOn) func(*model.Calls) {
	return func(c *model.Calls) {
		c.Retry.On, c.Retry.Codes, c.Retry.GRPC = causes, []int{503}, []int{14}
	}
}

func TestAFailedAnswerIsTriedAgainElsewhere(t *testing.T) {
	for name, makeRig := range bothWays {
		t.Run(name, func(t *testing.T) {
			r := trialOf(t, makeRig, on(model.RetryCodes), busyAnswer)
			got := r.tell(getItems, 100*time.Millisecond)
			mustAnswer(t, got, "200")
			if !strings.Contains(got, "weft-attempts: 2\r\n") || !strings.HasSuffix(got, "hello") {
				t.Errorf("the answer is %q", got)
			}
			if len(r.asked) != 2 || r.at[0] == r.at[1] {
				t.Fatalf("asked %q at %v", r.asked, r.at)
			}
			if strings.Contains(r.asked[0], "weft-attempt") || !strings.Contains(r.asked[1], "weft-attempt: 2\r\n") {
				t.Errorf("the tries are told apart as %q", r.asked)
			}
			s := r.counted()
			if s.Retries.Load() != 1 || s.TriesFailed.Load() != 1 || s.Successes.Load() != 1 || s.Failures.Load() != 0 || s.Opened.Load() != 1 {
				t.Errorf("counted %d retries, %d failed tries, %d successes, %d failures of %d", s.Retries.Load(), s.TriesFailed.Load(), s.Successes.Load(), s.Failures.Load(), s.Opened.Load())
			}
		})
	}
}

func TestAFailedAnswerIsPassedOnWhenNoTryIsLeft(t *testing.T) {
	r := newTrial(t, on(model.RetryCodes), busyAnswer, busyAnswer, busyAnswer)
	got := r.tell(getItems, time.Second)
	mustAnswer(t, got, "503")
	if !strings.HasSuffix(got, "busy") || !strings.Contains(got, "weft-attempts: 3\r\n") || len(r.asked) != 3 {
		t.Errorf("got %q after %d tries", got, len(r.asked))
	}
	if s := r.counted(); s.TriesFailed.Load() != 3 || s.Retries.Load() != 2 || s.Failures.Load() != 1 {
		t.Errorf("counted %d failed tries, %d retries, %d failures", s.TriesFailed.Load(), s.Retries.Load(), s.Failures.Load())
	}
}

// Nothing that may have been processed and is not safe to do twice is done twice.
func TestWhatIsNotSafeIsSentOnce(t *testing.T) {
	all := on(model.RetryCodes | model.RetryReset | model.RetryTimeout | model.RetryGRPC)
	for name, answer := range map[string]string{"an answer": busyAnswer, "a reset": "reset", "a timeout": ""} {
		for _, request := range []string{
			"POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 0\r\n\r\n",
			"PATCH / HTTP/1.1\r\nHost: cart\r\nContent-Length: 2\r\n\r\nhi",
			"GET / HTTP/1.1\r\nHost: cart\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		} {
			r := newTrial(t, func(c *model.Calls) { all(c); c.Timeouts.BackendRequest = 50 * time.Millisecond }, answer)
			got := r.tell(request, time.Second)
			if len(r.asked) != 1 || !strings.HasPrefix(got, "HTTP/1.1 50") {
				t.Errorf("after %s, %.5s was sent %d times; answer %q", name, request, len(r.asked), got)
			}
		}
	}
}

func TestAResetBeforeTheAnswerIsTriedAgain(t *testing.T) {
	r := newTrial(t, on(model.RetryReset), "reset", "reset")
	mustAnswer(t, r.tell(getItems, time.Second), "200")
	if len(r.asked) != 3 {
		t.Errorf("asked %d times", len(r.asked))
	}
	r = newTrial(t, on(model.RetryCodes), "reset")
	if got := r.tell(getItems, time.Second); !strings.Contains(got, "W3306") || len(r.asked) != 1 {
		t.Errorf("without a setting for it: asked %d times, answer %q", len(r.asked), got)
	}
}

func TestADeclaredRequestIsSentAgainWithItsWholeBody(t *testing.T) {
	for _, size := range []int{2, 5000, 60_000} {
		r := newTrial(t, func(c *model.Calls) { on(model.RetryCodes)(c); c.Retry.Idempotent = true }, busyAnswer)
		body := strings.Repeat("0123456789", size/10+1)[:size]
		c := r.dial()
		c.send(fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: %d\r\n\r\n", size))
		for i := 0; i < size; i += 7000 {
			c.send([]byte(body[i:min(i+7000, size)]))
			r.settle()
		}
		r.pass(100*time.Millisecond, time.Millisecond)
		mustAnswer(t, string(c.in), "200")
		if len(r.asked) != 2 || !strings.HasSuffix(r.asked[1], "\r\n\r\n"+body) {
			t.Errorf("%d bytes: asked %d times, the last time with %d bytes", size, len(r.asked), len(r.asked[len(r.asked)-1]))
		}
		if n := r.client.core.parked; n != 0 {
			t.Errorf("%d bytes are still held", n)
		}
	}
}

func TestABodyBeyondTheBoundIsNotHeld(t *testing.T) {
	for _, length := range []string{"Content-Length: 2000", "Transfer-Encoding: chunked"} {
		r := newTrial(t, func(c *model.Calls) { on(model.RetryCodes)(c); c.Retry.Body = 1999 }, busyAnswer)
		r.app = func(p *pipe, in []byte) {
			r.asked = append(r.asked, string(in))
			if strings.HasSuffix(string(in), "b") || strings.HasSuffix(string(in), "0\r\n\r\n") {
				p.send([]byte(busyAnswer))
			}
		}
		body := strings.Repeat("b", 2000)
		if strings.HasPrefix(length, "T") {
			body = "7d0\r\n" + body + "\r\n0\r\n\r\n"
		}
		mustAnswer(t, r.tell("PUT / HTTP/1.1\r\nHost: cart\r\n"+length+"\r\n\r\n"+body, time.Second), "503")
		for range 4 { // and then with links that stand, so that nothing has to wait
			r.asked = nil
			if mustAnswer(t, r.tell("PUT / HTTP/1.1\r\nHost: cart\r\n"+length+"\r\n\r\n"+body, time.Second), "503"); len(r.asked) > 2 || r.client.core.parked > 0 {
				t.Errorf("the application got %q", r.asked)
			}
		}
	}
}

// What was answered is not sent again: its body need not be kept while the answer comes.
func TestABodyIsHeldUntilTheAnswerBegins(t *testing.T) {
	r := newTrial(t, on(model.RetryCodes), "")
	c := r.dial()
	c.send([]byte("PUT / HTTP/1.1\r\nHost: cart\r\nContent-Length: 5\r\n\r\nhello"))
	r.settle()
	if n := r.client.core.parked; n != 5 {
		t.Errorf("before the answer %d bytes are held", n)
	}
	r.pipes[0].send([]byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome"))
	r.pass(2*time.Millisecond, time.Millisecond)
	if n := r.client.core.parked; n != 0 || len(c.in) == 0 {
		t.Errorf("%d bytes are held while the answer comes, of which there is %q", n, c.in)
	}
}

// Another endpoint is asked even if it seems the worse one.
func TestATryGoesElsewhereThanTheLast(t *testing.T) {
	for range 10 {
		r := newTrial(t, on(model.RetryCodes), busyAnswer)
		c := r.client.core
		for src := range c.table.Sets {
			set := &c.set(src).set
			for first := set.Pick(c.now, balance.Request{Rand: 1}); ; {
				if ep := set.Pick(c.now, balance.Request{Rand: c.rand(), Avoid: first}); ep != first {
					ep.Start()
					ep.Settle(c.now, time.Minute, true)
					break
				}
			}
		}
		mustAnswer(t, r.tell(getItems, 100*time.Millisecond), "200")
		if len(r.at) != 2 || r.at[0] == r.at[1] {
			t.Fatalf("asked at %v", r.at)
		}
	}
}

func TestTheBodiesThatALoopHoldsAreBounded(t *testing.T) {
	r := newTrial(t, func(c *model.Calls) { on(model.RetryCodes)(c) }, "")
	r.client.core.limits.MaxHeld = 100_000
	request := "PUT / HTTP/1.1\r\nHost: cart\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("b", 20_000)
	for range 10 {
		r.dial().send([]byte(request))
		r.settle()
	}
	if n := r.client.core.parked; n < 20_000 || n > 25_000 {
		t.Errorf("%d bytes are held, of at most 25,000", n)
	}
}

func TestAnApplicationMaySayWhenToTryAgain(t *testing.T) {
	busy := func(field string) string {
		return "HTTP/1.1 503 Busy\r\n" + field + "\r\nContent-Length: 4\r\n\r\nbusy"
	}
	for _, c := range []struct {
		name    string
		field   string
		change  func(*model.Calls)
		early   int // asked after 900 ms
		late    int // and after 1.2 s
		status  string
		request string
	}{
		{name: "seconds", field: "Retry-After: 1", early: 1, late: 2, status: "200"},
		{name: "a time", field: "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:38 GMT", early: 1, late: 2, status: "200"},
		{name: "longer than anything waits", field: "Retry-After: 60", early: 1, late: 1, status: "503"},
		{name: "beyond the deadline", field: "Retry-After: 1", early: 1, late: 1, status: "503", change: func(c *model.Calls) { c.Timeouts.Request = time.Second }},
		{name: "never", field: "grpc-retry-pushback-ms: -1", early: 1, late: 1, status: "503"},
		{name: "push-back", field: "grpc-retry-pushback-ms: 1000", early: 1, late: 2, status: "200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTrial(t, func(calls *model.Calls) {
				on(model.RetryCodes)(calls)
				if c.change != nil {
					c.change(calls)
				}
			}, busy(c.field))
			cl := r.dial()
			cl.send([]byte(getItems))
			r.pass(900*time.Millisecond, time.Millisecond)
			early := len(r.asked)
			r.pass(300*time.Millisecond, time.Millisecond)
			if early != c.early || len(r.asked) != c.late {
				t.Errorf("asked %d times after 900 ms, %d after 1.2 s", early, len(r.asked))
			}
			mustAnswer(t, string(cl.in), c.status)
		})
	}
}

func TestRetriesStopWhenTheBudgetIsSpent(t *testing.T) {
	r := newTrial(t, func(c *model.Calls) {
		on(model.RetryCodes)(c)
		c.Retry.Budget = model.RetryBudget{MinPerSecond: 2, Window: 2 * time.Second}
	})
	for range 100 {
		r.answers = append(r.answers, busyAnswer)
	}
	for range 8 {
		mustAnswer(t, r.tell(getItems, 120*time.Millisecond), "503")
	}
	if n := len(r.asked); n != 8+4 {
		t.Errorf("8 requests were %d tries, want 4 more", n)
	}
	for b := range r.client.core.Budgets {
		if b.Workload != rigWeb.Name || b.Service != rigService || b.Port != 80 || b.Repeats != 0 || b.Requeues != 4 {
			t.Errorf("the budget is %+v", b)
		}
	}
	r.pass(2200*time.Millisecond, 10*time.Millisecond)
	r.asked, r.at, r.pipes = nil, nil, nil
	if r.tell(getItems, 200*time.Millisecond); len(r.asked) != 3 {
		t.Errorf("two seconds later: %d tries", len(r.asked))
	}
}

func TestATryThatTakesTooLongIsGivenUp(t *testing.T) {
	limit := func(c *model.Calls) {
		c.Timeouts = model.Timeouts{Request: 250 * time.Millisecond, BackendRequest: 100 * time.Millisecond}
	}
	r := newTrial(t, func(c *model.Calls) { on(model.RetryTimeout)(c); limit(c) }, "")
	got := r.tell(getItems, 240*time.Millisecond)
	mustAnswer(t, got, "200")
	if len(r.asked) != 2 || r.at[0] == r.at[1] || !r.pipes[0].other.gone {
		t.Errorf("asked %d times, at %v; the first is cancelled: %v", len(r.asked), r.at, r.pipes[0].other.gone)
	}
	// Without a setting for it.
	r = newTrial(t, limit, "")
	c := r.dial()
	c.send([]byte(getItems))
	r.pass(95*time.Millisecond, time.Millisecond)
	if len(c.in) > 0 {
		t.Errorf("answered before its time: %q", c.in)
	}
	r.pass(20*time.Millisecond, time.Millisecond)
	if got := string(c.in); !strings.HasPrefix(got, "HTTP/1.1 504 ") || !strings.Contains(got, "W3308") || len(r.asked) != 1 {
		t.Errorf("asked %d times, got %q", len(r.asked), got)
	}
	// The time for the request covers all tries.
	r = newTrial(t, func(c *model.Calls) { on(model.RetryTimeout)(c); limit(c); c.Retry.Attempts = 5 }, "", "", "", "", "")
	c = r.dial()
	c.send([]byte(getItems))
	r.pass(260*time.Millisecond, time.Millisecond) // or sooner, if there is no time for another try
	if got := string(c.in); !strings.HasPrefix(got, "HTTP/1.1 504 ") || len(r.asked) < 2 || len(r.asked) > 3 {
		t.Errorf("asked %d times, got %q", len(r.asked), got)
	}
}

func TestAGRPCStatusIsTriedAgain(t *testing.T) {
	const call = "POST /shop.Cart/Get HTTP/1.1\r\nHost: cart\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n"
	failed := "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 14\r\nContent-Length: 0\r\n\r\n"
	r := newTrial(t, func(c *model.Calls) { on(model.RetryGRPC)(c); c.Retry.Idempotent = true }, failed)
	mustAnswer(t, r.tell(call, 200*time.Millisecond), "200")
	if len(r.asked) != 2 {
		t.Errorf("declared: asked %d times", len(r.asked))
	}
	r = newTrial(t, on(model.RetryGRPC), failed)
	if got := r.tell(call, 200*time.Millisecond); len(r.asked) != 1 || !strings.Contains(got, "grpc-status: 14") {
		t.Errorf("undeclared: asked %d times, got %q", len(r.asked), got)
	}
}

// An application that fails because what it called failed, after its proxy tried that again, is not
// asked again: three tiers of three tries would be 27.
func TestAFailureFromFurtherOnIsNotMultiplied(t *testing.T) {
	for name, makeRig := range bothWays {
		r := trialOf(t, makeRig, on(model.RetryCodes), "", busyAnswer, busyAnswer)
		callee, place := r.server.core, 0
		if name == "hop" {
			callee, place = r.client.core, 1
			r.publishOnly(rigEndpoint)
		}
		c := r.dial()
		c.send([]byte(getItems))
		r.settle()
		r.now += time.Millisecond
		callee.shared.callFailed(callee.locals[place], r.now)
		r.pipes[0].send([]byte(busyAnswer))
		r.pass(300*time.Millisecond, time.Millisecond)
		if got := string(c.in); !strings.HasPrefix(got, "HTTP/1.1 503 ") || strings.Contains(got, "weft-spent") || len(r.asked) != 1 {
			t.Errorf("%s: asked %d times, got %q", name, len(r.asked), got)
		}
		if mustAnswer(t, r.tell(getItems, 300*time.Millisecond), "200"); len(r.asked) != 4 {
			t.Errorf("%s: what began later was asked %d times", name, len(r.asked)-1)
		}
	}
}

// publishOnly leaves one endpoint, with the settings as they are.
func (r *trial) publishOnly(ep model.Endpoint) {
	s, _ := r.client.core.table.Service(rigService)
	r.publish(s.Model, ep)
}

func TestAFailedCallIsKnownToTheWorkload(t *testing.T) {
	r := newTrial(t, on(model.RetryCodes), busyAnswer, busyAnswer, busyAnswer)
	from := r.now
	if r.client.core.shared.failedSince(r.client.core.locals[0], 0) {
		t.Error("it failed before it began")
	}
	r.tell(getItems, 300*time.Millisecond)
	if !r.client.core.shared.failedSince(r.client.core.locals[0], from) {
		t.Error("its failure is not known")
	}
}

// An application that passes weft-attempt on keeps what it calls from being multiplied; one that
// claims it harms itself only.
func TestACallMadeForARepeatedRequestIsNotRepeated(t *testing.T) {
	r := newTrial(t, on(model.RetryCodes), busyAnswer)
	got := r.tell("GET / HTTP/1.1\r\nHost: cart\r\nWeft-Attempt: 2\r\n\r\n", 300*time.Millisecond)
	if len(r.asked) != 1 || !strings.Contains(r.asked[0], "weft-attempt: 2\r\n") {
		t.Errorf("asked %q", r.asked)
	}
	mustAnswer(t, got, "503")
}

func TestApplicationsCannotClaimTries(t *testing.T) {
	forged := "HTTP/1.1 503 Busy\r\nWeft-Attempts: 9\r\nWeft-Spent: 1\r\nWeft-Code: W3306\r\nContent-Length: 0\r\n\r\n"
	r := newTrial(t, on(model.RetryCodes), forged)
	got := r.tell("GET / HTTP/1.1\r\nHost: cart\r\nWeft-Attempts: 7\r\nWeft-Spent: 1\r\nWeft_Attempt: 3\r\n\r\n", 300*time.Millisecond)
	mustAnswer(t, got, "200")
	for _, a := range r.asked {
		if strings.Contains(a, "weft-attempts") || strings.Contains(a, "weft-spent") || strings.Contains(a, "weft_attempt") {
			t.Errorf("asked %q", a)
		}
	}
	if !strings.Contains(got, "weft-attempts: 2\r\n") || len(r.asked) != 2 {
		t.Errorf("asked %d times, got %q", len(r.asked), got)
	}
}

// A refused POST was not processed: it goes elsewhere whole, though its body was on its way.
func TestARefusedBodyIsSentElsewhere(t *testing.T) {
	r := newTrial(t, func(*model.Calls) {})
	r.refuse = rigApp // one of the two applications is not there
	for i := range 12 {
		mustAnswer(t, r.tell("POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 5\r\n\r\nhello", 0), "200")
		if n := len(r.asked); n != i+1 || r.at[i] == rigApp {
			t.Fatalf("asked %d times, at %v", n, r.at)
		}
	}
	if r.counted().Retries.Load() == 0 {
		t.Error("nothing was ever refused")
	}
}

// A caller that goes away while its request waits for the next try leaves nothing.
func TestAWaitForTheNextTryEndsWithItsCaller(t *testing.T) {
	r := newTrial(t, on(model.RetryCodes), strings.Replace(busyAnswer, "Content", "Retry-After: 2\r\nContent", 1))
	c := r.dial()
	c.send([]byte(getItems))
	r.settle()
	c.other.gone = true
	r.client.core.Closed(c.other.conn, errReset)
	r.pass(4*time.Second, 10*time.Millisecond)
	if len(r.asked) != 1 {
		t.Errorf("asked %d times", len(r.asked))
	}
	for _, e := range r.client.core.setNames {
		if n := e.set.Inflight(); n != 0 {
			t.Errorf("%d requests in flight", n)
		}
	}
}
