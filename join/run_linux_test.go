package join

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model"
)

// bench is one run under test.
type bench struct {
	Options
	t       *testing.T
	out     bytes.Buffer
	log     lockedBuffer
	signals chan os.Signal
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// newBench prepares a run of the test binary in a role.
func newBench(t *testing.T, role string, args ...string) *bench {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "weft-proxy")
	if err := os.Symlink(self(t), binary); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, signals: make(chan os.Signal, 4)}
	b.Options = Options{
		Name: "web", Namespace: "shop",
		Command:     append([]string{self(t), "play", role}, args...),
		Env:         []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "GORACE=" + quickExit},
		ProxyBinary: binary,
		RuntimeDir:  filepath.Join(dir, "run"),
		StateDir:    filepath.Join(dir, "state"),
		Stdout:      &b.out, Stderr: &b.out, ProxyLog: &b.log,
		Signals: b.signals,
		Lister:  shop{},
	}
	if err := os.Mkdir(b.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	log := &locked{w: &b.log}
	b.Log, b.ProxyLog = slog.New(slog.NewTextHandler(log, nil)), log
	return b
}

type shop struct{}

func (shop) Services(_ context.Context, namespace string) ([]model.Service, error) {
	name := func(s string) model.Name { return model.Name{Namespace: namespace, Name: s} }
	return []model.Service{
		{Name: name("cart"), Ports: []model.Port{{Name: "http", Port: 80, Protocol: model.ProtocolHTTP}, {Name: "grpc-api", Port: 9090, Protocol: model.ProtocolGRPC}}},
		{Name: name("stock-db"), Ports: []model.Port{{Port: 6379, Protocol: model.ProtocolTCP}}},
	}, nil
}

// wish leaves a file for the fake proxy.
func (b *bench) wish(name string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.StateDir, name), nil, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// run runs to the end and checks that nothing is left.
func (b *bench) run() (int, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	code, err := Run(ctx, b.Options)
	if ctx.Err() != nil {
		b.t.Fatalf("the run hangs; log:\n%s", b.log.String())
	}
	b.nothingLeft()
	return code, err
}

func (b *bench) nothingLeft() {
	b.t.Helper()
	left, _ := filepath.Glob(filepath.Join(b.RuntimeDir, "*"))
	if len(left) > 0 {
		b.t.Errorf("left behind: %v", left)
	}
	if pid := b.proxyPID(); pid != 0 && alive(pid) {
		b.t.Errorf("proxy %d runs on", pid)
	}
}

func (b *bench) proxyPID() int {
	text, _ := os.ReadFile(filepath.Join(b.StateDir, "proxy.pid"))
	pid, _ := strconv.Atoi(string(text))
	return pid
}

// alive reports whether a process runs; one that ended and was not waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) { // polling, with a deadline
		if time.Now().After(deadline) {
			t.Fatal("in 10 s it did not happen: " + what)
		}
	}
}

// talk runs with the application's streams connected.
func (b *bench) talk(f func(in io.Writer, out *bufio.Reader)) (int, error) {
	b.t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	b.Stdin, b.Stdout = inR, outW
	talked := make(chan struct{})
	go func() {
		defer close(talked)
		f(inW, bufio.NewReader(outR))
		_ = inW.Close()
	}()
	code, err := b.run()
	_ = outW.Close()
	<-talked
	_, _ = inR.Close(), outR.Close()
	return code, err
}

func TestTheApplicationLearnsWhereServicesAre(t *testing.T) {
	b := newBench(t, "env")
	b.Ports = []Port{{Number: 8081}}
	code, err := b.run()
	if code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s", code, err, b.log.String())
	}
	env := map[string]string{}
	for line := range strings.Lines(b.out.String()) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[k] = v
	}
	for key, prefix := range map[string]string{
		"WEFT_NAME": "web", "WEFT_NAMESPACE": "shop", "WEFT_WORKLOAD": "web-",
		"http_proxy": "http://127.0.0.1:", "HTTP_PROXY": "http://127.0.0.1:",
		"https_proxy": "http://127.0.0.1:", "no_proxy": "localhost,127.0.0.1,::1",
		"WEFT_CART_URL": "http://127.0.0.1:", "WEFT_CART_ADDR": "127.0.0.1:",
		"WEFT_CART_9090_URL": "http://127.0.0.1:", "WEFT_CART_GRPC_API_ADDR": "127.0.0.1:",
		"WEFT_STOCK_DB_URL": "tcp://127.0.0.1:", "WEFT_STOCK_DB_ADDR": "127.0.0.1:",
		"HOME": "/",
	} {
		if !strings.HasPrefix(env[key], prefix) {
			t.Errorf("%s=%s, want %s…", key, env[key], prefix)
		}
	}
	if env["WEFT_CART_URL"] != env["WEFT_CART_80_URL"] || env["WEFT_CART_URL"] == env["WEFT_CART_9090_URL"] {
		t.Errorf("ports are mixed up: %v", env)
	}
}

