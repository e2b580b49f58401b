package decide_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

// policed is shop/cart whose port 80 has a changed policy.
func policed(change func(*model.Policy), routes ...model.Route) *model.Service {
	p := model.DefaultPolicy
	change(&p)
	s := cart(routes...)
	s.Ports[0].Policy = &p
	return s
}

// splitRoute sends to v1 and v2 by these weights.
func splitRoute(v1, v2 uint32) model.Route {
	return httpRoute("split", model.Rule{Backends: []model.Backend{backendTo("v1", v1), backendTo("v2", v2)}})
}

// within fails unless n hits of a share p lie within 5 standard deviations of a binomial distribution:
// by chance that fails once in two million times.
func within(t *testing.T, what string, hits, n int, p float64) {
	t.Helper()
	mean, bound := float64(n)*p, 5*math.Sqrt(float64(n)*p*(1-p))
	if math.Abs(float64(hits)-mean) > bound {
		t.Errorf("%s: %d of %d, want %.0f and at most %.0f more or less", what, hits, n, mean, bound)
	}
}

func TestWeightsAreSharesOfRequests(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ v1, v2 uint32 }{{1, 1}, {90, 10}, {99, 1}, {999, 1}, {0, 1}, {1, 0}, {7, 3}, {4_000_000_000, 4_000_000_000}} {
		table := compile(t, cart(splitRoute(c.v1, c.v2)))
		q, _ := query(t, table, request("GET /"))
		const n = 50_000
		hits := 0
		for range n {
			q.Rand = r.Uint64()
			if d := table.Decide(q, nil); d.Backend.Service().Name == "v2" {
				hits++
			}
		}
		within(t, fmt.Sprintf("weights %d and %d", c.v1, c.v2), hits, n, float64(c.v2)/(float64(c.v1)+float64(c.v2)))
	}
}

func TestACanaryByHeaderGetsAllThatAskForItAndItsShareOfTheRest(t *testing.T) {
	beta := to("v2", withHeaders(model.Match{}, "x-canary", "always"))
	rest := model.Rule{Backends: []model.Backend{backendTo("v1", 95), backendTo("v2", 5)}}
	table := compile(t, cart(httpRoute("canary", beta, rest)))
	r := rand.New(rand.NewPCG(3, 4))
	const n = 20_000
	asked, others := 0, 0
	for range n {
		for _, line := range []string{"GET / cart x-canary=always", "GET / cart x-canary=never"} {
			q, _ := query(t, table, request(line))
			q.Rand = r.Uint64()
			if table.Decide(q, nil).Backend.Service().Name != "v2" {
				continue
			}
			if strings.HasSuffix(line, "always") {
				asked++
			} else {
				others++
			}
		}
	}
	if asked != n {
		t.Errorf("of %d that asked for the canary %d got it", n, asked)
	}
	within(t, "the others", others, n, 0.05)
}

// Users must not see the versions in turns: not while nothing changes, and while a canary grows each
// changes over once.
func TestAUserStaysWithAVersionIfHashesChooseEndpoints(t *testing.T) {
	for name, hash := range map[string]model.Hash{"header": {Header: "x-user"}, "cookie": {Cookie: "user"}} {
		t.Run(name, func(t *testing.T) {
			tables := map[uint32]*decide.Table{}
			for _, percent := range []uint32{0, 5, 10, 50, 100} {
				tables[percent] = compile(t, policed(func(p *model.Policy) { p.Balance.Algorithm, p.Balance.Hash = model.RingHash, &hash }, splitRoute(100-percent, percent)))
			}
			r := rand.New(rand.NewPCG(5, 6))
			const users = 20_000
			hits := map[uint32]int{}
			for u := range users {
				req := request(fmt.Sprintf("GET / cart x-user=user-%d cookie=a=b;_user=user-%d", u, u))
				moved := 0
				last := ""
				for _, percent := range []uint32{0, 5, 10, 50, 100} {
					q, _ := query(t, tables[percent], req)
					var got string
					for range 3 {
						q.Rand = r.Uint64()
						d := tables[percent].Decide(q, nil)
						if now := d.Backend.Service().Name; got == "" {
							got = now
						} else if now != got {
							t.Fatalf("user %d sees %s and %s at %d %%", u, got, now, percent)
						}
					}
					if got != last && last != "" {
						moved++
					}
					if last = got; got == "v2" {
						hits[percent]++
					}
				}
				if moved != 1 {
					t.Fatalf("user %d changed over %d times", u, moved)
				}
			}
			for percent, n := range hits {
				within(t, fmt.Sprintf("%d %%", percent), n, users, float64(percent)/100)
			}
		})
	}
}

