package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-mesh/weft/bench/rig"
)

// TestMain lets this binary be the backends and load generators too, as the program itself is.
func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	if handled, err := runRole(ctx, os.Args[1:], os.Stdout); handled {
		os.Exit(report(os.Stderr, err))
	}
	if os.Getenv("BENCH_TEST_MAIN") != "" { // the program itself, for tests of signals
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	stop()
	goleak.VerifyTestMain(m)
}

func TestTheProcessClockAgreesWithProc(t *testing.T) {
	pid := os.Getpid()
	for end := time.Now().Add(60 * time.Millisecond); time.Now().Before(end); {
		_ = rig.Excerpt(bytes.Repeat([]byte("work "), 1000))
	}
	before, err := cpuTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	st, err := parseProcStat(b)
	if err != nil {
		t.Fatal(err)
	}
	after, err := cpuTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	// Two roundings to ticks, of utime and of stime.
	const tick = time.Second / ticksPerSecond
	if sum := st.user + st.system; sum < before-2*tick || sum > after+2*tick {
		t.Errorf("utime+stime %s, clock %s to %s", sum, before, after)
	}
	for _, none := range []int{0, -1, 4194304 + 1, 1 << 30} { // above the kernel's largest pid
		if _, err := cpuTime(none); err == nil {
			t.Errorf("process %d, which cannot exist, has a clock", none)
		}
	}
}

func TestGRPCBackendAnswersBothSizes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := freeAddr(t)
	served := make(chan error, 1)
	go func() { served <- serveGRPC(ctx, addr.String()) }()
	dial := func(ctx context.Context, a string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", a)
	}
	call, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	for _, b := range []bodySize{bodySmall, bodyLarge} {
		if err := callGRPC(call, addr.String(), b, dial); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// freeAddr gives an address on which nothing listens at the moment.
func freeAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return netip.MustParseAddrPort(ln.Addr().String())
}

