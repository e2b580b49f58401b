package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
	envoybin "github.com/weft-mesh/weft/test/envoy"
)

// peer is something that can carry the load of a case.
type peer interface {
	// name is one of peerNames.
	name() string
	// version is for the record; empty if it cannot be told.
	version() string
	// start brings the proxies of a case up. They need not be ready yet: the caller waits until a
	// request comes through, and stops what was returned, also with an error.
	start(ctx context.Context, l *lab, c benchCase) (*deployment, error)
}

// deployment is the proxies of one peer in one case.
type deployment struct {
	peer    string
	target  string         // "ip:port" in the client's namespace
	proxies []*rig.Process // those that are measured, client side first
	others  []*rig.Process // those that are not (a control plane), started before the proxies
	idle    []float64      // RSS in MB of each proxy, before any load but the check
	link    linkConfig     // how the server's side is spoken to; only with two proxies
	socket  string         // of weft's control plane
	env     []string       // of weft's processes
	field   [2]string      // what the answer to a request must have in its head, if not empty

	proof func(context.Context) error // of the way that a request has taken; nil: there is only one
}

// stop ends the proxies, then the others.
func (d *deployment) stop() {
	for _, p := range d.proxies {
		p.Stop()
	}
	for _, p := range d.others {
		p.Stop()
	}
}

// ready waits until a whole request comes through, and notes how large the idle proxies are.
func (d *deployment) ready(ctx context.Context, l *lab, c benchCase) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	all := append(append([]*rig.Process(nil), d.others...), d.proxies...)
	if err := rig.Await(ctx, d.peer+" ("+c.id()+")", all, func(ctx context.Context) error { return l.check(ctx, c, d.target) }); err != nil {
		return err
	}
	if d.field[0] != "" {
		head, err := l.get(ctx, c, d.target)
		if err != nil {
			return err
		}
		if have := head.Get(d.field[0]); have != d.field[1] {
			return fmt.Errorf("%s (%s): the answer has %q in %s, want %q", d.peer, c.id(), have, d.field[0], d.field[1])
		}
	}
	if d.proof != nil {
		if err := d.proof(ctx); err != nil {
			return err
		}
	}
	var err error
	d.idle, err = rssOf(d.proxies)
	return err
}

// linkOf is how a proxy without a control plane is spoken to at its server's side.
func linkOf(p *rig.PKI, port int) linkConfig {
	return linkConfig{Addr: fmt.Sprintf("%s:%d", serverAddr, port), Cert: p.ClientCert, Key: p.ClientKey, CA: p.CA, ALPN: "h2"}
}

func rssOf(ps []*rig.Process) ([]float64, error) {
	var out []float64
	for _, p := range ps {
		mb, err := rss(p.PID())
		if err != nil {
			return nil, fmt.Errorf("memory of %s: %w", p.Name, err)
		}
		out = append(out, mb)
	}
	return out, nil
}

// direct is no proxy at all: what the load and the backend can do.
type direct struct{}

func (direct) name() string    { return "direct" }
func (direct) version() string { return "" }

func (direct) start(_ context.Context, l *lab, c benchCase) (*deployment, error) {
	return &deployment{peer: "direct", target: l.direct(c)}, nil
}

// haproxy runs one or two HAProxies.
type haproxy struct{ path, ver string }

func (haproxy) name() string      { return "haproxy" }
func (h haproxy) version() string { return h.ver }

func (h haproxy) start(_ context.Context, l *lab, c benchCase) (*deployment, error) {
	d := &deployment{peer: "haproxy", target: fmt.Sprintf("127.0.0.1:%d", portHAProxy), link: linkOf(l.pki, portHAProxyLink)}
	run := func(ns *rig.Namespace, file, config string) error {
		if err := os.WriteFile(l.file(file), []byte(config), 0o600); err != nil {
			return err
		}
		p, err := rig.Start(ns, "haproxy ("+file+")", []string{h.path, "-db", "-f", l.file(file)}, nil)
		if err == nil {
			d.proxies = append(d.proxies, p)
		}
		return err
	}
	if err := run(l.client, "haproxy-client.cfg", haproxyClient(c, l.pki)); err != nil {
		return d, err
	}
	if c.hops.single() {
		return d, nil
	}
	return d, run(l.server, "haproxy-server.cfg", haproxyServer(c, l.pki))
}

// envoy runs one or two Envoys.
type envoy struct{ path, ver string }

func (envoy) name() string      { return "envoy" }
func (e envoy) version() string { return e.ver }

func (e envoy) start(_ context.Context, l *lab, c benchCase) (*deployment, error) {
	d := &deployment{peer: "envoy", target: fmt.Sprintf("127.0.0.1:%d", portEnvoy), link: linkOf(l.pki, portEnvoyLink)}
	run := func(ns *rig.Namespace, file string, config []byte, err error) error {
		if err != nil {
			return err
		}
		if err := os.WriteFile(l.file(file), config, 0o600); err != nil {
			return err
		}
		p, err := rig.Start(ns, "envoy ("+file+")", []string{e.path, "-c", l.file(file), "--concurrency", "1",
			"--disable-hot-restart", "--log-level", "error", "--drain-time-s", "0"}, nil)
		if err == nil {
			d.proxies = append(d.proxies, p)
		}
		return err
	}
	config, err := envoyClient(c, l.pki)
	if err := run(l.client, "envoy-client.json", config, err); err != nil {
		return d, err
	}
	if c.hops.single() {
		return d, nil
	}
	config, err = envoyServer(c, l.pki)
	return d, run(l.server, "envoy-server.json", config, err)
}

// findPeers looks for the programs of the peers named. For each that is missing it returns a
// problem that says how to get it; the others can be measured all the same.
func findPeers(ctx context.Context, names []string, o options) (found []peer, missing []error) {
	for _, n := range names {
		var p peer
		var err error
		switch n {
		case "direct":
			p = direct{}
		case "haproxy":
			p, err = findHAProxy(ctx)
		case "envoy":
			p, err = findEnvoy(ctx, o)
		case "weft":
			p, err = findWeft(ctx, o)
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
	path := o.envoy
	if path == "" {
		var err error
		if path, err = envoybin.Fetch(ctx, o.cache); err != nil {
			return nil, &rig.Problem{What: "envoy is left out", Why: err.Error(), Next: []string{"or give a binary: -envoy PATH"}, Err: err}
		}
	}
	// It begins with the path of the program, which is nobody else's business.
	v := strings.TrimSpace(strings.TrimPrefix(rig.FirstLine(ctx, path, "--version"), path))
	if v == "" {
		return nil, &rig.Problem{What: "envoy does not run; it is left out", Why: path + " --version failed", Next: []string{"rm -r " + filepath.Dir(path)}}
	}
	return envoy{path, v}, nil
}
