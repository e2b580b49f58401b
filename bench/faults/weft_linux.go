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
	"time"

	"github.com/weft-mesh/weft/bench/rig"
	"github.com/weft-mesh/weft/proxy/config"
)

// weft runs a control plane and two of our proxies.
type weft struct{ control, proxy, ver string }

func (weft) name() string      { return "weft" }
func (w weft) version() string { return w.ver }

// findWeft takes the programs from o.weft, or builds them from the tree in which it runs.
func findWeft(ctx context.Context, o options) (peer, error) {
	dir := o.weft
	if dir == "" {
		var err error
		if dir, err = filepath.Abs(filepath.Join(o.cache, "weft-faults")); err != nil {
			return nil, err
		}
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", dir+"/", "./cmd/weft", "./cmd/weft-proxy")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, &rig.Problem{What: "weft does not build; it is left out", Why: rig.Excerpt(out),
				Next: []string{"run it at the top of the repository, or give the programs: -weft DIR"}, Err: err}
		}
	}
	w := weft{control: filepath.Join(dir, "weft"), proxy: filepath.Join(dir, "weft-proxy")}
	for _, p := range []string{w.control, w.proxy} {
		if _, err := exec.LookPath(p); err != nil {
			return nil, &rig.Problem{What: "weft is not here; it is left out", Why: err.Error(), Next: []string{"go build -o " + dir + "/ ./cmd/..."}, Err: err}
		}
	}
	w.ver = rig.FirstLine(ctx, w.control, "version")
	return w, nil
}

func (w weft) start(ctx context.Context, l *lab, s scenario) (*deployment, error) {
	d := &deployment{}
	// A directory for each scenario: nothing learned in one may help the next.
	dir, err := os.MkdirTemp(l.dir, "weft-")
	if err != nil {
		return d, err
	}
	mesh, run := filepath.Join(dir, "mesh"), filepath.Join(dir, "run")
	for _, sub := range []string{mesh, run} {
		if err := os.Mkdir(sub, 0o700); err != nil {
			return d, err
		}
	}
	for name, data := range meshFiles(s) {
		if err := os.WriteFile(filepath.Join(mesh, name), []byte(data), 0o600); err != nil {
			return d, err
		}
	}
	env := []string{"WEFT_RUNTIME_DIR=" + run}
	up, err := rig.Start(l.client, "weft up", []string{w.control, "up", mesh, "--state", filepath.Join(dir, "state")}, env)
	if err != nil {
		return d, err
	}
	d.processes = append(d.processes, up)
	socket := filepath.Join(run, "default.sock")
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := rig.Await(ctx, "weft up", d.processes, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}); err != nil {
		return d, err
	}
	if _, err := w.startProxy(ctx, d, l.server, filepath.Join(dir, "server.json"), weftServer(s, socket)); err != nil {
		return d, err
	}
	ready, err := w.startProxy(ctx, d, l.client, filepath.Join(dir, "client.json"), weftClient(socket))
	if err != nil {
		return d, err
	}
	if len(ready.Workloads) != 1 || len(ready.Workloads[0].Services) != 1 {
		return d, &rig.Problem{What: "weft-proxy is ready without its listener", Why: fmt.Sprintf("its answer is %+v", ready)}
	}
	d.target = ready.Workloads[0].Services[0].Listen
	return d, nil
}

// startProxy starts one proxy and waits for its answer on the ready descriptor.
func (w weft) startProxy(ctx context.Context, d *deployment, ns *rig.Namespace, file string, cfg config.Config) (config.Ready, error) {
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
	p, err := rig.Start(ns, "weft-proxy ("+filepath.Base(file)+")", []string{w.proxy, "-config", file}, nil, child)
	_ = child.Close()
	if err != nil {
		return ready, err
	}
	d.processes = append(d.processes, p)
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
