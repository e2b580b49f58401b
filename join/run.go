package join

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/node"
	"github.com/weft-mesh/weft/proxy/config"
)

// runs counts the runs of this process, for names of directories.
var runs atomic.Uint64

// Run puts a process into the mesh and waits for its end. The exit code is the application's,
// 128+n if signal n ended it, 127 and 126 if it is missing or may not be executed, 1 if
// something of ours failed; err, if not nil, is coded and says what.
//
// When ctx ends, the application gets SIGTERM and, after StopTimeout, SIGKILL; its exit code is
// returned as ever. Run leaves no process, file, socket, link or goroutine of its own behind. It
// may be called several times at once.
func Run(ctx context.Context, o Options) (exitCode int, err error) {
	if err := o.Normalize(); err != nil {
		return 1, err
	}
	if o.Transparent {
		if err := node.Supported(); err != nil {
			return 1, err
		}
	}
	binary, err := findProxy(o.ProxyBinary)
	if err != nil {
		return 1, err
	}
	o.shareStreams()
	signals := o.Signals
	if signals == nil {
		var stop func()
		signals, stop = listen()
		defer stop()
	}
	Reap(o.RuntimeDir, o.Log)
	if o.StateDir != "" {
		reapRuns(o.StateDir, o.Log)
	}

	var s site
	defer s.close(&o)
	keeping := keepIdentity(o.Identity)
	defer keeping()
	thread := node.NewThread()
	defer thread.Close()

	starting := newStart(ctx, signals)
	sup, err := startProxy(starting.ctx, &o, &s, binary, thread)
	if sig := starting.finish(); sig != nil {
		if sup != nil {
			sup.stop(closed)
		}
		return code(sig), nil
	}
	if err != nil {
		return 1, err
	}
	return runApp(ctx, &o, &s, sup, thread, signals)
}

// shareStreams makes streams that are not files fit for two writers.
func (o *Options) shareStreams() {
	if _, isFile := o.Stderr.(*os.File); isFile {
		return
	}
	shared := &locked{w: o.Stderr}
	for _, w := range []*io.Writer{&o.Stdout, &o.ProxyLog} {
		if same(*w, o.Stderr) {
			*w = shared
		}
	}
	o.Stderr = shared
}

// same compares two writers; those of types that cannot be compared are different.
func same(a, b io.Writer) (equal bool) {
	defer func() {
		if recover() != nil {
			equal = false
		}
	}()
	return a == b
}

// closed is always ready.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// keepIdentity renews the identity until the function that it gives is called.
func keepIdentity(id Identity) (stop func()) {
	if id == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = id.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// startProxy makes everything ready for the application.
func startProxy(ctx context.Context, o *Options, s *site, binary string, thread *node.Thread) (*supervisor, error) {
	cfg, err := s.prepare(ctx, o, runs.Add(1))
	if err != nil {
		return nil, err
	}
	sup := &supervisor{
		launcher: launcher{
			binary: binary, config: *cfg, identity: o.Identity, thread: thread,
			logTo: o.ProxyLog, timeout: o.ReadyTimeout,
		},
		log: o.Log, drain: o.DrainTimeout, ending: make(chan time.Time, 1), patience: o.StopTimeout,
	}
	if s.netns != nil {
		sockets := s.netns.Sockets()
		sup.launcher.tcp, sup.launcher.dns = sockets.TCP, sockets.DNS
	}
	if err := sup.start(ctx); err != nil {
		return nil, err
	}
	return sup, nil
}

// runApp runs the application beside its proxy and ends the proxy after it.
func runApp(ctx context.Context, o *Options, s *site, sup *supervisor, thread *node.Thread, signals <-chan os.Signal) (int, error) {
	ready := sup.ready()
	mine := ready.Workloads[0]
	if s.netns != nil {
		thread = s.netns.Thread()
	}
	a, code, err := startApp(o, environ(o, s, mine), thread)
	if err != nil {
		sup.stop(nil)
		return code, err
	}
	o.Log.Info("joined the mesh", "workload", o.Namespace+"/"+o.Instance, "service", o.Namespace+"/"+o.Service,
		"pid", a.cmd.Process.Pid, "proxy", ready.PID, "link", mine.Link, "http_proxy", mine.Proxy, "metrics", ready.Metrics)

	if ready.Metrics != "" {
		fmt.Fprintf(o.Stderr, "weft: metrics of %s/%s at http://%s/metrics\n", o.Namespace, o.Instance, ready.Metrics) // a closed terminal ends no run
	}

	keepCtx, stopKeeping := context.WithCancel(context.Background())
	defer stopKeeping()
	var keeper sync.WaitGroup
	keeper.Go(func() { sup.keep(keepCtx) })
	var leave func() <-chan struct{}
	if len(o.Ports) > 0 { // else nobody is sent here
		leave = sup.leave
	}
	code = a.run(ctx, signals, leave, sup.appEnds, o.StopTimeout)
	stopKeeping()
	keeper.Wait()
	hurry, enough := impatience(signals)
	defer enough()
	sup.stop(hurry)
	return code, nil
}

// environ is the application's environment.
func environ(o *Options, s *site, ready config.ReadyWorkload) []string {
	env := newEnvironment(o.Env)
	env.setSelf(o)
	env.setServices(s.addresses(ready))
	if ready.Proxy != "" {
		for _, note := range env.setProxy(ready.Proxy) {
			e := codes.New("W4115", note)
			o.Log.Warn(e.What, "code", e.Code)
		}
	}
	return env.vars
}
