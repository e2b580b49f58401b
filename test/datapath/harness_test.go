// Package datapath tests the data path on real sockets, with two proxies in one process: the
// caller's and the callee's, with a real CA and mTLS between them, under each driver. What has to
// be the same there is tested with both workloads behind one proxy too.
package datapath

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-mesh/weft/control/ca"
	"github.com/weft-mesh/weft/control/state"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachDriver runs a test under both drivers.
func eachDriver(t *testing.T, f func(t *testing.T, driver string)) {
	for _, d := range drivers {
		t.Run(d, func(t *testing.T) { f(t, d) })
	}
}

// eachWay runs a test under both drivers, and with caller and callee behind one proxy.
func eachWay(t *testing.T, f func(t *testing.T, driver string)) {
	eachDriver(t, f)
	t.Run(drivers[0]+onOneNode, func(t *testing.T) { f(t, drivers[0]+onOneNode) })
}

// onOneNode behind the name of a driver makes newPair put both workloads behind one proxy.
const onOneNode = "-one-node"

// proxy is one running proxy of a test.
type proxy struct {
	t      testing.TB
	reg    *telemetry.Registry
	driver drive.Driver
	addr   map[string]string // listeners by name
	ends   context.CancelFunc
	done   chan struct{}
	store  *identity.Store
	log    *recorder
}

// security is that of workloads, in order.
type security []*identity.Store

func (x security) Server(i int) *tls.Config {
	c := x[i].ServerConfig()
	c.DynamicRecordSizingDisabled = true
	return c
}
func (x security) Client(i int, p string) *tls.Config {
	c := x[i].ClientConfig(p)
	c.DynamicRecordSizingDisabled = true
	return c
}
func (x security) Peer(cs *tls.ConnectionState) (string, bool) {
	id, ok := identity.PeerID(cs)
	return id.String(), ok
}
func (x security) Explain(err error, p string) error { return x[0].Explain(err, p) }

// meshStub is a control side that never answers.
type meshStub struct {
	mu    sync.Mutex
	asked []model.Name
}

func (m *meshStub) Subscribe(n model.Name) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, n)
}

// names tells what was asked for.
func (m *meshStub) names() []model.Name {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked)
}

func (*meshStub) SubscribeIP(netip.Addr)                    {}
func (*meshStub) AddrAbsent(netip.Addr) bool                { return true }
func (*meshStub) ServiceOfIP(netip.Addr) (model.Name, bool) { return model.Name{}, false }

type listen struct {
	name string
	core *core.Listener
}

func startProxy(t testing.TB, driver string, loops int, w core.Workload, store *identity.Store, limits core.Limits, mesh drive.Mesh, ls ...listen) *proxy {
	t.Helper()
	return startNode(t, driver, loops, []core.Workload{w}, security{store}, limits, mesh, ls...)
}

// startNode starts a proxy for several workloads.
func startNode(t testing.TB, driver string, loops int, ws []core.Workload, stores security, limits core.Limits, mesh drive.Mesh, ls ...listen) *proxy {
	t.Helper()
	p := &proxy{t: t, addr: map[string]string{}, done: make(chan struct{}), store: stores[0], log: &recorder{}}
	log := slog.New(p.log)
	opt := drive.Options{Core: core.Config{Workloads: ws, Limits: limits, Log: log}, Loops: loops, Mesh: mesh, Security: stores, Log: log}
	for _, l := range ls {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.addr[l.name] = ln.Addr().String()
		at := netip.MustParseAddrPort(ln.Addr().String())
		opt.Core.Own = append(opt.Core.Own, at)
		if l.core.Kind == core.ListenLink {
			ws[l.core.Workload].Link = at
		}
		opt.Listeners = append(opt.Listeners, drive.Listener{Core: l.core, TCP: ln.(*net.TCPListener)})
	}
	p.reg = telemetry.NewRegistry(loops)
	var err error
	p.driver, err = newDriver(driver, opt, p.reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.ends = cancel
	go func() {
		defer close(p.done)
		if err := p.driver.Run(ctx); err != nil {
			t.Errorf("driver: %v", err)
		}
	}()
	t.Cleanup(p.stop)
	return p
}

func (p *proxy) stop() {
	p.ends()
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.t.Error("the driver did not stop")
	}
}

// setTable puts a table in force and waits until it is.
func (p *proxy) setTable(v *decide.View) {
	p.t.Helper()
	table, problems := decide.Compile(nil, v)
	for _, e := range problems {
		p.t.Fatal(e)
	}
	done := make(chan struct{}, 16)
	p.driver.Post(func(c *core.Core) { c.SetTable(table); done <- struct{}{} })
	<-done
}