func TestRequestsWithoutTheHashedFieldAreSplitByChance(t *testing.T) {
	table := compile(t, policed(func(p *model.Policy) {
		p.Balance.Algorithm, p.Balance.Hash = model.Maglev, &model.Hash{Header: "x-user"}
	}, splitRoute(1, 1)))
	q, _ := query(t, table, request("GET /"))
	q.Rand = 0
	first := table.Decide(q, nil).Backend
	q.Rand = math.MaxUint64
	if table.Decide(q, nil).Backend == first {
		t.Error("all of them go to one backend")
	}
}

// session decides a request of a service with sessions, and gives the field that tells of a new one.
func sessionOf(t *testing.T, table *decide.Table, line string, now int64, rnd uint64) (decide.Decision, string) {
	t.Helper()
	q, _ := query(t, table, request(line))
	q.Now, q.Rand = now, rnd
	d := table.Decide(q, nil)
	if !d.Session.On {
		t.Fatalf("%s: no session", line)
	}
	var s decide.Scratch
	f := d.SessionField(0xabcdef0123456789, now, &s)
	return d, string(f.Name) + ": " + string(f.Value)
}

const noon = 1_800_000_000

func TestASessionsCookieSaysWhatItIsFor(t *testing.T) {
	rule := to("v1", prefix("/shop/cart"))
	calls := model.DefaultPolicy.Calls
	calls.Session = &model.Session{Absolute: time.Hour, Permanent: true}
	rule.Calls = &calls
	odd := to("v1", prefix("/shop;v=1/x"))
	odd.Calls = &calls
	expr := to("v1", regex("/re.*"))
	expr.Calls = &calls
	service := policed(func(p *model.Policy) { p.Calls.Session = &model.Session{Name: "all"} }, httpRoute("r", rule, odd, expr, to("v1")))
	table := compile(t, service)
	for _, c := range []struct{ line, prefix, rest string }{
		{"GET /shop/cart/1", "set-cookie: weft-session=", "; Path=/shop/cart; HttpOnly; SameSite=Lax; Max-Age=3600"},
		{"GET /shop;v=1/x", "set-cookie: weft-session=", "; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600"},
		{"GET /regular", "set-cookie: weft-session=", "; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600"},
		{"GET /", "set-cookie: all=", "; Path=/; HttpOnly; SameSite=Lax"},
		{"GET / cart x-forwarded-proto=https", "set-cookie: all=", "; Path=/; HttpOnly; SameSite=Lax; Secure"},
	} {
		_, field := sessionOf(t, table, c.line, noon, 0)
		rest, ok := strings.CutPrefix(field, c.prefix)
		if !ok || len(rest) < 23 || rest[23:] != c.rest {
			t.Errorf("%s: the field is %q", c.line, field)
		}
	}
}

// cookie is "name=value" of a Set-Cookie field, as request wants it.
func cookie(field string) string {
	pair, _, _ := strings.Cut(strings.TrimPrefix(field, "set-cookie: "), ";")
	return "cookie=" + pair
}

func TestASessionKeepsItsBackendAndEndpoint(t *testing.T) {
	with := func(v1, v2 uint32) *decide.Table {
		return compile(t, policed(func(p *model.Policy) { p.Calls.Session = &model.Session{Name: "s", Absolute: time.Hour} }, splitRoute(v1, v2)))
	}
	even := with(1, 1)
	for _, rnd := range []uint64{0, math.MaxUint64} {
		first, field := sessionOf(t, even, "GET /", noon, rnd)
		if first.Session.Endpoint != 0 {
			t.Fatal("the first request has an endpoint already")
		}
		for _, c := range []struct {
			name  string
			table *decide.Table
			line  string
			now   int64
			kept  bool
		}{
			{"the next request", even, "GET / cart " + cookie(field), noon, true},
			{"among other cookies", even, "GET / cart cookie=a=b cookie=x=y;_s=zzz;_" + strings.TrimPrefix(cookie(field), "cookie=") + ";_t=1", noon, true},
			{"with weights that are nearly 0", with(1, 4_000_000_000), "GET / cart " + cookie(field), noon, true},
			{"in its last second", even, "GET / cart " + cookie(field), noon + 3599, true},
			{"at its end", even, "GET / cart " + cookie(field), noon + 3600, false},
			{"by a clock that is behind", even, "GET / cart " + cookie(field), noon - 60, true},
			{"from the future", even, "GET / cart " + cookie(field), noon - 3600, false},
			{"under another name", even, "GET / cart " + strings.Replace(cookie(field), "s=", "z=", 1), noon, false},
		} {
			for _, other := range []uint64{0, math.MaxUint64} {
				d, _ := sessionOf(t, c.table, c.line, c.now, other)
				if c.kept && (d.Backend.Service() != first.Backend.Service() || d.Session.Endpoint != 0xabcdef0123456789) {
					t.Errorf("%s: it went from %s to %s, endpoint %x", c.name, first.Backend.Service(), d.Backend.Service(), d.Session.Endpoint)
				}
				if !c.kept && d.Session.Endpoint != 0 {
					t.Errorf("%s: it is kept", c.name)
				}
			}
		}
	}
	_, field := sessionOf(t, even, "GET /", noon, 0) // with v1
	if d, _ := sessionOf(t, with(0, 1), "GET / cart "+cookie(field), noon, 0); d.Backend.Service().Name != "v2" || d.Session.Endpoint != 0 {
		t.Error("a session is kept with a backend of weight 0")
	}
}

