//go:build linux

package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weft-mesh/weft/proxy/config"
)

// patience bounds every wait for something that should be there at once: the machine may be busy.
const patience = 20 * time.Second

// mesh is a control plane and two proxies, each a process: the caller's, with a listener that
// stands for the service, and the callee's, beside the service's backend.
type mesh struct {
	t    testing.TB
	dir  string
	env  []string
	name string
	addr string
}

// startMesh starts a mesh with one service, whose only endpoint is backend (host:port). protocol is
// declared on both sides: a name of model.Protocol.String, or empty for detection. All of it ends
// with the test.
func startMesh(t testing.TB, name, backend, protocol string) *mesh {
	t.Helper()
	app, err := netip.ParseAddrPort(backend)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "wi") // t.TempDir has names that are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	m := &mesh{t: t, dir: dir, name: name, env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "WEFT_RUNTIME_DIR=" + filepath.Join(dir, "run"), "NO_COLOR=1"}}
	for _, d := range []string{"mesh", "run"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: interop}\nspec:\n  selector: {app: %s}\n  ports:\n  - {name: app, port: %d, targetPort: %d%s}\n",
		name, name, app.Port(), app.Port(), appProtocol(protocol))
	if err := os.WriteFile(filepath.Join(dir, "mesh", "service.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.up()
	callee := m.proxy(name)
	callee.Workloads[0].Labels = map[string]string{"app": name}
	callee.Workloads[0].Ports = []config.Port{{Name: "app", Addr: app, Protocol: protocol}}
	m.serve(callee)
	caller := m.proxy("caller")
	caller.Workloads[0].Outbound.Services = []config.ServiceListener{{Listen: "127.0.0.1:0", Namespace: "interop", Service: name, Port: app.Port()}}
	ready := m.serve(caller)
	services := ready.Workloads[0].Services
	if len(services) != 1 {
		t.Fatalf("the caller's proxy has %d listeners, want 1", len(services))
	}
	m.addr = services[0].Listen
	return m
}

// Addr is the address of the caller's proxy that stands for the service.
func (m *mesh) Addr() string { return m.addr }

// onlyMTLS waits until the mesh has counted traffic to the service, and asserts that all of it
// crossed between the proxies over mTLS.
func (m *mesh) onlyMTLS() {
	m.t.Helper()
	var stat struct {
		Edges []struct {
			From        string  `json:"from"`
			Requests    uint64  `json:"requests"`
			Connections uint64  `json:"connections"`
			MTLS        float64 `json:"mtls"`
		} `json:"edges"`
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // polling, with a deadline
		cmd := exec.Command(filepath.Join(bin, "weft"), "stat", "interop/"+m.name, "-o", "json")
		cmd.Env, cmd.Dir = m.env, m.dir
		out, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(out, &stat)
		}
		seen := uint64(0)
		for _, e := range stat.Edges {
			seen += e.Requests + e.Connections
			if e.MTLS != 1 {
				m.t.Errorf("from %s: share over mTLS %v of %d requests and %d connections, want all", e.From, e.MTLS, e.Requests, e.Connections)
			}
		}
		if err == nil && seen > 0 {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("weft stat shows no traffic in %s: %v\n%s", patience, err, out)
		}
	}
}

// appProtocol is a port's declaration in YAML.
func appProtocol(protocol string) string {
	if protocol == "" {
		return ""
	}
	return ", appProtocol: " + protocol
}

// up starts the control plane and waits until it serves.
func (m *mesh) up() {
	m.t.Helper()
	p := launch(m.t, launchOptions{env: m.env}, filepath.Join(bin, "weft"), "up", filepath.Join(m.dir, "mesh"), "--state", filepath.Join(m.dir, "state"))
	p.out.await(m.t, p.done, "weft is up")
}

// proxy is the configuration that both proxies have in common.
func (m *mesh) proxy(name string) config.Config {
	return config.Config{
		Name:         "interop/" + name + "-1",
		Control:      config.Control{Socket: filepath.Join(m.dir, "run", "default.sock")},
		Workloads:    []config.Workload{{Name: name + "-1", Namespace: "interop", ServiceAccount: name, Link: "127.0.0.1:0"}},
		DrainTimeout: config.Duration(time.Second),
		ReadyFD:      3,
	}
}

// serve starts a proxy and waits until it is ready.
func (m *mesh) serve(c config.Config) (ready config.Ready) {
	m.t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		m.t.Fatal(err)
	}
	file := filepath.Join(m.dir, c.Workloads[0].Name+".json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		m.t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		m.t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // only read
	p := launch(m.t, launchOptions{env: m.env, files: []*os.File{w}}, filepath.Join(bin, "weft-proxy"), "-config", file)
	_ = w.Close()
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil || ready.Error != "" {
		m.t.Fatalf("%s is not ready: %v %s\n%s", c.Name, err, ready.Error, p.out.String())
	}
	return ready
}

// process is a program that runs.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	out  lines         // standard output and error
	done chan struct{} // closed when it was waited for
}

// launchOptions are what a program is given beside its arguments.
type launchOptions struct {
	env   []string
	stdin io.Reader
	out   io.Writer  // standard output, if not kept with standard error
	files []*os.File // descriptors from 3 on
}

// launch starts a program. When the test ends it gets SIGTERM, and SIGKILL if that does not help,
// which fails the test. Its output is shown if the test failed.
func launch(t testing.TB, o launchOptions, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: filepath.Base(name), done: make(chan struct{})}
	p.cmd = exec.Command(name, args...)
	p.cmd.Env, p.cmd.Stdin, p.cmd.ExtraFiles = o.env, o.stdin, o.files
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if o.out != nil {
		p.cmd.Stdout = o.out
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 3 * time.Second // for children that outlive it and hold its output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(p.end)
	return p
}

// end stops the process, if it still runs.
func (p *process) end() {
	select {
	case <-p.done:
	default:
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			p.t.Errorf("ending %s: %v", p.name, err)
		}
		select {
		case <-p.done:
		case <-time.After(patience):
			p.t.Errorf("%s did not end in %s after SIGTERM", p.name, patience)
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
	if p.t.Failed() {
		p.t.Logf("--- %s:\n%s", p.name, tail(p.out.String()))
	}
}

// tail keeps logs of failures readable.
func tail(s string) string {
	const most = 6000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// lines keeps what a process writes and lets tests wait for a line. The zero value is ready.
type lines struct {
	mu      sync.Mutex // guards what follows
	text    bytes.Buffer
	changed chan struct{} // closed and replaced at each write
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	const maxKept = 8 << 20
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() < maxKept {
		l.text.Write(b)
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return len(b), nil
}

// String gives all that was written.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits for the first whole line with part in it, until the process ends.
func (l *lines) await(t testing.TB, ended <-chan struct{}, part string) string {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for over := false; ; {
		l.mu.Lock()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed, text := l.changed, l.text.String()
		l.mu.Unlock()
		for line := range strings.Lines(text) {
			if strings.HasSuffix(line, "\n") && strings.Contains(line, part) {
				return strings.TrimSuffix(line, "\n")
			}
		}
		if over {
			t.Fatalf("%q was not said:\n%s", part, tail(text))
		}
		select {
		case <-changed:
		case <-ended:
			over = true // and once more: it may have been the last word
		case <-limit.C:
			over = true
		}
	}
}

// freePort gives a port on which nobody listens.
func freePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // it was never used
	return ln.Addr().(*net.TCPAddr).Port
}
