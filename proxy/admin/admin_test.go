package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	pmodel "github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// socketDir is a directory whose path is short enough for sockets.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weft")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// pages is a server with something to tell.
type pages struct {
	*Server
	ready atomic.Bool
	asked atomic.Int32 // for the state
}

func newPages() *pages {
	p := &pages{}
	r := telemetry.NewRegistry(1)
	s := r.Shard(0).Get(telemetry.Key{Service: model.Name{Namespace: "shop", Name: "cart"}})
	s.Start()
	s.End(200, false, false, time.Millisecond, 1, 2)
	p.Server = &Server{
		Registry: r,
		State:    func() any { p.asked.Add(1); return map[string]string{"proxy": "shop/cart-1"} },
		Ready:    p.ready.Load,
	}
	return p
}

// run serves until the test's end, and checks that serving ends well.
func run(t *testing.T, serve func(context.Context, net.Listener) error, ln net.Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, ln) }()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("serving ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("serving did not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

// client is one that dials the listener whatever the URL.
func client(t *testing.T, ln net.Listener) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, ln.Addr().Network(), ln.Addr().String())
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func ask(t *testing.T, c *http.Client, method, path string) (status int, head http.Header, body string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://proxy"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func tcp(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func unixSocket(t *testing.T) net.Listener {
	t.Helper()
	ln, err := ListenUnix(filepath.Join(socketDir(t), "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestMetricsAreServedInPrometheusText(t *testing.T) {
	p, ln := newPages(), tcp(t)
	run(t, p.ServeMetrics, ln)
	status, head, body := ask(t, client(t, ln), "GET", "/metrics")
	if status != 200 || head.Get("Content-Type") != telemetry.ContentType {
		t.Errorf("%d, %s", status, head.Get("Content-Type"))
	}
	parser := expfmt.NewTextParser(pmodel.LegacyValidation)
	f, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil || f["weft_requests_total"] == nil {
		t.Errorf("%v\n%s", err, body)
	}
}

func TestReadyFollowsTheProxy(t *testing.T) {
	p, ln := newPages(), tcp(t)
	run(t, p.ServeMetrics, ln)
	c := client(t, ln)
	if status, _, _ := ask(t, c, "GET", "/ready"); status != 503 {
		t.Errorf("before it is ready: %d", status)
	}
	p.ready.Store(true)
	if status, _, body := ask(t, c, "GET", "/ready"); status != 200 || body != "ready\n" {
		t.Errorf("when it is ready: %d, %q", status, body)
	}
}

func TestStateIsToldOnTheSocketAlone(t *testing.T) {
	p, ln := newPages(), tcp(t)
	run(t, p.ServeMetrics, ln)
	if status, _, _ := ask(t, client(t, ln), "GET", "/balance"); status != 404 {
		t.Errorf("/balance is %d to anybody, want 404", status)
	}
	if status, _, _ := ask(t, client(t, ln), "GET", "/state"); status != 404 || p.asked.Load() != 0 {
		t.Errorf("over TCP: %d", status)
	}
	ln = unixSocket(t)
	run(t, p.ServeState, ln)
	status, head, body := ask(t, client(t, ln), "GET", "/state")
	var got map[string]string
	if err := json.Unmarshal([]byte(body), &got); err != nil || got["proxy"] != "shop/cart-1" {
		t.Errorf("on the socket: %q (%v)", body, err)
	}
	if status != 200 || head.Get("Content-Type") != "application/json" {
		t.Errorf("%d, %s", status, head.Get("Content-Type"))
	}
	for _, path := range []string{"/metrics", "/ready"} {
		if status, _, _ := ask(t, client(t, ln), "GET", path); status == 404 {
			t.Errorf("%s is not on the socket", path)
		}
	}
}

// What changes something is offered to the proxy's user only: not on the port of the metrics.
func TestAWorkloadIsDrainedOverTheSocketOnly(t *testing.T) {
	p, ln, open := newPages(), unixSocket(t), tcp(t)
	var asked []string
	p.Drain = func(_ context.Context, w string) bool { asked = append(asked, w); return w == "shop/cart-1" }
	run(t, p.ServeState, ln)
	run(t, p.ServeMetrics, open)
	c := client(t, ln)
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"POST", "/drain?workload=shop/cart-1", 200}, {"POST", "/drain?workload=shop%2Fcart-1", 200},
		{"POST", "/drain?workload=shop/tea", 404}, {"POST", "/drain", 404}, {"GET", "/drain?workload=shop/cart-1", 405},
	} {
		if status, _, body := ask(t, c, tc.method, tc.path); status != tc.status {
			t.Errorf("%s %s: %d %q, want %d", tc.method, tc.path, status, body, tc.status)
		}
	}
	n := len(asked)
	if status, _, _ := ask(t, client(t, open), "POST", "/drain?workload=shop/cart-1"); status != 404 || len(asked) != n {
		t.Errorf("on the port of the metrics: %d", status)
	}
	if want := []string{"shop/cart-1", "shop/cart-1", "shop/tea", ""}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

func TestPagesAreReadOnly(t *testing.T) {
	p, ln := newPages(), unixSocket(t)
	run(t, p.ServeState, ln)
	c := client(t, ln)
	for _, path := range []string{"/state", "/metrics", "/ready"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"} {
			if status, _, _ := ask(t, c, method, path); status != http.StatusMethodNotAllowed && status != http.StatusNotFound {
				t.Errorf("%s %s: %d", method, path, status)
			}
		}
	}
	if p.asked.Load() != 0 {
		t.Error("a page was made for a method that is not allowed")
	}
	for _, path := range []string{"/", "/state/", "/quit", "/debug/pprof/", "/metrics/../state2"} {
		if status, _, _ := ask(t, c, "GET", path); status != 404 {
			t.Errorf("GET %s: %d", path, status)
		}
	}
}

