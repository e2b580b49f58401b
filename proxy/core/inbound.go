package core

import (
	"net/netip"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// Fields that proxies exchange on a link, beside the request's own.
const (
	fieldTo    = "weft-to"    // the application's address, as discovery told the caller
	fieldProto = "weft-proto" // "h2": the caller spoke HTTP/2, so does the application
	// fieldDeclined is on the response to an upgrade that the application answered 200 without
	// switching: over HTTP/2 that status means the opposite (RFC 8441 section 5).
	fieldDeclined = "weft-declined"
	fieldClient   = "weft-client-id" // towards the application: the caller's verified SPIFFE ID
)

// startInbound carries a request of a peer's link to our application.
func (x *exchange) startInbound(r *message.Request) {
	x.inbound = true
	to := message.Get(r.Fields, fieldTo)
	x.h2app = string(message.Get(r.Fields, fieldProto)) == "h2"
	if x.askedForLoad(r) {
		return
	}
	if x.connect {
		to = r.Authority
	}
	x.attempt = attemptOf(r.Fields)
	r.Fields = append(stripOurs(r.Fields), message.Field{Name: nameClient, Value: x.peerText})
	if x.attempt > 1 {
		r.Fields = append(r.Fields, message.Field{Name: nameAttempt, Value: x.core.text(x.attempt)})
	}
	x.admit(r, to)
}

// admit carries a request that x.peer may make, as far as it is for one of our application's ports.
// Its fields name the peer, and hold nothing else that only proxies may set.
func (x *exchange) admit(r *message.Request, to []byte) {
	c := x.core
	x.speaks(r.Fields)
	app, ok := x.local.appPort(to)
	x.countInbound(app)
	if !ok {
		x.fail(failNotMine)
		return
	}
	if x.connect {
		x.dialRaw(Dial{Addr: app.Addr, Timeout: c.limits.ConnectTimeout})
		return
	}
	if !x.takeDeadline(r.Fields) {
		return
	}
	x.meter()
	switch {
	case x.upgrade: // towards the application it is HTTP/1.1's kind again
		r.Method = methodGet
		x.h2app = false
	case app.Protocol == model.ProtocolGRPC || app.Protocol == model.ProtocolHTTP2:
		x.h2app = true
	}
	x.door = c.doorOf(x.local, app)
	if x.door.rates.Empty() || x.checkRates(r) {
		x.knock(r)
	}
}

// toApplication gives a request that was let in to a connection.
func (x *exchange) toApplication(r *message.Request) {
	c, app := x.core, x.door.app
	key := poolKey{addr: app.Addr, h2: x.h2app}
	c.poolFor(key, Dial{Addr: app.Addr, Timeout: c.limits.ConnectTimeout}).take(x, r)
}

var (
	methodGet    = []byte("GET")
	methodHead   = []byte("HEAD")
	nameClient   = []byte(fieldClient)
	nameDeclined = []byte(fieldDeclined)
)

// inboundKey finds the counters of an inbound exchange.
type inboundKey struct {
	local    *local
	peer     string
	port     netip.AddrPort
	protocol model.Protocol
	hop      bool
}

// countInbound starts counting at the callee's end.
func (x *exchange) countInbound(app AppPort) {
	c := x.core
	p := model.ProtocolHTTP
	switch {
	case x.connect:
		p = model.ProtocolTCP
	case x.grpc:
		p = model.ProtocolGRPC
	case x.h2app:
		p = model.ProtocolHTTP2
	}
	l, hop := x.local, x.hop.x != nil
	k := inboundKey{l, x.peer, app.Addr, p, hop}
	s := c.inboundSeries[k]
	if s == nil {
		svc := l.Service
		if svc.Name == "" {
			svc = l.Name
		}
		s = c.shard.Get(telemetry.Key{
			Direction: telemetry.Inbound, SourceIdentity: x.peer, Service: svc, Port: app.Addr.Port(),
			Backend: l.Name, Protocol: p, TLS: !hop, Local: hop,
		})
		if len(c.inboundSeries) >= telemetry.MaxSeries {
			clear(c.inboundSeries)
		}
		c.inboundSeries[k] = s
	}
	x.series = s
	s.Start()
}