func TestUnchangedHTTPGoesThroughTheProxy(t *testing.T) {
	b := newBench(t, "get", "http://cart/items")
	code, err := b.run()
	if code != 0 || err != nil || b.out.String() != "GET http://cart/items\n" {
		t.Errorf("exit code %d, %v, output %q", code, err, b.out.String())
	}
}

func TestExitCodeAndStreamsAreTheApplications(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want int
	}{
		{"success", []string{"exit", "0"}, 0},
		{"its own code", []string{"exit", "42"}, 42},
		{"killed by a signal", []string{"suicide"}, 128 + 9},
	} {
		b := newBench(t, tc.args[0], tc.args[1:]...)
		if code, err := b.run(); code != tc.want || err != nil {
			t.Errorf("%s: exit code %d, %v; want %d", tc.name, code, err, tc.want)
		}
	}
	b := newBench(t, "cat")
	var echoed string
	code, err := b.talk(func(in io.Writer, out *bufio.Reader) {
		_, _ = io.WriteString(in, "a line\n") // answered before the input ends: nothing buffers
		echoed, _ = out.ReadString('\n')
	})
	if code != 0 || err != nil || echoed != "a line\n" {
		t.Errorf("exit code %d, %v, echo %q", code, err, echoed)
	}
}

func TestSignalsReachTheApplicationOnce(t *testing.T) {
	b := newBench(t, "wait")
	var heard []string
	code, err := b.talk(func(_ io.Writer, out *bufio.Reader) {
		_, _ = out.ReadString('\n')
		for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTERM} {
			b.signals <- s
			line, _ := out.ReadString('\n')
			heard = append(heard, strings.TrimSpace(line))
		}
	})
	want := "got hangup, got user defined signal 1, got user defined signal 2, got terminated"
	if code != 7 || err != nil || strings.Join(heard, ", ") != want {
		t.Errorf("exit code %d, %v, heard %v", code, err, heard)
	}
	if _, err := os.Stat(filepath.Join(b.StateDir, "drained")); err != nil {
		t.Error("the proxy was not asked to drain")
	}
}

func TestAnInterruptedApplicationGives130(t *testing.T) {
	b := newBench(t, "wait")
	code, err := b.talk(func(_ io.Writer, out *bufio.Reader) {
		_, _ = out.ReadString('\n')
		b.signals <- syscall.SIGINT
	})
	if code != 130 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestCancellingEndsADeafApplication(t *testing.T) {
	b := newBench(t, "deaf")
	b.StopTimeout = 50 * time.Millisecond
	outR, outW, _ := os.Pipe()
	b.Stdout = outW
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = bufio.NewReader(outR).ReadString('\n')
		cancel()
	}()
	code, err := Run(ctx, b.Options)
	_, _ = outW.Close(), outR.Close()
	if code != 128+9 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	b.nothingLeft()
}

func TestAStubbornProxyIsKilledAfterTheApplication(t *testing.T) {
	b := newBench(t, "exit", "3")
	b.wish("stubborn")
	b.DrainTimeout = 50 * time.Millisecond
	if code, err := b.run(); code != 3 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestASignalDuringTheStartEndsIt(t *testing.T) {
	b := newBench(t, "exit", "0")
	b.wish("silent")
	b.signals <- syscall.SIGTERM
	if code, err := b.run(); code != 143 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestFailuresAreToldWithACode(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*bench)
		code string
		why  string // part of it
		exit int
	}{
		{"the proxy tells why it cannot start", func(b *bench) { b.wish("fail") }, "W4111", "there is no control plane", 1},
		{"the proxy is silent", func(b *bench) { b.wish("silent"); b.ReadyTimeout = 200 * time.Millisecond }, "W4111", "200ms", 1},
		{"the proxy dies", func(b *bench) { b.wish("die") }, "W4111", `its last line: error: �[31mno "luck" today`, 1},
		{"the proxy is missing", func(b *bench) { b.ProxyBinary = "/nowhere/weft-proxy" }, "W4110", "/nowhere/weft-proxy", 1},
		{"the proxy may not be executed", func(b *bench) { b.ProxyBinary = notExecutable(t) }, "W4110", "no program at /", 1},
		{"the application is missing", func(b *bench) { b.Command = []string{"./no-such-app"} }, "W4104", "no such file", 127},
		{"the application is not in PATH", func(b *bench) { b.Command = []string{"no-such-app-at-all"} }, "W4104", "not found", 127},
		{"the application may not be executed", func(b *bench) { b.Command = []string{notExecutable(t)} }, "W4104", "permission denied", 126},
		{"there is no application", func(b *bench) { b.Command = nil }, "W4103", "--", 1},
		{"a name with a capital", func(b *bench) { b.Name = "Web" }, "W4102", "lower-case", 1},
		{"no name", func(b *bench) { b.Name = "" }, "W4102", "1 to 63", 1},
		{"a port twice", func(b *bench) { b.Ports = []Port{{Number: 1}, {Number: 1}} }, "W4101", "twice", 1},
		{"the control plane cannot be asked", func(b *bench) { b.Lister = nobody{} }, "W4113", "refused", 1},
		{"others may write into the runtime directory", func(b *bench) {
			_ = os.Mkdir(b.RuntimeDir, 0o700)
			_ = os.Chmod(b.RuntimeDir, 0o777) //nolint:gosec // that is the point
		}, "W4120", "0777", 1},
		{"the runtime directory is a link", func(b *bench) { _ = os.Symlink(t.TempDir(), b.RuntimeDir) }, "W4120", "not a directory", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "exit", "0")
			tc.set(b)
			exit, err := b.run()
			var coded *codes.Error
			if !errors.As(err, &coded) {
				t.Fatalf("exit code %d, error without a code: %v", exit, err)
			}
			if coded.Code != tc.code || !strings.Contains(coded.Why, tc.why) || exit != tc.exit {
				t.Errorf("exit code %d, %v; want %d, %s …%s…", exit, coded, tc.exit, tc.code, tc.why)
			}
			if _, known := codes.Lookup(coded.Code); !known || len(coded.Next) == 0 {
				t.Errorf("%s: in the catalogue %v, next %v", coded.Code, known, coded.Next)
			}
		})
	}
}