func TestASessionIsOfTheBackendThatWasChosen(t *testing.T) {
	s := policed(func(p *model.Policy) { p.Calls.Session = &model.Session{Name: "s", Header: true} }, httpRoute("r", to("v1", prefix("/1")), to("v2", prefix("/2"))))
	table := compile(t, s)
	_, field := sessionOf(t, table, "GET /1", noon, 0)
	value, ok := strings.CutPrefix(field, "s: ")
	if !ok {
		t.Fatalf("the field is %q", field)
	}
	if d, _ := sessionOf(t, table, "GET /1 cart s="+value, noon, 0); d.Session.Endpoint == 0 {
		t.Error("it is not kept")
	}
	if d, _ := sessionOf(t, table, "GET /2 cart s="+value, noon, 0); d.Session.Endpoint != 0 {
		t.Error("the endpoint of one backend is looked for among those of another")
	}
}

func TestAForgedSessionDoesNoHarm(t *testing.T) {
	table := compile(t, policed(func(p *model.Policy) { p.Calls.Session = &model.Session{Name: "s", Header: true} }, splitRoute(1, 1)))
	for _, raw := range [][]byte{nil, {1}, make([]byte, 17), append([]byte{1}, make([]byte, 16)...), []byte(strings.Repeat("\xff", 17)), append([]byte{1}, strings.Repeat("\xff", 16)...)} {
		for _, text := range []string{base64.RawURLEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), string(raw)} {
			req := request("GET /")
			req.Fields = []message.Field{{Name: []byte("s"), Value: []byte(text)}}
			q, _ := query(t, table, req)
			if d := table.Decide(q, nil); d.Action != decide.Forward || d.Backend == nil {
				t.Errorf("%q: %v", text, d.Action)
			}
		}
	}
}

func TestSessionsAllocateNothing(t *testing.T) {
	table := compile(t, policed(func(p *model.Policy) { p.Calls.Session = &model.Session{Name: "s"} }, splitRoute(1, 1)))
	_, field := sessionOf(t, table, "GET /", noon, 0)
	q, _ := query(t, table, request("GET / cart "+cookie(field)))
	var s decide.Scratch
	allocs.None(t, 1000, func() {
		s.Reset()
		d := table.Decide(q, nil)
		if d.Session.Endpoint == 0 {
			t.Fatal("not kept")
		}
		d.SessionField(7, noon, &s)
	})
}

func TestReasonsTellOfSessionsWithoutTheirValue(t *testing.T) {
	table := compile(t, policed(func(p *model.Policy) { p.Calls.Session = &model.Session{Name: "s"} }))
	for _, c := range []struct{ line, want string }{
		{"GET /", "session | cookie s | default | missed | "},
		{"GET / cart cookie=s=x", "session | cookie s | default | missed | "},
	} {
		q, _ := query(t, table, request(c.line))
		var why decide.Reasons
		table.Decide(q, &why)
		if got := written(&why); !strings.Contains(got, c.want) {
			t.Errorf("%s: reasons are\n%s", c.line, got)
		}
	}
	_, field := sessionOf(t, table, "GET /", noon, 0)
	q, _ := query(t, table, request("GET / cart "+cookie(field)))
	q.Now = noon
	var why decide.Reasons
	table.Decide(q, &why)
	got := written(&why)
	if !strings.Contains(got, "session | cookie s | default | ok | kept with Service shop/cart:80") || strings.Contains(got, strings.TrimPrefix(cookie(field), "cookie=s=")) {
		t.Errorf("reasons are\n%s", got)
	}
}
