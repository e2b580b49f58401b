package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/demo/shop"
	"github.com/weft-mesh/weft/node"
)

// TestMain is also one process of the demo, when it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "demo-app" {
		os.Exit(demoApp(os.Args[2], os.Args[3:]))
	}
	goleak.VerifyTestMain(m)
}

func demoApp(name string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	o := shop.Options{Getenv: os.Getenv}
	f.StringVar(&o.Listen, "listen", "", "")
	f.StringVar(&o.Version, "version", "", "")
	rate, span := f.Float64("rate", 10, ""), f.Duration("for", 0, "")
	if err := f.Parse(args); err != nil {
		return 2
	}
	var err error
	if name == "load" {
		err = Generate(ctx, os.Getenv, *rate, *span, os.Stdout)
	} else {
		err = shop.Serve(ctx, name, o)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// stage is a world without a mesh: processes call each other directly, and the control plane
// says what the test wants it to. mu guards what follows it.
type stage struct {
	t *testing.T

	mu      sync.Mutex
	cond    *sync.Cond
	addrs   map[string]string
	pids    []int
	edges   []mesh.Edge
	crash   string // this member ends at once
	upFails error
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, addrs: map[string]string{}}
	s.cond = sync.NewCond(&s.mu)
	s.edges, _ = sound()
	return s
}

func (s *stage) parts() Parts {
	return Parts{App: []string{os.Args[0], "demo-app"}, Up: s.up, Join: s.join, Dial: func(string) (mesh.Client, error) { return &stageClient{s: s}, nil }}
}

func (s *stage) up(ctx context.Context, o UpOptions) error {
	if s.upFails != nil {
		return s.upFails
	}
	for _, f := range []string{"ratings.yaml", "services.yaml"} {
		if _, err := os.Stat(filepath.Join(o.Dir, f)); err != nil {
			return err
		}
	}
	l, err := net.Listen("unix", o.Socket)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return l.Close()
}

// join runs the member beside all others; it waits for their addresses as no real join must.
func (s *stage) join(ctx context.Context, m Member) (int, error) {
	s.mu.Lock()
	if m.Port != nil {
		s.addrs[m.Name] = m.Port.Addr.String()
		s.cond.Broadcast()
	}
	for len(s.addrs) < len(members) {
		s.cond.Wait()
	}
	env := os.Environ()
	for name, addr := range s.addrs {
		name = strings.TrimSuffix(name, "-v1") // version v2 is called by nobody here
		env = append(env, "WEFT_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"_URL=http://"+addr)
	}
	crash := s.crash == m.Name
	s.mu.Unlock()
	c := exec.Command(m.Command[0], m.Command[1:]...)
	if crash {
		c = exec.Command(m.Command[0], "demo-app", "nothing")
	}
	c.Env, c.Stdout, c.Stderr = env, m.Stdout, m.Stderr
	if err := c.Start(); err != nil {
		return 1, err
	}
	s.mu.Lock()
	s.pids = append(s.pids, c.Process.Pid)
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = c.Process.Signal(syscall.SIGTERM) })
	defer stop()
	var ex *exec.ExitError
	if err := c.Wait(); err != nil && !errors.As(err, &ex) {
		return 1, err
	}
	return c.ProcessState.ExitCode(), nil
}

// leftovers lists what a run left behind.
func (s *stage) leftovers(dirs place.Dirs) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pid := range s.pids {
		if syscall.Kill(pid, 0) == nil {
			out = append(out, fmt.Sprintf("process %d", pid))
		}
	}
	for _, pattern := range []string{filepath.Join(dirs.TmpDir, "*"), dirs.Runtime()} {
		found, _ := filepath.Glob(pattern)
		out = append(out, found...)
	}
	return out
}

// stageClient is the control plane.
type stageClient struct {
	mesh.Client
	s *stage
}

func (c *stageClient) Close() error { return nil }

func (c *stageClient) Services(context.Context) ([]mesh.Service, error) {
	var out []mesh.Service
	for name, n := range endpointsWanted {
		out = append(out, mesh.Service{Namespace: namespace, Name: name, Endpoints: n, Meshed: n})
	}
	return out, nil
}

func (c *stageClient) Stat(context.Context, mesh.StatQuery) (*mesh.EdgeList, error) {
	return &mesh.EdgeList{Edges: c.s.edges}, nil
}

func testDirs(t *testing.T) place.Dirs {
	t.Helper()
	base, err := os.MkdirTemp("", "weft-t-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	run, tmp := filepath.Join(base, "run"), filepath.Join(base, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	return place.Dirs{UID: os.Geteuid(), TmpDir: tmp, Getenv: func(k string) string {
		if k == "WEFT_RUNTIME_DIR" {
			return run
		}
		return ""
	}}
}

func TestARunGivesAReportAndLeavesNothingBehind(t *testing.T) {
	s, dirs := newStage(t), testDirs(t)
	var info Info
	r, err := Run(t.Context(), s.parts(), Options{For: 400 * time.Millisecond, Rate: 200, Dirs: dirs, OnReady: func(i Info) { info = i }})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Healthy || r.Ledger.Sent == 0 || r.Ledger.Failed != 0 {
		t.Errorf("report = %+v", r)
	}
	if info.Ready <= 0 || !strings.HasPrefix(info.Shop, "http://127.0.0.1:") || info.Workload != 7 {
		t.Errorf("info = %+v", info)
	}
	if left := s.leftovers(dirs); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if len(s.pids) != 7 {
		t.Errorf("%d processes were started, wanted 7", len(s.pids))
	}
}