func notExecutable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type nobody struct{}

func (nobody) Services(context.Context, string) ([]model.Service, error) {
	return nil, syscall.ECONNREFUSED
}

// lockedBuffer may be read while it is written to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAKilledProxyComesBackOnTheSameAddressesWithTheIdentity(t *testing.T) {
	b := newBench(t, "env")
	b.Command = []string{self(t), "play", "wait"}
	b.Identity = fakeIdentity("key and certificate")
	envFile := filepath.Join(t.TempDir(), "env")
	b.Command = []string{"/bin/sh", "-c", "env > " + envFile + "; echo there; read line"}
	code, err := b.talk(func(in io.Writer, out *bufio.Reader) {
		_, _ = out.ReadString('\n')
		text, _ := os.ReadFile(envFile)
		addr := value(string(text), "WEFT_CART_ADDR")
		for i := range 3 {
			pid := b.proxyPID()
			if got := ask(addr); got != "service shop/cart:80 by "+strconv.Itoa(pid) {
				t.Errorf("before the kill: %q", got)
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
			eventually(t, "the proxy is back on "+addr, func() bool {
				now := b.proxyPID()
				return now != pid && ask(addr) == "service shop/cart:80 by "+strconv.Itoa(now)
			})
			// It answers a moment before it is known to be ready; killed in between it would not have been back.
			eventually(t, "that is known", func() bool { return strings.Count(b.log.String(), "the proxy is back") == i+1 })
		}
		_, _ = io.WriteString(in, "\n")
	})
	log := b.log.String()
	if code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if n := strings.Count(log, "code=W4112"); n != 3 {
		t.Errorf("the restarts were told %d times:\n%s", n, log)
	}
	if n := strings.Count(log, "weft-proxy: identity of 19 bytes"); n != 4 {
		t.Errorf("the identity was handed over %d times:\n%s", n, log)
	}
}

type fakeIdentity string

func (fakeIdentity) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (f fakeIdentity) Handover(w io.Writer) error  { _, err := io.WriteString(w, string(f)); return err }

func value(env, key string) string {
	for line := range strings.Lines(env) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return v
		}
	}
	return ""
}

// ask gives the line that an address answers with.
func ask(addr string) string {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestAnIdentityLargerThanAPipeIsHandedOver(t *testing.T) {
	b := newBench(t, "exit", "0")
	b.Identity = fakeIdentity(strings.Repeat("x", 200<<10))
	if code, err := b.run(); code != 0 || err != nil || !strings.Contains(b.log.String(), "identity of 204800 bytes") {
		t.Errorf("exit code %d, %v\n%s", code, err, b.log.String())
	}
}

func TestAProxyInTheEnvironmentIsTold(t *testing.T) {
	b := newBench(t, "env")
	b.Env = append(b.Env, "http_proxy=http://user:secret@old:3128", "https_proxy=http://old:3128")
	if code, err := b.run(); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v", code, err)
	}
	out, log := b.out.String(), b.log.String()
	if u, _ := url.Parse(value(out, "http_proxy")); u.Hostname() != "127.0.0.1" {
		t.Errorf("http_proxy=%s", u)
	}
	if got := value(out, "https_proxy"); got != "http://old:3128" {
		t.Errorf("https_proxy=%s; the only way out was taken", got)
	}
	if strings.Count(log, "W4115") != 2 || strings.Contains(log, "secret") {
		t.Errorf("log:\n%s", log)
	}
}

func TestInboundReachesTheApplication(t *testing.T) {
	b := newBench(t, "serve", "127.0.0.1:"+freePort(t))
	_, port, _ := net.SplitHostPort(b.Command[3])
	n, _ := strconv.ParseUint(port, 10, 16)
	b.Ports = []Port{{Number: uint16(n)}}
	b.Link = "127.0.0.1:" + freePort(t)
	var got string
	code, err := b.talk(func(in io.Writer, out *bufio.Reader) {
		_, _ = out.ReadString('\n')
		got = ask(b.Link)
		_, _ = io.WriteString(in, "\n")
	})
	if code != 0 || err != nil || got != "the app" {
		t.Errorf("exit code %d, %v, answer %q", code, err, got)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	return port
}
