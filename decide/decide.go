package decide

import (
	"math/bits"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// Query is one request, or one connection, to decide. All slices are borrowed for the call.
type Query struct {
	Port            *ServicePort
	ClientNamespace string // the routes of that namespace win over the producer's

	GRPC   bool // a gRPC request, by its content-type: GRPCRoutes apply
	Opaque bool // a connection of which no more is known: TLSRoutes and TCPRoutes apply
	SNI    []byte

	Method, Scheme       []byte
	Host, Path, RawQuery []byte // canonical, see Canonicalize
	Fields               []message.Field

	// Rand decides weights, mirror fractions and faults; uniform over all of uint64.
	Rand uint64
	Now  int64 // Unix seconds; only ages of sessions are measured by it
}

// Action is what is done with a request.
type Action uint8

// The actions.
const (
	Forward  Action = iota // to Decision.Backend
	Redirect               // answered with Decision.Response
	Respond                // answered with Decision.Response: a CORS preflight
	Refuse                 // answered with Status, Code and Reason; an opaque connection is closed
)

// String gives the action in lower case.
func (a Action) String() string {
	return [...]string{"forward", "redirect", "respond", "refuse"}[a]
}

// Decision is what is done with one request. It points into the Table it came from and holds
// nothing of the Query.
type Decision struct {
	Action     Action
	Status     int    // HTTP status for Redirect, Respond and Refuse
	GRPCStatus int    // grpc-status for Refuse if the request was gRPC
	Code       string // of Refuse, W3xxx
	Reason     string // of Refuse; made when the table was compiled

	Route   *Route // nil: no route, the service itself
	Rule    *Rule
	Match   *Match // nil for TLSRoutes and TCPRoutes
	Backend *Backend

	// PrefixLen is how much of the canonical path the matched prefix covers, without a trailing
	// slash ("/" covers 0).
	PrefixLen int

	Session Session

	faults   uint64 // a bit for each of possibleFaults that is made
	port     *ServicePort
	redirect *model.Redirect
	cors     *corsPolicy
	rand     uint64
}

// Calls returns how the request is tried: as its rule says, or else its port. Not to be changed.
func (d *Decision) Calls() *model.Calls {
	if d.Rule != nil && d.Rule.Model.Calls != nil {
		return d.Rule.Model.Calls
	}
	if d.port == nil {
		return &model.DefaultPolicy.Calls
	}
	return &model.PolicyOf(d.port.Port.Policy).Calls
}

// Refusals whose reason does not depend on the configuration.
const (
	reasonNoPort    = "the service has no such port"
	reasonNoRoute   = "routes are attached to the service port and none of them matches"
	reasonNoBackend = "the rule has no backend that may receive traffic (none listed, or all weights 0)"
	reasonOtherKind = "only routes of other kinds are attached to the service port, and this traffic must not pass them by"
	reasonCORS      = "the CORS filter of the rule does not allow this origin"
)

// Decide decides one request. With why == nil it allocates nothing; otherwise it appends the
// steps that led to the decision. Safe for concurrent use.
func (t *Table) Decide(q *Query, why *Reasons) Decision {
	d := Decision{port: q.Port, rand: q.Rand}
	if q.Port == nil {
		d.refuse(404, grpcUnimplemented, CodeNoPort, reasonNoPort)
		why.decided(q, nil, &d)
		return d
	}
	g := q.Port.group(q.ClientNamespace)
	if g == nil {
		d.startSession(q)
		d.Backend = q.Port.Default
	} else {
		d.route(q, g)
	}
	if d.Action == Forward && d.Backend.Invalid != "" {
		d.refuse(500, grpcUnavailable, CodeBadBackend, d.Backend.Invalid)
	}
	if d.Action == Forward {
		d.settleSession()
		d.drawFaults(q)
	}
	why.decided(q, g, &d)
	return d
}

// route decides by the routes of g.
func (d *Decision) route(q *Query, g *group) {
	var held bool
	d.Match, d.Rule, held = g.find(q)
	switch {
	case d.Rule != nil:
	case held:
		d.refuse(404, grpcUnimplemented, CodeNoRoute, reasonNoRoute)
		return
	default:
		d.refuse(404, grpcUnimplemented, CodeNoRoute, reasonOtherKind)
		return
	}
	d.Route = d.Rule.Route
	if d.Match != nil && d.Match.path.kind == pathPrefix {
		d.PrefixLen = len(d.Match.path.value)
	}
	if d.Rule.broken != "" {
		d.refuse(500, grpcInternal, CodeBrokenRule, d.Rule.broken)
		return
	}
	if d.intercept(q, d.Rule.filters) {
		return
	}
	d.startSession(q)
	b := d.pick(q)
	if b == nil {
		d.refuse(500, grpcUnavailable, CodeNoBackend, reasonNoBackend)
		return
	}
	d.Backend = b
	if b.Invalid == "" {
		d.intercept(q, b.filters)
	}
}

// intercept looks for the first filter that answers the request instead of a backend.
func (d *Decision) intercept(q *Query, filters []filter) bool {
	if q.Opaque {
		return false
	}
	for i := range filters {
		switch f := &filters[i]; {
		case f.redirect != nil:
			d.Action, d.Status, d.redirect = Redirect, redirectStatus(f.redirect), f.redirect
			return true
		case f.cors != nil && d.cors == nil:
			d.cors = f.cors
			if !preflight(q) {
				continue
			}
			if !f.cors.allows(Origin(q.Fields)) {
				d.refuse(403, grpcOK, CodeCORSRefused, reasonCORS)
				return true
			}
			d.Action, d.Status = Respond, 200
			return true
		}
	}
	return false
}

func (d *Decision) refuse(status, grpcStatus int, code, reason string) {
	d.Action, d.Status, d.GRPCStatus, d.Code, d.Reason = Refuse, status, grpcStatus, code, reason
}

// find returns the match and rule that apply. held tells, if there are none, that routes of the
// query's kind are attached.
func (g *group) find(q *Query) (m *Match, r *Rule, held bool) {
	switch {
	case q.Opaque && len(q.SNI) > 0 && g.tls != nil:
		return nil, g.tls.find(q.SNI), true
	case q.Opaque:
		return nil, g.tcp, g.hasTCP
	case q.GRPC && g.grpc != nil:
		m = g.grpc.find(q)
	case g.http != nil:
		m = g.http.find(q)
	case g.grpc == nil && g.hasTCP:
		return nil, g.tcp, true
	default:
		return nil, nil, false
	}
	if m == nil {
		return nil, nil, true
	}
	return m, m.Rule, true
}

// scale maps a uniform 64-bit number to [0, n) (Lemire's multiplication; the bias is below
// n/2^64).
func scale(rand, n uint64) uint64 {
	hi, _ := bits.Mul64(rand, n)
	return hi
}
