package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/node"
)

const (
	namespace = "shop"
	// upTimeout bounds the start of the control plane, readyTimeout that of all services.
	upTimeout    = 10 * time.Second
	readyTimeout = 30 * time.Second
	// stopTimeout bounds how long one process may take to stop before the demo gives up on it.
	stopTimeout = 15 * time.Second
	// settleTimeout is how long the last reports of the proxies are waited for.
	settleTimeout = 5 * time.Second
	// pollEvery is how often something on this machine is asked whether it is ready.
	pollEvery = 25 * time.Millisecond
)

// DefaultRate is the load in requests a second.
const DefaultRate = 50.0

// Parts are what the demo is put together from; tests give their own.
type Parts struct {
	// Up runs a control plane until ctx ends.
	Up func(ctx context.Context, o UpOptions) error
	// Join runs a process in the mesh until it ends or ctx does, and gives its exit code.
	Join func(ctx context.Context, m Member) (int, error)
	// Dial asks the control plane at a socket.
	Dial func(socket string) (mesh.Client, error)
	// App is the command that runs a service of the demo; its name and flags are appended.
	App []string
}

// UpOptions is what the demo's control plane is told.
type UpOptions struct{ Dir, StateDir, Socket string }

// Options of a run.
type Options struct {
	For  time.Duration // under load; 0: until ctx ends, without a report
	Rate float64       // requests a second
	Dirs place.Dirs
	// OnReady is called once, when load flows.
	OnReady func(Info)
	// Log, if not nil, gets the lines that the processes write, with their name.
	Log func(name, line string)
}

// Info is what a visitor wants to know.
type Info struct {
	Ready    time.Duration // it took
	Shop     string        // URL of the front
	Dir      string        // of the configuration
	Socket   string
	Workload int // number of processes with a proxy each
}

// Run runs the demo. It gives a report if o.For is set and was not cut short.
func Run(ctx context.Context, p Parts, o Options) (_ *Report, err error) {
	begin := time.Now()
	socket := o.Dirs.Socket(place.DemoMesh)
	if place.Alive(ctx, socket) {
		e := codes.New("W4010", "a demo runs here already")
		e.Where = socket
		e.Next = []string{"weft status --control demo", "weft stat --control demo"}
		return nil, e
	}
	made, err := o.Dirs.EnsureRuntime()
	if err != nil {
		return nil, err
	}
	if made {
		defer func() { _ = os.Remove(o.Dirs.Runtime()) }() // stays if somebody else uses it by now
	}
	reap(o.Dirs.TmpDir)
	dir, err := os.MkdirTemp(o.Dirs.TmpDir, dirPrefix+node.Self().String()+".")
	if err != nil {
		return nil, startError("its temporary directory", err)
	}
	defer func() {
		if rerr := os.RemoveAll(dir); rerr != nil && err == nil {
			err = startError("removing "+dir, rerr)
		}
	}()
	config := filepath.Join(dir, "mesh")
	if err := writeFiles(config); err != nil {
		return nil, startError("its configuration", err)
	}

	// Everything that runs, runs in group; the first failure ends all.
	g := newGroup(ctx, o.Log)
	defer g.stopAll()
	g.start("control plane", func(ctx context.Context) error {
		return p.Up(ctx, UpOptions{Dir: config, StateDir: filepath.Join(dir, "state"), Socket: socket})
	})
	client, err := p.Dial(socket)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	if err := g.await(upTimeout, "the control plane", func(ctx context.Context) string {
		if _, err := client.Services(ctx); err != nil {
			return err.Error()
		}
		return ""
	}); err != nil {
		return nil, err
	}
	shopURL, err := startShop(g, p, client, socket)
	if err != nil {
		return nil, err
	}
	load, err := startLoad(g, p, o, socket)
	if err != nil {
		return nil, err
	}
	ready := time.Since(begin)
	if o.OnReady != nil {
		o.OnReady(Info{Ready: ready, Shop: shopURL, Dir: config, Socket: socket, Workload: len(members) + 1})
	}
	if o.For <= 0 {
		return nil, g.untilDone()
	}
	ledger, err := load.wait(g, o.For+readyTimeout)
	if err != nil {
		return nil, err
	}
	edges, err := settled(g, client, ledger.Sent, time.Since(begin))
	if err != nil {
		return nil, err
	}
	r := judge(edges, *ledger)
	r.ReadyMS, r.Seconds = ready.Milliseconds(), o.For.Seconds()
	return &r, nil
}

// dirPrefix begins the name of a demo's temporary directory; the process that it belongs to and
// a random part follow.
const dirPrefix = "weft-demo-"

// reap removes the directories of demos that were killed. What belongs to others cannot be
// removed, and is not ours to complain about.
func reap(tmp string) {
	found, _ := filepath.Glob(filepath.Join(tmp, dirPrefix+"*")) // the pattern is well formed
	for _, path := range found {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), dirPrefix), ".")
		if owner, err := node.ParseOwner(text); err == nil && owner.Dead() {
			_ = os.RemoveAll(path)
		}
	}
}

// writeFiles writes the embedded configuration to dir.
func writeFiles(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	all, err := fs.Glob(files, "mesh/*.yaml")
	if err != nil {
		return err
	}
	for _, name := range all {
		b, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// settled gives the edges once the reports of all proxies were counted: when the mesh has seen
// what the load generator sent, and nothing changes any more; or after settleTimeout what there
// is.
func settled(g *group, client mesh.Client, sent uint64, since time.Duration) ([]mesh.Edge, error) {
	var edges []mesh.Edge
	var last uint64
	q := mesh.StatQuery{To: mesh.Ref{Namespace: namespace}, Window: min(since+time.Minute, 30*time.Minute)}
	quiet := 0
	err := g.poll(settleTimeout, 250*time.Millisecond, func(ctx context.Context) string {
		list, err := client.Stat(ctx, q)
		if err != nil {
			return err.Error()
		}
		edges = list.Edges
		var total, front uint64
		for _, e := range edges {
			total += e.Requests + e.Connections
			if e.To == namespace+"/web" {
				front += e.Requests
			}
		}
		if total != last {
			quiet = 0
		} else {
			quiet++
		}
		last = total
		if front < sent || quiet < 5 { // proxies report about once a second
			return "reports are still coming"
		}
		return ""
	})
	if errors.Is(err, errNotReady) {
		err = nil
	}
	return edges, err
}

// startError is W4020 about one part.
func startError(part string, cause error) error {
	e := codes.New("W4020", "the demo could not start: "+part)
	e.Why, e.Err = cause.Error(), cause
	e.Next = []string{"weft demo -v", "weft check --pre"}
	return e
}

// errNotReady is what poll gives when the time is over.
var errNotReady = fmt.Errorf("not ready in time: %w", context.DeadlineExceeded)
