package control_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/control"
)

const cartRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: cart}]
  rules:
  - backendRefs:
    - {name: cart, port: 80, weight: 9}
    - {name: stock, port: 80, weight: 1}
`

func TestProxiesSeeEachOtherComeAndGo(t *testing.T) {
	m := newMesh(t)
	m.up()
	web := m.join(workload("web")).ready()
	web.Subscribe(shop("cart"))
	web.until("cart is absent", absent("cart"))

	cart := m.join(workload("cart", 8081)).ready()
	table := web.until("cart has an endpoint", has("cart", 80, 1))
	s, _ := table.Service(shop("cart"))
	e := s.Port(80).Default.Set.Endpoints[0]
	if want := "spiffe://weft.local/ns/shop/sa/cart"; e.Identity != want || e.Link.Port() != 15001 || e.Addr.Port() != 8081 {
		t.Errorf("endpoint %+v, want identity %s, link port 15001, port 8081", e, want)
	}
	if got := cart.Identity(0).Load().Pair.ID.String(); got != e.Identity {
		t.Errorf("cart's certificate is for %s, its endpoint says %s", got, e.Identity)
	}

	cart.stop() // leaves at once, without the grace
	web.until("cart is absent again", absent("cart"))
}

func TestDrainingIsKnownEverywhereBeforeDrainReturns(t *testing.T) {
	m := newMesh(t)
	m.up()
	cart := m.join(workload("cart", 8081)).ready()
	web := m.join(workload("web")).ready()
	web.Subscribe(shop("cart"))
	web.until("cart has an endpoint", has("cart", 80, 1))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := cart.Drain(ctx, 0); err != nil {
		t.Fatalf("Drain: %v", err)
	}
	s, _ := web.Table().Service(shop("cart"))
	if !s.Port(80).Default.Set.Endpoints[0].Draining {
		t.Error("Drain returned, and another proxy's table in force does not say draining")
	}
}

func TestASavedRouteIsLiveAtProxiesAndExplained(t *testing.T) {
	m := newMesh(t)
	reloaded := make(chan control.Reloaded, 10)
	m.opt.Reloaded = func(r control.Reloaded) { reloaded <- r }
	m.up()
	m.join(workload("cart", 8081)).ready()
	m.join(workload("stock", 8082)).ready()
	web := m.join(workload("web")).ready()
	web.Subscribe(shop("cart"))
	web.until("cart has an endpoint", has("cart", 80, 1))

	m.write("cart.yaml", cartRoute)
	web.until("the backends of the route came along", has("stock", 80, 1))
	r := <-reloaded
	if r.Routes != 1 || r.Live != 3 || r.Connected != 3 || len(r.Problems) != 0 {
		t.Errorf("reload told as %+v, want one route, live at 3 of 3", r)
	}
	if r.Took > 2*time.Second {
		t.Errorf("the change took %s to be live", r.Took)
	}

	reply, err := m.mesh().Explain(context.Background(), &pb.ExplainRequest{Method: "GET", Url: "http://cart/items", From: "web", Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if reply.GetBasis() != "acknowledged" || reply.GetAction() != "forward" || reply.GetRoute() != "HTTPRoute shop/cart rule 0" || reply.GetBackend().GetName() != "cart" {
		t.Errorf("explained as %v", reply)
	}
	if len(reply.GetShares()) != 2 || reply.GetShares()[0].GetShare() != 0.9 || len(reply.GetEndpoints()) != 1 || len(reply.GetSteps()) < 4 {
		t.Errorf("shares %v, endpoints %v, %d steps", reply.GetShares(), reply.GetEndpoints(), len(reply.GetSteps()))
	}

	m.write("cart.yaml", "apiVersion: v1\nkind: Servce\n")
	for r = range reloaded {
		if len(r.Problems) > 0 {
			break
		}
	}
	if s, _ := web.Table().Service(shop("cart")); s == nil || len(s.Model.Routes) != 1 {
		t.Error("a broken file took the last good route away")
	}
}

func TestARestartKeepsTheRootAndTheEndpoints(t *testing.T) {
	m := newMesh(t)
	_, down := m.up()
	cart := m.join(workload("cart", 8081)).ready()
	web := m.join(workload("web")).ready()
	web.Subscribe(shop("cart"))
	web.until("cart has an endpoint", has("cart", 80, 1))
	before := web.Identity(0).Load()
	down()
	if s, err := os.Lstat(m.socket); err == nil {
		t.Errorf("the socket %v was left behind", s.Name())
	}

	started, _ := m.up()
	if started.RootCreated {
		t.Error("the second start made a new root")
	}
	// Whatever tables come while everybody reconnects, cart is in all of them.
	other := m.join(workload("other")).ready()
	other.Subscribe(shop("cart"))
	other.until("cart has an endpoint", has("cart", 80, 1))
	for {
		select {
		case table := <-web.tables:
			if s, _ := table.Service(shop("cart")); s != nil && len(s.Port(80).Default.Set.Endpoints) == 0 {
				t.Fatal("a restart of the control plane took an endpoint away")
			}
			continue
		default:
		}
		break
	}
	if !web.Identity(0).Load().Bundle.Equal(before.Bundle) {
		t.Error("the bundle changed")
	}
	_ = cart
}

func TestASecondStartOnTheSameStateIsRefused(t *testing.T) {
	m := newMesh(t)
	m.up()
	opt := m.opt
	opt.Socket += "2"
	e := wantCode(t, control.Run(context.Background(), opt), "W2001")
	if want := fmt.Sprintf("process %d holds it", os.Getpid()); e.Why != want {
		t.Errorf("why is %q, want %q", e.Why, want)
	}
}

func TestStartRefusesWhatItCannotUse(t *testing.T) {
	for _, c := range []struct {
		name, code string
		prepare    func(m *mesh)
	}{
		{"a state directory open to others", "W2002", func(m *mesh) { _ = os.Mkdir(m.state, 0o755) }},
		{"a state path that is a file", "W2002", func(m *mesh) { _ = os.WriteFile(m.state, nil, 0o600) }},
		{"a root open to others", "W2003", func(m *mesh) {
			_, down := m.up()
			down()
			_ = os.Chmod(filepath.Join(m.state, "ca.pem"), 0o644)
		}},
		{"a damaged root", "W2004", func(m *mesh) {
			_, down := m.up()
			down()
			_ = os.WriteFile(filepath.Join(m.state, "ca.pem"), []byte("nothing"), 0o600)
		}},
		{"the state of another trust domain", "W2004", func(m *mesh) {
			_, down := m.up()
			down()
			m.opt.TrustDomain = "other.example"
		}},
		{"a trust domain that is none", "W2008", func(m *mesh) { m.opt.TrustDomain = "Weft!" }},
		{"a file in the socket's place", "W2005", func(m *mesh) { _ = os.WriteFile(m.socket, nil, 0o600) }},
		{"a listen address that is none", "W2006", func(m *mesh) { m.opt.Listen = "203.0.113.1:1" }},
		{"a configuration directory that is not there", "W1001", func(m *mesh) { _ = os.RemoveAll(m.dir) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMesh(t)
			c.prepare(m)
			wantCode(t, control.Run(context.Background(), m.opt), c.code)
		})
	}
}

func TestADeadSocketIsReplaced(t *testing.T) {
	m := newMesh(t)
	_, down := m.up()
	down()
	// A control plane that was killed leaves its socket behind.
	l := listenAndAbandon(t, m.socket)
	defer l()
	m.up()
}

func TestStatusAndServicesAndWhois(t *testing.T) {
	m := newMesh(t)
	m.up()
	m.join(workload("cart", 8081)).ready()
	c := m.mesh()
	ctx := context.Background()
	st, err := c.Status(ctx, &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if p := st.GetProxies(); len(p) != 1 || p[0].GetName() != "shop/cart" || !p[0].GetConnected() {
		t.Errorf("proxies %v", p)
	}
	if w := st.GetWorkloads(); len(w) != 1 || w[0].GetState() != "live" || len(w[0].GetServices()) != 1 {
		t.Errorf("workloads %v", w)
	}
	list, err := c.Services(ctx, &pb.ListServicesRequest{Namespace: "shop"})
	if err != nil || len(list.GetServices()) != 1 || list.GetServices()[0].GetMeshedEndpoints() == 0 {
		t.Errorf("services %v, %v", list, err)
	}
	for _, what := range []string{"127.0.0.1:8081", "127.0.0.1", "spiffe://weft.local/ns/shop/sa/cart", "shop/cart", "cart"} {
		if r, err := c.Whois(ctx, &pb.WhoisRequest{What: what}); err != nil || len(r.GetWorkloads()) != 1 {
			t.Errorf("whois %s: %v, %v", what, r, err)
		}
	}
	_, err = c.Whois(ctx, &pb.WhoisRequest{What: "crat"})
	if e := fromStatus(t, err, "W2402"); e.Why != "closest name seen: cart" {
		t.Errorf("why is %q", e.Why)
	}
	ck, err := c.Check(ctx, &pb.CheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ck.GetResults() {
		if r.GetState() != "ok" {
			t.Errorf("a healthy mesh has the finding %v", r)
		}
	}
	d, err := c.Dump(ctx, &pb.DumpRequest{Proxy: "shop/cart"})
	if err != nil || len(d.GetJson()) < 50 {
		t.Errorf("dump %v, %v", d, err)
	}
}

func TestExplainRefusesAndSuggests(t *testing.T) {
	m := newMesh(t)
	m.up()
	m.join(workload("cart", 8081)).ready()
	c := m.mesh()
	for _, q := range []struct {
		url, from, code string
	}{
		{"http://crat/", "", "W2401"},
		{"http://example.com/", "", "W2401"},
		{"cart/items", "", "W2404"},
		{"ftp://cart/", "", "W2404"},
		{"http://ca rt/", "", "W2404"},
		{"http://cart/", "wbe", "W2402"},
	} {
		_, err := c.Explain(context.Background(), &pb.ExplainRequest{Url: q.url, From: q.from, Namespace: "shop"})
		fromStatus(t, err, q.code)
	}
	r, err := c.Explain(context.Background(), &pb.ExplainRequest{Url: "http://cart/a%2fb", Namespace: "shop"})
	if err != nil || r.GetAction() != "refuse" || r.GetStatus() != 400 || r.GetFault().GetCode() == "" {
		t.Errorf("an encoded slash: %v, %v", r, err)
	}
	r, err = c.Explain(context.Background(), &pb.ExplainRequest{Url: "http://cart:99/", Namespace: "shop"})
	if err != nil || r.GetAction() != "refuse" || r.GetFault().GetCode() == "" {
		t.Errorf("a port that is not there: %v, %v", r, err)
	}
	r, err = c.Explain(context.Background(), &pb.ExplainRequest{Url: "tcp://cart:8081", Namespace: "shop"})
	if err != nil || r.GetBasis() != "snapshot" || len(r.GetEndpoints()) != 1 {
		t.Errorf("tcp: %v, %v", r, err)
	}
}
