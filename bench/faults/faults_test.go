package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

func TestARequestThatIsLateCountsFromWhenItWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		slow := func(context.Context) bool { time.Sleep(300 * time.Millisecond); return true }
		out := load(t.Context(), start.Add(-50*time.Millisecond), 10, time.Second, slow)
		if len(out) != 10 {
			t.Fatalf("%d requests, want 10", len(out))
		}
		if out[0].took != 350*time.Millisecond || out[9].took != 300*time.Millisecond {
			t.Errorf("the first, which began late, took %s, the last %s", out[0].took, out[9].took)
		}
		if took := time.Since(start); took != 1150*time.Millisecond {
			t.Errorf("all took %s: slow answers must not slow the load down", took)
		}
	})
}

func TestAnAnswerAfterTheTimeAllowedIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		do := func(ctx context.Context) bool {
			n++
			if n == 1 {
				return false
			}
			return rest(ctx, 2*time.Second)
		}
		out := load(t.Context(), time.Now(), 2, time.Second, do)
		if s := sumOf(out, 0, time.Second); s.Sent != 2 || s.Good != 0 || s.P99MS != 1000 {
			t.Errorf("%+v, want two requests, none good", s)
		}
	})
}

func TestALoadThatIsInterruptedEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		out := load(ctx, start, 10, time.Minute, func(context.Context) bool { return true })
		if len(out) < 15 || len(out) > 25 || time.Since(start) > 2*time.Second {
			t.Errorf("%d requests in %s", len(out), time.Since(start))
		}
	})
}

func TestFiguresAreThoseOfTheirPart(t *testing.T) {
	ms := func(at, took int) outcome {
		return outcome{time.Duration(at) * time.Millisecond, time.Duration(took) * time.Millisecond}
	}
	times := times{before: time.Second, during: 2 * time.Second, after: 4 * time.Second}
	out := []outcome{ms(0, 5), ms(999, 5), ms(1000, 0), ms(1500, 20), ms(2000, 30), ms(2500, 0), ms(3100, 0), ms(4900, 7), ms(6999, 9)}
	r := resultOf(scenarios[1], "haproxy", "", 500, times, out, 18)
	for _, c := range []struct {
		what             string
		sent, good       int
		gotSent, gotGood int
	}{
		{"before", 2, 2, r.Before.Sent, r.Before.Good},
		{"first second", 2, 1, r.First.Sent, r.First.Good},
		{"rest of the fault", 2, 1, r.During.Sent, r.During.Good},
		{"after", 1, 1, r.After.Sent, r.After.Good},
	} {
		if c.gotSent != c.sent || c.gotGood != c.good {
			t.Errorf("%s: %d of %d good, want %d of %d", c.what, c.gotGood, c.gotSent, c.good, c.sent)
		}
	}
	if len(r.Seconds) != 7 || r.Seconds[2].Sent != 2 || r.SettledMS != 1500 || r.RecoveredMS != 100 || r.Load != 2 {
		t.Errorf("%+v", r)
	}
}

func TestTheTimeOfAScenarioIsDivided(t *testing.T) {
	for _, d := range []time.Duration{5 * time.Second, 18 * time.Second, time.Minute} {
		got := timesIn(d)
		if got.before < time.Second || got.during < 2*time.Second || got.after < 2*time.Second || got.total() > d+time.Second {
			t.Errorf("%s is divided into %+v", d, got)
		}
	}
}

