package sim_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive/sim"
)

// heard is what a proxy learned of a service.
type heard struct {
	proxy, service string
	endpoints      int
}

// listener is a network with a mesh, a proxy that knows nothing, and what it hears.
func listener(t *testing.T) (n *sim.Network, m *sim.Mesh, p *sim.Proxy, news *[]heard) {
	t.Helper()
	n = sim.New(1, nil)
	m = n.Mesh()
	h := n.Host("x", netip.MustParseAddr("10.0.0.1"))
	p = n.Proxy(h, m, core.Config{}, map[uint16]*core.Listener{anyPort: {Kind: core.ListenProxy}})
	p.Start()
	news = new([]heard)
	n.Learned = func(q *sim.Proxy, name model.Name, _ *model.Service, e *model.Endpoints) {
		x := heard{proxy: q.Host().Name, service: name.Name, endpoints: -1}
		if e != nil {
			x.endpoints = len(e.Endpoints)
		}
		*news = append(*news, x)
	}
	return n, m, p, news
}

// ask makes the proxy want a service, as a request does.
func wanted(n *sim.Network, p *sim.Proxy, service string) {
	s := p.Host().Dial(&sim.Prompt{Net: n, Handler: &ender{}}, netip.AddrPortFrom(p.Host().Addr, anyPort), time.Second)
	n.Run(10 * time.Millisecond)
	s.Write([]byte("GET http://" + service + ".shop/ HTTP/1.1\r\nHost: " + service + ".shop\r\n\r\n"))
	n.Run(50 * time.Millisecond)
}

func routed(service, to string) *model.Service {
	return &model.Service{Name: shop(service), Ports: []model.Port{{Port: 80}}, Routes: []model.Route{{
		Kind: model.RouteHTTP, Name: shop(service), Rules: []model.Rule{{Backends: []model.Backend{{Service: shop(to), Port: 80, Weight: 1}}}},
	}}}
}

func TestAProxyIsToldOfWhatARouteRefersTo(t *testing.T) {
	n, m, p, news := listener(t)
	m.Set(&model.Service{Name: shop("b"), Ports: []model.Port{{Port: 80}}}, &model.Endpoints{Service: shop("b")})
	m.Set(routed("a", "b"), &model.Endpoints{Service: shop("a")})
	wanted(n, p, "a")
	if len(*news) != 2 || (*news)[0] != (heard{"x", "a", 0}) || (*news)[1] != (heard{"x", "b", 0}) {
		t.Fatalf("it learned %v", *news)
	}
	*news = nil
	m.Set(&model.Service{Name: shop("b"), Ports: []model.Port{{Port: 80}}}, &model.Endpoints{Service: shop("b"), Endpoints: make([]model.Endpoint, 1)})
	n.Run(50 * time.Millisecond)
	if len(*news) != 1 || (*news)[0].service != "b" || (*news)[0].endpoints != 1 {
		t.Errorf("of a change of b it learned %v", *news)
	}
}

func TestAProxyThatIsPartedLearnsLater(t *testing.T) {
	n, m, p, news := listener(t)
	m.Set(&model.Service{Name: shop("a"), Ports: []model.Port{{Port: 80}}}, &model.Endpoints{Service: shop("a")})
	m.Part(p, true)
	wanted(n, p, "a")
	if len(*news) != 0 {
		t.Fatalf("parted, it learned %v", *news)
	}
	m.Part(p, false)
	n.Run(50 * time.Millisecond)
	if len(*news) == 0 || (*news)[0].service != "a" {
		t.Errorf("afterwards it learned %v", *news)
	}
}

func TestDialsAreSeenWithWhomTheyExpect(t *testing.T) {
	n, m, p, _ := listener(t)
	var seen []string
	n.Dialed = func(from *sim.Host, to netip.AddrPort, peer string) {
		if to.Addr() != from.Addr {
			seen = append(seen, from.Name+" "+to.String()+" "+peer)
		}
	}
	m.Set(&model.Service{Name: shop("a"), Ports: []model.Port{{Port: 80}}}, &model.Endpoints{Service: shop("a"), Endpoints: []model.Endpoint{{
		Port: 80, Addr: appAddr, Link: netip.MustParseAddrPort("10.0.0.2:4143"), Identity: idOf("a"),
	}}})
	p.Identities = []sim.Identity{{ID: idOf("x")}}
	wanted(n, p, "a")
	if len(seen) == 0 || seen[0] != "x 10.0.0.2:4143 "+idOf("a") {
		t.Errorf("seen: %q", seen)
	}
}
