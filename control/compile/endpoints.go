package compile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/model"
)

// findEndpoints fills the endpoints of every service, in a fixed order of services.
func (c *compiler) findEndpoints() {
	index := c.byLabel()
	for _, s := range c.orderedServices() {
		switch {
		case s.obj == nil:
			c.implicitEndpoints(s)
		case len(s.spec.Selector) > 0:
			c.selectEndpoints(s, index)
		default:
			c.memberEndpoints(s)
		}
	}
	c.sliceEndpoints()
	for _, s := range c.orderedServices() {
		slices.SortFunc(s.endpoints.Endpoints, func(a, b model.Endpoint) int {
			return cmp.Or(cmp.Compare(a.Port, b.Port), a.Addr.Compare(b.Addr), compareNames(a.Workload, b.Workload))
		})
		c.emptyService(s)
	}
}

func (c *compiler) orderedServices() []*service {
	out := make([]*service, 0, len(c.services))
	for _, s := range c.services {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *service) int { return compareNames(a.model.Name, b.model.Name) })
	return out
}

// add puts an endpoint of a workload in, at the workload's first address.
func (s *service) add(port uint16, w *workload, at uint16) {
	if w.addr().IsValid() {
		s.addAt(port, w, netip.AddrPortFrom(w.addr(), at))
	}
}

func (s *service) addAt(port uint16, w *workload, at netip.AddrPort) {
	e := model.Endpoint{Port: port, Addr: at, Workload: w.model.Name, Zone: w.model.Zone, Node: w.model.Node, Draining: w.draining}
	if w.model.Link.IsValid() {
		e.Link, e.Identity = w.model.Link, w.model.Identity
	}
	s.put(e)
}

// place is what no two endpoints of a service share.
type place struct {
	port uint16
	at   netip.AddrPort
}

func (s *service) put(e model.Endpoint) {
	at := place{e.Port, e.Addr}
	if s.places[at] {
		return
	}
	if s.places == nil {
		s.places = map[place]bool{}
	}
	s.places[at] = true
	s.endpoints.Endpoints = append(s.endpoints.Endpoints, e)
}

func (c *compiler) workloadOf(r *Registered) *workload { return c.workloadNamed(r.Workload.Name) }

func (c *compiler) implicitEndpoints(s *service) {
	for _, r := range s.members {
		w := c.workloadOf(r)
		if w == nil {
			continue
		}
		if _, still := w.port(r.Port); !still {
			continue // taken away: another workload has that address
		}
		s.add(80, w, r.Port)
		s.add(r.Port, w, r.Port)
	}
}

// labelled finds workloads by namespace and one label, so that a selector looks at few of them.
type labelled map[[3]string][]*workload

func (c *compiler) byLabel() labelled {
	out := labelled{}
	for _, w := range c.workloads {
		for k, v := range w.model.Labels {
			at := [3]string{w.model.Namespace, k, v}
			out[at] = append(out[at], w)
		}
	}
	return out
}

// candidates are the workloads that have the rarest label of a selector.
func (l labelled) candidates(ns string, selector map[string]string) []*workload {
	var best []*workload
	first := true
	for k, v := range selector {
		if have := l[[3]string{ns, k, v}]; first || len(have) < len(best) {
			best, first = have, false
		}
	}
	return best
}

// selectEndpoints follows the selector.
func (c *compiler) selectEndpoints(s *service, index labelled) {
	for _, w := range index.candidates(s.model.Namespace, s.spec.Selector) {
		if w.labelled(s.spec.Selector) {
			c.join(s, w)
		}
	}
	for _, r := range s.members {
		if w := c.workloadOf(r); w != nil && !w.labelled(s.spec.Selector) {
			c.report(s.obj, "spec.selector", "W1218", fmt.Sprintf("workload %s asked to stand for %s and is not selected", w.model.Name, s.obj.Key),
				fmt.Sprintf("the selector is %s, the workload's labels are %s", labels(s.spec.Selector), labels(w.model.Labels)), "give the workload these labels, or remove the selector: a Service without one takes the workloads that ask for it by name")
		}
	}
}

// memberEndpoints: a Service without selector takes the workloads that ask for it by name.
func (c *compiler) memberEndpoints(s *service) {
	for _, r := range s.members {
		if w := c.workloadOf(r); w != nil {
			c.join(s, w)
		}
	}
}

// join makes a workload an endpoint of each port of a service that it has the target port of.
func (c *compiler) join(s *service, w *workload) {
	for i, t := range s.targets {
		p := &s.model.Ports[i]
		at, ok := w.resolve(t)
		if !ok {
			want := fmt.Sprintf("port %d", t.number)
			if t.name != "" {
				want = fmt.Sprintf("a port named %q", t.name)
			}
			c.report(s.obj, t.path, "W1213", fmt.Sprintf("%s port %d: workload %s does not have the target port", s.obj.Key, p.Port, w.model.Name),
				fmt.Sprintf("the target is %s, the workload's ports are %s", want, w.portList()), "correct targetPort, or the workload's ports")
			continue
		}
		if p.Protocol == model.ProtocolDetect {
			p.Protocol = at.Protocol
		}
		s.add(p.Port, w, at.Port)
	}
}

// resolve finds the port of a workload that a service port leads to. A workload that declares no
// ports at all has them all. One that was registered for a single port has that one, if the
// Service does not say which it means.
func (w *workload) resolve(t target) (model.Port, bool) {
	if t.name != "" {
		return w.portNamed(t.name)
	}
	if p, ok := w.port(t.number); ok {
		return p, true
	}
	if len(w.model.Ports) == 0 {
		return model.Port{Port: t.number}, true
	}
	if !t.explicit && w.live != nil && len(w.model.Ports) == 1 {
		return w.model.Ports[0], true
	}
	return model.Port{}, false
}

