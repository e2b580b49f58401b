package snapshot_test

import (
	"net/netip"
	"testing"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/control/compile"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
)

var bundle = &identity.Bundle{TrustDomain: "weft.local"}

func mesh(port uint16) *compile.Snapshot {
	n := model.Name{Namespace: "shop", Name: "cart"}
	return &compile.Snapshot{
		Services:  map[model.Name]*model.Service{n: {Name: n, Ports: []model.Port{{Port: port}}, IPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")}}},
		Endpoints: map[model.Name]*model.Endpoints{n: {Service: n}},
		Workloads: map[model.Name]*model.Workload{},
	}
}

func build(t *testing.T, prev *snapshot.Snapshot, c *compile.Snapshot, generation uint64) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.Build(prev, c, bundle, generation, time.Unix(int64(generation), 0))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheNumberCountsContentsNotBuilds(t *testing.T) {
	k := snapshot.Key{Kind: pb.Kind_KIND_SERVICE, Name: model.Name{Namespace: "shop", Name: "cart"}}
	a := build(t, nil, mesh(80), 1)
	same := build(t, a, mesh(80), 2) // equal values, other pointers
	if same.Number != a.Number || same.Generation != 2 || same.Resource(k) != a.Resource(k) {
		t.Errorf("number %d after %d, generation %d", same.Number, a.Number, same.Generation)
	}
	other := build(t, same, mesh(81), 3)
	if other.Number != a.Number+1 || other.Resource(k).GetVersion() == a.Resource(k).GetVersion() {
		t.Errorf("number %d after %d", other.Number, a.Number)
	}
	empty := build(t, other, &compile.Snapshot{}, 4)
	if empty.Number != other.Number+1 || empty.Resource(k) != nil {
		t.Errorf("number %d after %d", empty.Number, other.Number)
	}
	if n, ok := a.ServiceByIP(netip.MustParseAddr("::ffff:10.96.0.1")); !ok || n.Name != "cart" {
		t.Errorf("by address: %v, %v", n, ok)
	}
}

// What a proxy compares with it must be able to reach.
func TestAServiceLeadsToTheBaselinesThatItsAnswersAreComparedWith(t *testing.T) {
	cart := model.Name{Namespace: "shop", Name: "cart"}
	calls := func(baseline string) *model.Calls {
		c := model.DefaultPolicy.Calls
		c.Compare = &model.Compare{Baseline: model.Backend{Service: model.Name{Namespace: "shop", Name: baseline}, Port: 80}}
		return &c
	}
	policy := model.DefaultPolicy
	policy.Calls = *calls("of-the-port")
	c := mesh(80)
	for _, n := range []string{"of-the-port", "of-the-rule"} {
		n := model.Name{Namespace: "shop", Name: n}
		c.Services[n] = &model.Service{Name: n, Ports: []model.Port{{Port: 80}}}
	}
	c.Services[cart] = &model.Service{
		Name: cart, Ports: []model.Port{{Port: 80, Policy: &policy}},
		Routes: []model.Route{{Name: cart, Rules: []model.Rule{{Calls: calls("of-the-rule")}}}},
	}
	wanted := map[snapshot.Key]struct{}{}
	build(t, nil, c, 1).Closure([]model.Name{cart}, wanted, map[model.Name]struct{}{})
	for _, n := range []string{"cart", "of-the-port", "of-the-rule"} {
		if _, ok := wanted[snapshot.Key{Kind: pb.Kind_KIND_ENDPOINTS, Name: model.Name{Namespace: "shop", Name: n}}]; !ok {
			t.Errorf("%s is not delivered", n)
		}
	}
}
