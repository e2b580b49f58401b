//go:build linux

package attack

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-mesh/weft/control/ca"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/proxy/config"
)

// shared is what all tests of the package use together, started when first needed.
var shared struct {
	mu       sync.Mutex
	programs []*program
	backends []interface{ close() }
}

// keep remembers a program until the end of the tests.
func keep(p *program) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.programs = append(shared.programs, p)
}

func keepBackend(b interface{ close() }) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.backends = append(shared.backends, b)
}

// endShared ends what is shared, last started first.
func endShared() error {
	var errs []error
	for i := len(shared.programs) - 1; i >= 0; i-- {
		errs = append(errs, shared.programs[i].end())
	}
	for _, b := range shared.backends {
		b.close()
	}
	close(starter.jobs)
	starter.once.Do(func() { close(starter.done) }) // it never ran
	<-starter.done
	return errors.Join(errs...)
}

// Ports of each service.
const (
	portH1 = 80 // an application that speaks HTTP/1.1
	portH2 = 81 // one that speaks HTTP/2
)

// services is how many pairs may be started in one run: each has a service of its own.
const services = 100

// control starts the control plane.
var control = sync.OnceValues(func() (socket string, err error) {
	var text strings.Builder
	for i := range services {
		fmt.Fprintf(&text, "apiVersion: v1\nkind: Service\nmetadata: {name: s%[1]d}\nspec:\n  selector: {app: s%[1]d}\n  ports:\n"+
			"  - {name: h1, port: %[2]d, targetPort: h1, appProtocol: http}\n"+
			"  - {name: h2, port: %[3]d, targetPort: h2, appProtocol: kubernetes.io/h2c}\n---\n", i, portH1, portH2)
	}
	for _, d := range []string{"mesh", "run"} {
		if err := os.Mkdir(filepath.Join(work, d), 0o700); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(filepath.Join(work, "mesh", "services.yaml"), []byte(text.String()), 0o600); err != nil {
		return "", err
	}
	p, err := launch([]string{"WEFT_RUNTIME_DIR=" + filepath.Join(work, "run")}, nil,
		filepath.Join(work, "weft"), "up", filepath.Join(work, "mesh"), "--state", filepath.Join(work, "state"))
	if err != nil {
		return "", err
	}
	keep(p)
	socket = filepath.Join(work, "run", "default.sock")
	return socket, answers(p, "unix", socket)
})

// pair is a caller's and a callee's proxy and the service between them.
type pair struct {
	t              testing.TB
	service        string // its identity is of the same name
	h1, h2         string // the caller's listeners for the two ports of the service
	proxy          string // the caller's listener for clients that know it is a proxy (http_proxy)
	link           string // where the callee takes links
	caller, callee *program
	appH1, appH2   string // what the callee's proxy is to connect to; empty: no such port
}

var pairs atomic.Int32

// newPair starts two proxies in front of the backends (addresses; empty: none). linkAdvertise, if not
// empty, is what callers are told to dial in place of the callee's link.
func newPair(t testing.TB, appH1, appH2, linkAdvertise string) *pair {
	t.Helper()
	socket, err := control()
	if err != nil {
		t.Fatal(err)
	}
	n := pairs.Add(1) - 1
	if n >= services {
		t.Fatalf("more than %d pairs in one run: raise services", services)
	}
	x := &pair{t: t, service: fmt.Sprintf("s%d", n), appH1: appH1, appH2: appH2}
	callee := config.Config{
		Name: "default/" + x.service + "-1", Control: config.Control{Socket: socket},
		Workloads: []config.Workload{{
			Name: x.service + "-1", Namespace: "default", ServiceAccount: x.service, Labels: map[string]string{"app": x.service},
			Link: "127.0.0.1:0", LinkAdvertise: linkAdvertise,
		}},
		Loops: 1, ReadyFD: 3, DrainTimeout: config.Duration(100 * time.Millisecond),
	}
	for _, a := range []struct{ name, addr, proto string }{{"h1", appH1, "http"}, {"h2", appH2, "http2"}} {
		if a.addr != "" {
			callee.Workloads[0].Ports = append(callee.Workloads[0].Ports, config.Port{Name: a.name, Addr: netip.MustParseAddrPort(a.addr), Protocol: a.proto})
		}
	}
	caller := config.Config{
		Name: "default/c-" + x.service, Control: config.Control{Socket: socket},
		Workloads: []config.Workload{{
			Name: "c-" + x.service, Namespace: "default", ServiceAccount: "caller", Link: "127.0.0.1:0",
			Outbound: config.Outbound{Proxy: "127.0.0.1:0", Services: []config.ServiceListener{
				{Listen: "127.0.0.1:0", Namespace: "default", Service: x.service, Port: portH1},
				{Listen: "127.0.0.1:0", Namespace: "default", Service: x.service, Port: portH2},
			}},
		}},
		Loops: 1, ReadyFD: 3, DrainTimeout: config.Duration(100 * time.Millisecond),
	}
	var ready config.Ready
	x.callee, ready = startProxy(t, callee)
	x.link = ready.Workloads[0].Link
	x.caller, ready = startProxy(t, caller)
	at := ready.Workloads[0]
	x.proxy = at.Proxy
	if len(at.Services) != 2 {
		t.Fatalf("the caller's proxy has %d service listeners, want 2", len(at.Services))
	}
	x.h1, x.h2 = at.Services[0].Listen, at.Services[1].Listen
	return x
}

// warm sends a first request through each listener that has an application, so that discovery and
// dialing are behind us.
func (x *pair) warm() *pair {
	x.t.Helper()
	if x.appH1 != "" {
		eventually(x.t, "the HTTP/1 application answers", func() bool { return x.honestH1("/warm") == nil })
	}
	if x.appH2 != "" {
		eventually(x.t, "the HTTP/2 application answers", func() bool { return x.honest(x.h2, "/warm") == nil })
	}
	return x
}

// startProxy starts one weft-proxy and waits until it is ready. It ends with the test.
func startProxy(t testing.TB, cfg config.Config) (*program, config.Ready) {
	t.Helper()
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(work, strings.ReplaceAll(cfg.Name, "/", "_")+".json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r, child, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := launch(nil, []*os.File{child}, filepath.Join(work, "weft-proxy"), "-config", file)
	child.Close()
	if err != nil {
		t.Fatal(err)
	}
	p.name += " " + cfg.Name
	t.Cleanup(func() {
		if err := p.end(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("--- %s\n%s", p.name, p.out.String())
		}
	})
	_ = r.SetReadDeadline(time.Now().Add(patience))
	var ready config.Ready
	if err := json.NewDecoder(bufio.NewReader(r)).Decode(&ready); err != nil {
		t.Fatalf("%s is not ready: %v\n%s", p.name, err, p.out.String())
	}
	if ready.Error != "" {
		t.Fatalf("%s: %s", p.name, ready.Error)
	}
	return p, ready
}

// caFiles reads the control plane's files beside it; what it never does is to write.
type caFiles string

func (d caFiles) Read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(d), name))
}
func (d caFiles) Write(string, []byte) error { return errors.ErrUnsupported }
func (d caFiles) Path() string               { return string(d) }

// member gives the identity of a workload of the mesh: an attacker with a good certificate.
func member(t testing.TB, account string) *identity.Store {
	t.Helper()
	a, _, err := ca.Open(caFiles(filepath.Join(work, "state")), "", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Sign(identity.ID{TrustDomain: a.TrustDomain(), Namespace: "default", ServiceAccount: account}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	p, err := identity.NewPair(out.Chain, key)
	if err != nil {
		t.Fatal(err)
	}
	s := &identity.Store{}
	s.Set(p, a.Bundle())
	return s
}

// dialLink opens a link to the callee's proxy as the workload "attacker".
func (x *pair) dialLink(t testing.TB) net.Conn {
	t.Helper()
	c := tls.Client(dial(t, x.link), member(t, "attacker").ClientConfig(""))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Time{}) // what waits on it is bounded by itself
	return c
}
