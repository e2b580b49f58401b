package compile

import (
	"fmt"
	"slices"
	"time"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/api/suggest"
	"github.com/weft-mesh/weft/model"
)

// attached is a route at one service, for finding shadows.
type attached struct {
	obj   *object.Object
	svc   *service
	route *model.Route
}

// attachRoutes gives every route to the services that are its parents.
func (c *compiler) attachRoutes() {
	for _, r := range c.grpcs {
		c.attach(r.Object, model.RouteGRPC, &r.v.Metadata, &r.v.Spec.CommonRouteSpec, r.v.Spec.Hostnames, func(rs *resolver) []model.Rule { return grpcRules(rs, &r.v.Spec) })
	}
	for _, r := range c.https {
		c.attach(r.Object, model.RouteHTTP, &r.v.Metadata, &r.v.Spec.CommonRouteSpec, r.v.Spec.Hostnames, func(rs *resolver) []model.Rule { return httpRules(rs, &r.v.Spec) })
	}
	for _, r := range c.tcps {
		c.attach(r.Object, model.RouteTCP, &r.v.Metadata, &r.v.Spec.CommonRouteSpec, nil, func(rs *resolver) []model.Rule { return streamRules(rs, r.v.Spec.Rules) })
	}
	for _, r := range c.tlss {
		c.attach(r.Object, model.RouteTLS, &r.v.Metadata, &r.v.Spec.CommonRouteSpec, r.v.Spec.Hostnames, func(rs *resolver) []model.Rule { return streamRules(rs, r.v.Spec.Rules) })
	}
	for _, s := range c.services {
		slices.SortFunc(s.model.Routes, func(a, b model.Route) int {
			if a.Kind != b.Kind {
				return int(a.Kind) - int(b.Kind)
			}
			return compareNames(a.Name, b.Name)
		})
	}
	slices.SortStableFunc(c.routes, func(a, b RouteStatus) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return compareNames(a.Name, b.Name)
	})
}

// attach resolves one route. Its rules are compiled though no parent may take it: what is wrong
// with them is worth saying at once.
func (c *compiler) attach(o *object.Object, kind model.RouteKind, meta *k8s.ObjectMeta, spec *gateway.CommonRouteSpec, hosts []string, rules func(*resolver) []model.Rule) {
	rs := &resolver{compiler: c, obj: o, refs: Condition{Status: true, Reason: ReasonResolvedRefs}}
	base := model.Route{Kind: kind, Name: nameOf(o), Hostnames: slices.Clone(hosts), Rules: rules(rs), Source: o.At("metadata.name").String()}
	if t, err := time.Parse(time.RFC3339, meta.CreationTimestamp); err == nil {
		base.Created = t
	}
	status := RouteStatus{Kind: kind, Name: base.Name, Source: base.Source, ResolvedRefs: rs.refs}
	ports := map[*service][]uint16{}
	var order []*service
	for i := range spec.ParentRefs {
		p, s, at := c.parent(o, kind, &spec.ParentRefs[i], fmt.Sprintf("spec.parentRefs[%d]", i))
		status.Parents = append(status.Parents, p)
		if !p.Accepted.Status {
			continue
		}
		if _, seen := ports[s]; !seen {
			order = append(order, s)
		}
		ports[s] = append(ports[s], at...)
	}
	if len(spec.ParentRefs) == 0 {
		c.report(o, "spec", "W1201", o.String()+" has no parent", "spec.parentRefs is not written, so the route is attached to nothing", "add parentRefs with group: \"\", kind: Service and the Service's name")
	}
	c.routes = append(c.routes, status)
	for _, s := range order {
		list := ports[s]
		slices.Sort(list)
		list = slices.Compact(list)
		for _, group := range s.byPolicy(list) {
			r := base
			r.Ports = s.partly(group)
			r.Rules = c.ruleCalls(o, kind, base.Rules, rs.wishes, s.policyAt(group))
			s.model.Routes = append(s.model.Routes, r)
		}
		whole := base
		whole.Ports = s.partly(list)
		c.attached = append(c.attached, attached{o, s, &whole})
	}
	if len(order) == 0 {
		c.ruleCalls(o, kind, base.Rules, rs.wishes, nil) // what is wrong with them is worth saying
	}
}

// partly gives ports as a route has them: nil for all.
func (s *service) partly(ports []uint16) []uint16 {
	if len(ports) < len(s.model.Ports) {
		return ports
	}
	return nil
}

// byPolicy groups ports of a service that have the same policy, in order: the rules of a route build
// on it. A service without ports has one group of none.
func (s *service) byPolicy(ports []uint16) (groups [][]uint16) {
	if len(ports) == 0 {
		return [][]uint16{nil}
	}
	index := map[*model.Policy]int{}
	for _, n := range ports {
		p, _ := s.port(n)
		i, ok := index[p.Policy]
		if !ok {
			i = len(groups)
			index[p.Policy] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], n)
	}
	return groups
}

