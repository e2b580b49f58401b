package sim_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive/sim"
)

const (
	linkPort = 4143
	anyPort  = 4140 // http_proxy
	webPort  = 8080 // stands for web, and so on
	echoPort = 8007
	grtPort  = 8025
	appPort  = 9000
)

// node is a workload: a caller or an application, on a host with a proxy.
type node struct {
	name  string
	host  *sim.Host
	proxy *sim.Proxy
	place int // among the workloads of the proxy; above 0: the proxy is a caller's
	app   *app
	id    string
	home  netip.Addr
	told  netip.Addr // where the mesh says that it is
	leave bool       // its endpoint is not published
}

// world is two callers' hosts and the hosts of three services, each with its proxy.
type world struct {
	t       testing.TB
	net     *sim.Network
	mesh    *sim.Mesh
	l       *ledger
	rng     *rand.Rand
	callers []*node
	servers map[string][]*node // by service
	order   []*node            // of the servers
	web     model.Protocol
	limits  core.Limits
	timeout time.Duration // of web's route; 0: it has none
	policy  *model.Policy // web's; nil: that of all
	watched *model.Policy // of all services; nil: the defaults
	maxQ    int           // most bytes that one connection of a proxy had waiting
	running int           // clients
}

var services = []string{"web", "echo", "greet"}

// appAddr is where each application listens. It is the same everywhere: all that keeps requests
// from another's application is whose link they are sent on.
var appAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), appPort)

func shop(name string) model.Name { return model.Name{Namespace: "shop", Name: name} }
func idOf(sa string) string       { return "spiffe://weft.local/ns/shop/sa/" + sa }

// beside are the workloads that a world of shared nodes has behind the callers' proxies.
var beside = [][]string{{"web", "echo"}, {"web", "greet"}}

func newWorld(t testing.TB, seed uint64, story io.Writer) *world {
	return makeWorld(t, seed, story, false)
}

