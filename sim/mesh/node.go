package mesh

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive/sim"
	"github.com/weft-mesh/weft/sim/invariant"
)

// Ports on every host.
const (
	linkPort  = 4143 // links from peers
	proxyPort = 4140 // http_proxy
	batchPort = 4141 // the same at the edge, for its second workload
	frontPort = 8080 // at the edge: stands for front
	talkPort  = 8007 // at the edge: stands for talk
	appPort   = 9000
)

// appAddr is where each application listens. It is the same everywhere: all that keeps requests from
// another's application is whose link they are sent on.
var appAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), appPort)

func shop(name string) model.Name { return model.Name{Namespace: "shop", Name: name} }
func idOf(sa string) string       { return "spiffe://weft.local/ns/shop/sa/" + sa }

// order is that of the services in which users or applications ask for something.
var order = []string{"front", "cart", "stock", "talk"}

// replicas of each service; next is the canary of stock.
var replicas = []struct {
	service string
	n       int
}{{"front", 2}, {"cart", 3}, {"stock", 2}, {"next", 1}, {"talk", 2}}

// tier gives the service that an application asks in turn.
var tier = map[string]string{"front": "cart", "cart": "stock"}

// service is one, as its owner sees it.
type service struct {
	w        *world
	name     string
	port     uint16
	protocol model.Protocol
	opaque   bool
	nodes    []*node
	version  int
	closed   bool // its private part
	canary   bool // a part of its requests goes to next
}

// node is a workload on a host of its own, with a proxy.
type node struct {
	w       *world
	name    string
	service *service
	serves  string // the service for whose requests it is meant
	host    *sim.Host
	proxy   *sim.Proxy
	app     *app
	told    netip.Addr // where the control plane says that it is
	gone    bool       // its endpoint is not published
	down    bool       // the host has crashed
	taken   bool       // a fault or a change is about it
}

// edge is the host of those who ask: two workloads behind one proxy, and beside them one that answers,
// which is reached within the proxy.
type edge struct {
	host  *sim.Host
	proxy *sim.Proxy
	down  bool
}

func (w *world) build() {
	w.net.Dialed = w.dialed
	w.net.Learned = w.learned
	http := model.ProtocolDetect
	if w.rng.IntN(2) == 0 {
		http = model.ProtocolHTTP
	}
	for i, r := range replicas {
		s := &service{w: w, name: r.service, port: 80, protocol: http}
		if r.service == "talk" {
			s.port, s.protocol, s.opaque = 7, model.ProtocolDetect, true
			if w.rng.IntN(2) == 0 {
				s.protocol = model.ProtocolTCP
			}
		}
		w.services[r.service] = s
		for k := range r.n {
			s.add(fmt.Sprintf("%s-%d", r.service, k+1), netip.AddrFrom4([4]byte{10, 0, byte(i + 1), byte(k + 1)}))
		}
	}
	w.services["cart"].closed = w.rng.IntN(4) == 0
	for _, r := range replicas {
		w.services[r.service].revise()
	}
	w.makeEdge()
}

func (w *world) limits() core.Limits {
	if w.rng.IntN(3) == 0 {
		return core.Limits{MaxPoolConns: 1 + w.rng.IntN(4)}
	}
	return core.Limits{}
}

func (w *world) makeEdge() {
	h := w.net.Host("edge", netip.AddrFrom4([4]byte{10, 0, 0, 1}))
	own := []netip.AddrPort{netip.AddrPortFrom(h.Addr, proxyPort), netip.AddrPortFrom(h.Addr, batchPort), netip.AddrPortFrom(h.Addr, linkPort)}
	talk := w.services["talk"]
	cfg := core.Config{Limits: w.limits(), Own: own, Workloads: []core.Workload{
		{Name: shop("web"), Identity: idOf("web")}, {Name: shop("batch"), Identity: idOf("batch")},
		{
			Name: shop("talk-near"), Service: shop("talk"), Identity: idOf("talk"), Link: netip.AddrPortFrom(h.Addr, linkPort),
			Ports: []core.AppPort{{Addr: appAddr, Protocol: talk.protocol}},
		},
	}}
	w.edge = &edge{host: h, proxy: w.net.Proxy(h, w.control, cfg, map[uint16]*core.Listener{
		proxyPort: {Kind: core.ListenProxy},
		batchPort: {Kind: core.ListenProxy, Workload: 1},
		frontPort: {Kind: core.ListenService, Service: shop("front"), Port: 80},
		talkPort:  {Kind: core.ListenService, Service: shop("talk"), Port: 7, Workload: 1},
		linkPort:  {Kind: core.ListenLink, Workload: 2},
	})}
	w.start(w.edge.proxy)
	// It stays where it is, so it is none of w.nodes.
	near := &node{w: w, name: "talk-near", service: talk, serves: "talk", host: h, proxy: w.edge.proxy, told: h.Addr, taken: true}
	near.app = newApp(near)
	near.app.start()
	talk.nodes = append(talk.nodes, near)
	talk.publish()
}

