package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
	"github.com/weft-mesh/weft/proxy/config"
)

// weft runs a control plane and one or two of our proxies.
type weft struct {
	control, proxy string // the two programs
	ver            string
	variant        variant
}

func (w weft) name() string    { return w.variant.name }
func (w weft) version() string { return w.ver }

// findWeft takes the programs from o.weft, or builds them from the tree in which the bench runs.
func findWeft(ctx context.Context, o options) (peer, error) {
	dir := o.weft
	if dir == "" {
		if _, err := os.Stat("cmd/weft-proxy"); err != nil {
			return nil, &rig.Problem{What: "weft is not here; it is left out", Why: "there is no cmd/weft-proxy below the working directory",
				Next: []string{"run the bench at the top of the repository, or give the programs: -weft DIR"}, Err: err}
		}
		var err error
		if dir, err = filepath.Abs(filepath.Join(o.cache, "weft")); err != nil {
			return nil, err
		}
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", dir+"/", "./cmd/weft", "./cmd/weft-proxy")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, &rig.Problem{What: "weft does not build; it is left out", Why: rig.Excerpt(out), Next: []string{"go build ./cmd/..."}, Err: err}
		}
	}
	w := weft{variant: usual, control: filepath.Join(dir, "weft"), proxy: filepath.Join(dir, "weft-proxy")}
	for _, p := range []string{w.control, w.proxy} {
		if _, err := exec.LookPath(p); err != nil {
			return nil, &rig.Problem{What: "weft is not here; it is left out", Why: err.Error(), Next: []string{"go build -o " + dir + "/ ./cmd/..."}, Err: err}
		}
	}
	w.ver = rig.FirstLine(ctx, w.control, "version")
	return w, nil
}

func (w weft) start(ctx context.Context, l *lab, c benchCase) (*deployment, error) {
	d := &deployment{peer: w.name()}
	// A directory for each case: nothing learned in one may help the next.
	dir, err := os.MkdirTemp(l.dir, "weft-")
	if err != nil {
		return d, err
	}
	mesh := filepath.Join(dir, "mesh")
	if err := os.Mkdir(mesh, 0o700); err != nil {
		return d, err
	}
	if w.variant.routes > 0 {
		d.field = [2]string{routesField, strconv.Itoa(w.variant.routes)}
	}
	for name, data := range meshFiles(w.variant.routes) {
		if err := os.WriteFile(filepath.Join(mesh, name), []byte(data), 0o600); err != nil {
			return d, err
		}
	}
	runtime := filepath.Join(dir, "run")
	if err := os.Mkdir(runtime, 0o700); err != nil {
		return d, err
	}
	env := []string{"WEFT_RUNTIME_DIR=" + runtime}
	up, err := rig.Start(l.client, "weft up", []string{w.control, "up", mesh, "--state", filepath.Join(dir, "state")}, env)
	if err != nil {
		return d, err
	}
	d.others = append(d.others, up)
	socket := filepath.Join(runtime, "default.sock")
	wait, cancel := context.WithTimeout(ctx, 20*time.Second) // with 10,000 routes it has something to read
	defer cancel()
	if err := rig.Await(wait, "weft up", d.others, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}); err != nil {
		return d, err
	}
	if !c.hops.single() {
		ready, err := w.startProxy(wait, d, l.server, filepath.Join(dir, "server.json"), w.variant.apply(weftServer(c, socket)), env)
		if err != nil {
			return d, err
		}
		if d.link, err = weftLink(c, ready.Workloads[0].Link, dir, filepath.Join(dir, "state")); err != nil {
			return d, err
		}
	}
	d.socket, d.env = socket, env
	ready, err := w.startProxy(wait, d, l.client, filepath.Join(dir, "client.json"), w.variant.apply(weftClient(c, socket)), env)
	if err != nil {
		return d, err
	}
	if len(d.proxies) == 2 { // the client's side is shown first
		d.proxies[0], d.proxies[1] = d.proxies[1], d.proxies[0]
	}
	if len(ready.Workloads) == 0 || len(ready.Workloads[0].Services) != 1 {
		return d, &rig.Problem{What: "weft-proxy is ready without its listener", Why: fmt.Sprintf("its answer is %+v", ready)}
	}
	d.target = ready.Workloads[0].Services[0].Listen
	if c.hops == sameNode {
		d.proof = func(ctx context.Context) error { return w.stayed(ctx, d) }
	}
	return d, nil
}