func TestTheSocketIsItsOwnersAlone(t *testing.T) {
	old := syscall.Umask(0) // the worst case
	defer syscall.Umask(old)
	path := filepath.Join(socketDir(t), "admin.sock")
	ln, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("%v, %v; want a socket of mode 0600", info.Mode(), err)
	}
	ln.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestADeadSocketIsReplacedAndNothingElse(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "admin.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	living, err := ListenUnix(path)
	if err != nil {
		t.Fatalf("over a dead socket: %v", err)
	}
	defer living.Close()

	if ln, err := ListenUnix(path); err == nil {
		ln.Close()
		t.Error("a living socket was taken over")
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the living socket does not answer any more: %v", err)
	} else {
		c.Close()
	}

	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{file, link, dir} {
		if ln, err := ListenUnix(p); err == nil {
			ln.Close()
			t.Errorf("%s was replaced", p)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "data" {
		t.Errorf("the file is lost: %q, %v", b, err)
	}
	if _, err := ListenUnix(filepath.Join(dir, "missing", "admin.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its directory: %v", err)
	}
}

func TestServingEndsWithItsContextAndClosesItsConnections(t *testing.T) {
	p, ln := newPages(), tcp(t)
	stop := run(t, p.ServeMetrics, ln)
	idle, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if status, _, _ := ask(t, client(t, ln), "GET", "/ready"); status != 503 { // so the idle one was accepted too
		t.Errorf("%d", status)
	}
	stop()
	if err := idle.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an idle connection is still there: %v", err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("the listener is still there")
	}
}

func TestAListenerThatBreaksIsTold(t *testing.T) {
	ln := tcp(t)
	ln.Close()
	if err := newPages().ServeMetrics(t.Context(), ln); err == nil {
		t.Error("serving on a closed listener succeeded")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	p, ln := newPages(), tcp(t)
	run(t, p.ServeMetrics, ln)
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	request := "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
	for range maxConns {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		answer(t, c, request)
	}
	late, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if _, err := io.WriteString(late, request); err != nil {
		t.Fatal(err)
	}
	if err := late.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := late.Read(make([]byte, 100)); err == nil {
		t.Errorf("connection number %d was served at once: %d bytes", maxConns+1, n)
	}
	open[0].Close() // makes room
	answer(t, late, "")
}

func answer(t *testing.T, c net.Conn, request string) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 503"))); err != nil {
		t.Fatalf("no answer: %v", err)
	}
}
