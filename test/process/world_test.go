//go:build linux

package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of a test for something that should be there at once: the machine
// may be busy. What must be fast is measured and asserted by itself.
const patience = 20 * time.Second

// world is one mesh with directories of its own.
type world struct {
	t   testing.TB
	dir string // all of it is below
	cfg string
	up  *process
}

// newWorld makes a mesh with files (name to content) and starts its control plane.
func newWorld(t testing.TB, files map[string]string, upArgs ...string) *world {
	t.Helper()
	w := emptyWorld(t)
	for name, text := range files {
		w.write(name, text)
	}
	w.start(upArgs...)
	return w
}

// emptyWorld makes the directories only. They are not t.TempDir, whose names are too long for sockets.
func emptyWorld(t testing.TB) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "wp")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, cfg: filepath.Join(dir, "mesh")}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for _, d := range []string{"mesh", "r", "s", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// runtime is the directory of sockets.
func (w *world) runtime() string { return filepath.Join(w.dir, "r", "weft") }

func (w *world) environ() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + w.dir, "TMPDIR=" + filepath.Join(w.dir, "tmp"),
		"XDG_RUNTIME_DIR=" + filepath.Join(w.dir, "r"), "XDG_STATE_HOME=" + filepath.Join(w.dir, "s"), "NO_COLOR=1",
	}
	// A Python that is managed by pyenv finds itself through this.
	if root := os.Getenv("PYENV_ROOT"); root != "" {
		env = append(env, "PYENV_ROOT="+root)
	}
	return env
}

// write replaces a configuration file as editors do: by renaming over it.
func (w *world) write(name, text string) {
	w.t.Helper()
	tmp := filepath.Join(w.dir, "tmp", name)
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(w.cfg, name)); err != nil {
		w.t.Fatal(err)
	}
}

// start starts the control plane and waits until it serves.
func (w *world) start(args ...string) {
	w.t.Helper()
	w.up = w.weft(append([]string{"up", w.cfg}, args...)...)
	w.up.out.await(w.t, w.up.done, 0, "weft is up")
	w.up.out.await(w.t, w.up.done, 0, "  next")
}

// process is a program that runs.
type process struct {
	t        testing.TB
	name     string
	cmd      *exec.Cmd
	out, err lines
	done     chan struct{} // closed when it was waited for
	answered bool          // it did what it should: its output is of no interest when a test fails
}

// launch starts a program. When the test ends it gets SIGTERM, and after a while SIGKILL, which fails the test.
func (w *world) launch(env []string, name string, args ...string) *process {
	w.t.Helper()
	p := &process{t: w.t, name: filepath.Base(name) + " " + strings.Join(args, " "), done: make(chan struct{})}
	p.cmd = exec.Command(name, args...)
	p.cmd.Env, p.cmd.Dir = append(w.environ(), env...), w.dir
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 3 * time.Second // for children that outlive it and hold its output
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { // ends with the process
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	w.t.Cleanup(p.end)
	return p
}

// weft starts the command line.
func (w *world) weft(args ...string) *process {
	w.t.Helper()
	return w.launch(nil, filepath.Join(bin, "weft"), args...)
}

// end stops the process in an orderly way, if it still runs.
func (p *process) end() {
	select {
	case <-p.done:
	default:
		p.signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(patience):
			p.t.Errorf("%s did not end in %s after SIGTERM", p.name, patience)
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
	if p.t.Failed() && !p.answered {
		p.t.Logf("--- %s: code %d\n%s%s", p.name, p.code(), tail(p.out.String()), tail(p.err.String()))
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

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signalling %s: %v", p.name, err)
	}
}

// kill kills it as a crash would and waits.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// wait waits for its end and gives the exit code as a shell would.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s still runs after %s\n%s%s", p.name, patience, tail(p.out.String()), tail(p.err.String()))
	}
	return p.code()
}

func (p *process) code() int {
	st, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && st.Signaled() {
		return 128 + int(st.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// ask runs a verb to its end and gives what it printed.
func (w *world) ask(wantCode int, args ...string) (stdout, stderr string) {
	w.t.Helper()
	p := w.weft(args...)
	if code := p.wait(); code != wantCode {
		w.t.Fatalf("weft %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, wantCode, p.out.String(), p.err.String())
	}
	p.answered = true
	return p.out.String(), p.err.String()
}

// askJSON runs a reading verb with -o json.
func (w *world) askJSON(into any, args ...string) {
	w.t.Helper()
	out, _ := w.ask(0, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		w.t.Fatalf("weft %s: %v in\n%s", strings.Join(args, " "), err, out)
	}
}

// status is what tests need of `weft status -o json`.
type status struct {
	Control struct {
		PID      int    `json:"pid"`
		RootHash string `json:"rootHash"`
		Listen   string `json:"listen"`
	} `json:"control"`
	Proxies []struct {
		Name      string `json:"name"`
		Connected bool   `json:"connected"`
		Current   bool   `json:"current"`
	} `json:"proxies"`
	Workloads []struct {
		Name     string            `json:"name"`
		State    string            `json:"state"`
		Identity string            `json:"identity"`
		Labels   map[string]string `json:"labels"`
		Services []string          `json:"services"`
	} `json:"workloads"`
}

func (w *world) status() (s status) {
	w.t.Helper()
	w.askJSON(&s, "status")
	return s
}

// states gives the state of each workload by name.
func (s *status) states() map[string]string {
	out := map[string]string{}
	for _, wl := range s.Workloads {
		out[wl.Name] = wl.State
	}
	return out
}

// edge is one row of `weft stat -o json`.
type edge struct {
	From        string  `json:"from"`
	Workload    string  `json:"workload"`
	To          string  `json:"to"`
	Backend     string  `json:"backend"`
	Protocol    string  `json:"protocol"`
	Requests    uint64  `json:"requests"`
	Failures    uint64  `json:"failures"`
	MTLS        float64 `json:"mtls"`
	Connections uint64  `json:"connections"`
}

// onlyMTLS waits until the mesh has seen traffic to a service, and asserts that all of it was over mTLS.
func (w *world) onlyMTLS(service string) {
	w.t.Helper()
	var edges struct {
		Edges []edge `json:"edges"`
	}
	eventually(w.t, "weft stat shows traffic to "+service, func() bool {
		edges.Edges = nil
		w.askJSON(&edges, "stat", service)
		for _, e := range edges.Edges {
			if e.Requests+e.Connections > 0 {
				return true
			}
		}
		return false
	})
	for _, e := range edges.Edges {
		if e.MTLS != 1 {
			w.t.Errorf("%s to %s (%s): share over mTLS %v of %d requests and %d connections, want all", e.From, e.To, e.Protocol, e.MTLS, e.Requests, e.Connections)
		}
	}
}

// eventually polls until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) { // polling, with a deadline
		if time.Now().After(deadline) {
			t.Fatalf("in %s it did not come about that %s", patience, what)
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

// need finds programs, or skips the test with a line that names them.
func need(t testing.TB, programs ...string) {
	t.Helper()
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if _, err := os.Stat(filepath.Join("/usr/sbin", p)); err != nil {
				missing = append(missing, p)
			}
		}
	}
	if len(missing) > 0 {
		t.Skipf("skipped: not on this machine: %s (make deps)", strings.Join(missing, ", "))
	}
}

// alive reports whether a process runs; one that ended and was not waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// children lists the children of a process.
func children(pid int) (out []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		text, _ := os.ReadFile(l)
		for f := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(f); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// within bounds one call.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
