package agent

import (
	"net/netip"
	"testing"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/proxy/config"
)

// workload is what the mesh says of one of the proxy's workloads.
func workload(t *testing.T, name string, port uint16) *pb.Resource {
	t.Helper()
	n := model.Name{Namespace: "shop", Name: name}
	body, err := wire.Marshal(wire.Workload(&model.Workload{
		Name: n, Identity: "spiffe://weft.local/ns/shop/sa/" + name, Ports: []model.Port{{Port: port}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return &pb.Resource{Kind: pb.Kind_KIND_WORKLOAD, Name: wire.Name(n), Version: wire.Version(body), Body: body}
}

// The data path learns how its applications are guarded from what the mesh says of them, once for
// each change.
func TestTheDataPathIsToldOfItsOwnWorkloads(t *testing.T) {
	var told [][]*model.Workload
	w := Workload{Workload: config.Workload{Namespace: "shop", Name: "web-1", Service: "web"}, Link: netip.MustParseAddrPort("127.0.0.1:1")}
	v := w
	v.Name = "cart-1"
	a, err := New(Options{
		Control: config.Control{Socket: "/nowhere"}, Name: "shop/node", Workloads: []Workload{w, v},
		OnWorkloads: func(own []*model.Workload) { told = append(told, own) },
	})
	if err != nil {
		t.Fatal(err)
	}
	view := newView()
	step := func(changed ...*pb.Resource) {
		t.Helper()
		if rej, err := view.apply([]*pb.Update{{TrustDomain: "weft.local", Changed: changed}}, false); err != nil || len(rej) > 0 {
			t.Fatal(rej, err)
		}
		a.inForce(view)
	}
	step()
	step(workload(t, "cart-1", 9000))
	step(resource(t, "cart", 80))
	step(workload(t, "cart-1", 9001))
	if _, err := view.apply([]*pb.Update{{TrustDomain: "weft.local", Removed: []*pb.Key{{Kind: pb.Kind_KIND_WORKLOAD, Name: wire.Name(model.Name{Namespace: "shop", Name: "cart-1"})}}}}, false); err != nil {
		t.Fatal(err)
	}
	a.inForce(view)
	var ports []uint16
	for _, own := range told {
		switch {
		case len(own) != 2 || own[0] != nil:
			t.Fatalf("told of %v", own)
		case own[1] == nil:
			ports = append(ports, 0)
		default:
			ports = append(ports, own[1].Ports[0].Port)
		}
	}
	if len(ports) != 4 || ports[0] != 0 || ports[1] != 9000 || ports[2] != 9001 || ports[3] != 0 {
		t.Errorf("told of ports %v, want none, 9000, 9001, none", ports)
	}
}