func TestAnInterruptStopsEverything(t *testing.T) {
	s, dirs := newStage(t), testDirs(t)
	ctx, interrupt := context.WithCancelCause(t.Context())
	why := errors.New("ctrl-c")
	r, err := Run(ctx, s.parts(), Options{Rate: 50, Dirs: dirs, OnReady: func(Info) { interrupt(why) }})
	if r != nil || !errors.Is(err, why) {
		t.Errorf("report %v, error %v", r, err)
	}
	if left := s.leftovers(dirs); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestAnInterruptWhileStartingStopsEverything(t *testing.T) {
	s, dirs := newStage(t), testDirs(t)
	ctx, interrupt := context.WithCancel(t.Context())
	parts := s.parts()
	join := parts.Join
	parts.Join = func(ctx context.Context, m Member) (int, error) {
		if m.Name == "web" {
			interrupt()
		}
		return join(ctx, m)
	}
	if _, err := Run(ctx, parts, Options{Rate: 50, Dirs: dirs}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left := s.leftovers(dirs); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestAServiceThatEndsEndsTheDemoAndIsNamed(t *testing.T) {
	s, dirs := newStage(t), testDirs(t)
	s.crash = "catalog"
	_, err := Run(t.Context(), s.parts(), Options{Rate: 50, Dirs: dirs})
	var coded *codes.Error
	if !errors.As(err, &coded) || coded.Code != "W4020" {
		t.Fatalf("error = %v", err)
	}
	for _, part := range []string{"catalog", "exit code 1", "has no service"} {
		if !strings.Contains(coded.Error(), part) {
			t.Errorf("%q does not say %q", coded.Error(), part)
		}
	}
	if left := s.leftovers(dirs); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestAControlPlaneThatCannotStartIsToldWithItsReason(t *testing.T) {
	s, dirs := newStage(t), testDirs(t)
	s.upFails = errors.New("no space left on device")
	parts := s.parts()
	parts.Dial = func(string) (mesh.Client, error) { return deaf{}, nil }
	_, err := Run(t.Context(), parts, Options{Rate: 50, Dirs: dirs})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error = %v", err)
	}
	if left := s.leftovers(dirs); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// deaf is a control plane that never answers.
type deaf struct{ mesh.Client }

func (deaf) Close() error                                     { return nil }
func (deaf) Services(context.Context) ([]mesh.Service, error) { return nil, errors.New("deaf") }

func TestADemoRemovesWhatAKilledOneLeftAndNothingElse(t *testing.T) {
	s, dirs := newStage(t), testDirs(t)
	dead := exec.Command(os.Args[0], "demo-app", "nothing")
	_ = dead.Run() // it only had to live and end
	for _, name := range []string{
		fmt.Sprintf("weft-demo-%d-1-%d.x", dead.Process.Pid, node.Self().Space), // of a dead process
		"weft-demo-" + node.Self().String() + ".x",                              // of a living one
		"weft-demo-mine", // of somebody who called it so
	} {
		if err := os.Mkdir(filepath.Join(dirs.TmpDir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.upFails = errors.New("enough")
	parts := s.parts()
	parts.Dial = func(string) (mesh.Client, error) { return deaf{}, nil }
	_, _ = Run(t.Context(), parts, Options{Rate: 50, Dirs: dirs}) // it ends at once; only what it removed counts
	left := s.leftovers(dirs)
	if len(left) != 2 || !strings.Contains(left[0], node.Self().String()) || !strings.HasSuffix(left[1], "mine") {
		t.Errorf("left: %q", left)
	}
}

func TestASecondDemoIsRefusedAndTheFirstIsLeftAlone(t *testing.T) {
	dirs := testDirs(t)
	if _, err := dirs.EnsureRuntime(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", dirs.Socket(place.DemoMesh))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = Run(t.Context(), Parts{}, Options{Dirs: dirs})
	var coded *codes.Error
	if !errors.As(err, &coded) || coded.Code != "W4010" {
		t.Errorf("error = %v", err)
	}
	if _, err := os.Stat(dirs.Socket(place.DemoMesh)); err != nil {
		t.Errorf("the first one's socket: %v", err)
	}
}

func TestTheTailKeepsTheLastLinesOfAProcess(t *testing.T) {
	var seen []string
	w := &tail{name: "x", each: func(_, line string) { seen = append(seen, line) }}
	for _, s := range []string{"one\ntw", "o\n", "three\nfour\n", "rest"} {
		if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := w.last(); got != "two | three | four | rest" {
		t.Errorf("last = %q", got)
	}
	if !slices.Equal(seen, []string{"one", "two", "three", "four"}) {
		t.Errorf("each line once: %q", seen)
	}
	if _, err := w.Write(make([]byte, 3*maxLine)); err != nil || len(w.part) > maxLine {
		t.Errorf("a line without end is bounded: %d bytes", len(w.part))
	}
}
