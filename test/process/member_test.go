//go:build linux

package process

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// member is a process in the mesh, with its `weft run`.
type member struct {
	*process
	w        *world
	workload string // NAMESPACE/INSTANCE
	app      int    // process ids
	proxy    int
	metrics  string
}

// run starts `weft run` with flags and a command, and waits until the command runs.
func (w *world) run(name string, flags []string, command ...string) *member {
	w.t.Helper()
	m := w.runSoon(name, flags, command...)
	m.joined(0)
	return m
}

// runSoon starts `weft run` and does not wait.
func (w *world) runSoon(name string, flags []string, command ...string) *member {
	w.t.Helper()
	args := append([]string{"run", "-v", "--metrics", "--name", name}, flags...)
	return &member{w: w, process: w.weft(append(append(args, "--"), command...)...)}
}

// joined waits until the command runs and notes what the log tells of it.
func (m *member) joined(skip int) {
	m.t.Helper()
	line := m.err.await(m.t, m.done, skip, "joined the mesh")
	m.workload, m.metrics = field(line, "workload"), field(line, "metrics")
	m.app, _ = strconv.Atoi(field(line, "pid"))
	m.proxy, _ = strconv.Atoi(field(line, "proxy"))
	if m.app == 0 || m.proxy == 0 || m.metrics == "" {
		m.t.Fatalf("the log does not tell who runs: %s", line)
	}
}

// killProxy kills the member's proxy as a crash would.
func (m *member) killProxy() {
	m.t.Helper()
	if err := syscall.Kill(m.proxy, syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
}

// proxyBack waits for the proxy that took the place of a killed one, the nth.
func (m *member) proxyBack(n int) {
	m.t.Helper()
	line := m.err.await(m.t, m.done, n-1, "the proxy is back")
	m.proxy, _ = strconv.Atoi(field(line, "pid"))
}

// self is this test program, for roles.
func self(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// serve runs a role of this test program on a free port, and waits until it listens.
func (w *world) serve(name, role string, flags []string, args ...string) *member {
	w.t.Helper()
	port := strconv.Itoa(freePort(w.t))
	spec := port
	for i, f := range flags { // "--port :tcp" means: the free port, with this protocol; "": http, with this name
		if f == "--port" {
			if spec = port + flags[i+1]; spec == port {
				spec = "http=" + port + ":http"
			}
			flags = append(append([]string{}, flags[:i]...), flags[i+2:]...)
			break
		}
	}
	m := w.run(name, append([]string{"--port", spec}, flags...), append([]string{self(w.t), roleArg, role, port}, args...)...)
	m.out.await(w.t, m.done, 0, "serving")
	return m
}

// caller is a member without ports whose environment the test uses to call from.
type caller struct {
	*member
	env map[string]string
}

// call starts a caller.
func (w *world) call(name string, flags ...string) *caller {
	w.t.Helper()
	m := w.run(name, flags, self(w.t), roleArg, "hold")
	c := &caller{member: m}
	line := m.out.await(w.t, m.done, 0, "{")
	if err := json.Unmarshal([]byte(line), &c.env); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// addr is where the caller finds a service.
func (c *caller) addr(service string) string {
	c.t.Helper()
	key := "WEFT_" + strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_ADDR"
	if c.env[key] == "" {
		c.t.Fatalf("the environment has no %s", key)
	}
	return c.env[key]
}

// client makes an HTTP client that calls as the caller does, by http_proxy.
func (c *caller) client() *http.Client {
	c.t.Helper()
	proxy, err := url.Parse(c.env["http_proxy"])
	if err != nil || proxy.Host == "" {
		c.t.Fatalf("http_proxy is %q", c.env["http_proxy"])
	}
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), MaxIdleConnsPerHost: 64}
	c.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport: tr, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// until calls a URL until it answers 200, as people do after starting something.
func (c *caller) until(client *http.Client, target string) {
	c.t.Helper()
	eventually(c.t, target+" answers 200", func() bool {
		code, _ := get(client, target)
		return code == http.StatusOK
	})
}

// runDirs lists the directories of runs.
func (w *world) runDirs() []string {
	found, _ := filepath.Glob(filepath.Join(w.runtime(), "run-*"))
	return found
}

// rss gives the resident memory of a process in MB, as the kernel counts it.
func rss(t testing.TB, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// since tells a duration for logs.
func since(t0 time.Time) time.Duration { return time.Since(t0).Round(time.Millisecond) }
