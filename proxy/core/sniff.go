package core

import (
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/detect"
	"github.com/weft-mesh/weft/proxy/h2"
)

// dest is where a downstream connection wants to go, as far as its capture tells.
type dest struct {
	any     bool           // http_proxy: each request says it
	service model.Name     // a service of the mesh
	addr    netip.AddrPort // original destination
	host    string         // a name outside the mesh, from CONNECT
	port    uint16
}

// sniffer waits for the first bytes of a connection to know what is spoken. A declared protocol
// wins. A client that stays silent may be waiting for its server to speak: after ServerFirst a
// tunnel is opened on speculation, and whoever speaks first decides. A port whose server was
// seen to speak first is tunnelled at once from then on.
type sniffer struct {
	c      *Conn
	d      dest
	in     []byte
	x      *exchange // the speculative tunnel
	timer  timer
	known  bool
	http   bool          // nothing but HTTP may pass: declared, or rules would be bypassed
	head   time.Duration // when the first bytes came
	asked  time.Duration // when the control plane was asked about the address
	giveUp bool
	failed bool // the speculative tunnel could not be connected
	held   bool // it speaks HTTP/2 and waits for its turn, or had it; see suspects
}

// sniff starts detection on cn for destination d; early (may be nil) was read already.
func sniff(cn *Conn, d dest, early ...byte) {
	s := &sniffer{c: cn, d: d}
	s.in = append(s.in, early...)
	s.timer.fire = s.silent
	cn.h = s
	s.begin()
}

// begin looks the destination up and goes as far as possible.
func (s *sniffer) begin() {
	core := s.c.core
	if s.d.service.Name == "" {
		if s.d.addr.IsValid() && core.isOwn(s.d.addr) {
			s.refuse(failLoop.code)
			return
		}
		if !s.known && s.awaitAddr() {
			return
		}
		s.known = true
		s.decide(model.ProtocolDetect, false)
		return
	}
	svc, known := core.table.Service(s.d.service)
	if !known {
		if !core.waitFor(s.d.service, s) {
			s.refuse(failOverload.code)
			return
		}
		core.wheel.arm(&s.timer, core.now+core.limits.DiscoveryTimeout)
		return
	}
	s.known = true
	if svc == nil && (s.d.addr.IsValid() || outsideName([]byte(s.d.host))) { // e.g. example.com:443
		s.d.service = model.Name{}
		s.decide(model.ProtocolDetect, false)
		return
	}
	if svc == nil {
		s.decide(model.ProtocolHTTP, false) // the error is told in HTTP if it can be
		return
	}
	port := svc.Port(s.d.port)
	if port == nil {
		s.decide(model.ProtocolHTTP, false)
		return
	}
	s.decide(port.Port.Protocol, s.routed(port))
}

// routed reports whether requests on the port must be seen one by one, so that treating the
// connection as opaque would bypass rules.
func (s *sniffer) routed(p *decide.ServicePort) bool {
	return p.HTTPRouted(s.c.local.Name.Namespace)
}

// awaitAddr waits, at first contact, until it is known whether an original destination is a
// service's address. If the control plane does not answer, the connection goes where it was
// going: most such addresses are outside the mesh.
func (s *sniffer) awaitAddr() bool {
	core := s.c.core
	a := s.d.addr.Addr()
	if !s.d.addr.IsValid() || s.giveUp || core.host.AddrAbsent(a) {
		return false
	}
	if svc := core.table.ServiceByIP(a); svc != nil {
		s.d.service = svc.Model.Name
		s.begin()
		return true
	}
	if s.asked == 0 {
		s.asked = core.now
		core.host.SubscribeIP(a)
	}
	if core.now-s.asked >= core.limits.DiscoveryTimeout {
		s.giveUp = true
		return false
	}
	core.wheel.arm(&s.timer, core.now+tick)
	return true
}

// wake: the control plane answered.
func (s *sniffer) wake() {
	if s.c.closed {
		return
	}
	s.c.core.wheel.disarm(&s.timer)
	s.begin()
}

