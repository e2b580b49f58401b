package datapath

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// recorder is a log that a test can read. WEFT_TEST_LOG=1 shows it as well.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }

func (r *recorder) Handle(_ context.Context, rec slog.Record) error {
	var b strings.Builder
	b.WriteString(rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value.Any())
		return true
	})
	if os.Getenv("WEFT_TEST_LOG") != "" {
		fmt.Fprintln(os.Stderr, b.String())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, b.String())
	return nil
}

func (r *recorder) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r *recorder) WithGroup(string) slog.Handler      { return r }

// find returns the first line that has all parts.
func (r *recorder) find(parts ...string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
next:
	for _, l := range r.lines {
		for _, p := range parts {
			if !strings.Contains(l, p) {
				continue next
			}
		}
		return l
	}
	return ""
}

func (r *recorder) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// eventually waits until a condition that another goroutine brings about holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond) // polls; nothing depends on how long it takes
	}
}

// refusals counts what the proxy refused with a code.
func (p *proxy) refusals(code string) int {
	var b strings.Builder
	if err := p.reg.WritePrometheus(&b); err != nil {
		p.t.Fatal(err)
	}
	n := 0
	for _, l := range strings.Split(b.String(), "\n") {
		if strings.Contains(l, `"`+code+`"`) {
			var v int
			if _, err := fmt.Sscan(l[strings.LastIndexByte(l, ' ')+1:], &v); err == nil {
				n += v
			}
		}
	}
	return n
}

// counts sums all series of a proxy that match.
func (p *proxy) counts(match func(report.Key) bool) (sum report.Counts) {
	telemetry.NewCollector(p.reg).Collect(func(s report.Series) {
		if match == nil || match(s.Key) {
			sum.Add(&s.Counts)
		}
	})
	return sum
}

// outbound and inbound choose the ends at which something was counted.
func outbound(k report.Key) bool { return k.Direction == report.Outbound }
func inbound(k report.Key) bool  { return k.Direction == report.Inbound }

// conns asks the core how many connections it has.
func (p *proxy) conns() int {
	n := make(chan int, 64)
	p.driver.Post(func(c *core.Core) { n <- c.Conns() })
	select {
	case v := <-n:
		return v
	case <-p.done:
		return 0
	}
}

// addServer starts one more callee with its own application and identity, and lists it.
func (x *pair) addServer(name, sa, app string) *proxy {
	x.t.Helper()
	s := x.startServer(name, sa, app, x.o.limits)
	x.eps.Endpoints = append(x.eps.Endpoints, endpointOf(name, sa, app, s))
	return s
}

func (x *pair) startServer(name, sa, app string, l core.Limits) *proxy {
	return startProxy(x.t, x.o.driver, 1, core.Workload{
		Name: model.Name{Namespace: "shop", Name: name}, Service: shopCart, Identity: idOf(sa),
		Ports: []core.AppPort{{Addr: netip.MustParseAddrPort(app), Protocol: x.o.protocol}},
	}, newStore(x.t, x.authority, sa), l, x.mesh, listen{"link", &core.Listener{Kind: core.ListenLink}})
}

func endpointOf(name, sa, app string, s *proxy) model.Endpoint {
	return model.Endpoint{
		Port: 80, Addr: netip.MustParseAddrPort(app), Link: netip.MustParseAddrPort(s.addr["link"]), Identity: idOf(sa),
		Workload: model.Name{Namespace: "shop", Name: name},
	}
}

// setEndpoints replaces the endpoints and publishes.
func (x *pair) setEndpoints(eps ...model.Endpoint) {
	x.eps = &model.Endpoints{Service: shopCart, Endpoints: eps}
	x.publish()
}

// freeAddr gives an address where nobody listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