// policyAt is the policy of a group of ports.
func (s *service) policyAt(group []uint16) *model.Policy {
	if len(group) == 0 {
		return nil
	}
	p, _ := s.port(group[0])
	return p.Policy
}

// parent resolves one parentRef to a service and those of its ports that the route applies to.
func (c *compiler) parent(o *object.Object, kind model.RouteKind, ref *gateway.ParentReference, path string) (st ParentStatus, s *service, ports []uint16) {
	n := model.Name{Namespace: ref.Namespace, Name: ref.Name}
	if n.Namespace == "" {
		n.Namespace = o.Namespace
	}
	st = ParentStatus{Service: n, SectionName: ref.SectionName, Consumer: n.Namespace != o.Namespace}
	if ref.Port != nil {
		st.Port = uint16(*ref.Port)
	}
	refuse := func(reason, field, code, what, why string, next ...string) (ParentStatus, *service, []uint16) {
		st.Accepted = Condition{Reason: reason, Message: what + ": " + why}
		c.report(o, path+field, code, o.String()+": "+what, why, next...)
		return st, nil, nil
	}
	s = c.services[n]
	if ref.Kind != "Service" || ref.Group != "" {
		next := []string{"routes of a mesh are attached to a Service: group: \"\" and kind: Service"}
		if s != nil {
			next = []string{fmt.Sprintf("did you mean Service %s? write group: \"\" and kind: Service (without them a Gateway is meant)", n)}
		}
		return refuse(ReasonParentNotInMesh, "", "W1208", "the parent is not a Service", fmt.Sprintf("group %q, kind %q", ref.Group, ref.Kind), next...)
	}
	if s == nil {
		return refuse(ReasonParentDoesNotExist, ".name", "W1201", fmt.Sprintf("parent Service %s does not exist", n), "no Service of that name is written, and no workload stands for it", c.suggestService(n.Name, n.Namespace)...)
	}
	var names, numbers []string
	for _, p := range s.model.Ports {
		names = append(names, p.Name)
		numbers = append(numbers, fmt.Sprint(p.Port))
		if (ref.SectionName == "" || p.Name == ref.SectionName) && (st.Port == 0 || p.Port == st.Port) {
			ports = append(ports, p.Port)
		}
	}
	if len(ports) == 0 && (ref.SectionName != "" || st.Port != 0) {
		field, got, from := ".port", fmt.Sprint(st.Port), numbers
		if ref.SectionName != "" {
			field, got, from = ".sectionName", ref.SectionName, names
		}
		return refuse(ReasonNoMatchingParent, field, "W1202", fmt.Sprintf("parent Service %s has no port %s", n, got), "its ports are "+s.portList(), meant(got, from)...)
	}
	all := ports
	ports = slices.DeleteFunc(slices.Clone(all), func(n uint16) bool {
		p, _ := s.port(n)
		return !compatible(kind, p.Protocol)
	})
	if len(ports) == 0 && len(all) > 0 {
		p, _ := s.port(all[0])
		return refuse(ReasonIncompatibleProtocol, "", "W1217", fmt.Sprintf("this kind of route cannot work on port %d of Service %s", p.Port, n), "the port is declared to speak "+p.Protocol.String(),
			"correct appProtocol of the Service's port", "or use a route of the kind that fits")
	}
	st.Accepted = Condition{Status: true, Reason: ReasonAccepted}
	return st, s, ports
}

// compatible reports whether a kind of route can look into a protocol.
func compatible(k model.RouteKind, p model.Protocol) bool {
	switch k {
	case model.RouteHTTP, model.RouteGRPC:
		return p != model.ProtocolTCP && p != model.ProtocolTLS
	case model.RouteTLS:
		return p == model.ProtocolTLS || p == model.ProtocolDetect
	}
	return p == model.ProtocolTCP || p == model.ProtocolTLS || p == model.ProtocolDetect
}

// meant is a suggestion in words, or nothing.
func meant(got string, from []string) []string {
	if s := suggest.Closest(got, from); s != "" {
		return []string{fmt.Sprintf("did you mean %q?", s)}
	}
	return nil
}

// suggestService says which service may have been meant: the same name elsewhere, or a name that
// is near in the namespace.
func (c *compiler) suggestService(name, ns string) []string {
	var here []string
	for _, s := range c.orderedServices() {
		if s.model.Namespace == ns {
			here = append(here, s.model.Name.Name)
		} else if s.model.Name.Name == name {
			return []string{fmt.Sprintf("did you mean Service %s? then add namespace: %s", s.model.Name, s.model.Namespace)}
		}
	}
	return meant(name, here)
}
