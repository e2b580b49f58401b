package control_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/proxy/agent"
)

// teller tells sets that a test hands it, each once.
type teller struct {
	mu   sync.Mutex
	sets []report.Set
}

func (s *teller) tell(sets ...report.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets = append(s.sets, sets...)
}

func (s *teller) take() []report.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.sets
	s.sets = nil
	return out
}

// quiet is a reporter without traffic.
type quiet struct{}

func (quiet) Collect(func(report.Series)) {}

// telling makes a workload's proxy tell what s is told.
func telling(name string, s *teller) agent.Options {
	opt := workload(name)
	opt.Reporter, opt.Sets, opt.ReportEvery = quiet{}, s.take, 10*time.Millisecond
	return opt
}

func cartSet(states ...report.EndpointState) report.Set {
	s := report.Set{SetKey: report.SetKey{Service: shop("cart"), Port: 80}, Algorithm: "PeakEWMA", Loops: 1, Budget: 7, BudgetKnown: true}
	for i, state := range states {
		s.Endpoints = append(s.Endpoints, report.Endpoint{
			Workload: shop("cart"), Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(8081+i)), State: state,
			Since: time.Minute, Latency: time.Duration(i+1) * time.Millisecond, Weight: 1, Success: 1, Loops: 1,
		})
	}
	return s
}