// start starts a proxy.
func (w *world) start(p *sim.Proxy) {
	p.Start()
	w.watch.ProxyStarted(p.Host().Name)
}

func (s *service) add(name string, addr netip.Addr) {
	w := s.w
	h := w.net.Host(name, addr)
	x := &node{w: w, name: name, service: s, serves: s.name, host: h, told: addr}
	if s.name == "next" {
		x.serves = "stock"
	}
	cfg := core.Config{
		Limits: w.limits(),
		Workloads: []core.Workload{{
			Name: shop(name), Service: shop(s.name), Identity: x.id(), Link: netip.AddrPortFrom(addr, linkPort),
			Ports: []core.AppPort{{Addr: appAddr, Protocol: s.protocol}},
		}},
		Own: []netip.AddrPort{netip.AddrPortFrom(addr, linkPort), netip.AddrPortFrom(addr, proxyPort)},
	}
	x.proxy = w.net.Proxy(h, w.control, cfg, map[uint16]*core.Listener{linkPort: {Kind: core.ListenLink}, proxyPort: {Kind: core.ListenProxy}})
	x.app = newApp(x)
	s.nodes = append(s.nodes, x)
	w.nodes = append(w.nodes, x)
	w.start(x.proxy)
	x.app.start()
}

func (x *node) id() string { return idOf(x.service.name) }

// proxies are all, in a fixed order.
func (w *world) proxies() []*sim.Proxy {
	out := []*sim.Proxy{w.edge.proxy}
	for _, x := range w.nodes {
		out = append(out, x.proxy)
	}
	return out
}

// revise publishes a new version of the service's routes.
func (s *service) revise() {
	s.version = s.w.watch.Published(s.name, s.closed)
	s.publish()
}

// versionField tells an application by which version of the routes it was sent a request.
const versionField = "x-version"

// publish tells the control plane what the service is and who answers for it.
func (s *service) publish() {
	m := &model.Service{Name: shop(s.name), Ports: []model.Port{{Port: s.port, Protocol: s.protocol}}}
	if !s.opaque {
		m.Routes = []model.Route{{Kind: model.RouteHTTP, Name: shop(s.name), Rules: s.rules()}}
	}
	s.w.versions[m] = s.version
	e := &model.Endpoints{Service: m.Name}
	for _, x := range s.nodes {
		if !x.gone {
			e.Endpoints = append(e.Endpoints, model.Endpoint{
				Port: s.port, Addr: appAddr, Link: netip.AddrPortFrom(x.told, linkPort), Identity: x.id(), Workload: shop(x.name),
			})
		}
	}
	s.w.control.Set(m, e)
}

func (s *service) rules() []model.Rule {
	rule := func(prefix string) model.Rule {
		r := model.Rule{
			Matches:  []model.Match{{Path: &model.PathMatch{Kind: model.PathPrefix, Value: prefix}}},
			Filters:  []model.Filter{{RequestHeaders: &model.HeaderModifier{Set: []model.NameValue{{Name: versionField, Value: strconv.Itoa(s.version)}}}}},
			Backends: []model.Backend{{Service: shop(s.name), Port: 80, Weight: 3}},
		}
		if s.canary {
			r.Backends = append(r.Backends, model.Backend{Service: shop("next"), Port: 80, Weight: 1})
		}
		return r
	}
	rules := []model.Rule{rule("/open")}
	if !s.closed {
		rules = append(rules, rule("/private"))
	}
	return rules
}

// learned is told what a proxy has in force.
func (w *world) learned(p *sim.Proxy, n model.Name, s *model.Service, e *model.Endpoints) {
	var places [][2]string
	if e != nil {
		for i := range e.Endpoints {
			places = append(places, [2]string{e.Endpoints[i].Link.String(), e.Endpoints[i].Identity})
		}
	}
	version := 0
	if s != nil {
		version = w.versions[s]
	}
	w.watch.Learned(p.Host().Name, n.Name, version, places)
}

// dialed is told of every connection.
func (w *world) dialed(from *sim.Host, to netip.AddrPort, peer string) {
	if to.Addr().IsLoopback() || to.Addr() == from.Addr {
		return
	}
	w.watch.Dialed(from.Name, to.String(), peer)
}

// crash ends the host: proxy and application at once, like a power failure.
func (x *node) crash() {
	x.w.saw(invariant.CalleeDied, x.app.busy() > 0)
	x.down = true
	x.app.crash()
	x.proxy.Crash()
}

// boot starts the host again.
func (x *node) boot() {
	x.down = false
	x.proxy.Crash()
	x.app.crash()
	x.w.start(x.proxy)
	x.app.start()
}

// killProxy ends the proxy alone, for a while.
func (w *world) killProxy(p *sim.Proxy, down time.Duration, after func()) {
	w.saw(invariant.ProxyDied, p.Core.Busy())
	p.Crash()
	w.net.After(down, func() {
		p.Crash() // another fault may have started it
		w.start(p)
		after()
	})
}
