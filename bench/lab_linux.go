package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// lab is the two namespaces, the backends and the load generators. It is used by one goroutine.
type lab struct {
	dir            string // temporary, removed at the end
	self           string // this program, which is also the gRPC and TCP backend and the TCP load
	client, server *rig.Namespace
	pki            *rig.PKI
	tools          tools
	log            *slog.Logger
	backends       map[string]*rig.Process
}

// tools are the programs that the lab itself needs, with their paths.
type tools struct{ nginx, wrk, h2load string }

// findTools looks for them and names what is missing, and how to get it, all at once.
func findTools() (tools, error) {
	var t tools
	var missing string
	for _, x := range []struct {
		path     *string
		name, at string
		pkg      string
	}{{&t.nginx, "nginx", "/usr/sbin/nginx", "nginx-light"}, {&t.wrk, "wrk", "/usr/bin/wrk", "wrk"}, {&t.h2load, "h2load", "/usr/bin/h2load", "nghttp2-client"}} {
		p, err := rig.Find(x.name, x.at)
		if err != nil {
			missing += " " + x.pkg
		}
		*x.path = p
	}
	if missing != "" {
		return t, &rig.Problem{What: "the backend or a load generator is not installed", Why: "missing Debian packages:" + missing,
			Next: []string{"apt-get install -y" + missing}}
	}
	return t, nil
}

// newLab makes everything but the backends. close removes it.
func newLab(t tools, log *slog.Logger) (*lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &lab{self: self, tools: t, log: log, backends: map[string]*rig.Process{}}
	if l.dir, err = os.MkdirTemp("", "weft-bench-"); err != nil {
		return nil, &rig.Problem{What: "cannot make a temporary directory", Why: err.Error(), Err: err}
	}
	if err := l.build(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) build() (err error) {
	// nginx may give up its rights to a user of its own, who must be able to read the bodies.
	if err := os.Chmod(l.dir, 0o711); err != nil {
		return err
	}
	if l.pki, err = rig.MakePKI(l.dir, time.Now(), serverAddr.AsSlice()); err != nil {
		return err
	}
	frame, err := grpcFrame()
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"64k": bytes.Repeat([]byte("w"), largeBytes), "nginx.conf": []byte(nginxConfig(l.dir)), "wrk.lua": []byte(wrkScript), "grpc.bin": frame,
	} {
		if err := os.WriteFile(l.file(name), data, 0o644); err != nil {
			return err
		}
	}
	if l.client, err = rig.NewNamespace(); err != nil {
		return err
	}
	if l.server, err = rig.NewNamespace(); err != nil {
		return err
	}
	return rig.Join("bench0", l.client, []netip.Addr{clientAddr}, l.server, []netip.Addr{serverAddr})
}

func (l *lab) file(name string) string { return filepath.Join(l.dir, name) }

// close ends what the lab started and removes its files.
func (l *lab) close() {
	for _, p := range l.backends {
		p.Stop()
	}
	for _, n := range []*rig.Namespace{l.client, l.server} {
		if n != nil {
			n.Close()
		}
	}
	if err := os.RemoveAll(l.dir); err != nil {
		l.log.Warn("temporary directory not removed", "dir", l.dir, "err", err)
	}
}

// backend gives the running backend of a case; it is started at first use and waited for.
func (l *lab) backend(ctx context.Context, c benchCase) (*rig.Process, error) {
	name, argv := "nginx", []string{l.tools.nginx, "-p", l.dir, "-c", l.file("nginx.conf")}
	switch {
	case c.spec().bulk:
		name, argv = "for large bodies", []string{l.self, "serve-bulk", fmt.Sprintf("0.0.0.0:%d", portBulkH1), fmt.Sprintf("0.0.0.0:%d", portBulkH2), fmt.Sprintf("0.0.0.0:%d", portBulkTCP)}
	case c.proto == protoGRPC:
		name, argv = "for gRPC", []string{l.self, "serve-grpc", fmt.Sprintf("0.0.0.0:%d", portGRPC)}
	case c.proto == protoTCP:
		name, argv = "for TCP", []string{l.self, "serve-tcp", fmt.Sprintf("0.0.0.0:%d", portTCP)}
	}
	if p := l.backends[name]; p != nil {
		return p, nil
	}
	p, err := rig.Start(l.server, "the backend "+name, argv, nil)
	if err != nil {
		return nil, err
	}
	l.backends[name] = p
	ready, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return p, rig.Await(ready, "the backend", []*rig.Process{p}, func(ctx context.Context) error { return l.check(ctx, c, l.direct(c)) })
}

// direct is the backend's address, as seen by the client.
func (l *lab) direct(c benchCase) string {
	return net.JoinHostPort(serverAddr.String(), strconv.Itoa(c.port()))
}