// balanceOf asks how proxies see a service: "PROXY STATE..." for each.
func balanceOf(t testing.TB, c pb.MeshClient, req *pb.BalanceRequest) []string {
	t.Helper()
	r, err := c.Balance(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, x := range r.GetSets() {
		line := x.GetProxy()
		for _, e := range x.GetSet().GetEndpoints() {
			line += " " + e.GetState().String()
			if e.GetStateMs() < 60_000 {
				t.Errorf("%v has been so for less than a minute", e)
			}
		}
		out = append(out, line)
	}
	return out
}

func TestHowProxiesSeeAServiceIsToldWhileTheyAreThere(t *testing.T) {
	m := newMesh(t)
	m.up()
	ofWeb, ofAPI := &teller{}, &teller{}
	ofWeb.tell(cartSet(report.EndpointReady, report.EndpointEjected))
	ofAPI.tell(cartSet(report.EndpointReady))
	m.join(telling("web", ofWeb)).ready()
	api := m.join(telling("api", ofAPI)).ready()
	client := m.mesh()
	cart := &pb.Name{Namespace: "shop", Name: "cart"}
	sees := func(what string, req *pb.BalanceRequest, want ...string) {
		t.Helper()
		await(t, what, func() bool { return slices.Equal(balanceOf(t, client, req), want) })
	}
	sees("both proxies", &pb.BalanceRequest{Service: cart}, "shop/api ENDPOINT_READY", "shop/web ENDPOINT_READY ENDPOINT_EJECTED")
	sees("one of them", &pb.BalanceRequest{Service: cart, From: "web"}, "shop/web ENDPOINT_READY ENDPOINT_EJECTED")
	sees("another service", &pb.BalanceRequest{Service: &pb.Name{Namespace: "shop", Name: "tea"}})
	ofWeb.tell(cartSet(report.EndpointReady, report.EndpointReady))
	sees("the ejected one is back", &pb.BalanceRequest{Service: cart, From: "shop/web"}, "shop/web ENDPOINT_READY ENDPOINT_READY")
	api.stop()
	sees("one proxy has ended", &pb.BalanceRequest{Service: cart}, "shop/web ENDPOINT_READY ENDPOINT_READY")
	_, err := client.Balance(context.Background(), &pb.BalanceRequest{From: "wbe"})
	fromStatus(t, err, "W2402")
}

// Callers name a service, and its routes lead to others.
func TestTheEndpointsBehindAServicesRoutesAreShownWithIt(t *testing.T) {
	m := newMesh(t)
	m.write("front.yaml", `apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {selector: {app: front}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: front}]
  rules: [{backendRefs: [{name: cart, port: 80}]}]
`)
	m.up()
	m.join(workload("cart", 8081)).ready()
	s := &teller{}
	s.tell(cartSet(report.EndpointReady))
	m.join(telling("web", s)).ready()
	client := m.mesh()
	await(t, "cart is shown for front", func() bool {
		return slices.Equal(balanceOf(t, client, &pb.BalanceRequest{Service: &pb.Name{Namespace: "shop", Name: "front"}}), []string{"shop/web ENDPOINT_READY"})
	})
	if got := balanceOf(t, client, &pb.BalanceRequest{Service: &pb.Name{Namespace: "shop", Name: "web"}}); len(got) != 0 {
		t.Errorf("%q is shown for web", got)
	}
}

// The control plane keeps no state of proxies on disk: they tell it anew.
func TestARestartedControlPlaneIsToldAgain(t *testing.T) {
	m := newMesh(t)
	_, down := m.up()
	s := &teller{}
	s.tell(cartSet(report.EndpointReady))
	m.join(telling("web", s)).ready()
	told := func() bool { return len(balanceOf(t, m.mesh(), &pb.BalanceRequest{})) == 1 }
	await(t, "it is told", told)
	down()
	m.up()
	await(t, "it is told again", told)
}

// A process that calls itself by another proxy's name is not believed.
func TestNobodyTellsInAnothersName(t *testing.T) {
	m := newMesh(t)
	m.up()
	m.join(workload("web")).ready()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := pb.NewReportClient(m.client()).Stream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	set := &pb.BalanceSet{Service: &pb.Name{Namespace: "shop", Name: "cart"}, Port: 80, Endpoints: []*pb.BalanceEndpoint{{}}}
	if err := stream.Send(&pb.ReportBatch{Proxy: "shop/web", Instance: "forged", Sequence: 1, Sets: []*pb.BalanceSet{set}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if got := balanceOf(t, m.mesh(), &pb.BalanceRequest{}); len(got) != 0 {
		t.Errorf("%q is believed", got)
	}
	set.Endpoints = make([]*pb.BalanceEndpoint, report.MaxSetEndpoints+1)
	if err := stream.Send(&pb.ReportBatch{Proxy: "shop/web", Instance: "forged", Sequence: 2, Sets: []*pb.BalanceSet{set}}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	fromStatus(t, err, "W2107")
}

func TestAnExplanationTellsWhichEndpointWouldBeTaken(t *testing.T) {
	m := newMesh(t)
	m.up()
	s := &teller{}
	m.join(workload("cart", 8081)).ready()
	web := m.join(telling("web", s)).ready()
	web.Subscribe(shop("cart"))
	web.until("cart is there", has("cart", 80, 1))
	client := m.mesh()
	explain := func() *pb.ExplainReply {
		r, err := client.Explain(context.Background(), &pb.ExplainRequest{Url: "http://cart/", From: "shop/web"})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := explain(); r.GetChoice() != "" || len(r.GetEndpoints()) != 1 || r.GetEndpoints()[0].GetBalance() != nil {
		t.Errorf("before the proxy told: %v", r)
	}
	s.tell(cartSet(report.EndpointReady, report.EndpointReady)) // the second is gone meanwhile
	await(t, "the proxy told", func() bool { return explain().GetChoice() != "" })
	r := explain()
	e := r.GetEndpoints()[0]
	if e.GetBalance().GetLatencyUs() != 1000 || e.GetChance() != 1 {
		t.Errorf("%v, want an estimate of 1 ms and all requests", e)
	}
	const want = "of two at random the one with less latency times requests in flight (PeakEWMA); at present most likely shop/cart (100 %)"
	if r.GetChoice() != want {
		t.Errorf("choice %q, want %q", r.GetChoice(), want)
	}
	if r, err := client.Explain(context.Background(), &pb.ExplainRequest{Url: "http://cart/", Namespace: "shop"}); err != nil || r.GetChoice() != "" {
		t.Errorf("of anybody: %v, %v, want no proxy's opinion", r.GetChoice(), err)
	}
}
