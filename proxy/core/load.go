package core

import (
	"strconv"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
)

// Proxies tell each other the load of applications, for the algorithm Prequal. The caller's proxy asks
// with a field of a request; the answer rides on its response. Or it sends a request that is nothing
// but the question, which the callee's proxy answers by itself.
const (
	fieldLoadAsk = "weft-load-ask" // "1", or "probe": the request is for the proxy
	fieldLoad    = "weft-load"     // "rif=N,us=M": requests in flight, latency at about that number
)

var (
	nameLoadAsk = []byte(fieldLoadAsk)
	nameLoad    = []byte(fieldLoad)
	valueProbe  = []byte("probe")
	askPath     = []byte("/")
	askHost     = []byte("weft")
)

// Probes are answered for each link as often as this; a caller's proxy sends one for ten requests, and
// 50 a second. Beyond it they are refused, so that they cost less than the requests do.
const (
	asksPerSecond = 1000
	asksBurst     = 200
)

// askBudget is a token bucket for the probes of a link. The zero value is full.
type askBudget struct {
	spent float64
	at    time.Duration
}

func (b *askBudget) take(now time.Duration) bool {
	b.spent = max(b.spent-(now-b.at).Seconds()*asksPerSecond, 0)
	b.at = now
	if b.spent+1 > asksBurst {
		return false
	}
	b.spent++
	return true
}

// asksForLoad reports whether a request to a peer asks for the load of its endpoint.
func (x *exchange) asksForLoad() bool {
	return x.entry != nil && !x.connect && x.errand == nil && x.entry.set.Policy().Balance.Algorithm == model.Prequal
}

// ask sends a probe to an endpoint. The answer comes by noteHead.
func (c *Core) ask(l *local, ep *balance.Endpoint) {
	if !ep.Meshed() || c.draining {
		return // nobody there would understand it
	}
	x := c.newErrand(l, ep, &errand{})
	if near := c.near(x, ep); near != nil {
		inflight, latency := near.meter.Load()
		ep.Reply(c.now, inflight, latency)
		x.downGone()
		return
	}
	c.wheel.arm(&x.deadline, c.now+time.Second)
	x.saved = message.Request{
		Method: methodGet, Scheme: schemeHTTP, Authority: askHost, Path: askPath, ContentLength: -1,
		Fields: append(x.sfields[:0], message.Field{Name: nameLoadAsk, Value: valueProbe}),
	}
	x.sendErrand(nil)
}

// askedForLoad sees whether the caller's proxy asks for the load. It reports whether that was all, and
// is answered.
func (x *exchange) askedForLoad(r *message.Request) bool {
	v := message.Get(r.Fields, fieldLoadAsk)
	if v == nil || x.connect {
		return false
	}
	x.asked = true
	if string(v) != string(valueProbe) {
		return false
	}
	c := x.core
	if s, ok := x.down.(*h2Server); ok && !s.asks.take(c.now) {
		c.shard.Refused("W3340")
		x.status = 503
		x.down.resetDown(x, refusedStream)
		x.finish()
		return true
	}
	x.status, x.respHead = 204, true
	x.down.respond(x, &message.Response{Status: 204, ContentLength: -1}, true)
	x.endResponse()
	return true
}

// withLoad adds the load of the application to a response. What it returns lives until the next call.
func (x *exchange) withLoad(r *message.Response) *message.Response {
	c := x.core
	n, took := x.local.meter.Load()
	b := append(c.loadText[:0], "rif="...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, ",us="...)
	b = strconv.AppendInt(b, int64(took/time.Microsecond), 10)
	c.loadText = b
	c.loadFields = append(append(c.loadFields[:0], r.Fields...), message.Field{Name: nameLoad, Value: b})
	c.loaded = *r
	c.loaded.Fields = c.loadFields
	return &c.loaded
}

// tellLoad is what a link's weft-load does.
func (h *localHop) tellLoad(r *message.Response) {
	if x := h.x; r.Status >= 200 && x.ep != nil && x.asksForLoad() {
		inflight, latency := h.y.local.meter.Load()
		x.ep.Reply(x.core.now, inflight, latency)
	}
}

// meter counts a request to the application.
func (x *exchange) meter() {
	if !x.upgrade {
		x.level, x.metered = x.local.meter.Begin(), true
	}
}

// unmeter counts its end.
func (x *exchange) unmeter() {
	if !x.metered {
		return
	}
	x.metered = false
	took := time.Duration(-1)
	if x.headAt > 0 {
		took = x.headAt - x.start
	}
	x.local.meter.End(x.level, took)
}

// parseLoad reads the value of fieldLoad.
func parseLoad(v []byte) (inflight int, latency time.Duration, ok bool) {
	rif, rest, ok := loadNumber(v, "rif=")
	if !ok || len(rest) == 0 || rest[0] != ',' {
		return 0, 0, false
	}
	us, rest, ok := loadNumber(rest[1:], "us=")
	if !ok || len(rest) > 0 {
		return 0, 0, false
	}
	return rif, time.Duration(us) * time.Microsecond, true
}

// loadNumber reads a name and a number of at most ten digits.
func loadNumber(v []byte, name string) (n int, rest []byte, ok bool) {
	if len(v) < len(name) || string(v[:len(name)]) != name {
		return 0, nil, false
	}
	v = v[len(name):]
	i := 0
	for ; i < len(v) && v[i] >= '0' && v[i] <= '9'; i++ {
		if i == 10 {
			return 0, nil, false
		}
		n = n*10 + int(v[i]-'0')
	}
	return n, v[i:], i > 0
}