// stayed waits until the control plane has heard that what was carried so far never left the proxy. A
// proxy can reach a workload of its own over a link too, which would be another figure.
func (w weft) stayed(ctx context.Context, d *deployment) error {
	var heard error
	return rig.Await(ctx, "the report of a hop", slices.Concat(d.others, d.proxies), func(ctx context.Context) error {
		edges, err := w.edges(ctx, d)
		switch {
		case err != nil && heard == nil:
			return err
		case err != nil: // the time is over; what was wrong before is what there is to say
		case len(edges) == 1 && edges[0].Local > 0 && edges[0].MTLS == 0:
			return nil
		default:
			heard = fmt.Errorf("the control plane has heard of %+v, want one edge that is local", edges)
		}
		return heard
	})
}

// edge is what the control plane says of a caller and a service: shares of the requests, or
// connections. What was refused is in neither.
type edge struct {
	MTLS  float64 // over a link
	Local float64 // within one proxy
}

// edges asks the control plane which callers it has heard of.
func (w weft) edges(ctx context.Context, d *deployment) ([]edge, error) {
	cmd := exec.CommandContext(ctx, w.control, "stat", "-o", "json", "--control", d.socket)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("weft stat: %w", err)
	}
	var list struct{ Edges []edge }
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("weft stat: %w", err)
	}
	return list.Edges, nil
}

// timeStart starts another proxy of the client's side, called name, whose state is kept in stateDir,
// and ends it. It gives the milliseconds from exec to the line that says that it is ready. Each has
// an account of its own, for the control plane issues certificates to one only so often.
func (w weft) timeStart(ctx context.Context, l *lab, of *work, stateDir, name string, account int) (float64, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return 0, err
	}
	cfg := weftClient(of.c, of.d.socket)
	cfg.Name = meshNamespace + "/" + name
	cfg.Workloads[0].Name, cfg.Workloads[0].ServiceAccount = name, fmt.Sprintf("start-%d", account)
	cfg.StateDir = stateDir
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	d := &deployment{}
	defer d.stop()
	began := time.Now()
	ready, err := w.startProxy(ctx, d, l.client, stateDir+".json", cfg, of.d.env)
	took := time.Since(began)
	if err == nil && (len(ready.Workloads) != 1 || len(ready.Workloads[0].Services) != 1) {
		err = fmt.Errorf("it is ready with %+v, want one workload with one service", ready.Workloads)
	}
	return float64(took.Microseconds()) / 1e3, err
}

// startProxy starts one proxy and waits for its answer on the ready descriptor.
func (w weft) startProxy(ctx context.Context, d *deployment, ns *rig.Namespace, file string, cfg config.Config, env []string) (config.Ready, error) {
	var ready config.Ready
	b, err := json.Marshal(cfg)
	if err != nil {
		return ready, err
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return ready, err
	}
	r, child, err := os.Pipe()
	if err != nil {
		return ready, err
	}
	defer func() { _ = r.Close() }()
	p, err := rig.Start(ns, "weft-proxy ("+filepath.Base(file)+")", []string{w.proxy, "-config", file}, env, child)
	_ = child.Close()
	if err != nil {
		return ready, err
	}
	d.proxies = append(d.proxies, p)
	if at, ok := ctx.Deadline(); ok {
		if err := r.SetReadDeadline(at); err != nil {
			return ready, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil && len(line) == 0 {
		return ready, &rig.Problem{What: p.Name + " did not say that it is ready", Why: fmt.Sprintf("%v: %s", err, rig.Excerpt(p.Output())), Err: err}
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		return ready, fmt.Errorf("%s: answer when ready: %w", p.Name, err)
	}
	if ready.Error != "" {
		return ready, &rig.Problem{What: p.Name + " could not start", Why: ready.Error}
	}
	return ready, nil
}