func (w *workload) portList() string {
	var out []string
	for _, p := range w.model.Ports {
		s := fmt.Sprint(p.Port)
		if p.Name != "" {
			s += " (" + p.Name + ")"
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// emptyService warns of a selector that matches nothing.
func (c *compiler) emptyService(s *service) {
	if s.obj == nil || len(s.spec.Selector) == 0 || len(s.endpoints.Endpoints) > 0 || s.spec.Type == "ExternalName" {
		return
	}
	near, most := "", -1
	for _, w := range c.workloads {
		if w.model.Namespace != s.model.Namespace {
			continue
		}
		if w.labelled(s.spec.Selector) {
			return // selected, and whatever is wrong with its ports was said
		}
		same := 0
		for k, v := range s.spec.Selector {
			if w.model.Labels[k] == v {
				same += 2
			} else if _, ok := w.model.Labels[k]; ok {
				same++
			}
		}
		if same > most {
			near, most = fmt.Sprintf("; the closest is %s with %s", w.model.Name, labels(w.model.Labels)), same
		}
	}
	c.report(s.obj, "spec.selector", "W1212", s.obj.String()+" selects no workload", fmt.Sprintf("selector %s matches no labels in namespace %s%s", labels(s.spec.Selector), s.model.Namespace, near),
		"start the workload, or correct the selector")
}

// labels writes labels as kubectl takes them.
func labels(m map[string]string) string {
	if len(m) == 0 {
		return "none"
	}
	var out []string
	for k, v := range m {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return strings.Join(out, ",")
}

// sliceEndpoints adds what EndpointSlices list.
func (c *compiler) sliceEndpoints() {
	for _, o := range c.slices {
		name := o.v.Metadata.Labels[k8s.LabelServiceName]
		if name == "" {
			c.report(o.Object, "metadata", "W1216", o.String()+" belongs to no service", "it has no label "+k8s.LabelServiceName, "add the label "+k8s.LabelServiceName+": NAME")
			continue
		}
		s := c.services[model.Name{Namespace: o.Namespace, Name: name}]
		if s == nil {
			c.report(o.Object, "metadata.labels."+k8s.LabelServiceName, "W1216", o.String()+" belongs to a service that does not exist",
				fmt.Sprintf("there is no Service %s/%s", o.Namespace, name), c.suggestService(name, o.Namespace)...)
			continue
		}
		if o.v.AddressType == "FQDN" {
			c.report(o.Object, "addressType", "W1215", o.String()+" lists names in place of addresses", "weft does not look names up", "list addresses, with addressType: IPv4 or IPv6")
			continue
		}
		for pi, sp := range o.v.Ports {
			c.slicePort(o, s, pi, sp)
		}
	}
}

func (c *compiler) slicePort(o typed[k8s.EndpointSlice], s *service, pi int, sp k8s.EndpointPort) {
	if sp.Protocol != "TCP" {
		return
	}
	path := fmt.Sprintf("ports[%d]", pi)
	i := slices.IndexFunc(s.model.Ports, func(p model.Port) bool { return p.Name == sp.Name })
	if i < 0 && len(s.model.Ports) == 1 && sp.Name == "" {
		i = 0
	}
	if i < 0 {
		c.report(o.Object, path, "W1216", fmt.Sprintf("%s: Service %s has no port of that name", o.Key, s.model.Name), fmt.Sprintf("the slice's port is named %q, the Service's ports are %s", sp.Name, s.portList()), "give both the same name")
		return
	}
	p := &s.model.Ports[i]
	if proto := c.protocol(o.Object, path, sp.AppProtocol, ""); p.Protocol == model.ProtocolDetect {
		p.Protocol = proto
	}
	for ei, e := range o.v.Endpoints {
		ready := e.Conditions.Ready == nil || *e.Conditions.Ready
		draining := e.Conditions.Terminating != nil && *e.Conditions.Terminating
		if !ready && (!draining || e.Conditions.Serving == nil || !*e.Conditions.Serving) {
			continue
		}
		ip, err := netip.ParseAddr(e.Addresses[0])
		if err != nil || ip.Zone() != "" || ip.Is4() != (o.v.AddressType == "IPv4") {
			if pi == 0 {
				c.report(o.Object, fmt.Sprintf("endpoints[%d].addresses[0]", ei), "W1215", o.String()+": an address is not valid", fmt.Sprintf("%q is not an %s address", e.Addresses[0], o.v.AddressType), "write an address such as 10.0.0.7, or correct addressType")
			}
			continue
		}
		at := netip.AddrPortFrom(ip.Unmap(), uint16(sp.Port))
		if w := c.workloadAt(at); w != nil {
			s.addAt(p.Port, w, at)
			continue
		}
		s.put(model.Endpoint{Port: p.Port, Addr: at, Zone: e.Zone, Node: e.NodeName, Draining: draining})
	}
}

// workloadAt finds whose an address is: who declares the port there, else who alone has the
// address and declares no ports. On a loopback address, which many share, only the first counts.
func (c *compiler) workloadAt(at netip.AddrPort) *workload {
	var alone *workload
	sharers := 0
	for _, w := range c.workloads {
		if !slices.Contains(w.model.Addrs, at.Addr()) {
			continue
		}
		if _, ok := w.port(at.Port()); ok {
			return w
		}
		sharers++
		alone = w
	}
	if sharers != 1 || at.Addr().IsLoopback() || len(alone.model.Ports) > 0 {
		return nil
	}
	return alone
}
