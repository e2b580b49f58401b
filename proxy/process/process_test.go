package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control"
	"github.com/weft-mesh/weft/proxy/agent"
	"github.com/weft-mesh/weft/proxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 15 * time.Second // bounds waits that end at once when all is well

// shortDir is a directory whose path is short enough for sockets.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weft")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// controlPlane runs a control plane until the test's end and gives its socket. stop ends it early.
func controlPlane(t *testing.T) (socket string, stop func()) {
	t.Helper()
	dir := shortDir(t)
	socket = filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(context.Background())
	up, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- control.Run(ctx, control.Options{
			StateDir: filepath.Join(dir, "state"), Socket: socket, Started: func(control.Started) { close(up) },
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the control plane ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("the control plane did not end")
		}
	})
	t.Cleanup(stop)
	select {
	case <-up:
	case err := <-ended:
		ended <- err
		t.Fatalf("the control plane did not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the control plane did not start in time")
	}
	return socket, stop
}

// settings are those of a proxy for a workload without ports.
func settings(socket string) *config.Config {
	return &config.Config{
		Name:      "shop/web-1",
		Control:   config.Control{Socket: socket},
		Workloads: []config.Workload{{Name: "web-1", Namespace: "shop", Service: "web", Outbound: config.Outbound{Proxy: "127.0.0.1:0"}}},
	}
}

// proxyUnderTest is a running proxy.
type proxyUnderTest struct {
	t       *testing.T
	words   *bufio.Reader // what it tells whoever started it
	signals chan os.Signal
	stop    context.CancelFunc
	ended   chan error
}

// start runs a proxy. Its ReadyFD is a pipe of the test.
func start(t *testing.T, cfg *config.Config) *proxyUnderTest {
	t.Helper()
	r, w := pipe(t)
	cfg.ReadyFD = handOver(t, w)
	ctx, cancel := context.WithCancel(context.Background())
	p := &proxyUnderTest{t: t, words: bufio.NewReader(r), signals: make(chan os.Signal, 2), stop: cancel, ended: make(chan error, 1)}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("WEFT_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	go func() { p.ended <- Run(ctx, cfg, p.signals, log) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-p.ended:
		case <-time.After(patience):
			t.Error("the proxy did not end")
		}
	})
	return p
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// handOver gives a descriptor that is Run's to close, as an inherited one is.
func handOver(t *testing.T, f *os.File) int {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return fd
}

// ready is the first word.
func (p *proxyUnderTest) ready() config.Ready {
	p.t.Helper()
	line, err := p.words.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("the proxy said nothing: %v", err)
	}
	var r config.Ready
	if err := json.Unmarshal(line, &r); err != nil {
		p.t.Fatalf("the proxy said %q: %v", line, err)
	}
	return r
}

// end waits for Run.
func (p *proxyUnderTest) end() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(patience):
		p.t.Fatal("the proxy did not end")
		return nil
	}
}

// get asks an address for a page.
func get(t *testing.T, network, addr, path string) (status int, body string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://proxy" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func eachDriver(t *testing.T, f func(t *testing.T, driver string)) {
	names := []string{"net"}
	if driverOfThisSystem != "net" {
		names = append(names, driverOfThisSystem)
	}
	for _, d := range names {
		t.Run(d, func(t *testing.T) { f(t, d) })
	}
}

