package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// lab is the two namespaces and the servers. It is used by one goroutine.
type lab struct {
	dir            string // temporary, removed at the end
	client, server *rig.Namespace
	pki            *rig.PKI
	nft            string
	process        *rig.Process // of the servers
	apps           *apps
	pipes          []*os.File
}

// newLab makes the namespaces and starts the servers. close removes everything.
func newLab(ctx context.Context) (l *lab, err error) {
	l = &lab{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.nft, err = rig.Find("nft", "/usr/sbin/nft"); err != nil {
		return l, &rig.Problem{What: "nft is not installed", Why: err.Error(), Next: []string{"apt-get install -y nftables"}, Err: err}
	}
	if l.dir, err = os.MkdirTemp("", "weft-faults-"); err != nil {
		return l, err
	}
	var edges []net.IP
	inside := []netip.Addr{serverAddr}
	for i := range mostServers {
		edges, inside = append(edges, edgeAddr(i).AsSlice()), append(inside, edgeAddr(i))
	}
	if l.pki, err = rig.MakePKI(l.dir, time.Now(), edges...); err != nil {
		return l, err
	}
	if l.client, err = rig.NewNamespace(); err != nil {
		return l, err
	}
	if l.server, err = rig.NewNamespace(); err != nil {
		return l, err
	}
	if err = rig.Join("faults0", l.client, []netip.Addr{clientAddr}, l.server, inside); err != nil {
		return l, err
	}
	return l, l.startApps(ctx)
}

// startApps runs this program as the servers.
func (l *lab) startApps(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return err
	}
	l.pipes = []*os.File{in, out}
	argv := []string{self, roleServe}
	for i := range mostServers {
		argv = append(argv, appAddr(i).String())
	}
	l.process, err = rig.Start(l.server, "the servers", argv, nil, theirIn, theirOut)
	err = errors.Join(err, theirIn.Close(), theirOut.Close())
	if err != nil {
		return err
	}
	l.apps = &apps{in: in, out: bufio.NewReader(out)}
	stop := context.AfterFunc(ctx, func() { _ = out.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if word, err := l.apps.word(); err != nil || word != "ready" {
		return &rig.Problem{What: "the servers did not start", Why: fmt.Sprintf("%q, %v: %s", word, err, rig.Excerpt(l.process.Output())), Err: err}
	}
	return nil
}

// close ends what the lab started and removes its files.
func (l *lab) close() {
	for _, f := range l.pipes {
		_ = f.Close()
	}
	if l.process != nil {
		l.process.Stop()
	}
	for _, n := range []*rig.Namespace{l.client, l.server} {
		if n != nil {
			n.Close()
		}
	}
	if l.dir != "" {
		_ = os.RemoveAll(l.dir)
	}
}

func (l *lab) file(name string) string { return filepath.Join(l.dir, name) }

// begin makes the fault of a scenario happen, end takes it away.
func (l *lab) begin(ctx context.Context, s scenario) error {
	if s.fault == faultSwallowed {
		rules := fmt.Sprintf("table inet faults {\n"+
			" chain in { type filter hook input priority 0; ip daddr %[1]s drop; }\n"+
			" chain out { type filter hook output priority 0; ip saddr %[1]s drop; }\n}\n", edgeAddr(0))
		return l.runNFT(ctx, rules)
	}
	return l.eachMet(s, func(i int) error { return l.apps.set(i, &s.fault) })
}

func (l *lab) end(ctx context.Context, s scenario) error {
	if s.fault == faultSwallowed {
		return l.runNFT(ctx, "delete table inet faults\n")
	}
	return l.eachMet(s, func(i int) error { return l.apps.set(i, nil) })
}

func (l *lab) eachMet(s scenario, f func(i int) error) error {
	n := 1
	if s.all {
		n = s.servers
	}
	for i := range n {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// runNFT changes the packet filter of the servers' namespace.
func (l *lab) runNFT(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, l.nft, "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := l.server.Run(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return &rig.Problem{What: "the packet filter was not changed", Why: fmt.Sprintf("%v: %s", err, rig.Excerpt([]byte(out.String()))), Err: err}
	}
	return nil
}

// httpClient gives a client in the client's namespace, whose connections are as many as it needs.
func (l *lab) httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         func(ctx context.Context, _, addr string) (net.Conn, error) { return l.client.Dial(ctx, addr) },
		MaxIdleConnsPerHost: 10_000, MaxIdleConns: 10_000, DisableCompression: true,
	}}
}
