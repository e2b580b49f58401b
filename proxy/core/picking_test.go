package core

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/telemetry"
	"github.com/weft-mesh/weft/test/allocs"
)

// withPolicy is the rig's service with the default policy, changed.
func withPolicy(change func(*model.Policy)) *model.Service {
	p := model.DefaultPolicy
	change(&p)
	return &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP, Policy: &p}}}
}

// plainEndpoint is number i of applications without a proxy.
func plainEndpoint(i int) model.Endpoint {
	return model.Endpoint{
		Port: 80, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 8080),
		Workload: model.Name{Namespace: "shop", Name: fmt.Sprint("cart-", i)},
	}
}

// set is the balancer of the rig's service.
func (r *rig) set(t testing.TB) *balance.Set {
	t.Helper()
	for _, s := range r.client.core.Balancers {
		return s
	}
	t.Fatal("the service was not used")
	return nil
}

func (r *rig) rows(t testing.TB) []balance.Row { return r.set(t).AppendState(r.now, nil) }

func request(extra string) []byte {
	return []byte("GET / HTTP/1.1\r\nHost: cart\r\n" + extra + "\r\n")
}

// fetch sends a request on a connection and gives the response.
func (r *rig) fetch(c *pipe, extra string) string {
	c.in = c.in[:0]
	c.send(request(extra))
	r.settle()
	return string(c.in)
}

