package compile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/model"
)

// service is one service while compiling.
type service struct {
	model     model.Service
	endpoints model.Endpoints
	places    map[place]bool // of the endpoints
	obj       *object.Object // nil if it is made of its workloads alone
	spec      *k8s.ServiceSpec
	targets   []target      // beside model.Ports
	members   []*Registered // of a service without an object, and of one without a selector
}

// target is where the workloads of a service port listen.
type target struct {
	name     string // a workload's port name; empty: number
	number   uint16
	explicit bool // targetPort is written
	path     string
}

// findServices reads the Service objects.
func (c *compiler) findServices() {
	for _, o := range c.svcs {
		s := &service{obj: o.Object, spec: &o.v.Spec}
		s.model.Name = nameOf(o.Object)
		s.endpoints.Service = s.model.Name
		s.model.IPs = clusterIPs(s.spec)
		c.readPorts(s)
		if s.spec.Type == "ExternalName" {
			c.report(o.Object, "spec.type", "W1219", o.String()+" is outside the mesh", "it is of type ExternalName, and weft has no endpoints for it", "use a Service without selector and an EndpointSlice with the addresses")
		}
		c.services[s.model.Name] = s
	}
}

func clusterIPs(s *k8s.ServiceSpec) (out []netip.Addr) {
	for _, a := range append([]string{s.ClusterIP}, s.ClusterIPs...) {
		if ip, err := netip.ParseAddr(a); err == nil && !slices.Contains(out, ip.Unmap()) {
			out = append(out, ip.Unmap())
		}
	}
	return out
}

func (c *compiler) readPorts(s *service) {
	for i, p := range s.spec.Ports {
		path := fmt.Sprintf("spec.ports[%d]", i)
		if p.Protocol != "TCP" {
			continue
		}
		name := p.Name
		if j := slices.IndexFunc(s.model.Ports, func(q model.Port) bool { return q.Port == uint16(p.Port) || name != "" && q.Name == name }); j >= 0 {
			c.report(s.obj, path, "W1210", fmt.Sprintf("%s: two ports conflict", s.obj.Key), fmt.Sprintf("port %d, name %q; an earlier port has the same number or name, and this one is left out", p.Port, name), "rename or renumber one of them")
			continue
		}
		if name == "" && len(s.spec.Ports) > 1 {
			c.report(s.obj, path, "W1210", fmt.Sprintf("%s: a port without a name", s.obj.Key), fmt.Sprintf("the Service has %d ports, and Kubernetes asks that each be named", len(s.spec.Ports)), "add name: such as http")
		}
		t := target{number: uint16(p.Port), path: path}
		if p.TargetPort != nil {
			t.explicit, t.path = true, path+".targetPort"
			if t.name = p.TargetPort.Str; t.name == "" {
				t.number = uint16(p.TargetPort.Int)
			}
		}
		s.model.Ports = append(s.model.Ports, model.Port{Name: name, Port: uint16(p.Port), Protocol: c.protocol(s.obj, path, p.AppProtocol, p.Name)})
		s.targets = append(s.targets, t)
	}
}

// implicitServices gives each registered workload to the service that it stands for, and makes
// the service if no object does: port 80 and the workload's own port, both leading there.
func (c *compiler) implicitServices() {
	var made []*service
	for _, w := range c.workloads {
		if w.live == nil || w.live.Service == "" || w.live.Port == 0 {
			continue
		}
		n := model.Name{Namespace: w.model.Namespace, Name: w.live.Service}
		s := c.services[n]
		if s == nil {
			s = &service{}
			s.model.Name, s.endpoints.Service = n, n
			c.services[n] = s
			made = append(made, s)
		}
		s.members = append(s.members, w.live)
		if s.obj == nil {
			p, _ := w.port(w.live.Port)
			for _, number := range []uint16{80, w.live.Port} {
				c.implicitPort(s, w, model.Port{Port: number, Protocol: p.Protocol})
			}
		}
	}
	for _, s := range made {
		slices.SortFunc(s.model.Ports, func(a, b model.Port) int { return cmp.Compare(a.Port, b.Port) })
	}
}

func (c *compiler) implicitPort(s *service, w *workload, p model.Port) {
	for i := range s.model.Ports {
		have := &s.model.Ports[i]
		if have.Port != p.Port {
			continue
		}
		switch {
		case have.Protocol == model.ProtocolDetect:
			have.Protocol = p.Protocol
		case p.Protocol != model.ProtocolDetect && p.Protocol != have.Protocol:
			c.report(nil, "", "W1218", fmt.Sprintf("workloads of service %s do not agree on the protocol", s.model.Name),
				fmt.Sprintf("%s speaks %s on port %d, others %s; %s is used", w.model.Name, p.Protocol, p.Port, have.Protocol, have.Protocol), "start them with the same protocol, or write a Service")
		}
		return
	}
	s.model.Ports = append(s.model.Ports, p)
}

// portList is the service's ports, for messages.
func (s *service) portList() string {
	var out []string
	for _, p := range s.model.Ports {
		w := fmt.Sprint(p.Port)
		if p.Name != "" {
			w += " (" + p.Name + ")"
		}
		out = append(out, w)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func (s *service) port(n uint16) (model.Port, bool) {
	for _, p := range s.model.Ports {
		if p.Port == n {
			return p, true
		}
	}
	return model.Port{}, false
}
