//go:build linux

package flood

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weft-mesh/weft/control/ca"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/proxy/config"
)

const namespace = "flood"

// meshFile is the one service.
const meshFile = `apiVersion: v1
kind: Service
metadata:
  name: app
  namespace: flood
spec:
  selector:
    app: app
  ports:
  - name: web
    port: 80
    appProtocol: http
`

// world is a mesh of two workloads: one that calls, one that is called.
type world struct {
	t              testing.TB
	dir            string
	caller, callee *proxy
	app            string // the application's address
	outbound       string // the caller's listener for the service
	link           string // the callee's listener for links
	identity       string // a certificate of the mesh for attackers and honest peers, PEM
}

// proxy is one weft-proxy.
type proxy struct {
	*child
	ready config.Ready
}

// newWorld starts it and waits until a request comes through.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	if w.dir, err = os.MkdirTemp("", "wf"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(w.dir) })
	mesh, run, state := filepath.Join(w.dir, "mesh"), filepath.Join(w.dir, "run"), filepath.Join(w.dir, "state")
	for _, d := range []string{mesh, run} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(mesh, "app.yaml"), []byte(meshFile), 0o600); err != nil {
		t.Fatal(err)
	}
	playing(t, "app", struct{}{}).hear(&w.app)
	env := []string{"WEFT_RUNTIME_DIR=" + run, "NO_COLOR=1"}
	up := launch(t, env, nil, filepath.Join(bin, "weft"), "up", mesh, "--state", state)
	socket := filepath.Join(run, "default.sock")
	eventually(t, "weft up serves", func() bool {
		select {
		case <-up.done:
			t.Fatalf("weft up ended:\n%s", up.tail.String())
		default:
		}
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	w.callee = w.proxy(env, config.Config{
		Name: namespace + "/app-1", Control: config.Control{Socket: socket},
		Workloads: []config.Workload{{Name: "app-1", Namespace: namespace, ServiceAccount: "app", Labels: map[string]string{"app": "app"}, Link: "127.0.0.1:0",
			Ports: []config.Port{{Name: "web", Addr: netip.MustParseAddrPort(w.app), Protocol: "http"}}}},
	})
	w.caller = w.proxy(env, config.Config{
		Name: namespace + "/me-1", Control: config.Control{Socket: socket},
		Workloads: []config.Workload{{Name: "me-1", Namespace: namespace, ServiceAccount: "me", Link: "127.0.0.1:0",
			Outbound: config.Outbound{Services: []config.ServiceListener{{Listen: "127.0.0.1:0", Namespace: namespace, Service: "app", Port: 80}}}}},
	})
	w.link, w.outbound = w.callee.ready.Workloads[0].Link, w.caller.ready.Workloads[0].Services[0].Listen
	w.identity = w.issue(state)
	h := &honest{addr: w.outbound}
	eventually(t, "a request comes through the mesh", func() bool { return h.once() == nil })
	return w
}

// proxy starts a proxy and waits until it is ready.
func (w *world) proxy(env []string, cfg config.Config) *proxy {
	w.t.Helper()
	cfg.Loops, cfg.ReadyFD, cfg.Metrics = 1, 3, "127.0.0.1:0"
	text, err := json.Marshal(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.dir, cfg.Workloads[0].Name+".json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	r, theirs, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	p := &proxy{child: launch(w.t, env, []*os.File{theirs}, filepath.Join(bin, "weft-proxy"), "-config", file)}
	_ = theirs.Close()
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	if err := json.NewDecoder(r).Decode(&p.ready); err != nil || p.ready.Error != "" {
		w.t.Fatalf("%s is not ready: %v %s\n%s", cfg.Name, err, p.ready.Error, p.tail.String())
	}
	return p
}

// issue makes a certificate of the mesh, from the authority's own files: what a workload that joined
// the mesh holds in its memory.
func (w *world) issue(state string) string {
	w.t.Helper()
	a, _, err := ca.Open(readOnly(state), "", time.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := identity.NewKey()
	if err != nil {
		w.t.Fatal(err)
	}
	is, err := a.Sign(identity.ID{TrustDomain: a.TrustDomain(), Namespace: namespace, ServiceAccount: "peer"}, key.Public())
	if err != nil {
		w.t.Fatal(err)
	}
	pair, err := identity.NewPair(is.Chain, key)
	if err != nil {
		w.t.Fatal(err)
	}
	var text bytes.Buffer
	if err := identity.WriteHandover(&text, pair, a.Bundle()); err != nil {
		w.t.Fatal(err)
	}
	return text.String()
}

// readOnly is the directory of an authority that somebody else owns.
type readOnly string

func (d readOnly) Read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(d), name))
}
func (d readOnly) Write(name string, _ []byte) error {
	return fmt.Errorf("%s is another's", filepath.Join(string(d), name))
}
func (d readOnly) Path() string { return string(d) }

// eventually polls until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) { // polling, with a deadline
		if time.Now().After(deadline) {
			t.Fatalf("in %s it did not come about that %s", patience, what)
		}
	}
}
