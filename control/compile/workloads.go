package compile

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/api/weft"
	"github.com/weft-mesh/weft/model"
)

// workload is one instance while compiling.
type workload struct {
	model    model.Workload
	obj      *object.Object // nil if it is only registered
	live     *Registered    // nil if it is only written
	draining bool
}

// addr is where the instance is reached; invalid if it has no address.
func (w *workload) addr() netip.Addr {
	if len(w.model.Addrs) == 0 {
		return netip.Addr{}
	}
	return w.model.Addrs[0]
}

// port finds a declared port by number.
func (w *workload) port(n uint16) (model.Port, bool) {
	for _, p := range w.model.Ports {
		if p.Port == n {
			return p, true
		}
	}
	return model.Port{}, false
}

// portNamed finds a declared port by name.
func (w *workload) portNamed(name string) (model.Port, bool) {
	for _, p := range w.model.Ports {
		if p.Name == name {
			return p, true
		}
	}
	return model.Port{}, false
}

// labelled reports whether all labels of the selector are there.
func (w *workload) labelled(selector map[string]string) bool {
	for k, v := range selector {
		if got, ok := w.model.Labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// findWorkloads joins written and registered workloads. Of a workload that is both, the registered
// one says where it is and who it is, and the written one adds labels, ports and zone.
func (c *compiler) findWorkloads() {
	byName := map[model.Name]*workload{}
	regs := slices.Clone(c.in.Registered)
	slices.SortStableFunc(regs, func(a, b Registered) int {
		return cmp.Or(compareNames(a.Workload.Name, b.Workload.Name), a.Workload.Link.Compare(b.Workload.Link))
	})
	for i := range regs {
		r := &regs[i]
		if byName[r.Workload.Name] != nil {
			c.report(nil, "", "W1211", fmt.Sprintf("workload %s is registered twice", r.Workload.Name), fmt.Sprintf("the one at %s is not used", r.Workload.Link), "weft status")
			continue
		}
		w := &workload{model: r.Workload, live: r, draining: r.Draining}
		w.model.Labels = maps.Clone(r.Workload.Labels)
		w.model.Addrs = slices.Clone(r.Workload.Addrs)
		w.model.Ports = slices.Clone(r.Workload.Ports)
		for i := range w.model.Ports {
			w.model.Ports[i].Policy = nil // it comes from the Service, never from the workload
		}
		if _, ok := w.port(r.Port); !ok && r.Port != 0 {
			w.model.Ports = append(w.model.Ports, model.Port{Port: r.Port})
		}
		byName[r.Workload.Name] = w
		c.workloads = append(c.workloads, w)
	}
	for _, o := range c.wls {
		written := c.written(o)
		if w := byName[written.Name]; w != nil {
			w.obj = o.Object
			for k, v := range written.Labels {
				if _, ok := w.model.Labels[k]; !ok {
					if w.model.Labels == nil {
						w.model.Labels = map[string]string{}
					}
					w.model.Labels[k] = v
				}
			}
			for _, p := range written.Ports {
				if i := slices.IndexFunc(w.model.Ports, func(q model.Port) bool { return q.Port == p.Port }); i < 0 {
					w.model.Ports = append(w.model.Ports, p)
				} else if w.model.Ports[i].Name == "" {
					w.model.Ports[i].Name = p.Name
				}
			}
			w.model.Zone = cmp.Or(w.model.Zone, written.Zone)
			continue
		}
		w := &workload{model: written, obj: o.Object}
		byName[written.Name] = w
		c.workloads = append(c.workloads, w)
	}
	c.uniqueAddresses()
	slices.SortFunc(c.workloads, func(a, b *workload) int { return compareNames(a.model.Name, b.model.Name) })
	c.countPeers()
}

// countPeers gives each live workload its place among those of its identity. The list is sorted.
func (c *compiler) countPeers() {
	count := map[string]int{}
	for _, w := range c.workloads {
		if w.live != nil {
			w.model.Peers.Index = count[w.model.Identity]
			count[w.model.Identity]++
		}
	}
	for _, w := range c.workloads {
		if w.live != nil {
			w.model.Peers.Count = count[w.model.Identity]
		}
	}
}

// written reads a Workload object.
func (c *compiler) written(o typed[weft.Workload]) model.Workload {
	s := &o.v.Spec
	m := model.Workload{Name: nameOf(o.Object), Labels: maps.Clone(o.v.Metadata.Labels), Zone: s.Zone}
	if c.in.TrustDomain != "" {
		m.Identity = fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", c.in.TrustDomain, o.Namespace, s.ServiceAccount)
	}
	for _, a := range s.Addresses {
		if ip, err := netip.ParseAddr(a); err == nil {
			m.Addrs = append(m.Addrs, ip.Unmap())
		}
	}
	for i, p := range s.Ports {
		path := fmt.Sprintf("spec.ports[%d]", i)
		if slices.ContainsFunc(m.Ports, func(q model.Port) bool { return q.Port == uint16(p.Port) || p.Name != "" && q.Name == p.Name }) {
			c.report(o.Object, path, "W1210", fmt.Sprintf("%s: two ports conflict", o.Key), fmt.Sprintf("port %d, name %q is used before; this one is left out", p.Port, p.Name), "rename or renumber one of them")
			continue
		}
		m.Ports = append(m.Ports, model.Port{Name: p.Name, Port: uint16(p.Port), Protocol: c.protocol(o.Object, path, p.AppProtocol, p.Name)})
	}
	return m
}

// protocol is ProtocolOf, with a warning for unknown words.
func (c *compiler) protocol(o *object.Object, path, appProtocol, portName string) model.Protocol {
	p, known := ProtocolOf(appProtocol, portName)
	if !known {
		next := "write http, http2, kubernetes.io/h2c, grpc, https, tls, tcp or weft.dev/opaque"
		if near := suggestProtocol(appProtocol); near != "" {
			next = fmt.Sprintf("did you mean %q?", near)
		}
		c.report(o, path+".appProtocol", "W1209", fmt.Sprintf("%s: unknown appProtocol", o.Key), fmt.Sprintf("%q; the first bytes of each connection decide instead", appProtocol), next)
	}
	return p
}

// uniqueAddresses takes a port away from a workload if another one has the same address and port:
// a proxy would expect the wrong identity there. Registered workloads come first: they are known
// to be there.
func (c *compiler) uniqueAddresses() {
	owner := map[netip.AddrPort]*workload{}
	for _, w := range c.workloads {
		a := w.addr()
		w.model.Ports = slices.DeleteFunc(w.model.Ports, func(p model.Port) bool {
			at := netip.AddrPortFrom(a, p.Port)
			first, taken := owner[at]
			if !taken || !a.IsValid() {
				owner[at] = w
				return false
			}
			c.report(w.obj, "spec.addresses", "W1211", fmt.Sprintf("Workload %s claims an address that another workload has", w.model.Name),
				fmt.Sprintf("%s belongs to %s", at, first.model.Name), "correct the address or the port")
			return true
		})
	}
}

func compareNames(a, b model.Name) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
