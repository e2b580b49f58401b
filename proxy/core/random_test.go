package core

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// pass lets time go by in steps, so that every timer fires.
func (r *rig) pass(d, step time.Duration) {
	for end := r.now + d; r.now < end; r.now += step {
		r.settle()
	}
}

// leftovers says what a core still holds that it should have let go of.
func (c *Core) leftovers() (out []string) {
	if c.nconns != 0 || c.conns.head != nil {
		out = append(out, fmt.Sprintf("%d connections, the first a %T", c.nconns, c.conns.head.h))
	}
	if len(c.waiting) > 0 || len(c.dirty) > 0 || len(c.spent) > 0 || len(c.serving) > 0 {
		out = append(out, fmt.Sprint("waiting ", len(c.waiting), " dirty ", len(c.dirty), " spent ", len(c.spent), " serving ", len(c.serving)))
	}
	for k, p := range c.pools {
		if p.users == 0 || p.total+p.dialing+len(p.shared)+p.waiters.n+len(p.idle) > 0 {
			out = append(out, fmt.Sprintf("pool %v: %+v", k, *p))
		}
	}
	if c.parked != 0 {
		out = append(out, fmt.Sprint(c.parked, " bytes of bodies"))
	}
	for _, e := range c.setNames {
		if ep := e.set.Pick(c.now, balance.Request{}); ep != nil && ep.Inflight != 0 {
			out = append(out, fmt.Sprintf("%s: %d requests in flight", e.name.service, ep.Inflight))
		}
	}
	seen := map[*exchange]bool{}
	for _, x := range c.freeX {
		if seen[x] {
			out = append(out, "an exchange is free twice")
		}
		seen[x] = true
	}
	active := func(s *telemetry.Series) {
		if o, e := s.Opened.Load(), s.Successes.Load()+s.Failures.Load(); o != e {
			out = append(out, fmt.Sprintf("%v: %d opened, %d ended", s.Key, o, e))
		}
	}
	for _, s := range c.series {
		active(s)
	}
	for _, s := range c.inboundSeries {
		active(s)
	}
	return out
}

var clientSays = []string{
	"GET / HTTP/1.1\r\nHost: cart\r\n\r\n",
	"GET /1 HTTP/1.1\r\nHost: cart\r\n\r\nGET /2 HTTP/1.1\r\nHost: cart\r\n\r\n",
	"HEAD / HTTP/1.1\r\nHost: cart\r\nConnection: close\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 10\r\n\r\n12345",
	"67890",
	"POST / HTTP/1.1\r\nHost: cart\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	"0\r\n\r\n",
	"0\r\nx-trailer: 1\r\n\r\n",
	"GET /ws HTTP/1.1\r\nHost: cart\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET / HT", "\x00\x01\x02", "POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("b", 100_000),
	"GET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: cart\r\nWeft-Timeout: 400m\r\n\r\n",
	"PUT / HTTP/1.1\r\nHost: cart\r\nContent-Length: 10\r\nWeft-Attempt: 2\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: cart\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
	"GET /grpc HTTP/1.1\r\nHost: cart\r\nContent-Type: application/grpc\r\n\r\n",
}

var appSays = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
	"HTTP/1.1 100 Continue\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	"0\r\n\r\n", "0\r\nx-t: 1\r\n\r\n", "llo",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst",
	"HTTP/1.1 200 OK\r\n\r\nuntil close",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"garbage\r\n\r\n",
	"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
	"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 1\r\n\r\nbu",
	"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 14\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
	strings.Repeat("x", 300_000),
}

// TestNothingIsLeftAfterAnyCourseOfEvents plays clients and applications that do anything at any
// time, in many courses that a seed decides. Afterwards everything that began has ended exactly
// once, and no connection, pool, timer or exchange is left.
func TestNothingIsLeftAfterAnyCourseOfEvents(t *testing.T) {
	courses := 1500
	if testing.Short() {
		courses = 200
	}
	for seed := range uint64(courses) {
		playRandom(t, seed, newRig)
		if t.Failed() {
			return
		}
	}
}

func TestNothingIsLeftOfHopsAfterAnyCourseOfEvents(t *testing.T) {
	courses := 500
	if testing.Short() {
		courses = 100
	}
	for seed := range uint64(courses) {
		playRandom(t, seed, newNodeRig)
		if t.Failed() {
			return
		}
	}
}

// anyCalls are settings of retries and hedges.
func anyCalls(rnd *rand.Rand) *model.Policy {
	p := model.DefaultPolicy
	r := &p.Calls.Retry
	r.On = model.RetryOn(rnd.IntN(16))
	r.Codes, r.GRPC, r.Attempts, r.Idempotent = []int{500, 502, 503}, []int{13, 14}, rnd.IntN(4), rnd.IntN(2) == 0
	r.Body = []int{0, 10, 64 << 10}[rnd.IntN(3)]
	if rnd.IntN(2) == 0 {
		p.Calls.Hedge = &model.Hedge{Percentile: 50}
	}
	p.Calls.Timeouts.BackendRequest = time.Duration(rnd.IntN(2)) * 1500 * time.Millisecond
	return &p
}