func TestAProxyServesFromReadyUntilItsContextEnds(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		socket, _ := controlPlane(t)
		cfg := settings(socket)
		cfg.Driver, cfg.Workloads[0].Link, cfg.Metrics = driver, "127.0.0.1:0", "127.0.0.1:0"
		cfg.Admin = filepath.Join(shortDir(t), "admin.sock")
		cfg.Workloads[0].Ports = []config.Port{{Addr: netip.MustParseAddrPort("127.0.0.1:1"), Protocol: "http"}}
		cfg.Workloads[0].Outbound.Services = []config.ServiceListener{{Listen: "127.0.0.1:0", Namespace: "shop", Service: "cart", Port: 80}}
		p := start(t, cfg)
		ready := p.ready()
		if ready.Error != "" || ready.PID != os.Getpid() {
			t.Fatalf("%+v", ready)
		}
		for what, addr := range map[string]string{
			"link": ready.Workloads[0].Link, "proxy": ready.Workloads[0].Proxy, "metrics": ready.Metrics, "service": ready.Workloads[0].Services[0].Listen,
		} {
			if a, err := netip.ParseAddrPort(addr); err != nil || a.Port() == 0 {
				t.Errorf("%s is %q: not an address that was bound", what, addr)
			}
		}
		if status, _ := get(t, "tcp", ready.Metrics, "/ready"); status != 200 {
			t.Errorf("/ready is %d after Ready was told", status)
		}
		if _, body := get(t, "tcp", ready.Metrics, "/metrics"); !strings.Contains(body, "weft_connections_open") {
			t.Errorf("/metrics: %s", body)
		}
		_, body := get(t, "unix", cfg.Admin, "/state")
		for _, want := range []string{`"proxy": "shop/web-1"`, "/ns/shop/sa/web", ready.Workloads[0].Link} {
			if !strings.Contains(body, want) {
				t.Errorf("/state has no %s: %s", want, body)
			}
		}
		if key := regexp.MustCompile(`"[A-Z]\w*":`).FindString(body); key != "" {
			t.Errorf("/state has the key %s beside others that begin small: %s", key, body)
		}
		for _, secret := range []string{"PRIVATE", "privateKey", "token"} {
			if strings.Contains(body, secret) {
				t.Errorf("/state tells a secret: %s", body)
			}
		}
		p.stop()
		if err := p.end(); err != nil {
			t.Errorf("it ended with %v", err)
		}
		for _, addr := range []string{ready.Workloads[0].Link, ready.Workloads[0].Proxy, ready.Metrics, ready.Workloads[0].Services[0].Listen} {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				t.Errorf("%s is still listened on", addr)
			}
		}
		if _, err := os.Stat(cfg.Admin); err == nil {
			t.Error("the admin socket is left behind")
		}
	})
}

// slowServer is an application outside the mesh that answers when it is told to.
func slowServer(t *testing.T) (addr string, asked chan struct{}, answer chan struct{}) {
	t.Helper()
	asked, answer = make(chan struct{}, 1), make(chan struct{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		io.WriteString(w, "late")
	})}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return ln.Addr().String(), asked, answer
}

// request sends one through the proxy.
func request(t *testing.T, ready config.Ready, addr string) (outcome chan string) {
	outcome = make(chan string, 1)
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: ready.Workloads[0].Proxy}), DisableKeepAlives: true}
	go func() {
		resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://" + addr + "/")
		if err != nil {
			outcome <- "error: " + err.Error()
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			outcome <- "error: " + err.Error()
			return
		}
		outcome <- string(b)
	}()
	return outcome
}

func wait[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
	}
	return v
}

// refused waits until an address is not listened on any more.
func refused(t *testing.T, addr string) {
	t.Helper()
	for limit := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			c.Close()
		}
		if time.Now().After(limit) {
			t.Fatalf("%s still takes connections while the proxy drains (%v)", addr, err)
		}
	}
}

