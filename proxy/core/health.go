package core

import (
	"encoding/binary"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
)

// Active health checks, where a policy asks for them: each endpoint of a set that is in use is asked
// at intervals, by a request that goes the way of all requests, over the link if there is one, so what is
// found is what a request would find.

const (
	maxChecking = 64               // checks under way on a loop; more wait
	checkJitter = 0.1              // of the interval, either way
	unusedFor   = 30 * time.Second // without a pick, or five intervals: then its checks pause
)

// healthWatch is the health checks of one set.
type healthWatch struct {
	entry   *setEntry
	policy  model.HealthCheck
	local   *local // in whose name: the last that used the set
	backend decide.Backend
	checks  []*check // in the order of the set
	paused  bool
	body    []byte // of gRPC's request
}

// check is the health check of one endpoint.
type check struct {
	watch *healthWatch
	ep    *balance.Endpoint
	timer timer
	x     *exchange // under way; nil: none
}

// watchHealth follows an update of a set or its policy.
func (c *Core) watchHealth(e *setEntry) {
	want := e.set.Policy().Health
	w := e.health
	if w != nil && (want == nil || w.policy != *want) {
		w.stop(c)
		w = nil
	}
	if want == nil {
		e.health = nil
		return
	}
	if w == nil {
		w = &healthWatch{entry: e, policy: *want, local: c.locals[0]}
		if w.policy.Kind == model.HealthGRPC {
			w.body = grpcHealthRequest(w.policy.Service)
		}
		e.health = w
	}
	w.backend.Set = e.src
	known := make(map[*balance.Endpoint]*check, len(w.checks))
	for _, k := range w.checks {
		if k.ep.Gone() {
			k.drop(c)
		} else {
			known[k.ep] = k
		}
	}
	w.checks = w.checks[:0]
	for ep := range e.set.All {
		k := known[ep]
		if k == nil {
			k = &check{watch: w, ep: ep}
			k.timer.fire = func() { k.turn(c) }
			if !w.paused { // the first ones at any time of the interval, not all at once
				c.wheel.arm(&k.timer, c.now+c.part(w.policy.Interval, 0, 1))
			}
		}
		w.checks = append(w.checks, k)
	}
}

// part is a random part of d, between two factors.
func (c *Core) part(d time.Duration, from, to float64) time.Duration {
	return time.Duration(float64(d) * (from + (to-from)*float64(c.rand()>>11)/(1<<53)))
}

// stop ends all checks. What they found is forgotten. w may be nil.
func (w *healthWatch) stop(c *Core) {
	if w == nil {
		return
	}
	for _, k := range w.checks {
		k.drop(c)
		k.ep.Unchecked(c.now)
	}
	w.checks = nil
}

// drop ends the checks of an endpoint.
func (k *check) drop(c *Core) {
	c.wheel.disarm(&k.timer)
	if x := k.x; x != nil {
		k.x = nil
		x.errand.check = nil // its result is nobody's
		c.checking--
		x.downGone()
	}
}

// resume begins anew after a pause.
func (w *healthWatch) resume(c *Core, l *local) {
	w.local = l
	if !w.paused {
		return
	}
	w.paused = false
	for _, k := range w.checks {
		if !k.timer.armed() {
			c.wheel.arm(&k.timer, c.now+c.part(w.policy.Interval, 0, 1))
		}
	}
}

// turn: the next check is due.
func (k *check) turn(c *Core) {
	w := k.watch
	if c.draining {
		return
	}
	if c.now-w.entry.usedAt > max(unusedFor, 5*w.policy.Interval) {
		w.paused = true
		k.ep.Unchecked(c.now) // what was found will be old
		return
	}
	if k.x != nil || c.checking >= maxChecking {
		c.wheel.arm(&k.timer, c.now+w.policy.Interval/10)
		return
	}
	c.wheel.arm(&k.timer, c.now+c.part(w.policy.Interval, 1-checkJitter, 1+checkJitter))
	k.start(c)
}

var (
	healthAgent    = message.Field{Name: []byte("user-agent"), Value: []byte("weft-health")}
	grpcType       = message.Field{Name: []byte("content-type"), Value: []byte("application/grpc")}
	methodPost     = []byte("POST")
	grpcHealthPath = []byte("/grpc.health.v1.Health/Check")
)

// start sends a check.
func (k *check) start(c *Core) {
	w := k.watch
	x := c.newErrand(w.local, k.ep, &errand{check: k})
	k.x = x
	c.checking++
	x.d.Backend = &w.backend
	c.wheel.arm(&x.deadline, c.now+w.policy.Timeout)
	x.saved = message.Request{Method: methodGet, Scheme: schemeHTTP, ContentLength: -1}
	if w.policy.Kind == model.HealthTCP {
		x.connect = true
		x.reqDone, x.heldEnd = false, false
		x.saved = message.Request{Method: methodConnect, ContentLength: -1}
		x.sendErrand(nil)
		return
	}
	service := w.entry.name.service
	x.saved.Authority = []byte(service.Name + "." + service.Namespace)
	if w.policy.Kind == model.HealthGRPC {
		x.h2app, x.grpc = true, true
		x.saved.Method, x.saved.Path, x.saved.TETrailers = methodPost, grpcHealthPath, true
		x.saved.Fields = append(x.sfields[:0], grpcType, healthAgent)
		x.sendErrand(w.body)
		return
	}
	x.saved.Path = []byte(w.policy.Path)
	x.saved.Fields = append(x.sfields[:0], healthAgent)
	x.sendErrand(nil)
}

// over takes the result.
func (k *check) over(e *errand) {
	c := k.x.core
	k.x = nil
	c.checking--
	var well bool
	switch k.watch.policy.Kind {
	case model.HealthTCP:
		well = e.status/100 == 2
	case model.HealthGRPC:
		well = e.status == 200 && e.grpcOK && grpcServing(e.body[:min(e.got, len(e.body))])
	default:
		well = e.status >= 200 && e.status < 400
	}
	if !k.ep.Checked(c.now, well) {
		return
	}
	if well {
		c.log.Info("endpoint is healthy again", "workload", k.ep.Workload, "addr", k.ep.Addr)
		return
	}
	c.warn("endpoint is not healthy", "code", "W3343", "workload", k.ep.Workload, "addr", k.ep.Addr, "status", e.status)
}

// grpcHealthRequest is a grpc.health.v1.HealthCheckRequest with the frame around it.
func grpcHealthRequest(service string) []byte {
	var m []byte
	if service != "" {
		m = append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(service))), service...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

// grpcServing reports whether a framed grpc.health.v1.HealthCheckResponse says SERVING.
func grpcServing(p []byte) bool {
	return len(p) >= 7 && p[0] == 0 && p[5] == 1<<3 && p[6] == 1
}
