package core

import (
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/resilience"
)

// A request is given up when its time is over: that of its route, or that which its caller says in
// weft-timeout or, if it speaks gRPC, in grpc-timeout; the shortest counts. What is left of it goes
// along with the request, from proxy to proxy and to the application, so that nobody works on what
// nobody waits for.
const (
	fieldTimeout     = "weft-timeout" // applications may use it: it can only shorten
	fieldGRPCTimeout = "grpc-timeout"
)

var nameTimeout = []byte(fieldTimeout)

// saysTimeout reports whether a field says how long the caller of the exchange waits.
func (x *exchange) saysTimeout(name []byte) bool {
	return len(name) == len(fieldTimeout) && (string(name) == fieldTimeout || x.grpc && string(name) == fieldGRPCTimeout)
}

// takeDeadline notes how long the caller waits. It refuses a request that has no time left, and
// reports whether it did not. What cannot be read counts as not said.
func (x *exchange) takeDeadline(f []message.Field) bool {
	for i := range f {
		if !x.saysTimeout(f[i].Name) {
			continue
		}
		if d, ok := resilience.ParseTimeout(f[i].Value); ok {
			x.limit(d)
			x.told = true
		}
	}
	if x.until > 0 && x.core.now >= x.until {
		x.fail(failNoTime)
		return false
	}
	x.armDeadline()
	return true
}

// limit ends the exchange a time after its start at the latest.
func (x *exchange) limit(d time.Duration) {
	if until := max(x.start+d, 1); x.until == 0 || until < x.until {
		x.until = until
	}
}

// armDeadline makes the exchange end in time.
func (x *exchange) armDeadline() {
	if x.until > 0 {
		x.waits = false // the time for the request covers the wait for a connection too
		x.core.wheel.arm(&x.deadline, x.until)
	}
}

// timeouts are those of the decision.
func (x *exchange) timeouts() model.Timeouts { return x.d.Calls().Timeouts }

// overdue is the failure of an exchange whose time is over.
func (x *exchange) overdue() failure {
	f := failTimeout
	if x.told {
		f.text = "the time that the caller gives it passed before the response was there"
	}
	return f
}

// timed is scratch for the head of a request that says how much time is left.
type timed struct {
	head   message.Request
	fields []message.Field
	text   []byte
}

// withTime gives the head as it goes to up: what it says of the caller's time is what is left of it.
// A peer's proxy is told in any case, if not by grpc-timeout; anybody else if the caller said it. What it returns is
// valid until the next call for an exchange of the same side.
func (x *exchange) withTime(up upSide, r *message.Request) *message.Request {
	if x.until == 0 && x.tryUntil == 0 || x.connect {
		return r
	}
	tell := false
	switch up := up.(type) {
	case *h2Client:
		tell = up.p.link()
	case *localHop:
		tell = true
	}
	if !tell && !x.told {
		return r
	}
	c := x.core
	s := &c.timed[0]
	if x.inbound { // it may be called while a workload of the same proxy still reads the other one's
		s = &c.timed[1]
	}
	until := x.until
	if x.tryUntil > 0 && (until == 0 || x.tryUntil < until) {
		until = x.tryUntil
	}
	s.text = resilience.AppendTimeout(s.text[:0], until-c.now)
	f, said, own := s.fields[:0], false, false
	for i := range r.Fields {
		switch {
		case !x.saysTimeout(r.Fields[i].Name):
			f = append(f, r.Fields[i])
		case string(r.Fields[i].Name) == fieldTimeout: // once, below
			own = true
		default:
			f = append(f, message.Field{Name: r.Fields[i].Name, Value: s.text})
			said = true
		}
	}
	if own || tell && !said {
		f = append(f, message.Field{Name: nameTimeout, Value: s.text})
	}
	s.fields = f
	s.head = *r
	s.head.Fields = f
	return &s.head
}