// decide acts on what is known: the declared protocol and the bytes so far.
func (s *sniffer) decide(declared model.Protocol, mustHTTP bool) {
	core := s.c.core
	s.http = mustHTTP || declared != model.ProtocolDetect
	switch declared {
	case model.ProtocolTCP:
		s.tunnel(nil)
		return
	case model.ProtocolTLS:
		if name, done := detect.SNI(s.in); done || s.c.eof {
			s.tunnel(name)
			return
		}
		s.awaitBytes()
		return
	}
	v := detect.Sniff(s.in)
	if v == detect.NeedMore && s.c.eof {
		v = detect.Opaque
	}
	switch {
	case v == detect.HTTP2, v == detect.Opaque && (declared == model.ProtocolHTTP2 || declared == model.ProtocolGRPC):
		if s.hold() {
			return
		}
		s.leave() // a preface that is none is told so in HTTP/2
		serveH2(s.c, false, s.d)
		s.c.h.received(s.in)
		if s.c.eof && !s.c.closed {
			s.c.h.eof()
		}
	case v == detect.HTTP1, v != detect.NeedMore && declared != model.ProtocolDetect:
		s.leave()
		serveH1(s.c, s.d, s.in)
	case v == detect.TLS && !mustHTTP:
		name, done := detect.SNI(s.in)
		if done || s.c.eof {
			s.tunnel(name)
			return
		}
		s.awaitBytes()
	case v == detect.Opaque && mustHTTP || v == detect.TLS:
		s.refuse("W3003")
	case v == detect.Opaque:
		s.tunnel(nil)
	case declared == model.ProtocolDetect && !mustHTTP && len(s.in) == 0 && s.x == nil:
		if core.opaque[s.d.service][s.d.port] && s.d.service.Name != "" {
			s.tunnel(nil)
			return
		}
		core.wheel.arm(&s.timer, core.now+core.limits.ServerFirst)
	default:
		s.awaitBytes()
	}
}

// hold lets a new HTTP/2 connection wait for its turn, if it has to, and reports whether it does, or
// was turned away.
func (s *sniffer) hold() bool {
	if s.held {
		return false
	}
	core := s.c.core
	wait, ok := core.suspects.turn(s.c.remote.Addr(), core.now)
	if !ok {
		s.refuse("W3017")
		return true
	}
	if wait == 0 {
		return false
	}
	s.held = true
	s.c.setReading(false)
	core.wheel.arm(&s.timer, core.now+wait)
	return true
}

// awaitBytes bounds the wait for bytes that decide. A client that has said nothing yet may keep its
// connection in stock for later.
func (s *sniffer) awaitBytes() {
	core := s.c.core
	at := core.now + core.limits.IdleTimeout
	if len(s.in) > 0 {
		at = s.head + core.limits.HeadTimeout
	}
	core.wheel.arm(&s.timer, at)
}

// leave ends detection: the speculative tunnel, if any, is dropped unseen.
func (s *sniffer) leave() {
	core := s.c.core
	core.wheel.disarm(&s.timer)
	core.wheel.disarm(&s.c.watch)
	core.leaveWaiting(s.d.service, s)
	s.dropSpeculation()
}

// refuse ends a connection that cannot be told why.
func (s *sniffer) refuse(code string) {
	s.c.core.shard.Refused(code)
	s.leave()
	s.c.abort()
}

func (s *sniffer) dropSpeculation() {
	if x := s.x; x != nil {
		s.x = nil
		x.dropUp(h2.Cancel)
		x.finish()
	}
}

// silent: nothing came for a while.
func (s *sniffer) silent() {
	switch {
	case s.c.closed:
	case s.held:
		s.c.setReading(true)
		s.begin()
	case !s.known && s.asked > 0:
		s.begin()
	case !s.known: // the control plane did not answer
		s.refuse(failDiscovery.code)
	case len(s.in) == 0 && s.http:
		s.leave()
		s.c.close()
	case len(s.in) == 0 && s.failed:
		s.refuse(failConnect.code)
	case len(s.in) == 0 && s.x == nil:
		s.speculate()
	case len(s.in) > 0 && s.http: // a head that never ends
		s.refuse("W3010")
	case len(s.in) > 0:
		s.tunnel(nil)
	}
}

