package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// lab is the two namespaces, the backends and the load generators. It is used by one goroutine.
type lab struct {
	dir            string // temporary, removed at the end
	self           string // this program, which is also the gRPC and TCP backend and the TCP load
	client, server *namespace
	pki            *pki
	tools          tools
	log            *slog.Logger
	backends       map[protocol]*process
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
		p, err := findProgram(x.name, x.at)
		if err != nil {
			missing += " " + x.pkg
		}
		*x.path = p
	}
	if missing != "" {
		return t, &problem{what: "the backend or a load generator is not installed", why: "missing Debian packages:" + missing,
			next: []string{"apt-get install -y" + missing}}
	}
	return t, nil
}

// findProgram looks in PATH, and at a place that is often not in it.
func findProgram(name, at string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	return exec.LookPath(at)
}

// newLab makes everything but the backends. close removes it.
func newLab(t tools, log *slog.Logger) (*lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &lab{self: self, tools: t, log: log, backends: map[protocol]*process{}}
	if l.dir, err = os.MkdirTemp("", "weft-bench-"); err != nil {
		return nil, &problem{what: "cannot make a temporary directory", why: err.Error(), err: err}
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
	if l.pki, err = makePKI(l.dir, time.Now()); err != nil {
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
	if l.client, err = newNamespace(); err != nil {
		return err
	}
	if l.server, err = newNamespace(); err != nil {
		return err
	}
	return join(l.client, l.server)
}

func (l *lab) file(name string) string { return filepath.Join(l.dir, name) }

// close ends what the lab started and removes its files.
func (l *lab) close() {
	for _, p := range l.backends {
		p.stop()
	}
	for _, n := range []*namespace{l.client, l.server} {
		if n != nil {
			n.close()
		}
	}
	if err := os.RemoveAll(l.dir); err != nil {
		l.log.Warn("temporary directory not removed", "dir", l.dir, "err", err)
	}
}

// backend gives the running backend of a protocol; it is started at first use and waited for.
func (l *lab) backend(ctx context.Context, c benchCase) (*process, error) {
	kind := c.proto
	if kind == protoH2 {
		kind = protoH1 // the same nginx
	}
	if p := l.backends[kind]; p != nil {
		return p, nil
	}
	argv := map[protocol][]string{
		protoH1:   {l.tools.nginx, "-p", l.dir, "-c", l.file("nginx.conf")},
		protoGRPC: {l.self, "serve-grpc", fmt.Sprintf("0.0.0.0:%d", portGRPC)},
		protoTCP:  {l.self, "serve-tcp", fmt.Sprintf("0.0.0.0:%d", portTCP)},
	}[kind]
	p, err := startProcess(l.server, "the backend "+filepath.Base(argv[0]), argv, nil)
	if err != nil {
		return nil, err
	}
	l.backends[kind] = p
	ready, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return p, await(ready, "the backend", []*process{p}, func(ctx context.Context) error { return l.check(ctx, c, l.direct(c)) })
}

// direct is the backend's address, as seen by the client.
func (l *lab) direct(c benchCase) string {
	return net.JoinHostPort(serverAddr.String(), strconv.Itoa(c.proto.port()))
}

// check makes one request on the way to be measured and looks at the answer: a proxy that answers
// by itself, or cuts a body short, must not look fast.
func (l *lab) check(ctx context.Context, c benchCase, target string) error {
	switch c.proto {
	case protoGRPC:
		return callGRPC(ctx, target, c.body, l.client.dial)
	case protoTCP:
		return l.checkTCP(ctx, target, c.body.bytes())
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(c.proto == protoH1)
	protocols.SetUnencryptedHTTP2(c.proto == protoH2)
	tr := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return l.client.dial(ctx, addr) }}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/"+string(c.body), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || n != int64(c.body.bytes()) {
		return fmt.Errorf("want 200 and %d bytes, have %s and %d", c.body.bytes(), resp.Status, n)
	}
	return nil
}

