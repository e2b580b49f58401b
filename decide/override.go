package decide

// Refusals of a wish for another backend.
const (
	reasonOverridePort      = "the route token names a service that has no such port"
	reasonOverrideNamespace = "the route token names a service of a namespace that no route could lead this request to"
)

// Baseline gives the backend that answers mirrored requests a second time, to tell noise from
// difference (model.Compare); nil if nothing is compared, or it cannot be resolved.
func (d *Decision) Baseline() *Backend {
	var b *Backend
	switch {
	case d.Rule != nil && d.Rule.Model.Calls != nil:
		b = d.Rule.baseline
	case d.port != nil:
		b = d.port.baseline
	}
	if b == nil || b.Invalid != "" {
		return nil
	}
	return b
}

// Divert sends a forwarded request to another service than its routes say: to, a service of the same
// table, on the port that the routes chose. The filters of the rule stay in force, those of the
// backend that it would have gone to do not, nor does its session.
//
// The rules about namespaces are those of routes without a ReferenceGrant: the service that was
// addressed may be replaced by one of its own namespace, or, for its own requests, by one of the
// client's. What is not allowed, or not there, is refused: the request must not go where it was not
// meant to go.
func (d *Decision) Divert(to *Service, clientNamespace string) {
	if d.Action != Forward || d.port == nil {
		return
	}
	if ns := to.Name().Namespace; ns != d.port.Service.Name().Namespace && ns != clientNamespace {
		d.refuse(403, grpcPermissionDenied, CodeOverride, reasonOverrideNamespace)
		return
	}
	port := to.Port(d.Backend.Model.Port)
	if port == nil {
		d.refuse(502, grpcUnavailable, CodeOverride, reasonOverridePort)
		return
	}
	d.Session = Session{}
	d.Backend = port.Default
	if d.Backend.Invalid != "" {
		d.refuse(500, grpcUnavailable, CodeBadBackend, d.Backend.Invalid)
	}
}
