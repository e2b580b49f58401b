package decide

import (
	"slices"
	"sort"
	"strconv"

	"github.com/weft-mesh/weft/model"
)

// Service is a compiled service.
type Service struct {
	Model *model.Service

	name     model.Name
	ports    []*ServicePort // by port
	deps     []dependency   // what the compiled form was made from, besides Model
	problems []error
}

// dependency is a backend as it was resolved when the service was compiled.
type dependency struct {
	key     setKey
	set     *EndpointSet
	invalid string
}

// Name returns the name under which the view lists the service.
func (s *Service) Name() model.Name { return s.name }

// Port returns the port numbered p, or nil if the service has no such port.
func (s *Service) Port(p uint16) *ServicePort {
	for _, sp := range s.ports {
		if sp.Port.Port == p {
			return sp
		}
	}
	return nil
}

// Ports returns all ports, ascending. The slice must not be changed.
func (s *Service) Ports() []*ServicePort { return s.ports }

// ServicePort is one port of a service with the routes attached to it.
type ServicePort struct {
	Service *Service
	Port    model.Port
	Default *Backend // the service itself: gets all traffic when no route is attached

	faults   []fault  // of the policy's Calls
	baseline *Backend // of the policy's Calls.Compare; nil: none

	producer  *group            // nil: none attached
	consumers map[string]*group // by the client's namespace
}

// Routed reports whether any route is attached for clients in namespace ns.
func (p *ServicePort) Routed(ns string) bool { return p.group(ns) != nil }

// group returns the routes that decide for clients in namespace ns, or nil if there are none.
func (p *ServicePort) group(ns string) *group {
	if g := p.consumers[ns]; g != nil {
		return g
	}
	return p.producer
}

// compiler carries the state of one Compile.
type compiler struct {
	view  *View
	prev  *Table
	table *Table

	// of the service that is being compiled
	current *Service
}

// service returns the compiled form of m, taken over from the previous table if possible.
func (c *compiler) service(n model.Name, m *model.Service) *Service {
	if c.prev != nil {
		if old := c.prev.services[n]; old != nil && old.Model == m && c.holds(old.deps) {
			return old
		}
	}
	s := &Service{Model: m, name: n}
	c.current = s
	for _, p := range m.Ports {
		if s.Port(p.Port) != nil {
			c.problem("", "", "port "+strconv.Itoa(int(p.Port))+" is listed twice", "the first one is used")
			continue
		}
		sp := &ServicePort{Service: s, Port: p}
		sp.Default = c.backend(&model.Backend{Service: n, Port: p.Port, Weight: 1})
		if p.Policy != nil {
			sp.faults = c.faults(p.Policy.Calls.Faults, "policy of Service "+n.String()+" port "+strconv.Itoa(int(p.Port)), p.Policy.Source)
			sp.baseline = c.baseline(p.Policy.Calls.Compare)
		}
		s.ports = append(s.ports, sp)
	}
	sort.Slice(s.ports, func(i, j int) bool { return s.ports[i].Port.Port < s.ports[j].Port.Port })
	c.attach(s)
	return s
}

// holds reports whether every dependency resolves to the same as before.
func (c *compiler) holds(deps []dependency) bool {
	for _, d := range deps {
		if set, invalid := c.resolve(d.key); set != d.set || invalid != d.invalid {
			return false
		}
	}
	return true
}

// problem notes a problem of the current service.
func (c *compiler) problem(object, source, what, effect string) {
	c.current.problems = append(c.current.problems, &Problem{
		Service: c.current.name, Object: object, Source: source, What: what, Effect: effect,
	})
}

// resolve finds the endpoint set of a backend, or says why there can be none.
func (c *compiler) resolve(k setKey) (set *EndpointSet, invalid string) {
	protocol, policy := model.ProtocolDetect, &model.DefaultPolicy
	switch svc := c.view.Services[k.service]; {
	case svc != nil:
		i := slices.IndexFunc(svc.Ports, func(p model.Port) bool { return p.Port == k.port })
		if i < 0 {
			return nil, "BackendNotFound: Service " + k.service.String() + " has no port " + strconv.Itoa(int(k.port))
		}
		protocol, policy = svc.Ports[i].Protocol, model.PolicyOf(svc.Ports[i].Policy)
	case c.view.Absent[k.service]:
		return nil, "BackendNotFound: there is no Service " + k.service.String()
	}
	return c.set(k, protocol, policy), ""
}

// set returns the endpoint set for k, the previous table's if nothing in it changed.
func (c *compiler) set(k setKey, protocol model.Protocol, policy *model.Policy) *EndpointSet {
	if s := c.table.sets[k]; s != nil {
		return s
	}
	from := c.view.Endpoints[k.service]
	var old *EndpointSet
	if c.prev != nil {
		old = c.prev.sets[k]
	}
	if old != nil && old.from == from && old.Protocol == protocol && old.Policy == policy {
		c.table.sets[k] = old
		return old
	}
	s := &EndpointSet{Service: k.service, Port: k.port, Protocol: protocol, Policy: policy, Known: from != nil, from: from}
	if from != nil {
		for _, e := range from.Endpoints {
			if e.Port == k.port {
				s.Endpoints = append(s.Endpoints, e)
			}
		}
	}
	if old != nil && old.Protocol == protocol && old.Policy == policy && old.Known == s.Known && slices.Equal(old.Endpoints, s.Endpoints) {
		// The old set keeps pointing to the older Endpoints; the next Compile compares again.
		c.table.sets[k] = old
		return old
	}
	c.table.version++
	s.Version = c.table.version
	c.table.sets[k] = s
	return s
}