// pair is a caller's and a callee's proxy with one service between them.
type pair struct {
	t        testing.TB
	client   *proxy
	server   *proxy
	clientID *identity.Store
	serverID *identity.Store
	service  *model.Service
	eps      *model.Endpoints
	mesh     *meshStub

	authority *ca.Authority
	o         pairOptions
	extra     []*model.Service // beside shop/cart
	extraEps  []*model.Endpoints
}

var shopCart = model.Name{Namespace: "shop", Name: "cart"}

type pairOptions struct {
	driver               string
	app                  string // address of the application
	protocol             model.Protocol
	limits               core.Limits  // of both proxies
	callee               *core.Limits // of the callee's, if not the same
	routes               []model.Route
	loops                int
	noTable              bool
	callerNow, calleeNow func() time.Time // clocks, if not the real one
	authority            *ca.Authority    // of the caller, if not the callee's
}

func newAuthority(t testing.TB) *ca.Authority {
	t.Helper()
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	a, _, err := ca.Open(dir, "weft.local", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newStore(t testing.TB, a *ca.Authority, sa string) *identity.Store {
	t.Helper()
	return newStoreOf(t, a, identity.ID{TrustDomain: "weft.local", Namespace: "shop", ServiceAccount: sa})
}

func newStoreOf(t testing.TB, a *ca.Authority, id identity.ID) *identity.Store {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Sign(id, key.Public())
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

func idOf(sa string) string { return "spiffe://weft.local/ns/shop/sa/" + sa }

// newPair starts both proxies. The caller's has the listeners "proxy" (http_proxy) and "cart"
// (stands for shop/cart:80).
func newPair(t testing.TB, o pairOptions) *pair {
	t.Helper()
	if o.loops == 0 {
		o.loops = 1
	}
	a := newAuthority(t)
	callerCA := a
	if o.authority != nil {
		callerCA = o.authority
	}
	x := &pair{t: t, clientID: newStore(t, callerCA, "web"), serverID: newStore(t, a, "cart"), mesh: &meshStub{}}
	x.authority, x.o = a, o
	x.clientID.Now, x.serverID.Now = o.callerNow, o.calleeNow
	calleeLimits := o.limits
	if o.callee != nil {
		calleeLimits = *o.callee
	}
	app := netip.MustParseAddrPort(o.app)
	callee := core.Workload{
		Name: model.Name{Namespace: "shop", Name: "cart-1"}, Service: shopCart, Identity: idOf("cart"),
		Ports: []core.AppPort{{Addr: app, Protocol: o.protocol}},
	}
	caller := core.Workload{Name: model.Name{Namespace: "shop", Name: "web-1"}, Identity: idOf("web")}
	outbound := []listen{
		{"proxy", &core.Listener{Kind: core.ListenProxy}},
		{"cart", &core.Listener{Kind: core.ListenService, Service: shopCart, Port: 80}},
	}
	if driver, oneNode := strings.CutSuffix(o.driver, onOneNode); oneNode {
		x.o.driver = driver
		x.client = startNode(t, driver, o.loops, []core.Workload{caller, callee}, security{x.clientID, x.serverID}, o.limits, x.mesh,
			append(outbound, listen{"link", &core.Listener{Kind: core.ListenLink, Workload: 1}})...)
		x.server = x.client
	} else {
		x.server = startProxy(t, driver, o.loops, callee, x.serverID, calleeLimits, x.mesh, listen{"link", &core.Listener{Kind: core.ListenLink}})
		x.client = startProxy(t, driver, o.loops, caller, x.clientID, o.limits, x.mesh, outbound...)
	}
	x.service = &model.Service{Name: shopCart, Ports: []model.Port{{Port: 80, Protocol: o.protocol}}, Routes: o.routes}
	x.eps = &model.Endpoints{Service: shopCart, Endpoints: []model.Endpoint{{
		Port: 80, Addr: app, Link: netip.MustParseAddrPort(x.server.addr["link"]), Identity: idOf("cart"),
		Workload: model.Name{Namespace: "shop", Name: "cart-1"},
	}}}
	if !o.noTable {
		x.publish()
	}
	return x
}

func (x *pair) view() *decide.View {
	v := &decide.View{
		TrustDomain: "weft.local",
		Services:    map[model.Name]*model.Service{shopCart: x.service},
		Endpoints:   map[model.Name]*model.Endpoints{shopCart: x.eps},
		Absent:      map[model.Name]bool{{Namespace: "shop", Name: "nosuch"}: true},
	}
	for i, s := range x.extra {
		v.Services[s.Name] = s
		v.Endpoints[s.Name] = x.extraEps[i]
	}
	return v
}

func (x *pair) publish() { x.client.setTable(x.view()) }

func (x *pair) url(path string) string { return "http://" + x.client.addr["cart"] + path }

// tcpServer serves each connection with f until the test ends.
func tcpServer(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer c.Close()
				f(c)
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}