func playRandom(t *testing.T, seed uint64, rigFor func(testing.TB, *model.Service, Limits) *rig) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	protocols := []model.Protocol{model.ProtocolHTTP, model.ProtocolDetect, model.ProtocolTCP}
	svc := &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: protocols[rnd.IntN(3)]}}}
	if rnd.IntN(2) == 0 {
		svc.Ports[0].Policy = anyCalls(rnd)
	}
	if rnd.IntN(3) == 0 {
		calls := model.DefaultPolicy.Calls
		calls.Timeouts.Request = time.Duration(rnd.IntN(2)) * 3 * time.Second
		svc.Routes = []model.Route{{Kind: model.RouteHTTP, Name: rigService, Rules: []model.Rule{{
			Backends: []model.Backend{{Service: rigService, Port: 80, Weight: 1}},
			Filters:  []model.Filter{{Mirror: &model.Mirror{Backend: model.Backend{Service: rigService, Port: 80, Weight: 1}}}},
			Calls:    &calls,
		}}}}
	}
	r := rigFor(t, svc, Limits{MaxPoolConns: 2 + rnd.IntN(4), MaxParked: 3 + rnd.IntN(3), IdleTimeout: time.Minute})
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("seed %d", seed)
			panic(p)
		}
	}()
	r.mute, r.slow = true, rnd.IntN(2) == 0
	if rnd.IntN(2) == 0 {
		r.publish(svc, rigEndpoint, rigOther(r))
		r.learn(30 * time.Millisecond)
	}
	var clients []*pipe
	for range 60 + rnd.IntN(60) {
		switch rnd.IntN(12) {
		case 0, 1:
			if len(clients) < 6 {
				clients = append(clients, r.dial())
			}
		case 2, 3, 4:
			if len(clients) > 0 {
				clients[rnd.IntN(len(clients))].send([]byte(clientSays[rnd.IntN(len(clientSays))]))
			}
		case 5, 6, 7:
			r.appDo(rnd, func(p *pipe) { p.send([]byte(appSays[rnd.IntN(len(appSays))])) })
		case 8:
			r.appDo(rnd, func(p *pipe) { p.other.eof = true })
		case 9:
			r.anyDo(rnd)
		case 10:
			r.down = rnd.IntN(4) == 0
			r.now += time.Duration(rnd.IntN(2000)) * time.Millisecond
		case 11:
			if len(clients) > 0 {
				clients[rnd.IntN(len(clients))].other.eof = true
			}
		}
		if rnd.IntN(2) == 0 {
			r.settle()
		}
	}
	switch rnd.IntN(6) {
	case 0:
		r.client.core.Drain()
	case 1:
		r.server.core.Drain()
	case 2:
		c := r.client.core
		c.DrainWorkload(len(c.locals) - 1)
	}
	r.settle()
	for _, c := range clients { // everybody goes home
		if e := c.other; !e.gone && e.conn != nil {
			e.gone = true
			r.client.core.Closed(e.conn, errReset)
		}
	}
	r.pass(5*time.Minute, 997*time.Millisecond)
	for side, h := range map[string]*host{"caller": r.client, "callee": r.server} {
		if h.core.Busy() {
			t.Errorf("seed %d: the %s is busy for ever", seed, side)
		}
		for _, l := range h.core.leftovers() {
			t.Errorf("seed %d, %s: %s", seed, side, l)
		}
	}
}

// appDo does something with a random connection of the application.
func (r *rig) appDo(rnd *rand.Rand, f func(*pipe)) {
	var apps []*pipe
	for _, p := range r.pipes {
		if p.app && !p.other.gone {
			apps = append(apps, p)
		}
	}
	if len(apps) > 0 {
		f(apps[rnd.IntN(len(apps))])
	}
}

// anyDo breaks a random connection.
func (r *rig) anyDo(rnd *rand.Rand) {
	p := r.pipes
	if len(p) == 0 {
		return
	}
	e := p[rnd.IntN(len(p))]
	if e.host == nil || e.gone || e.conn == nil || e.conn.Gone() || e.conn.connecting {
		return
	}
	e.gone = true
	if e.other != nil {
		e.other.eof = true
	}
	e.host.core.Closed(e.conn, errReset)
}

func TestFailedDialsLeaveNothing(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.down = true
	for i := range 20 {
		mine, theirs := &pipe{client: true}, &pipe{host: r.client}
		r.connect(mine, theirs)
		theirs.conn = r.client.core.Accept(Accept{Listener: &Listener{Kind: ListenProxy}, Driver: theirs})
		mine.send(fmt.Appendf(nil, "GET http://host%d.example.com/ HTTP/1.1\r\nHost: host%d.example.com\r\nConnection: close\r\n\r\n", i, i))
		r.settle()
		if !bytes.Contains(mine.in, []byte("W3305")) {
			t.Fatalf("%q", mine.in)
		}
	}
	r.pass(10*time.Second, time.Second)
	if l := r.client.core.leftovers(); len(l) > 0 || len(r.client.core.pools) != 0 {
		t.Errorf("%q, %d pools", l, len(r.client.core.pools))
	}
}
