package control_test

import (
	"context"
	"sync"
	"testing"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
)

// counter is a reporter that has one success more each time it is asked, up to a number.
type counter struct {
	mu       sync.Mutex
	left     int
	reported int
}

func (c *counter) Collect(add func(report.Series)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return
	}
	c.left--
	c.reported++
	s := report.Series{Key: report.Key{Source: shop("web"), Service: shop("cart"), Backend: shop("cart"), Route: "default", Protocol: "http", TLS: true}}
	s.Success, s.Status[2] = 1, 1
	s.Latency = []report.Bucket{{Index: report.BucketOf(1500), Count: 1}}
	add(s)
}

func TestReportsAreCountedOnceAlsoOverARestartOfTheProxysStream(t *testing.T) {
	m := newMesh(t)
	m.up()
	c := &counter{left: 50}
	opt := workload("web")
	opt.Reporter, opt.ReportEvery = c, time.Millisecond
	web := m.join(opt).ready()
	client := m.mesh()
	requests := func() uint64 {
		r, err := client.Stat(context.Background(), &pb.StatRequest{Service: &pb.Name{Namespace: "shop", Name: "cart"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.GetRows()) == 0 {
			return 0
		}
		row := r.GetRows()[0]
		if row.GetRequests() > 0 && (row.GetMtlsShare() != 1 || row.GetSuccessRate() != 1 || row.GetP50Ms() < 1.4 || row.GetP50Ms() > 1.7) {
			t.Errorf("row %v", row)
		}
		return row.GetRequests()
	}
	web.stop() // the last report is sent on the way out
	if got := requests(); got != uint64(c.reported) || got == 0 {
		t.Errorf("%d requests are counted, %d were reported", got, c.reported)
	}
}

// A proxy that says hello and then neither reads nor answers must cost nobody else anything.
func TestAProxyThatNeverReadsHoldsNobodyUp(t *testing.T) {
	m := newMesh(t)
	m.up()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stuck, err := pb.NewDiscoveryClient(m.client()).Stream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stuck.Send(&pb.ProxyMessage{Message: &pb.ProxyMessage_Hello{Hello: &pb.Hello{
		Proxy: "stuck", Subscriptions: &pb.Subscribe{Services: []*pb.Name{{Namespace: "shop", Name: "cart"}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	web := m.join(workload("web")).ready()
	web.Subscribe(shop("cart"))
	for i := range 5 {
		cart := m.join(workload("cart", uint16(8081+i))).ready()
		web.until("cart is there", has("cart", uint16(8081+i), 1))
		cart.stop()
		web.until("cart is gone", absent("cart"))
	}
	st, err := m.mesh().Status(ctx, &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range st.GetProxies() {
		if p.GetName() == "stuck" && (p.GetUpdates() != 1 || p.GetCurrent() || !p.GetConnected()) {
			t.Errorf("%v, want one update on its way and the rest coalesced", p)
		}
	}
}
