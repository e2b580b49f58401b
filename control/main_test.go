package control_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/agent"
	"github.com/weft-mesh/weft/proxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // bounds waits that end at once when all is well

// mesh is a place for a control plane: its directories and socket.
type mesh struct {
	t                  testing.TB
	dir, state, socket string
	opt                control.Options
}

func newMesh(t testing.TB) *mesh {
	t.Helper()
	// Paths of sockets must be short, which t.TempDir's are not.
	root, err := os.MkdirTemp("", "weft")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	m := &mesh{t: t, dir: filepath.Join(root, "mesh"), state: filepath.Join(root, "state"), socket: filepath.Join(root, "s")}
	if err := os.Mkdir(m.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m.opt = control.Options{Dir: m.dir, StateDir: m.state, Socket: m.socket}
	return m
}

// write puts a file into the configuration as editors do, by renaming over.
func (m *mesh) write(name, text string) {
	m.t.Helper()
	tmp := filepath.Join(m.dir, "."+name+".tmp")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(m.dir, name)); err != nil {
		m.t.Fatal(err)
	}
}

// up runs a control plane until the returned function is called, which checks its end.
func (m *mesh) up() (started control.Started, down func()) {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan control.Started, 1), make(chan error, 1)
	opt := m.opt
	opt.Started = func(s control.Started) { ready <- s }
	go func() { ended <- control.Run(ctx, opt) }()
	stopped := false
	down = func() {
		m.t.Helper()
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-ended:
			if err != nil {
				m.t.Errorf("control plane ended with %v", err)
			}
		case <-time.After(patience):
			m.t.Error("control plane did not end")
		}
	}
	m.t.Cleanup(down)
	select {
	case started = <-ready:
	case err := <-ended:
		stopped = true
		m.t.Fatalf("control plane did not start: %v", err)
	case <-time.After(patience):
		m.t.Fatal("control plane did not start in time")
	}
	return started, down
}

// client connects to the control socket.
func (m *mesh) client() *grpc.ClientConn {
	m.t.Helper()
	conn, err := grpc.NewClient("unix:"+m.socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (m *mesh) mesh() pb.MeshClient { return pb.NewMeshClient(m.client()) }

// proxy is an agent under test.
type proxy struct {
	*agent.Agent
	t      testing.TB
	tables chan *decide.Table
	stop   func()
}

func workload(name string, ports ...uint16) agent.Options {
	opt := agent.Options{
		Name: "shop/" + name, Build: "test", Workloads: []agent.Workload{{
			Workload: config.Workload{Name: name, Namespace: "shop", Service: name}, Link: netip.MustParseAddrPort("127.0.0.1:15001"),
		}},
	}
	for _, p := range ports {
		opt.Workloads[0].Ports = append(opt.Workloads[0].Ports, config.Port{Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), p), Protocol: "http"})
	}
	return opt
}

// join runs an agent until its stop, or the test's end.
func (m *mesh) join(opt agent.Options) *proxy {
	m.t.Helper()
	if opt.Control == (config.Control{}) {
		opt.Control.Socket = m.socket
	}
	p := &proxy{t: m.t, tables: make(chan *decide.Table, 1000)}
	opt.OnTable = func(t *decide.Table) {
		select {
		case p.tables <- t:
		default:
		}
	}
	a, err := agent.New(opt)
	if err != nil {
		m.t.Fatal(err)
	}
	p.Agent = a
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	p.stop = func() {
		m.t.Helper()
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-ended:
			if err != nil {
				m.t.Errorf("agent ended with %v", err)
			}
		case <-time.After(patience):
			m.t.Error("agent did not end")
		}
	}
	m.t.Cleanup(p.stop)
	return p
}

func (p *proxy) ready() *proxy {
	p.t.Helper()
	select {
	case <-p.Ready():
	case <-time.After(patience):
		p.t.Fatalf("agent not ready: %+v", p.Status())
	}
	return p
}

// until waits for a table that satisfies a condition.
func (p *proxy) until(what string, ok func(*decide.Table) bool) *decide.Table {
	p.t.Helper()
	limit := time.After(patience)
	for t := p.Table(); ; {
		if t != nil && ok(t) {
			return t
		}
		select {
		case t = <-p.tables:
		case <-limit:
			p.t.Fatalf("no table in which %s; status %+v", what, p.Status())
		}
	}
}

// has is the condition that a service has that many endpoints on a port.
func has(name string, port uint16, endpoints int) func(*decide.Table) bool {
	return func(t *decide.Table) bool {
		s, _ := t.Service(model.Name{Namespace: "shop", Name: name})
		if s == nil || s.Port(port) == nil {
			return false
		}
		return len(s.Port(port).Default.Set.Endpoints) == endpoints
	}
}

func absent(name string) func(*decide.Table) bool {
	return func(t *decide.Table) bool {
		s, known := t.Service(model.Name{Namespace: "shop", Name: name})
		return known && s == nil
	}
}

func shop(name string) model.Name { return model.Name{Namespace: "shop", Name: name} }

// wantCode checks that an error, local or from a call, carries a code.
func wantCode(t testing.TB, err error, code string) *codes.Error {
	t.Helper()
	var coded *codes.Error
	if !errors.As(err, &coded) {
		t.Fatalf("error %v, want code %s", err, code)
	}
	if coded.Code != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
	if _, known := codes.Lookup(code); !known {
		t.Errorf("code %s is not in the catalogue", code)
	}
	return coded
}
