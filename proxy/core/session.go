package core

import (
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/balance"
)

// sessionEndpoint gives the endpoint that the request's session is with, or nil if any will do: it
// has none, its endpoint may not be picked at present, or has just failed on it.
func (x *exchange) sessionEndpoint() *balance.Endpoint {
	id := x.d.Session.Endpoint
	if id == 0 {
		return nil
	}
	ep := x.entry.set.BySession(id)
	if ep != nil && ep == x.avoid {
		x.d.Session.Endpoint = 0 // not by a third try either
		return nil
	}
	return ep
}

// tellSession adds to a response whom the client's session is with, if it does not know that yet.
func (x *exchange) tellSession(r *message.Response) {
	ep := x.ep
	if h, ok := x.up.(*hedge); ok {
		ep = h.y.ep
	}
	if !x.d.Session.On || ep == nil || x.inbound {
		return
	}
	id := ep.SessionID()
	if id == x.d.Session.Endpoint {
		return
	}
	c := x.core
	f := x.d.SessionField(id, c.unix(), &c.scratch)
	r.Fields = append(r.Fields[:len(r.Fields):len(r.Fields)], f) // copied: the list is the codec's
}
