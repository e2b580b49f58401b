package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

// guardRig has an application behind a guard, over a link or beside its callers. It answers when it is
// told to.
type guardRig struct {
	*rig
	at    *Core    // where the application's door is
	heard []string // the first lines of the requests that reached the application
	heads []string // their heads
	to    []*pipe  // where the answers go
}

// oneAtATime lets the application have one request.
func oneAtATime() *model.Policy {
	p := model.DefaultPolicy
	p.Guard.Concurrency = model.Concurrency{Min: 1, Max: 1, Tolerance: 1.5}
	return &p
}

func newGuardRig(t testing.TB, near bool, svc *model.Service, p *model.Policy) *guardRig {
	g := &guardRig{}
	w := &model.Workload{Name: rigCart.Name, Ports: []model.Port{{Port: rigApp.Port(), Policy: p}}}
	list := []*model.Workload{w}
	if near {
		g.rig = newNodeRig(t, svc, Limits{})
		g.at = g.client.core
		list = []*model.Workload{nil, w}
	} else {
		g.rig = newRig(t, svc, Limits{})
		g.at = g.server.core
	}
	guards, problems := NewGuards(list, 1, nil)
	for _, err := range problems {
		t.Fatal(err)
	}
	g.at.SetGuards(guards)
	g.app = func(p *pipe, in []byte) {
		line, _, _ := strings.Cut(string(in), " HTTP/1.1\r\n")
		g.heard = append(g.heard, line)
		g.heads = append(g.heads, string(in))
		g.to = append(g.to, p)
	}
	return g
}

// both runs a test over a link and between two workloads of one proxy.
func both(t *testing.T, p *model.Policy, test func(t *testing.T, g *guardRig)) {
	for name, near := range map[string]bool{"over a link": false, "in one proxy": true} {
		t.Run(name, func(t *testing.T) { test(t, newGuardRig(t, near, nil, p)) })
	}
}

// get sends a request on a connection of its own.
func (g *guardRig) get(path string, lines ...string) *pipe {
	c := g.dial()
	g.settle()
	c.send([]byte("GET " + path + " HTTP/1.1\r\nHost: cart\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"))
	g.settle()
	return c
}

// reply lets the application answer its oldest request.
func (g *guardRig) reply() {
	p := g.to[0]
	g.to = g.to[1:]
	p.send(g.answer)
	g.settle()
}

// hangUp breaks a client's connection.
func (g *guardRig) hangUp(c *pipe) {
	g.client.core.Closed(c.other.conn, errReset)
	g.settle() // writes what follows from it
	g.settle()
}

// pass lets time go by.
func (g *guardRig) pass(d time.Duration) {
	for end := g.now + d; g.now < end; {
		g.now += time.Millisecond
		g.settle()
	}
}

func (g *guardRig) state(t *testing.T) DoorState {
	t.Helper()
	var out []DoorState
	g.at.DoorStates(func(s DoorState) { out = append(out, s) })
	if len(out) != 1 || out[0].Workload != rigCart.Name || out[0].Addr != rigApp {
		t.Fatalf("doors: %+v", out)
	}
	return out[0]
}