func (l *lab) checkTCP(ctx context.Context, target string, size int) error {
	conn, err := l.client.dial(ctx, target)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if at, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(at); err != nil {
			return err
		}
	}
	out := bytes.Repeat([]byte("w"), size)
	sent := make(chan error, 1)
	go func() { _, err := conn.Write(out); sent <- err }() // ends with the deadline or Close
	in := make([]byte, size)
	if _, err := io.ReadFull(conn, in); err != nil {
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	if !bytes.Equal(in, out) {
		return fmt.Errorf("the echo differs from what was sent")
	}
	return nil
}

// load puts the load of c on target for d and says what came of it. begin is called just before
// the load: for HTTP before the connections are made (a proxy keeps its own to the next hop), for
// TCP when they all are there, for there each may cost a handshake at the next hop.
func (l *lab) load(ctx context.Context, c benchCase, target string, d time.Duration, begin func() error) (loadResult, error) {
	url := "http://" + target + "/" + string(c.body)
	logFile := l.file("h2load.log")
	var argv []string
	switch c.proto {
	case protoH1:
		argv = append([]string{l.tools.wrk}, wrkArgs(l.file("wrk.lua"), url, c.conns)...)
	case protoGRPC:
		url = "http://" + target + grpcPath(c.body)
		fallthrough
	case protoH2:
		argv = append([]string{l.tools.h2load}, h2loadArgs(c, url, logFile, l.file("grpc.bin"), d)...)
	case protoTCP:
		argv = []string{l.self, "load-tcp", target, strconv.Itoa(c.conns), strconv.Itoa(c.body.bytes()), d.String()}
	}
	p, err := l.startLoad(ctx, c, argv, begin)
	if err != nil {
		return loadResult{}, err
	}
	if err := l.waitLoad(ctx, p, c.proto == protoH1, d); err != nil {
		return loadResult{}, err
	}
	if p.err != nil {
		return loadResult{}, p.failure()
	}
	var r loadResult
	if c.proto == protoH1 || c.proto == protoTCP {
		r, err = parseResult(p.out.bytes())
	} else {
		r, err = parseH2load(p.out.bytes())
		if err == nil {
			err = readLatencies(&r, logFile)
		}
	}
	r.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	return r, err
}

// startLoad starts the load generator and calls begin at the right moment.
func (l *lab) startLoad(ctx context.Context, c benchCase, argv []string, begin func() error) (*process, error) {
	name := "the load generator " + filepath.Base(argv[0])
	if c.proto != protoTCP {
		if err := begin(); err != nil {
			return nil, err
		}
		return startProcess(l.client, name, argv, nil)
	}
	ready, readyChild, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ready.Close() }()
	proceedChild, proceed, err := os.Pipe()
	if err != nil {
		_ = readyChild.Close()
		return nil, err
	}
	defer func() { _ = proceed.Close() }()
	p, err := startProcess(l.client, name, argv, nil, readyChild, proceedChild)
	_, _ = readyChild.Close(), proceedChild.Close()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		p.stop()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, p.failure()
	}
	if err := begin(); err != nil {
		p.stop()
		return nil, err
	}
	if _, err := proceed.Write([]byte{1}); err != nil {
		p.stop()
		return nil, p.failure()
	}
	return p, nil
}

// waitLoad waits for the end of a load generator: it interrupts one that does not stop by itself
// after d, and kills one that does not stop at all.
func (l *lab) waitLoad(ctx context.Context, p *process, interrupt bool, d time.Duration) error {
	end := time.NewTimer(d)
	defer end.Stop()
	late := time.NewTimer(d + 8*time.Second)
	defer late.Stop()
	for {
		select {
		case <-p.done:
			return nil
		case <-end.C:
			if interrupt {
				_ = p.cmd.Process.Signal(syscall.SIGINT)
			}
		case <-late.C:
			p.stop()
			return &problem{what: p.name + " did not end", why: excerpt(p.out.bytes())}
		case <-ctx.Done():
			p.stop()
			return ctx.Err()
		}
	}
}

func readLatencies(r *loadResult, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	err = r.addLatencies(f)
	_ = f.Close()
	_ = os.Remove(file)
	return err
}
