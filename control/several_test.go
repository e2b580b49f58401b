package control_test

import (
	"context"
	"testing"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/agent"
	"github.com/weft-mesh/weft/proxy/config"
)

// callers is a reporter by whom each of two workloads has made one request.
type callers struct{ told bool }

func (c *callers) Collect(add func(report.Series)) {
	if c.told {
		return
	}
	c.told = true
	for _, from := range []model.Name{shop("cart"), {Namespace: "bank", Name: "teller"}} {
		s := report.Series{Key: report.Key{
			Source: from, SourceIdentity: "spiffe://weft.local/ns/" + from.Namespace + "/sa/" + from.Name,
			Service: shop("stock"), Backend: shop("stock"), Route: "default", Protocol: "http", Local: true,
		}}
		s.Success, s.Status[2] = 1, 1
		add(s)
	}
}

// TestWorkloadsOfOneProxyAreKnownEachByItself holds the control plane to whom each of several
// workloads of a proxy is: by the user's socket, and over TCP, where a certificate or a token stands
// for one identity only.
func TestWorkloadsOfOneProxyAreKnownEachByItself(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		name := "by the socket"
		if elsewhere {
			name = "over TCP"
		}
		t.Run(name, func(t *testing.T) {
			m := newMesh(t)
			m.opt.Listen = "127.0.0.1:0"
			started, _ := m.up()
			opt := workload("cart", 8081)
			teller := workload("teller", 8082).Workloads[0]
			teller.Namespace = "bank"
			twin := workload("cart", 8083).Workloads[0]
			twin.Name, twin.ServiceAccount = "cart-2", "cart"
			if elsewhere {
				opt.Control = config.Control{Addr: started.Listen, Token: m.token(&pb.CreateTokenRequest{Namespace: "shop", ServiceAccount: "cart"})}
				teller.Token = m.token(&pb.CreateTokenRequest{Namespace: "bank", ServiceAccount: "teller"})
			}
			opt.Workloads = append(opt.Workloads, teller, twin)
			opt.Name, opt.Reporter, opt.ReportEvery = "node/a", &callers{}, 10*time.Millisecond
			node := m.join(opt).ready()
			for i, want := range []string{"spiffe://weft.local/ns/shop/sa/cart", "spiffe://weft.local/ns/bank/sa/teller", "spiffe://weft.local/ns/shop/sa/cart"} {
				if id := node.Identity(i).Load().Pair.ID.String(); id != want {
					t.Errorf("workload %d is %s, want %s", i, id, want)
				}
			}
			web := m.join(workload("web")).ready()
			web.Subscribe(shop("cart"))
			web.Subscribe(model.Name{Namespace: "bank", Name: "teller"})
			web.until("both carts are there", has("cart", 80, 2))

			rows := map[string]uint64{}
			client := m.mesh()
			await(t, "both callers are counted", func() bool {
				r, err := client.Stat(context.Background(), &pb.StatRequest{})
				for _, row := range r.GetRows() {
					rows[row.GetSourceIdentity()] = row.GetRequests()
					if row.GetLocalShare() != 1 || row.GetMtlsShare() != 0 {
						t.Errorf("%v, want it all local", row)
					}
				}
				return err == nil && len(rows) >= 2
			})
			for _, id := range []string{"spiffe://weft.local/ns/shop/sa/cart", "spiffe://weft.local/ns/bank/sa/teller"} {
				if rows[id] != 1 {
					t.Errorf("%d requests of %s were counted, want 1", rows[id], id)
				}
			}

			// One leaves, its twin and its neighbour stay.
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := node.Drain(ctx, 2); err != nil {
				t.Fatal(err)
			}
			states := map[string]string{}
			st, err := client.Status(ctx, &pb.StatusRequest{})
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range st.GetWorkloads() {
				states[w.GetName().GetName()] = w.GetState()
			}
			if states["cart-2"] != "draining" || states["cart"] != "live" || states["teller"] != "live" {
				t.Errorf("states %v", states)
			}
			node.stop()
			web.until("the node is gone", absent("cart"))
		})
	}
}

// A token or a name that is not good enough for one of them is told, and not worked around.
func TestAWorkloadOfSeveralThatIsRefusedIsTold(t *testing.T) {
	m := newMesh(t)
	m.up()
	m.join(workload("cart", 8081)).ready()
	opt := workload("web")
	opt.Workloads = append(opt.Workloads, agent.Workload{Workload: config.Workload{Name: "cart", Namespace: "shop", Service: "cart"}})
	opt.Name = "node/a"
	node := m.join(opt)
	await(t, "the refusal is told", func() bool { return node.Status().RegisterError != "" })
	if why := node.Status().RegisterError; len(why) < 5 || why[:5] != "W2301" {
		t.Errorf("told is %q, want W2301", why)
	}
	select {
	case <-node.Ready():
		t.Error("it is ready with a workload that was refused")
	default:
	}
}