func TestTCPLoadCountsWholeEchoes(t *testing.T) {
	addr := freeAddr(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(self, "serve-tcp", addr.String())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := rig.Await(ctx, "the echo server", nil, func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr.String())
		if err == nil {
			_ = c.Close()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{smallBytes, largeBytes, 4 << 20} { // the last is more than any socket's buffer
		var out bytes.Buffer
		begun := 0
		seen, err := loadTCP(addr, 4, size, 100*time.Millisecond, func() error { begun++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if err := printResult(&out, seen); err != nil {
			t.Fatal(err)
		}
		r, err := parseResult(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if begun != 1 || r.requests == 0 || r.failed != 0 || r.p50 <= 0 || r.p50 > r.p999 || r.bytes != r.requests*int64(size) {
			t.Errorf("%d bytes: %+v", size, r)
		}
	}
}

func TestTCPLoadReportsAServerThatHangsUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for range 3 {
			if c, err := ln.Accept(); err == nil {
				_ = c.Close()
			}
		}
	}()
	r, err := loadTCP(netip.MustParseAddrPort(ln.Addr().String()), 3, smallBytes, 5*time.Second, func() error { return nil })
	_ = ln.Close()
	<-served
	if err != nil {
		t.Fatal(err)
	}
	if r.requests != 0 || r.failed < 3 {
		t.Errorf("%+v, want 3 failed", r)
	}
	if r.duration > 4*time.Second {
		t.Errorf("it went on for %s with no connection left", r.duration)
	}
}

func TestADeadProcessIsSaidWithItsLastWords(t *testing.T) {
	needRoot(t)
	ns, err := rig.NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	p, err := rig.Start(ns, "a peer", []string{"/bin/sh", "-c", "echo no such directive >&2; exit 7"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = rig.Await(ctx, "a peer", []*rig.Process{p}, func(context.Context) error { return errNothing })
	if err == nil || !strings.Contains(err.Error(), "no such directive") || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("%v", err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
}

// links lists the machine's own interfaces.
func links(t *testing.T) string {
	t.Helper()
	is, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range is {
		names = append(names, i.Name)
	}
	return strings.Join(names, " ")
}

// The smoke test: a real run, as short as it can be, through whatever peers are installed.
func TestARealRunMeasuresAndLeavesNothingBehind(t *testing.T) {
	needRoot(t)
	if _, err := findTools(); err != nil {
		t.Skip(err)
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	// The second case has nothing to measure without a proxy.
	peers, want := "direct", 1
	if _, err := findHAProxy(t.Context()); err == nil {
		peers, want = peers+",haproxy", 3
	}
	before := links(t)
	out := t.TempDir()
	lines, svg := filepath.Join(out, "out.jsonl"), filepath.Join(out, "out.svg")
	o, err := parseOptions([]string{"-peers", peers, "-cases", "two/h1/small/32,two/link/new/8", "-rounds", "1", "-for", "9s", "-json", lines, "-svg", svg}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code, err := measureAll(t.Context(), o, &stdout, &stderr)
	if err != nil || code != exitDone {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout.String(), stderr.String())
	}
	f, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range bytes.Lines(f) {
		var kind struct{ Type string }
		if err := json.Unmarshal(line, &kind); err != nil {
			t.Fatal(err)
		}
		seen[kind.Type]++
		if kind.Type != "sample" {
			continue
		}
		var s sample
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		if s.Requests == 0 || s.RPS <= 0 || s.P50 <= 0 || s.P50 > s.P999 {
			t.Errorf("%s", line)
		}
		if s.Peer == "haproxy" && (s.CPUMicros <= 0.5 || len(s.RSS) == 0) {
			t.Errorf("%s", line)
		}
	}
	if seen["run"] != 1 || seen["sample"] != want || seen["summary"] != want || seen["goal"] != len(goals) {
		t.Errorf("lines %v, want 1 run, %d samples, %d summaries, %d goals", seen, want, want, len(goals))
	}
	if st, err := os.Stat(svg); err != nil || st.Size() == 0 {
		t.Errorf("no plot: %v", err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
	if after := links(t); after != before {
		t.Errorf("interfaces before: %s\nafter: %s", before, after)
	}
}

func TestCtrlCEndsEverything(t *testing.T) {
	needRoot(t)
	if _, err := findTools(); err != nil {
		t.Skip(err)
	}
	tmp := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-peers", "direct", "-cases", "two/h1/small/1", "-rounds", "5", "-for", "30s")
	cmd.Env = append(os.Environ(), "BENCH_TEST_MAIN=1", "TMPDIR="+tmp)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(stdout, first); err != nil { // the line that says what will be done
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := rig.Await(ctx, "the load", nil, func(context.Context) error {
		kids, err := children(cmd.Process.Pid)
		if err == nil && len(kids) < 2 {
			err = fmt.Errorf("only %v run", kids)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	kids, err := children(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, stdout)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d\n%s", code, exitInterrupted, stderr.String())
	}
	for _, pid := range kids {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s is still there", pid)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

// children lists the processes that all threads of pid have started.
func children(pid int) ([]string, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			out = append(out, strings.Fields(string(b))...)
		}
	}
	return out, nil
}

// Two peers once shared a port, and each carried half of the other's load without an error.
func TestAProxyThatTheLoadGoesPastIsNotMeasured(t *testing.T) {
	needRoot(t)
	found, err := findTools()
	if err != nil {
		t.Skip(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	log := slog.New(slog.DiscardHandler)
	l, err := newLab(found, log)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	c := quickCases()[1]
	backend, err := l.backend(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	idle, err := rig.Start(l.client, "an idle proxy", []string{"/bin/sleep", "60"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{peer: "idle", target: l.direct(c), proxies: []*rig.Process{idle}}
	defer d.stop()
	r := &runner{lab: l, plan: schedule{rounds: 1, slot: 100 * time.Millisecond}, log: log}
	if s, err := r.measure(t.Context(), &work{c: c, p: direct{}, d: d, backend: backend}); !errors.Is(err, errBypassed) {
		t.Errorf("error %v, %+v", err, s)
	}
}
