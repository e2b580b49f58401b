package core

import (
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/h1"
	"github.com/weft-mesh/weft/proxy/override"
)

// The refusals of route tokens. A request that carries one is of a test run: it is served where the
// token says, or not at all, but never by production because the token was not understood.
var (
	failToken    = failure{403, "W3331", "http_request_denied", "the route token is refused"}
	failOverride = failure{502, decide.CodeOverride, "destination_not_found", "the route token leads to a service that is not there"}
)

// reserved reports whether only proxies may set a field. A route token is an application's, which
// passes it on with the requests that one causes: it proves itself, and does nothing where the policy
// names no key.
func reserved(name []byte) bool { return h1.Reserved(name) && string(name) != override.Field }

// divert sends a request that was decided on where its route token says, if it carries one. It
// reports true if the request was refused, or waits for the control plane.
//
// A token names services that were addressed or that routes lead to, and each leads to another in
// one step. A workload of the service that the token leads to is not led to itself: a new version
// that asks the old one would else ask itself, for ever.
func (x *exchange) divert(r *message.Request, o *model.Override) bool {
	if x.d.Action != decide.Forward {
		return false
	}
	c := x.core
	text, err := override.Carried(r.Fields)
	if text == nil {
		return false
	}
	var t *override.Token
	if err == nil {
		t, err = c.tokens.Open(text, o.Key, c.table.TrustDomain(), c.unix(), &x.local.tokens, c.now)
	}
	if err != nil {
		x.fail(failToken.because(err))
		return true
	}
	to, ok := t.Find(x.port.Service.Name())
	if !ok {
		to, ok = t.Find(x.d.Backend.Service())
	}
	if !ok || to == x.local.Service {
		return false
	}
	svc, known := c.table.Service(to)
	switch {
	case !known:
		x.park(r, x.heldEnd)
		x.await(to)
		return true
	case svc == nil:
		f := failOverride
		f.text += ": " + to.String()
		x.fail(f)
		return true
	}
	x.d.Divert(svc, x.local.Name.Namespace)
	return false
}