func TestASignalLetsWorkUnderWayFinishAndTakesNoMore(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		socket, _ := controlPlane(t)
		cfg := settings(socket)
		cfg.Driver = driver
		p := start(t, cfg)
		ready := p.ready()
		app, asked, answer := slowServer(t)
		outcome := request(t, ready, app)
		wait(t, "the request", asked)
		p.signals <- syscall.SIGTERM
		refused(t, ready.Workloads[0].Proxy)
		select {
		case err := <-p.ended:
			t.Fatalf("it ended (%v) with a request under way", err)
		default:
		}
		close(answer)
		if got := wait(t, "the response", outcome); got != "late" {
			t.Errorf("the request under way got %q", got)
		}
		if err := p.end(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestWorkThatOutlastsTheDrainTimeoutIsCutOff(t *testing.T) {
	socket, _ := controlPlane(t)
	cfg := settings(socket)
	cfg.DrainTimeout = config.Duration(50 * time.Millisecond)
	p := start(t, cfg)
	ready := p.ready()
	app, asked, answer := slowServer(t)
	defer close(answer)
	outcome := request(t, ready, app)
	wait(t, "the request", asked)
	p.signals <- syscall.SIGTERM
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if got := wait(t, "the end of the request", outcome); !strings.HasPrefix(got, "error") {
		t.Errorf("the request that was cut off got %q", got)
	}
}

func TestALeavingProxyGoesOnServingAndSaysWhenTheMeshKnows(t *testing.T) {
	if !canLeave {
		t.Skip("this system has no signal for it")
	}
	socket, _ := controlPlane(t)
	cfg := settings(socket)
	cfg.Workloads[0].Link = "127.0.0.1:0"
	cfg.Workloads[0].Ports = []config.Port{{Addr: netip.MustParseAddrPort("127.0.0.1:1"), Protocol: "http"}}
	p := start(t, cfg)
	ready := p.ready()
	if !ready.Leaves {
		t.Error("it does not say that it can announce its leaving")
	}
	leave := Signals[len(Signals)-1]
	if !asksToLeave(leave) {
		t.Fatalf("%s does not ask to leave", leave)
	}
	p.signals <- leave
	if line, err := p.words.ReadString('\n'); err != nil || line != config.LeftLine {
		t.Fatalf("its second word is %q (%v)", line, err)
	}
	app, asked, answer := slowServer(t)
	close(answer)
	outcome := request(t, ready, app)
	wait(t, "the request", asked)
	if got := wait(t, "the response", outcome); got != "late" {
		t.Errorf("a request of the leaving workload got %q", got)
	}
	// While it drains, being asked to leave again does not cut anything off.
	app, asked, answer = slowServer(t)
	outcome = request(t, ready, app)
	wait(t, "the request", asked)
	p.signals <- syscall.SIGTERM
	refused(t, ready.Workloads[0].Proxy)
	p.signals <- leave
	close(answer)
	if got := wait(t, "the response", outcome); got != "late" {
		t.Errorf("the request under way got %q", got)
	}
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestASecondSignalEndsTheProxyAtOnce(t *testing.T) {
	socket, _ := controlPlane(t)
	cfg := settings(socket)
	cfg.DrainTimeout = config.Duration(time.Hour)
	p := start(t, cfg)
	ready := p.ready()
	app, asked, answer := slowServer(t)
	defer close(answer)
	outcome := request(t, ready, app)
	wait(t, "the request", asked)
	p.signals <- syscall.SIGTERM
	refused(t, ready.Workloads[0].Proxy)
	p.signals <- syscall.SIGINT
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	wait(t, "the end of the request", outcome)
}

// failure starts a proxy that cannot start, and gives what it said: as an error and on ReadyFD.
func failure(t *testing.T, cfg *config.Config) *codes.Error {
	t.Helper()
	p := start(t, cfg)
	ready := p.ready()
	err := p.end()
	var coded *codes.Error
	if !errors.As(err, &coded) {
		t.Fatalf("it ended with %v, which has no code", err)
	}
	if _, known := codes.Lookup(coded.Code); !known {
		t.Errorf("%s is not in the catalogue", coded.Code)
	}
	if ready.Error != err.Error() {
		t.Errorf("whoever started it was told %q, not %q", ready.Error, err)
	}
	if len(ready.Workloads) > 0 {
		t.Errorf("addresses beside the error: %+v", ready)
	}
	return coded
}

func TestWhatKeepsAProxyFromStartingIsToldWithANextStep(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := shortDir(t)
	living := filepath.Join(dir, "living.sock")
	other, err := net.Listen("unix", living)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := pipe(t)
	defer w.Close()
	withPorts := func(c *config.Config) {
		c.Workloads[0].Ports = []config.Port{{Addr: netip.MustParseAddrPort("127.0.0.1:1")}}
	}
	for _, c := range []struct {
		name      string
		change    func(*config.Config)
		code, why string
	}{
		{"the link's port is in use", func(c *config.Config) { c.Workloads[0].Link = taken.Addr().String() }, "W3020", "in use"},
		{"the proxy's port is in use", func(c *config.Config) { c.Workloads[0].Outbound.Proxy = taken.Addr().String() }, "W3020", "in use"},
		{"the metrics' port is in use", func(c *config.Config) { c.Metrics = taken.Addr().String() }, "W3020", "in use"},
		{"an address that is not of this machine", func(c *config.Config) { c.Workloads[0].Link = "192.0.2.1:0" }, "W3020", "no interface"},
		{"an address without port", func(c *config.Config) { c.Workloads[0].Link = "127.0.0.1" }, "W3020", "missing port"},
		{"the admin socket is in use", func(c *config.Config) { c.Admin = living }, "W3020", "another process"},
		{"the admin socket is a file", func(c *config.Config) { c.Admin = file }, "W3020", "not a socket"},
		{"the admin socket has no directory", func(c *config.Config) { c.Admin = filepath.Join(dir, "no", "s") }, "W3020", "no such file"},
		{"the admin socket's path is too long", func(c *config.Config) { c.Admin = "/tmp/" + strings.Repeat("x", 200) }, "W3020", "invalid"},
		{"a driver that is not there", func(c *config.Config) { c.Driver = "io_uring" }, "W3021", "io_uring"},
		{"no workload", func(c *config.Config) { c.Workloads = nil }, "W3021", "0 are given"},
		{"too many workloads", func(c *config.Config) { c.Workloads = make([]config.Workload, config.MaxWorkloads+1) }, "W3021", "257 are given"},
		{"a workload twice", func(c *config.Config) { c.Workloads = append(c.Workloads, c.Workloads[0]) }, "W2207", "twice"},
		{"a service listener for nobody", func(c *config.Config) {
			c.Workloads[0].Outbound.Services = []config.ServiceListener{{Listen: "127.0.0.1:0", Namespace: "shop"}}
		}, "W3021", "shop/"},
		{"an advertised link that is no address", func(c *config.Config) { c.Workloads[0].LinkAdvertise = "here:1" }, "W3021", "here"},
		{"a link that peers cannot dial", func(c *config.Config) { c.Workloads[0].Link = "0.0.0.0:0"; withPorts(c) }, "W3021", "every address"},
		{"a transparent listener that was not inherited", func(c *config.Config) { c.Workloads[0].Outbound.TransparentFDs = []int{987} }, "W3021", "987"},
		{"a transparent listener that is a pipe", func(c *config.Config) {
			fd, err := syscall.Dup(int(r.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			c.Workloads[0].Outbound.TransparentFDs = []int{fd}
		}, "W3021", "descriptor"},
		{"a DNS socket that was not inherited", func(c *config.Config) { c.Workloads[0].Outbound.DNSFDs = []int{987} }, "W3021", "987"},
		{"a DNS upstream that is a name", func(c *config.Config) { c.Workloads[0].Outbound.DNSUpstreams = []string{"dns.example:53"} }, "W3021", "dns.example"},
		{"no name", func(c *config.Config) { c.Name = "" }, "W2207", "no name"},
		{"ports without a link", withPorts, "W2207", "no link"},
		{"a protocol that is not there", func(c *config.Config) {
			c.Workloads[0].Link = "127.0.0.1:0"
			withPorts(c)
			c.Workloads[0].Ports[0].Protocol = "spdy"
		}, "W2207", "spdy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings(filepath.Join(dir, "nobody"))
			c.change(cfg)
			e := failure(t, cfg)
			if e.Code != c.code || !strings.Contains(e.Why, c.why) {
				t.Errorf("%s, why %q; want %s, and why with %q", e.Code, e.Why, c.code, c.why)
			}
			if len(e.Next) == 0 && e.Code[:2] == "W3" {
				t.Errorf("%v: no next step", e)
			}
		})
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "data" {
		t.Errorf("a file was destroyed: %q, %v", b, err)
	}
}

func TestBeingStoppedBeforeReadyIsTold(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(*proxyUnderTest)
		why  string
	}{
		{"by a signal", func(p *proxyUnderTest) { p.signals <- syscall.SIGTERM }, "terminated"},
		{"by its context", func(p *proxyUnderTest) { p.stop() }, "stopped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, settings(filepath.Join(shortDir(t), "nobody")))
			c.stop(p)
			ready := p.ready()
			var coded *codes.Error
			if err := p.end(); !errors.As(err, &coded) || coded.Code != "W3022" || !strings.Contains(coded.Why, c.why) || ready.Error != err.Error() {
				t.Errorf("it ended with %v; told was %q", err, ready.Error)
			}
		})
	}
}

// A supervisor that restarts a crashed proxy hands it the identity, so that the workload is served
// while the control plane is away.
func TestAProxyRestartedWithoutControlPlaneServesItsLastView(t *testing.T) {
	socket, stopControl := controlPlane(t)
	cfg := settings(socket)
	cfg.StateDir = t.TempDir()
	p := start(t, cfg)
	if r := p.ready(); r.Error != "" {
		t.Fatal(r.Error)
	}
	identity := handover(t, socket, "web")
	p.stop()
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	stopControl()

	r, w := pipe(t)
	if _, err := w.Write(identity); err != nil {
		t.Fatal(err)
	}
	w.Close()
	again := settings(socket)
	again.StateDir, again.Workloads[0].IdentityFD = cfg.StateDir, handOver(t, r)
	q := start(t, again)
	ready := q.ready()
	if ready.Error != "" {
		t.Fatal(ready.Error)
	}
	app, asked, answer := slowServer(t)
	close(answer)
	outcome := request(t, ready, app)
	wait(t, "the request", asked)
	if got := wait(t, "the response", outcome); got != "late" {
		t.Errorf("got %q", got)
	}
}

// handover gets an identity as a supervisor does.
func handover(t *testing.T, socket, account string) []byte {
	t.Helper()
	k, err := agent.NewKeeper(agent.KeeperOptions{
		Control: config.Control{Socket: socket}, Namespace: "shop", ServiceAccount: account, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	defer func() { cancel(); <-done }()
	wait(t, "the identity", k.Ready())
	var b bytes.Buffer
	if err := k.Handover(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
