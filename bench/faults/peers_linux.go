package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weft-mesh/weft/bench/rig"
	envoybin "github.com/weft-mesh/weft/test/envoy"
)

// peer is a kind of proxy that carries the load of a scenario.
type peer interface {
	name() string
	version() string // for the record; empty if it cannot be told
	// start brings up the two proxies of a scenario. They need not be ready: the caller waits until
	// requests come through. It stops what was returned, also with an error.
	start(ctx context.Context, l *lab, s scenario) (*deployment, error)
}

// deployment is the running proxies of a peer.
type deployment struct {
	target    string         // "ip:port" in the client's namespace
	processes []*rig.Process // in the order of their start
}

func (d *deployment) stop() {
	for i := len(d.processes) - 1; i >= 0; i-- {
		d.processes[i].Stop()
	}
}

// run starts a program with a configuration file.
func (d *deployment) run(l *lab, ns *rig.Namespace, file string, config []byte, argv ...string) error {
	path := l.file(file)
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return err
	}
	p, err := rig.Start(ns, file, append(argv, path), nil)
	if err == nil {
		d.processes = append(d.processes, p)
	}
	return err
}

// haproxy runs two HAProxies.
type haproxy struct{ path, ver string }

func (haproxy) name() string      { return "haproxy" }
func (h haproxy) version() string { return h.ver }

func (h haproxy) start(_ context.Context, l *lab, s scenario) (*deployment, error) {
	d := &deployment{target: fmt.Sprintf("127.0.0.1:%d", clientPort)}
	if err := d.run(l, l.server, "haproxy-server.cfg", []byte(haproxyServer(s, l.pki)), h.path, "-db", "-f"); err != nil {
		return d, err
	}
	return d, d.run(l, l.client, "haproxy-client.cfg", []byte(haproxyClient(s, l.pki)), h.path, "-db", "-f")
}

// envoy runs two Envoys.
type envoy struct{ path, ver string }

func (envoy) name() string      { return "envoy" }
func (e envoy) version() string { return e.ver }

func (e envoy) start(_ context.Context, l *lab, s scenario) (*deployment, error) {
	d := &deployment{target: fmt.Sprintf("127.0.0.1:%d", clientPort)}
	run := func(ns *rig.Namespace, file string, config []byte, err error) error {
		if err != nil {
			return err
		}
		return d.run(l, ns, file, config, e.path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "--drain-time-s", "0", "-c")
	}
	config, err := envoyServer(s, l.pki)
	if err := run(l.server, "envoy-server.json", config, err); err != nil {
		return d, err
	}
	config, err = envoyClient(s, l.pki)
	return d, run(l.client, "envoy-client.json", config, err)
}

// findPeers looks for the programs of the peers named, and says how to get those that are missing.
func findPeers(ctx context.Context, o options) (found []peer, missing []error) {
	for _, n := range o.peers {
		var p peer
		var err error
		switch n {
		case "weft":
			p, err = findWeft(ctx, o)
		case "haproxy":
			p, err = findHAProxy(ctx)
		case "envoy":
			p, err = findEnvoy(ctx, o)
		}
		if err != nil {
			missing = append(missing, err)
			continue
		}
		found = append(found, p)
	}
	return found, missing
}

func findHAProxy(ctx context.Context) (peer, error) {
	path, err := rig.Find("haproxy", "/usr/sbin/haproxy")
	if err != nil {
		return nil, &rig.Problem{What: "haproxy is not installed; it is left out", Next: []string{"apt-get install -y haproxy"}, Err: err}
	}
	return haproxy{path, rig.FirstLine(ctx, path, "-v")}, nil
}

func findEnvoy(ctx context.Context, o options) (peer, error) {
	path, err := envoybin.Fetch(ctx, o.cache)
	if err != nil {
		return nil, &rig.Problem{What: "envoy is left out", Why: err.Error(), Err: err}
	}
	// It begins with the path of the program, which is nobody else's business.
	v := strings.TrimSpace(strings.TrimPrefix(rig.FirstLine(ctx, path, "--version"), path))
	if v == "" {
		return nil, &rig.Problem{What: "envoy does not run; it is left out", Why: path + " --version failed", Next: []string{"rm -r " + filepath.Dir(path)}}
	}
	return envoy{path, v}, nil
}