// newApps runs servers in this process.
func newApps(t *testing.T, n int) (*apps, []netip.AddrPort) {
	t.Helper()
	var addrs []netip.AddrPort
	for range n { // free ports, which nobody else asks for by number
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, netip.MustParseAddrPort(ln.Addr().String()))
		ln.Close()
	}
	theirIn, in := io.Pipe()
	out, theirOut := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serveApps(addrs, theirIn, theirOut) }()
	t.Cleanup(func() {
		in.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	a := &apps{in: in, out: bufio.NewReader(out)}
	if word, err := a.word(); err != nil || word != "ready" {
		t.Fatalf("%q, %v", word, err)
	}
	return a, addrs
}

func TestServersDoAsTheyAreTold(t *testing.T) {
	a, addrs := newApps(t, 2)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	within := func(d time.Duration, i int) bool {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		return get(client, "http://"+addrs[i].String()+"/")(ctx)
	}
	ask := func(i int) bool { return within(20*time.Second, i) } // answered at once, however busy the machine is
	set := func(i int, f *fault) {
		t.Helper()
		if err := a.set(i, f); err != nil {
			t.Fatal(err)
		}
	}
	count := func() uint64 {
		t.Helper()
		n, err := a.count()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if !ask(0) || !ask(1) || count() != 2 {
		t.Error("servers that are well do not answer, or are not counted")
	}
	for _, f := range []fault{faultErrors, faultSlow, faultGone} {
		set(0, &f)
		if within(slowTime/2, 0) {
			t.Errorf("with fault %d it answers well", f)
		}
		if !ask(1) {
			t.Errorf("fault %d of one server meets the other", f)
		}
		set(0, nil)
		if !ask(0) {
			t.Errorf("after fault %d it is not well again", f)
		}
	}
	before := count()
	resp, err := client.Get("http://" + addrs[0].String() + healthPath)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if count() != before {
		t.Error("a health check is counted as a request")
	}
	if err := obey(nil, "9 well"); err == nil {
		t.Error("a server that is not there was told something")
	}
	if err := obey(nil, "dance"); err == nil {
		t.Error("a word that is no command was obeyed")
	}
}

func TestOnlyWholeGoodAnswersAreGood(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/short":
			w.Header().Set("content-length", "10")
			io.WriteString(w, "half")
		case "/bad":
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer srv.Close()
	for path, want := range map[string]bool{"/": true, "/short": false, "/bad": false} {
		if got := get(srv.Client(), srv.URL+path)(t.Context()); got != want {
			t.Errorf("%s is good: %v", path, got)
		}
	}
	if get(srv.Client(), "http://127.0.0.1:1/")(t.Context()) {
		t.Error("nobody answered well")
	}
}

func TestTheTableAndThePlotHaveEveryPeer(t *testing.T) {
	var rs []result
	for _, name := range peerNames {
		rs = append(rs, result{Peer: name, BeforeS: 1, DuringS: 2, AfterS: 2, Rate: 500, Seconds: make([]sum, 5), Before: sum{1000, 999, 12}, SettledMS: 1200, Load: 1.05})
	}
	var table, plot bytes.Buffer
	if err := writeTable(&table, scenarios[0], rs); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| weft | 99.90 % |", "| haproxy |", "| envoy |", "| 12 ms |", "1.2 s", "1.05"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, table.String())
		}
	}
	for _, list := range [][]result{rs, nil} {
		plot.Reset()
		if err := writeSVG(&plot, scenarios[0], list); err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(bytes.NewReader(plot.Bytes()))
		lines := 0
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("the plot is not XML: %v", err)
			}
			if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "polyline" {
				lines++
			}
		}
		if lines != 2*len(list) {
			t.Errorf("%d lines for %d peers", lines, len(list))
		}
	}
}

func TestFiguresAreReplacedAndNothingElse(t *testing.T) {
	page := "# Title\n" + figuresBegin + "old\n" + figuresEnd + "the rest\n"
	once, err := replaceFigures(page, "new\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "# Title\n" + figuresBegin + "\nnew\n" + figuresEnd + "the rest\n"; once != want {
		t.Errorf("%q, want %q", once, want)
	}
	if again, err := replaceFigures(once, "new\n"); err != nil || again != once {
		t.Errorf("replacing twice gives %q, %v", again, err)
	}
	if _, err := replaceFigures("# Title\n", "new\n"); err == nil {
		t.Error("a page without a place for figures was accepted")
	}
}

func TestWhatIsAskedForIsChecked(t *testing.T) {
	for _, args := range []string{"-scenarios nonsense", "-peers nginx", "-rate 1", "-each 1h", "surplus"} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s is accepted", args)
		}
	}
	o, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if total := time.Duration(len(o.scenarios)*len(o.peers)) * (o.each + 3*time.Second); total > 6*time.Minute {
		t.Errorf("all of it takes %s, more than six minutes", total)
	}
}

// What peers may do for a request is the same: tries and the time of each.
func TestPeersAreConfiguredAlike(t *testing.T) {
	p := &rig.PKI{CA: "ca", ClientCert: "cc", ClientKey: "ck", ServerCert: "sc", ServerKey: "sk", ClientPair: "cp", ServerPair: "sp"}
	for _, s := range scenarios {
		ha := haproxyClient(s, p)
		en, err := envoyClient(s, p)
		if err != nil {
			t.Fatal(err)
		}
		route := meshFiles(s)["route.yaml"]
		for what, has := range map[string]bool{
			"haproxy": strings.Contains(ha, "timeout server 250ms") && strings.Contains(ha, "retries 2\n"),
			"envoy":   strings.Contains(string(en), `"per_try_timeout": "0.25s"`) && strings.Contains(string(en), `"num_retries": 2`),
			"weft":    strings.Contains(route, "backendRequest: 250ms") && strings.Contains(route, "attempts: 2"),
		} {
			if has == s.plain {
				t.Errorf("%s in %s: tries again %v, want %v", what, s.name, has, !s.plain)
			}
		}
		if n := strings.Count(ha, "\n  server s"); n != s.servers {
			t.Errorf("haproxy in %s has %d servers, want %d", s.name, n, s.servers)
		}
	}
}
