package core

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
)

// town is a rig with several services, whose endpoints have no proxies. Each endpoint answers with
// its name: "cart-0".
type town struct {
	*rig
	view   *decide.View
	table  *decide.Table
	names  map[netip.AddrPort]string
	served map[string]int    // requests by service
	last   map[string]string // the last request of each service
	answer func(endpoint, request string) string
}

func newTown(t testing.TB) *town {
	t.Helper()
	w := &town{rig: newRig(t, nil, Limits{}), names: map[netip.AddrPort]string{}, served: map[string]int{}, last: map[string]string{}}
	w.view = &decide.View{TrustDomain: "m", Services: map[model.Name]*model.Service{}, Endpoints: map[model.Name]*model.Endpoints{}, Absent: map[model.Name]bool{}}
	w.answer = func(endpoint, _ string) string { return answerWith(endpoint) }
	part := map[*pipe]string{}
	w.app = func(p *pipe, in []byte) {
		part[p] += string(in)
		if !strings.Contains(part[p], "\r\n\r\n") {
			return
		}
		request := part[p]
		part[p] = ""
		name := w.names[p.addr]
		service := name[:strings.LastIndexByte(name, '-')]
		w.served[service]++
		w.last[service] = request
		if a := w.answer(name, request); a != "" {
			p.send([]byte(a))
		}
	}
	return w
}

func answerWith(body string, lines ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s", len(body), strings.Join(append(lines, ""), "\r\n"), body)
}

// add makes or changes a service of namespace shop with n endpoints.
func (w *town) add(name string, n int, policy *model.Policy, routes ...model.Route) model.Name {
	return w.addIn("shop", name, n, policy, routes...)
}

func (w *town) addIn(namespace, name string, n int, policy *model.Policy, routes ...model.Route) model.Name {
	s := &model.Service{Name: model.Name{Namespace: namespace, Name: name}, Routes: routes,
		Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP, Policy: policy}}}
	w.view.Services[s.Name] = s
	w.endpoints(s.Name, n)
	return s.Name
}

// endpoints makes the first n endpoints of a service those that it has.
func (w *town) endpoints(n model.Name, count int) {
	e := &model.Endpoints{Service: n}
	block := byte(0)
	for _, c := range []byte(n.Namespace + n.Name) {
		block = block*31 + c
	}
	for i := range count {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, block, byte(i)}), 8080)
		name := fmt.Sprintf("%s-%d", n.Name, i)
		w.names[addr] = name
		e.Endpoints = append(e.Endpoints, model.Endpoint{Port: 80, Addr: addr, Workload: model.Name{Namespace: n.Namespace, Name: name}})
	}
	w.view.Endpoints[n] = e
}

// open publishes the view as it is.
func (w *town) open() {
	w.t.Helper()
	v := *w.view
	table, problems := decide.Compile(w.table, &v)
	for _, p := range problems {
		w.t.Fatal(p)
	}
	w.table = table
	w.client.core.SetTable(table)
}

// get asks for /items of cart with the fields given as lines, on a connection of its own.
func (w *town) get(lines ...string) string {
	return w.ask("GET /items?secret=1 HTTP/1.1\r\nHost: cart\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n")
}

// refused is how often something was counted as refused.
func (w *town) refused(code string) (n int) {
	var page strings.Builder
	if err := w.counts.WritePrometheus(&page); err != nil {
		w.t.Fatal(err)
	}
	_, rest, ok := strings.Cut(page.String(), `code="`+code+`"} `)
	if ok {
		if _, err := fmt.Sscan(rest, &n); err != nil {
			w.t.Fatal(err)
		}
	}
	return n
}

// bodyOf is what follows a head.
func bodyOf(response string) string {
	_, body, _ := strings.Cut(response, "\r\n\r\n")
	return body
}

// fieldOf is the value of a field of a response, "" if it has none.
func fieldOf(response, name string) string {
	head, _, _ := strings.Cut(response, "\r\n\r\n")
	for _, l := range strings.Split(head, "\r\n") {
		if k, v, ok := strings.Cut(l, ": "); ok && strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// callsWith is the default policy with a change to its calls.
func callsWith(change func(*model.Calls)) *model.Policy {
	p := model.DefaultPolicy
	change(&p.Calls)
	return &p
}

// split is an HTTPRoute of shop whose only rule has these backends, by name and weight.
func split(backends ...any) model.Route {
	var rule model.Rule
	for i := 0; i < len(backends); i += 2 {
		rule.Backends = append(rule.Backends, model.Backend{Service: model.Name{Namespace: "shop", Name: backends[i].(string)}, Port: 80, Weight: uint32(backends[i+1].(int))})
	}
	return model.Route{Kind: model.RouteHTTP, Name: model.Name{Namespace: "shop", Name: "cart"}, Rules: []model.Rule{rule}}
}