func TestARequestAboveTheLimitWaitsForItsTurn(t *testing.T) {
	both(t, oneAtATime(), func(t *testing.T, g *guardRig) {
		a, b := g.get("/a"), g.get("/b")
		if !slices.Equal(g.heard, []string{"GET /a"}) {
			t.Fatalf("the application has %q", g.heard)
		}
		if s := g.state(t); s.InFlight != 1 || s.Waiting != 1 {
			t.Errorf("%+v", s)
		}
		g.reply()
		if !slices.Equal(g.heard, []string{"GET /a", "GET /b"}) {
			t.Fatalf("after an answer the application has %q", g.heard)
		}
		g.reply()
		for _, c := range []*pipe{a, b} {
			if !strings.HasSuffix(string(c.in), "hello") {
				t.Errorf("got %q", c.in)
			}
		}
		if s := g.state(t); s.InFlight != 0 || s.Waiting != 0 || s.Entered != 2 || s.Queued != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// The body of a request that waits comes, too, and is not lost.
func TestARequestThatWaitsKeepsItsBody(t *testing.T) {
	both(t, oneAtATime(), func(t *testing.T, g *guardRig) {
		g.get("/a")
		c := g.dial()
		c.send([]byte("POST /b HTTP/1.1\r\nHost: cart\r\nContent-Length: 10\r\n\r\nfirst"))
		g.settle()
		c.send([]byte("later"))
		g.settle()
		g.reply()
		if got := strings.Join(g.heads[1:], ""); !strings.HasSuffix(got, "firstlater") {
			t.Errorf("the application got %q", got)
		}
	})
}

// Nobody is kept waiting for long: where there is no other endpoint the caller is told what is the
// matter and when to try again.
func TestWhoWaitsTooLongIsToldWhenToTryAgain(t *testing.T) {
	both(t, oneAtATime(), func(t *testing.T, g *guardRig) {
		g.get("/a")
		c := g.get("/b")
		g.pass(2 * time.Second)
		got := string(c.in)
		if !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "\r\nweft-code: W3320\r\n") || !strings.Contains(got, "\r\nretry-after: 1\r\n") {
			t.Errorf("got %q", got)
		}
		if len(g.heard) != 1 {
			t.Errorf("the application has %q", g.heard)
		}
		if s := g.state(t); s.Waiting != 0 || s.Refused[1] == 0 {
			t.Errorf("%+v", s)
		}
		if g.refused("W3323") == 0 {
			t.Error("no W3323 was counted")
		}
	})
}

// What an overloaded endpoint turns away is tried again, elsewhere if there is another, whatever its
// method: nothing was processed.
func TestWhatIsTurnedAwayIsTriedAgainWhateverItsMethod(t *testing.T) {
	both(t, oneAtATime(), func(t *testing.T, g *guardRig) {
		g.get("/a")
		c := g.dial()
		c.send([]byte("POST /b HTTP/1.1\r\nHost: cart\r\nContent-Length: 0\r\n\r\n"))
		g.pass(150 * time.Millisecond)
		if s := g.state(t); s.Refused[1] != 1 || s.Waiting != 1 {
			t.Errorf("after the first try: %+v", s)
		}
		g.reply()
		if !slices.Equal(g.heard, []string{"GET /a", "POST /b"}) {
			t.Errorf("the application has %q", g.heard)
		}
		g.reply()
		if !strings.HasPrefix(string(c.in), "HTTP/1.1 200 ") {
			t.Errorf("got %q", c.in)
		}
	})
}

// A caller that goes away leaves the queue.
func TestACallerThatGivesUpLeavesTheQueue(t *testing.T) {
	both(t, oneAtATime(), func(t *testing.T, g *guardRig) {
		g.get("/a")
		b := g.get("/b")
		g.get("/c")
		g.hangUp(b)
		if s := g.state(t); s.Waiting != 1 {
			t.Errorf("%+v", s)
		}
		g.reply()
		if !slices.Equal(g.heard, []string{"GET /a", "GET /c"}) {
			t.Errorf("the application has %q", g.heard)
		}
	})
}

// The same while the application has it: the place is free again.
func TestACallerThatGivesUpMakesRoom(t *testing.T) {
	both(t, oneAtATime(), func(t *testing.T, g *guardRig) {
		a := g.get("/a")
		g.get("/b")
		g.hangUp(a)
		if !slices.Equal(g.heard, []string{"GET /a", "GET /b"}) {
			t.Errorf("the application has %q", g.heard)
		}
	})
}

// An application that has begun to answer is not taken to be busy: streams may last for days.
func TestAStreamDoesNotOccupyAPlace(t *testing.T) {
	both(t, oneAtATime(), func(t *testing.T, g *guardRig) {
		g.get("/events")
		g.get("/b")
		g.to[0].send([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"))
		g.settle()
		if !slices.Equal(g.heard, []string{"GET /events", "GET /b"}) {
			t.Errorf("the application has %q", g.heard)
		}
	})
}

func TestATunnelDoesNotOccupyAPlace(t *testing.T) {
	both(t, oneAtATime(), func(t *testing.T, g *guardRig) {
		g.get("/ws", "Connection: Upgrade", "Upgrade: chat")
		g.get("/b")
		g.to[0].send([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"))
		g.settle()
		if !slices.Equal(g.heard, []string{"GET /ws", "GET /b"}) {
			t.Errorf("the application has %q", g.heard)
		}
		if s := g.state(t); s.Slowness != 0 {
			t.Errorf("it was measured: %+v", s)
		}
	})
}

func TestTheImportantEnterFirst(t *testing.T) {
	both(t, oneAtATime(), func(t *testing.T, g *guardRig) {
		g.get("/a")
		g.get("/low", "weft-priority: sheddable")
		g.get("/mid")
		g.get("/baggage", "baggage: a=b,weft.priority=sheddable")
		for range 3 {
			g.reply()
		}
		if !slices.Equal(g.heard[1:], []string{"GET /mid", "GET /low", "GET /baggage"}) {
			t.Errorf("the application has %q", g.heard)
		}
	})
}

// The priority that a request names goes with it, so that applications can hand it on; what no
// application may write down is dropped in every spelling.
func TestAPriorityGoesWithTheRequest(t *testing.T) {
	both(t, nil, func(t *testing.T, g *guardRig) {
		g.get("/a", "weft-priority: critical", "weft_priority: critical_plus")
		if h := g.heads[0]; !strings.Contains(h, "\r\nweft-priority: critical\r\n") || strings.Contains(h, "weft_priority") {
			t.Errorf("the application got %q", h)
		}
	})
}

func TestACallerCannotClaimMoreThanItMay(t *testing.T) {
	p := oneAtATime()
	p.Guard.Concurrency.Adaptive = true
	p.Guard.Priorities = []model.PriorityRule{{Identity: "spiffe://m/ns/shop/*", Max: model.PriorityDefault}}
	both(t, p, func(t *testing.T, g *guardRig) {
		g.get("/a", "weft-priority: critical_plus")
		if h := g.heads[0]; !strings.Contains(h, "\r\nweft-priority: default\r\n") {
			t.Errorf("the application got %q", h)
		}
		g.get("/b")
		g.get("/c", "weft-priority: critical_plus")
		g.reply()
		if !slices.Equal(g.heard, []string{"GET /a", "GET /b"}) {
			t.Errorf("the application has %q", g.heard)
		}
	})
}

// A route gives its requests a priority, unless the application has named one; a copy of a request is
// less important than any.
func TestARouteGivesItsRequestsAPriority(t *testing.T) {
	calls := model.DefaultPolicy.Calls
	calls.Priority = model.PriorityCritical
	back := model.Backend{Service: rigService, Port: 80, Weight: 1}
	svc := &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}
	svc.Routes = []model.Route{{Kind: model.RouteHTTP, Name: rigService, Rules: []model.Rule{{
		Calls: &calls, Backends: []model.Backend{back}, Filters: []model.Filter{{Mirror: &model.Mirror{Backend: back}}},
	}}}}
	for name, near := range map[string]bool{"over a link": false, "in one proxy": true} {
		g := newGuardRig(t, near, svc, nil)
		g.get("/a")
		g.get("/b", "weft-priority: default")
		got := map[string]int{}
		for _, h := range g.heads {
			path, _, _ := strings.Cut(h, " HTTP/1.1")
			_, prio, _ := strings.Cut(h, "weft-priority: ")
			prio, _, _ = strings.Cut(prio, "\r\n")
			got[path+" "+prio]++
		}
		for _, want := range []string{"GET /a critical", "GET /a sheddable", "GET /b default", "GET /b sheddable"} {
			if got[want] != 1 {
				t.Errorf("%s: no %q in %v", name, want, got)
			}
		}
	}
}

// New settings are in force at once, for those who wait too.
func TestAHigherLimitLetsThoseInWhoWait(t *testing.T) {
	g := newGuardRig(t, false, nil, oneAtATime())
	g.get("/a")
	g.get("/b")
	more := oneAtATime()
	more.Guard.Concurrency.Max, more.Guard.Concurrency.Min = 2, 2
	guards, _ := NewGuards([]*model.Workload{{Ports: []model.Port{{Port: rigApp.Port(), Policy: more}}}}, 1, g.at.guards)
	g.at.SetGuards(guards)
	g.settle()
	g.settle()
	if len(g.heard) != 2 {
		t.Errorf("the application has %q", g.heard)
	}
}

func TestAGuardCostsNoAllocation(t *testing.T) {
	p := model.DefaultPolicy
	p.Guard.Priorities = []model.PriorityRule{{Identity: "spiffe://m/ns/shop/*", Max: model.PriorityCritical}}
	p.Guard.RateLimits = []model.RateLimit{
		{Name: "who", By: model.LimitIdentity, Rate: 1e9, Burst: 1 << 20},
		{Name: "api", Path: &model.PathMatch{Value: "/items"}, By: model.LimitHeader, Header: "accept", Rate: 1e9, Burst: 1 << 20},
	}
	g := newGuardRig(t, false, nil, &p)
	g.app = func(p *pipe, _ []byte) { p.send(g.answer) }
	c := g.dial()
	request := []byte("GET /items/17?a=b HTTP/1.1\r\nHost: cart\r\nAccept: */*\r\nTraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nBaggage: weft.priority=critical_plus\r\nWeft-Timeout: 250m\r\n\r\n")
	allocs.None(t, 500, func() { roundTrip(t, g.rig, c, request) })
}

// refused tells how often a code was counted at the application's proxy.
func (g *guardRig) refused(code string) (n int) {
	reg := g.server.reg
	if g.at == g.client.core {
		reg = g.client.reg
	}
	var b strings.Builder
	if err := reg.WritePrometheus(&b); err != nil {
		g.t.Fatal(err)
	}
	_, after, _ := strings.Cut(b.String(), `code="`+code+`"} `)
	fmt.Sscan(after, &n) //nolint:errcheck // 0 is right then
	return n
}