// makeWorld makes a world. In one of shared nodes some servers live behind the callers' proxies.
func makeWorld(t testing.TB, seed uint64, story io.Writer, shared bool) *world {
	n := sim.New(seed, story)
	w := &world{t: t, net: n, mesh: n.Mesh(), rng: n.Rand("world"), servers: map[string][]*node{}}
	w.l = &ledger{net: n, tries: 4, seen: map[string]int{}}
	if w.rng.IntN(2) == 0 {
		w.web = model.ProtocolHTTP
	}
	if w.rng.IntN(2) == 0 {
		w.timeout = 20 * time.Second
	}
	if w.rng.IntN(3) == 0 {
		w.limits.MaxPoolConns = 1 + w.rng.IntN(2)
	}
	for i := range 2 {
		name := fmt.Sprintf("caller-%d", i+1)
		h := n.Host(name, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
		x := &node{name: name, host: h, id: idOf(name)}
		cfg := w.config(x, model.Name{}, nil)
		listeners := map[uint16]*core.Listener{
			anyPort:  {Kind: core.ListenProxy},
			webPort:  {Kind: core.ListenService, Service: shop("web"), Port: 80},
			echoPort: {Kind: core.ListenService, Service: shop("echo"), Port: 7},
			grtPort:  {Kind: core.ListenService, Service: shop("greet"), Port: 25},
		}
		var here []*node
		if shared {
			for _, service := range beside[i] {
				y := w.application(service, fmt.Sprintf("%s-%d", service, len(w.servers[service])+1), h, 1+len(here))
				here = append(here, y)
				cfg.Workloads = append(cfg.Workloads, w.config(y, shop(service), y.ports(w)).Workloads[0])
				listeners[y.link()] = &core.Listener{Kind: core.ListenLink, Workload: y.place}
			}
		}
		x.proxy = n.Proxy(h, w.mesh, cfg, listeners)
		for _, y := range here {
			y.proxy = x.proxy
		}
		x.proxy.Start()
		w.callers = append(w.callers, x)
	}
	for s, count := range []int{3, 2, 1} {
		for i := len(w.servers[services[s]]); i < count; i++ {
			w.serve(services[s], fmt.Sprintf("%s-%d", services[s], i+1), netip.AddrFrom4([4]byte{10, 0, byte(s + 1), byte(i + 1)}))
		}
	}
	for _, s := range services {
		w.publish(s)
	}
	w.watch()
	return w
}

func (w *world) config(x *node, service model.Name, ports []core.AppPort) core.Config {
	return core.Config{
		Limits: w.limits,
		Workloads: []core.Workload{{
			Name: shop(x.name), Service: service, Identity: x.id, Link: netip.AddrPortFrom(x.host.Addr, x.link()), Ports: ports,
		}},
		Own: []netip.AddrPort{netip.AddrPortFrom(x.host.Addr, linkPort), netip.AddrPortFrom(x.host.Addr, anyPort)},
	}
}

func (w *world) protocol(service string) model.Protocol {
	if service == "web" {
		return w.web
	}
	return model.ProtocolDetect
}

func (w *world) serve(service, name string, addr netip.Addr) *node {
	x := w.application(service, name, w.net.Host(name, addr), 0)
	x.proxy = w.net.Proxy(x.host, w.mesh, w.config(x, shop(service), x.ports(w)), map[uint16]*core.Listener{linkPort: {Kind: core.ListenLink}})
	x.proxy.Start()
	return x
}

// application makes a server that has no proxy yet.
func (w *world) application(service, name string, h *sim.Host, place int) *node {
	x := &node{name: name, host: h, id: idOf(service), home: h.Addr, told: h.Addr, place: place}
	x.app = newApp(w.l, h, x.addr().Port(), service)
	x.app.start()
	w.servers[service] = append(w.servers[service], x)
	w.order = append(w.order, x)
	return x
}

// link is the port of the workload's links.
func (x *node) link() uint16 { return linkPort + uint16(x.place)*10 }

// addr is where its application listens.
func (x *node) addr() netip.AddrPort {
	return netip.AddrPortFrom(appAddr.Addr(), appAddr.Port()+uint16(x.place))
}

func (x *node) ports(w *world) []core.AppPort {
	return []core.AppPort{{Addr: x.addr(), Protocol: w.protocol(x.app.service)}}
}

var servicePorts = map[string]uint16{"web": 80, "echo": 7, "greet": 25}

// publish tells the mesh who answers for a service.
func (w *world) publish(service string) {
	m := &model.Service{Name: shop(service), Ports: []model.Port{{Port: servicePorts[service], Protocol: w.protocol(service), Policy: w.watched}}}
	if service == "web" && w.policy != nil {
		m.Ports[0].Policy = w.policy
	}
	if service == "web" && w.timeout > 0 {
		calls := model.DefaultPolicy.Calls
		calls.Timeouts.Request = w.timeout
		m.Routes = []model.Route{{Kind: model.RouteHTTP, Name: shop("web"), Rules: []model.Rule{{
			Calls:    &calls,
			Backends: []model.Backend{{Service: m.Name, Port: 80, Weight: 1}},
		}}}}
	}
	e := &model.Endpoints{Service: m.Name}
	for _, x := range w.servers[service] {
		if x.leave {
			continue
		}
		e.Endpoints = append(e.Endpoints, model.Endpoint{
			Port: servicePorts[service], Addr: x.addr(),
			Link: netip.AddrPortFrom(x.told, x.link()), Identity: x.id, Workload: shop(x.name),
		})
	}
	w.mesh.Set(m, e)
}

// nodes are one for each proxy.
func (w *world) nodes() []*node {
	out := append([]*node(nil), w.callers...)
	for _, x := range w.order {
		if x.place == 0 {
			out = append(out, x)
		}
	}
	return out
}

// Bounds of what waits in a proxy: for one connection, and for all of them.
const (
	maxQueued = 1500 << 10
	maxTotal  = 12 << 20
)

// watch checks bounds all the time.
func (w *world) watch() {
	for _, x := range w.nodes() {
		total := 0
		for _, s := range x.proxy.Sockets() {
			q := s.Queued()
			total += q
			w.maxQ = max(w.maxQ, q)
			if q > maxQueued {
				w.l.violation("%s holds %d bytes for %s", x.host.Name, q, s.Name())
			}
		}
		if total > maxTotal {
			w.l.violation("%s holds %d bytes", x.host.Name, total)
		}
	}
	w.net.After(20*time.Millisecond, w.watch)
}

// asks makes requests of any kind for a client.
func (w *world) asks(rng *rand.Rand, caller *node, n, big int, harm bool) (list []*ask) {
	for range n {
		a := &ask{service: "web", caller: caller.id, method: "GET", framing: "length"}
		size := func() int {
			switch rng.IntN(6) {
			case 0:
				return 0
			case 1:
				return rng.IntN(big)
			}
			return rng.IntN(3000)
		}
		a.download = size()
		switch rng.IntN(4) {
		case 0:
			a.framing = "chunked"
		case 1:
			if rng.IntN(3) == 0 {
				a.framing = "close"
			}
		}
		switch rng.IntN(10) {
		case 0:
			a.method = "HEAD"
		case 1, 2, 3:
			a.method = "POST"
			a.upload = size()
			a.chunked = rng.IntN(2) == 0
			a.early = rng.IntN(4) == 0 && a.framing != "close" // or its own reset would overtake its response
			if a.early {
				a.upload = rng.IntN(big)
			}
		case 4:
			a.method = "POST" // without a body, so that it could be sent again, and must not be
		case 5:
			if rng.IntN(2) == 0 {
				a.upgrade = true
				a.upload, a.download = rng.IntN(20_000), 0
			}
		}
		if harm && rng.IntN(10) == 0 && a.framing != "close" && !a.upgrade && !a.early {
			a.harm = []string{"abort", "end", "busy"}[rng.IntN(3)]
			if rng.IntN(2) == 0 {
				a.download = rng.IntN(big)
			}
		}
		list = append(list, w.l.add(a))
	}
	return list
}

// load starts clients of all kinds at both callers.
func (w *world) load(clients, each, big int, faults bool) {
	for i := range clients {
		x := w.callers[i%len(w.callers)]
		c := newClient(w.l, fmt.Sprintf("%s/%d/%d", x.host.Name, i, len(w.l.asks)), x.host, webPort)
		if i%3 == 0 {
			c.port, c.absolute = anyPort, true
		}
		if i%4 == 1 {
			c.pipeline = 2 + c.rng.IntN(5)
		}
		c.shy = i%4 == 3
		c.stubborn = !faults && big <= 100_000 && i%3 == 2
		if faults {
			c.slow = i%5 == 2
			c.hasty = []int{0, 0, 12}[c.rng.IntN(3)]
		}
		c.todo = w.asks(c.rng, x, each, big, faults)
		w.running++
		c.done = func() { w.running-- }
		w.net.After(time.Duration(c.rng.Int64N(int64(300*time.Millisecond))), c.start)
	}
	for i := range clients / 2 {
		for j := range max(each/6, 1) {
			x := w.callers[(i+i/2)%len(w.callers)] // either speaks to either service
			rng := w.net.Rand(fmt.Sprintf("talker %d %d %d", i, j, len(w.l.asks)))
			t := &talker{l: w.l, net: w.net, rng: rng, host: x.host, port: echoPort}
			t.a = &ask{method: "TCP", service: "echo", caller: x.id, upload: rng.IntN(big)}
			if i%2 == 0 {
				t.a, t.port = &ask{method: "GREET", service: "greet", caller: x.id}, grtPort
			}
			if i%3 == 0 {
				t.port, t.connect = anyPort, fmt.Sprintf("%s.shop:%d", t.a.service, servicePorts[t.a.service])
			}
			t.slow = faults && rng.IntN(4) == 0
			w.l.add(t.a)
			w.net.After(time.Duration(rng.Int64N(int64(3*time.Second))), t.start)
		}
	}
}

// settle lets everything come to its end, then checks that nothing is left, that all works, and
// that nothing is left of that either.
func (w *world) settle() {
	w.net.Note("settle")
	w.net.Run(400 * time.Second) // longer than the longest deadline, IdleTimeout
	if n, a := w.l.open(); n > 0 {
		w.l.violation("%d requests have no outcome, the first is %v", n, a)
	}
	if w.running > 0 {
		w.l.violation("%d clients are not done", w.running)
	}
	w.checkEmpty("after the load")
	from := len(w.l.asks)
	w.load(6, 6, 20_000, false)
	w.net.Run(20 * time.Second)
	w.checkAllWell(from)
	w.net.Run(200 * time.Second)
	w.checkEmpty("at the end")
}

// checkAllWell: all requests from a number on succeeded.
func (w *world) checkAllWell(from int) {
	for _, a := range w.l.asks[from:] {
		if a.outcomes != 1 || a.status >= 300 || a.status == 0 {
			if a.upgrade && a.status == 101 {
				continue
			}
			w.l.violation("%v did not succeed, and nothing was wrong", a)
		}
	}
}

// checkEmpty: no proxy holds anything.
func (w *world) checkEmpty(when string) {
	for _, x := range w.nodes() {
		c := x.proxy.Core
		u := c.Usage()
		if c.Busy() || u.Conns > 0 || u.Inflight > 0 || u.Waiters > 0 || u.Waiting > 0 || u.Dialing > 0 || u.Used > 0 || u.Links > 0 || u.Timers > 0 || u.Pools > 8 {
			w.l.violation("%s: %s still holds something: busy %v, %+v", when, x.host.Name, c.Busy(), u)
		}
		if n := len(x.proxy.Sockets()); n != u.Conns {
			w.l.violation("%s: %s has %d connections and %d sockets", when, x.host.Name, u.Conns, n)
		}
	}
}

// report fails the test if anything was wrong.
func (w *world) report(seed uint64) {
	w.t.Helper()
	for _, v := range w.l.wrong {
		w.t.Errorf("seed %d: %s", seed, v)
	}
}