// speculate opens a tunnel whose downstream is the sniffer, so that nothing is committed before
// somebody speaks. The client may stay silent for long; the idle deadline bounds it.
func (s *sniffer) speculate() {
	core := s.c.core
	x := core.newExchange(s.c.local, s)
	x.dest, x.connect = s.d, true
	s.x = x
	s.c.watchIdle(core.limits.IdleTimeout, func() { s.closed(nil); s.c.abort() })
	x.startTunnel(nil)
}

// tunnel commits to opaque bytes.
func (s *sniffer) tunnel(sni []byte) {
	core := s.c.core
	core.wheel.disarm(&s.timer)
	core.wheel.disarm(&s.c.watch) // a tunnel may be silent for as long as it likes
	r := &raw{c: s.c}
	s.c.h = r
	if x := s.x; x != nil { // the speculative one becomes real
		s.x = nil
		x.down = r
		r.x = x
		x.commit()
		if len(s.in) > 0 {
			r.received(s.in)
		}
		return
	}
	x := core.newExchange(s.c.local, r)
	x.dest, x.connect = s.d, true
	r.x = x
	if len(s.in) > 0 {
		x.held = append(x.held, s.in...)
		x.owedDown = len(s.in)
		x.sent = uint64(len(s.in))
		s.c.setReading(false)
	}
	if s.c.eof {
		x.heldEnd, x.reqDone = true, true
	}
	x.startTunnel(sni)
}

func (s *sniffer) connected() {}

func (s *sniffer) received(p []byte) {
	if s.c.closing || s.held {
		return // nothing is read while it is held
	}
	if len(s.in) == 0 {
		s.head = s.c.core.now
	}
	s.in = append(s.in, p...)
	if !s.known {
		if len(s.in) > detect.MaxSniff {
			s.c.setReading(false)
		}
		return
	}
	s.begin()
}

func (s *sniffer) eof() {
	if len(s.in) == 0 { // never said anything, e.g. a health probe
		s.leave()
		s.c.close()
		return
	}
	if s.known {
		s.begin()
	}
}

func (s *sniffer) drained() {}

func (s *sniffer) closed(error) {
	s.leave()
}

func (s *sniffer) drain() {
	if s.x == nil && len(s.in) == 0 {
		s.leave()
		s.c.close()
	}
}

func (s *sniffer) busy() bool { return len(s.in) > 0 }

// The downstream side of the speculative tunnel.

func (s *sniffer) respond(_ *exchange, r *message.Response, _ bool) {
	if r.Status >= 300 {
		// Could not connect. A client that is merely slow is told why when its bytes come; one that
		// waits for its server is not left waiting.
		s.x, s.failed = nil, true
		s.c.core.wheel.arm(&s.timer, s.c.core.now+s.c.core.limits.ConnectTimeout)
	}
}

// sendDown: the server spoke first. That settles it, for this and later connections.
func (s *sniffer) sendDown(x *exchange, p []byte, end bool) int {
	core := s.c.core
	if s.x != x {
		return 0
	}
	// A server of HTTP that gives up an idle connection, perhaps with a 408, has not spoken first.
	if len(p) == 0 || len(p) >= 5 && string(p[:5]) == "HTTP/" {
		s.dropSpeculation()
		return 0
	}
	if s.d.service.Name != "" {
		core.learnOpaque(s.d.service, s.d.port)
	}
	s.tunnel(nil)
	return x.down.sendDown(x, p, end)
}

func (s *sniffer) trailersDown(x *exchange, _ []message.Field) { s.sendDown(x, nil, true) }
func (s *sniffer) resetDown(*exchange, h2.ErrCode)             { s.x = nil }
func (s *sniffer) creditDown(*exchange, int)                   {}
func (s *sniffer) endDown(*exchange)                           { s.x = nil }

// learnOpaque remembers a port whose server speaks first; bounded by the services in the table.
func (c *Core) learnOpaque(n model.Name, port uint16) {
	if c.opaque[n] == nil {
		if len(c.opaque) > 10_000 {
			clear(c.opaque)
		}
		c.opaque[n] = map[uint16]bool{}
	}
	c.opaque[n][port] = true
}

func (c *Core) isOwn(a netip.AddrPort) bool {
	for _, o := range c.own {
		if o.Port() == a.Port() && (o.Addr() == a.Addr() || o.Addr().IsUnspecified() && a.Addr().IsLoopback()) {
			return true
		}
	}
	return false
}
