package compile

import (
	"fmt"
	"slices"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/model"
)

// resolver resolves the references of one route.
type resolver struct {
	*compiler
	obj    *object.Object
	refs   Condition
	wishes []wish // of the rules, in their order
}

// backend resolves a reference to a Service's port. Whether it is permitted is asked before
// whether it exists: a route must not find out what other namespaces hold.
func (r *resolver) backend(b *gateway.BackendObjectReference, weight uint32, path string) model.Backend {
	out := model.Backend{Service: model.Name{Namespace: b.Namespace, Name: b.Name}, Weight: weight}
	if out.Service.Namespace == "" {
		out.Service.Namespace = r.obj.Namespace
	}
	if b.Port != nil {
		out.Port = uint16(*b.Port)
	}
	fail := func(reason, field, code, what, why string, next ...string) model.Backend {
		out.Invalid = reason
		if r.refs.Status {
			r.refs = Condition{Reason: reason, Message: what + ": " + why}
		}
		r.report(r.obj, path+field, code, r.obj.String()+": "+what, why, next...)
		return out
	}
	n := out.Service
	if b.Group != "" || b.Kind != "Service" {
		return fail(ReasonInvalidKind, ".kind", "W1206", "a backend is not a Service", fmt.Sprintf("group %q, kind %q", b.Group, b.Kind), "leave group and kind out, or write group: \"\" and kind: Service")
	}
	if !r.permitted(n) {
		return fail(ReasonRefNotPermitted, ".namespace", "W1205", fmt.Sprintf("backend %s is in another namespace and not permitted", n),
			fmt.Sprintf("no ReferenceGrant in namespace %s allows %s of namespace %s to refer to Service %s", n.Namespace, r.obj.Kind, r.obj.Namespace, n.Name),
			fmt.Sprintf("add to namespace %s: kind: ReferenceGrant with from: [{group: %s, kind: %s, namespace: %s}] and to: [{group: \"\", kind: Service, name: %s}]", n.Namespace, gateway.Group, r.obj.Kind, r.obj.Namespace, n.Name))
	}
	s := r.services[n]
	if s == nil {
		return fail(ReasonBackendNotFound, ".name", "W1203", fmt.Sprintf("backend Service %s does not exist", n), "no Service of that name is written, and no workload stands for it; its share of requests is answered 500", r.suggestService(n.Name, n.Namespace)...)
	}
	if _, ok := s.port(out.Port); !ok {
		var numbers []string
		for _, p := range s.model.Ports {
			numbers = append(numbers, fmt.Sprint(p.Port))
		}
		next := meant(fmt.Sprint(out.Port), numbers)
		if i := slices.IndexFunc(s.targets, func(t target) bool { return t.name == "" && t.number == out.Port }); i >= 0 {
			next = []string{fmt.Sprintf("did you mean port: %d? it leads to the workload's port %d", s.model.Ports[i].Port, out.Port)}
		} else if len(numbers) == 1 {
			next = []string{"did you mean port: " + numbers[0] + "?"}
		}
		return fail(ReasonBackendNotFound, ".port", "W1204", fmt.Sprintf("backend Service %s has no port %d", n, out.Port), "its ports are "+s.portList()+"; its share of requests is answered 500", next...)
	}
	return out
}

// permitted looks for a ReferenceGrant, if one is needed.
func (r *resolver) permitted(n model.Name) bool {
	if n.Namespace == r.obj.Namespace {
		return true
	}
	for _, g := range r.grants {
		if g.Namespace != n.Namespace {
			continue
		}
		from, to := false, false
		for _, f := range g.v.Spec.From {
			from = from || f.Group == gateway.Group && f.Kind == r.obj.Kind && f.Namespace == r.obj.Namespace
		}
		for _, t := range g.v.Spec.To {
			to = to || t.Group == "" && t.Kind == "Service" && (t.Name == "" || t.Name == n.Name)
		}
		if from && to {
			return true
		}
	}
	return false
}