func TestAFailingEndpointIsEjected(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.publish(withPolicy(func(p *model.Policy) { p.Balance.Algorithm = model.RoundRobin }), plainEndpoint(1), plainEndpoint(2))
	r.app = func(p *pipe, _ []byte) {
		if p.addr == plainEndpoint(1).Addr {
			p.send([]byte("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
			return
		}
		p.send(r.answer)
	}
	c := r.dial()
	for range 40 {
		r.fetch(c, "")
		r.now += 50 * time.Millisecond
	}
	rows := r.rows(t)
	if rows[0].Ejections == 0 || rows[1].Ejections > 0 {
		t.Errorf("ejections: %d of the one that fails, %d of the other", rows[0].Ejections, rows[1].Ejections)
	}
}

func TestAnEndpointThatCannotBeConnectedToIsEjectedAtOnceAndTheRequestGoesElsewhere(t *testing.T) {
	r := newRig(t, nil, Limits{})
	svc := withPolicy(func(*model.Policy) {})
	r.publish(svc, plainEndpoint(1), plainEndpoint(2))
	r.refuse = plainEndpoint(1).Addr
	c := r.dial()
	for range 30 {
		if got := r.fetch(c, ""); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Fatalf("got %q", got)
		}
	}
	if row := r.rows(t)[0]; row.State != balance.Ejected || row.Ejections != 1 {
		t.Errorf("it is %s after %d ejections", row.State, row.Ejections)
	}
}

func TestARequestThatItsCallerGaveUpIsNeitherFailureNorSuccessOfTheEndpoint(t *testing.T) {
	r := newRig(t, nil, Limits{})
	answer := r.answer
	r.answer = []byte("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
	r.fetch(r.dial(), "")
	giveUp(r, 20)
	if row := r.rows(t)[0]; row.Success != 0 || row.Inflight != 0 {
		t.Errorf("after one that failed: success %v, in flight %d", row.Success, row.Inflight)
	}
	r = newRig(t, nil, Limits{})
	r.answer = answer
	r.fetch(r.dial(), "")
	giveUp(r, 20)
	if row := r.rows(t)[0]; row.Success != 1 || row.Inflight != 0 {
		t.Errorf("after one that succeeded: success %v, in flight %d", row.Success, row.Inflight)
	}
}

// giveUp has callers go away before they have their answer.
func giveUp(r *rig, n int) {
	r.mute = true
	for range n {
		c := r.dial()
		c.send(request(""))
		r.settle()
		c.other.eof, c.other.gone = true, true
		r.client.core.Closed(c.other.conn, errReset)
		r.settle()
	}
}

func TestAHashKeepsRequestsTogether(t *testing.T) {
	for _, h := range []struct {
		name  string
		hash  *model.Hash
		field func(user int) string
	}{
		{"header", &model.Hash{Header: "x-user"}, func(u int) string { return fmt.Sprintf("X-User: %d\r\n", u) }},
		{"cookie", &model.Hash{Cookie: "user"}, func(u int) string { return fmt.Sprintf("Cookie: a=b; user=%d; c\r\n", u) }},
	} {
		for _, a := range []model.Algorithm{model.RingHash, model.Maglev} {
			r := newRig(t, nil, Limits{})
			svc := withPolicy(func(p *model.Policy) { p.Balance.Algorithm, p.Balance.Hash = a, h.hash })
			var eps []model.Endpoint
			for i := range 8 {
				eps = append(eps, plainEndpoint(i+1))
			}
			r.publish(svc, eps...)
			var at netip.AddrPort
			r.app = func(p *pipe, _ []byte) { at = p.addr; p.send(r.answer) }
			c := r.dial()
			home := map[int]netip.AddrPort{}
			used := map[netip.AddrPort]bool{}
			for range 3 {
				for u := range 40 {
					r.fetch(c, h.field(u))
					if home[u].IsValid() && home[u] != at {
						t.Fatalf("%s, %s: user %d went to %s and %s", h.name, a, u, home[u], at)
					}
					home[u] = at
					used[at] = true
				}
			}
			if len(used) < 6 {
				t.Errorf("%s, %s: 40 users use %d of 8 endpoints", h.name, a, len(used))
			}
		}
	}
}

func TestTheHashOfTheSourceIsThatOfTheWorkload(t *testing.T) {
	r := newRig(t, nil, Limits{})
	svc := withPolicy(func(p *model.Policy) { p.Balance.Algorithm, p.Balance.Hash = model.Maglev, &model.Hash{Source: true} })
	var eps []model.Endpoint
	for i := range 8 {
		eps = append(eps, plainEndpoint(i+1))
	}
	r.publish(svc, eps...)
	used := map[netip.AddrPort]bool{}
	r.app = func(p *pipe, _ []byte) { used[p.addr] = true; p.send(r.answer) }
	for range 10 {
		r.fetch(r.dial(), "")
	}
	if len(used) != 1 {
		t.Errorf("one caller's requests went to %d endpoints", len(used))
	}
}

func TestLoadReportsInHeadsAndTrailersMakeWeights(t *testing.T) {
	for name, answer := range map[string]func(used string) string{
		"head": func(used string) string {
			return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nEndpoint-Load-Metrics: TEXT rps_fractional=100,cpu_utilization=" + used + "\r\n\r\n"
		},
		"trailers": func(used string) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nEndpoint-Load-Metrics: JSON {\"rps_fractional\":100,\"cpu_utilization\":" + used + "}\r\n\r\n"
		},
	} {
		r := newRig(t, nil, Limits{})
		r.publish(withPolicy(func(p *model.Policy) { p.Balance.Algorithm = model.RoundRobin }), plainEndpoint(1), plainEndpoint(2))
		r.app = func(p *pipe, _ []byte) {
			if p.addr == plainEndpoint(1).Addr {
				p.send([]byte(answer("0.2")))
			} else {
				p.send([]byte(answer("0.6")))
			}
		}
		c := r.dial()
		for range 60 {
			if got := r.fetch(c, ""); name == "head" && !strings.Contains(got, "endpoint-load-metrics") {
				t.Fatalf("the report was not passed on: %q", got)
			}
			r.now += 500 * time.Millisecond
		}
		if rows := r.rows(t); rows[0].Weight < 2.5*rows[1].Weight {
			t.Errorf("%s: weights %v and %v, want three to one", name, rows[0].Weight, rows[1].Weight)
		}
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.publish(withPolicy(func(p *model.Policy) { p.Outlier.MaxPercent = 0 }), plainEndpoint(1), plainEndpoint(2))
	asked := 0
	r.app = func(p *pipe, _ []byte) {
		if p.addr == plainEndpoint(1).Addr {
			asked++
			p.send([]byte("HTTP/1.1 429 Later\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n"))
			return
		}
		p.send(r.answer)
	}
	c := r.dial()
	for range 40 { // 4 s
		r.fetch(c, "")
		r.now += 100 * time.Millisecond
	}
	if asked == 0 || asked > 4 {
		t.Errorf("within the 5 s that it asked for it got %d of 40 requests", asked)
	}
	for _, v := range []string{"", "x", "-1", "1.5", "99999999999", "Wed, 21 Oct 2026 07:28:00 GMT"} {
		if d := retryAfter([]byte(v)); d != 0 {
			t.Errorf("%q is read as %s", v, d)
		}
	}
}

func TestTheCalleesProxyTellsTheLoadOnTheLink(t *testing.T) {
	for name, r := range map[string]*rig{"link": newRig(t, nil, Limits{}), "one proxy": newNodeRig(t, nil, Limits{})} {
		r.publish(withPolicy(func(p *model.Policy) { p.Balance.Algorithm = model.Prequal }), rigEndpoint)
		c := r.dial()
		for range 10 {
			if got := r.fetch(c, "Weft-Load-Ask: 1\r\n"); strings.Contains(got, "weft-load") {
				t.Errorf("%s: the client was told: %q", name, got)
			}
		}
		if n := r.set(t).Replies(); n != 1 {
			t.Errorf("%s: %d replies of the endpoint are known, want one", name, n)
		}
		if strings.Contains(string(r.heard), "weft-load") {
			t.Errorf("%s: the application was asked: %q", name, r.heard)
		}
	}
}

func TestEndpointsThatGetNoRequestsAreAskedForTheirLoad(t *testing.T) {
	r := newRig(t, nil, Limits{})
	other := rigEndpoint
	other.Addr = netip.MustParseAddrPort("127.0.0.1:9100")
	other.Workload.Name = "cart-2"
	r.publish(withPolicy(func(p *model.Policy) { p.Balance.Algorithm = model.Prequal }), rigEndpoint, other)
	r.server.core.locals[0].Ports = append(r.server.core.locals[0].Ports, AppPort{Addr: other.Addr})
	c := r.dial()
	before := r.applied
	for range 40 {
		r.fetch(c, "")
		r.now += 10 * time.Millisecond
	}
	if n := r.set(t).Replies(); n != 2 {
		t.Errorf("replies of %d endpoints are known, want both", n)
	}
	if got := r.applied - before; got > 40 {
		t.Errorf("the application got %d requests for 40", got)
	}
}

func TestTooManyQuestionsAboutLoadAreRefused(t *testing.T) {
	var b askBudget
	ok := 0
	for range 10_000 {
		if b.take(time.Second) {
			ok++
		}
	}
	if ok < asksBurst-1 || ok > asksBurst+1 {
		t.Errorf("%d at once were answered", ok)
	}
	for i := range 2000 { // 2 s at the allowed rate
		if !b.take(time.Second + time.Duration(i+1)*2*time.Millisecond) {
			t.Fatal("500 a second were refused")
		}
	}
}

func TestLoadsAreReadStrictly(t *testing.T) {
	if n, l, ok := parseLoad([]byte("rif=12,us=3400")); !ok || n != 12 || l != 3400*time.Microsecond {
		t.Errorf("%d, %s, %v", n, l, ok)
	}
	for _, v := range []string{"", "rif=", "rif=1", "rif=1,", "rif=1,us=", "rif=1,us=1,", "rif=-1,us=1", "us=1,rif=1", "rif=99999999999,us=1", "rif=1, us=1", "rif=1,us=1.5"} {
		if _, _, ok := parseLoad([]byte(v)); ok {
			t.Errorf("%q was taken", v)
		}
	}
}

func TestCookiesAreFound(t *testing.T) {
	f := []message.Field{{Name: []byte("cookie"), Value: []byte("ab=1; a=2;b=3; a=4")}, {Name: []byte("cookie"), Value: []byte("c=5; d")}}
	for name, want := range map[string]string{"a": "2", "b": "3", "c": "5", "d": "", "x": "", "ab": "1"} {
		if got := string(cookie(f, name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestAPolicyThatChangesTakesEffectWithoutANewEndpoint(t *testing.T) {
	r := newRig(t, withPolicy(func(*model.Policy) {}), Limits{})
	c := r.dial()
	r.fetch(c, "")
	r.publish(withPolicy(func(p *model.Policy) { p.Balance.Algorithm = model.Random }), rigEndpoint)
	r.fetch(c, "")
	if got := r.set(t).Policy().Balance.Algorithm; got != model.Random {
		t.Errorf("it is %s", got)
	}
}

// The algorithms that a policy may ask for cost a request no memory either.
func TestARequestByAnyAlgorithmAllocatesNothing(t *testing.T) {
	for _, a := range []model.Algorithm{model.LeastRequest, model.RoundRobin, model.Random, model.RingHash, model.Maglev} {
		t.Run(a.String(), func(t *testing.T) {
			r := newRig(t, nil, Limits{})
			r.publish(withPolicy(func(p *model.Policy) {
				p.Balance.Algorithm = a
				p.Balance.Hash = &model.Hash{Header: "user-agent"}
			}), rigEndpoint)
			c := r.dial()
			allocs.None(t, 200, func() { roundTrip(t, r, c, rigRequest) })
		})
	}
}

// told is what the log of a rig's client is told from now on.
func (r *rig) told() *bytes.Buffer {
	var out bytes.Buffer
	r.client.core.log = slog.New(slog.NewTextHandler(&out, nil))
	return &out
}

// counted makes a core count from now on what it refuses, and gives how often it was for a reason.
func counted(t *testing.T, c *Core) func(code string) int {
	r := telemetry.NewRegistry(1)
	c.shard = r.Shard(0)
	return func(code string) int {
		var out strings.Builder
		if err := r.WritePrometheus(&out); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			n := 0
			if _, err := fmt.Sscanf(line, "weft_refused_total{code=\""+code+"\"} %d", &n); err == nil {
				return n
			}
		}
		return 0
	}
}

func TestEjectionsAndFailedHealthChecksAreTold(t *testing.T) {
	r := newRig(t, nil, Limits{})
	log := r.told()
	r.publish(withPolicy(func(*model.Policy) {}), plainEndpoint(1), plainEndpoint(2))
	r.refuse = plainEndpoint(1).Addr
	for range 20 {
		r.fetch(r.dial(), "")
	}
	if got := log.String(); strings.Count(got, "W3342") != 1 || !strings.Contains(got, "workload=shop/cart-1") {
		t.Errorf("of an ejection the log says %s", got)
	}
	r, ill, _ := watched(t, model.HealthCheck{}, plainEndpoint(1))
	log = r.told()
	*ill = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
	r.fetch(r.dial(), "")
	r.pass(4*time.Second, 10*time.Millisecond)
	if got := log.String(); strings.Count(got, "W3343") != 1 || !strings.Contains(got, "status=503") {
		t.Errorf("of an endpoint that is not healthy the log says %s", got)
	}
	*ill = ""
	r.pass(4*time.Second, 10*time.Millisecond)
	if got := log.String(); !strings.Contains(got, "endpoint is healthy again") {
		t.Errorf("of one that is again the log says %s", got)
	}
}

func TestReportsThatAreNotBelievedAreCounted(t *testing.T) {
	for _, report := range []string{"TEXT rps_fractional=x", "TEXT rps_fractional=1e12,cpu_utilization=0.5", "JSON {"} {
		r := newRig(t, nil, Limits{})
		r.answer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nEndpoint-Load-Metrics: " + report + "\r\n\r\n")
		counts := counted(t, r.client.core)
		if got := r.fetch(r.dial(), ""); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%s: got %q", report, got)
		}
		if n := counts("W3341"); n != 1 {
			t.Errorf("%s: counted %d times", report, n)
		}
	}
}

// A caller's proxy that asks and asks costs the callee little, and does itself no good.
func TestAStormOfProbesIsRefusedAndRequestsAreNotAffected(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.publish(withPolicy(func(p *model.Policy) { p.Balance.Algorithm = model.Prequal }), rigEndpoint)
	c := r.dial()
	r.fetch(c, "")
	var ep *balance.Endpoint
	for e := range r.set(t).All {
		ep = e
	}
	before, counts := r.applied, counted(t, r.server.core)
	for range 3 * asksBurst {
		r.client.core.ask(r.client.core.locals[0], ep)
	}
	r.pass(time.Millisecond, 100*time.Microsecond)
	if n := counts("W3340"); n < asksBurst || n > 3*asksBurst {
		t.Errorf("of %d probes at once %d were refused", 3*asksBurst, n)
	}
	if r.applied != before {
		t.Errorf("the application got %d of them", r.applied-before)
	}
	if got := r.fetch(c, ""); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("a request got %q", got)
	}
	if row := r.rows(t)[0]; row.Success != 1 || row.Inflight != 0 || row.State != balance.Ready {
		t.Errorf("refused probes were held against the endpoint: %+v", row)
	}
}
