package mesh

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/proxy/drive/sim"
	"github.com/weft-mesh/weft/sim/invariant"
)

// app is the application of a node: a server with some workers and a queue. An answer takes a while,
// and may need an answer of the next tier first.
type app struct {
	x       *node
	w       *world
	rng     *rand.Rand
	out     *outlet
	up      bool
	epoch   int // of starts; what belongs to an earlier one does not happen
	conns   []*sim.Socket
	running int
	queue   []*served

	workers, room int
	pace          time.Duration // mean time of one answer
	failing       int           // one answer in so many fails in some way; 0: none
	slow          int           // one connection in so many is read slowly; 0: none
}

const (
	usualWorkers = 8
	usualRoom    = 200
	usualPace    = 6 * time.Millisecond
)

func newApp(x *node) *app {
	a := &app{x: x, w: x.w, rng: x.w.net.Rand("app " + x.name)}
	a.well()
	return a
}

// well makes it behave as usual.
func (a *app) well() {
	a.workers, a.room, a.pace, a.failing, a.slow = usualWorkers, usualRoom, usualPace, 0, 0
}

func (a *app) start() {
	a.up = true
	a.epoch++
	a.out = &outlet{w: a.w, host: a.x.host, port: proxyPort, rng: a.rng}
	a.x.host.Listen(appPort, a.take)
}

// crash ends the application at once.
func (a *app) crash() {
	a.up = false
	a.epoch++
	a.x.host.Unlisten(appPort)
	for _, s := range a.conns {
		s.Close(true)
	}
	a.conns, a.queue, a.running = nil, nil, 0
	if a.out != nil {
		a.out.crash()
	}
}

func (a *app) busy() int { return a.running + len(a.queue) }

// later does something unless the application has died before.
func (a *app) later(d time.Duration, f func()) {
	epoch := a.epoch
	a.w.net.After(d, func() {
		if a.epoch == epoch {
			f()
		}
	})
}

func (a *app) take(s *sim.Socket) {
	a.conns = append(a.conns, s)
	if len(a.conns) > 200 { // forget those that are over
		a.conns = a.conns[100:]
	}
	var h sim.Handler
	if a.x.service.opaque {
		h = &talker{app: a}
	} else {
		c := &served{app: a, s: s}
		c.r = reader{onHead: c.head, onData: c.data, onEnd: c.end, onBad: c.bad}
		h = c
	}
	s.Adopt(&sim.Prompt{Net: a.w.net, Handler: h})
	if a.slow > 0 && a.rng.IntN(a.slow) == 0 {
		a.w.saw(invariant.SlowReader, true)
		a.doze(s, 20)
	}
}

// doze makes the application read a connection now and then only.
func (a *app) doze(s *sim.Socket, rounds int) {
	s.SetReading(rounds%2 == 1 || rounds == 0)
	if rounds > 0 {
		a.later(between(a.rng, time.Millisecond, 60*time.Millisecond), func() { a.doze(s, rounds-1) })
	}
}

// served is a connection on which requests come, one after the other.
type served struct {
	app  *app
	s    *sim.Socket
	r    reader
	req  *invariant.Request
	got  int
	out  int  // bytes of the response's body that were written
	sent bool // a response has begun
	turn int
	over bool
}

func (c *served) head(first string, f fields) {
	w := c.app.w
	part := strings.Split(first, " ")
	path := strings.Split(part[min(1, len(part)-1)], "/")
	id, err := strconv.ParseUint(path[len(path)-1], 10, 64)
	var r *invariant.Request
	if err == nil {
		r = w.watch.Request(id)
	}
	version, _ := strconv.Atoi(f[versionField])
	w.watch.Arrived(r, invariant.Arrival{
		Service: c.app.x.serves, Workload: c.app.x.name, Caller: f["weft-client-id"], Version: version, Checked: true,
	})
	if r == nil {
		c.bad(strconv.Quote(first))
		return
	}
	c.req, c.got, c.out, c.sent = r, 0, 0, false
	c.turn++
	w.saw(invariant.Retried, r.Executed == 2)
	w.saw(invariant.PolicyAllowed, r.Private)
	w.saw(invariant.Canary, c.app.x.service.name == "next")
}

func (c *served) data(p []byte) {
	if c.req == nil {
		return
	}
	if !matches(p, c.req.ID, c.got) {
		c.app.w.watch.Garbled(c.req, "its body is not its own behind byte %d", c.got)
		c.bad("a strange body")
		return
	}
	c.got += len(p)
}

// end: the request is complete; it waits for a worker.
func (c *served) end() {
	a := c.app
	if c.req == nil || c.over {
		return
	}
	if c.got != c.req.Upload {
		a.w.watch.Garbled(c.req, "its body has %d bytes", c.got)
	}
	c.r.held = true // the next request waits
	switch {
	case a.running < a.workers:
		a.work(c)
	case len(a.queue) < a.room:
		a.queue = append(a.queue, c)
	default:
		a.w.saw(invariant.QueueFull, true)
		c.answer(503, "full")
	}
}

func (c *served) bad(string) {
	c.over = true
	c.s.Close(true)
}

// work gives a request to a worker.
func (a *app) work(c *served) {
	a.running++
	r := c.req
	// Exponential, with a tail that is cut.
	d := min(time.Duration(-math.Log(1-a.rng.Float64())*float64(a.pace)), 20*a.pace)
	a.later(max(d, 1), func() {
		if a.failing > 0 && a.rng.IntN(a.failing) == 0 {
			a.fail(c)
			a.rest()
			return
		}
		a.askNext(r, func(status int, code string) {
			a.rest()
			if c.req == r {
				c.answer(status, code)
			}
		})
	})
}

// rest frees a worker.
func (a *app) rest() {
	a.running--
	for len(a.queue) > 0 && a.running < a.workers {
		c := a.queue[0]
		a.queue = a.queue[1:]
		if !c.over {
			a.work(c)
		}
	}
}

// askNext asks the next tier, if there is one and the request needs it.
func (a *app) askNext(r *invariant.Request, then func(status int, code string)) {
	next := tier[a.x.service.name]
	if next == "" || a.rng.IntN(4) == 0 {
		then(200, "")
		return
	}
	child := &ask{Request: &invariant.Request{
		Method: r.Method, Service: next, Caller: a.x.id(), Proxy: a.x.host.Name, Upload: 0, Download: a.rng.IntN(2000),
	}}
	if r.Method == "POST" && a.rng.IntN(2) == 0 {
		child.Upload = a.rng.IntN(2000)
	}
	epoch := a.epoch
	child.done = func() {
		if a.epoch != epoch {
			return
		}
		a.w.saw(invariant.Tier3, next == "stock")
		if child.Succeeded() {
			then(200, "")
		} else {
			then(502, "child")
		}
	}
	a.w.number(child)
	a.out.send(child)
}

// fail answers badly.
func (a *app) fail(c *served) {
	switch {
	case c.over:
	case a.rng.IntN(3) == 0:
		c.answer(503, "busy")
	case a.rng.IntN(2) == 0: // it promises more than it sends
		c.s.Write([]byte("HTTP/1.1 200 OK\r\nx-id: " + strconv.FormatUint(c.req.ID, 10) + "\r\ncontent-length: 100000\r\n\r\n"))
		c.bad("")
	default:
		c.bad("")
	}
}

// answer sends a response.
func (c *served) answer(status int, code string) {
	if c.over {
		return
	}
	c.sent = true
	h := "HTTP/1.1 " + strconv.Itoa(status) + " Status\r\nx-id: " + strconv.FormatUint(c.req.ID, 10) + "\r\n"
	if code != "" {
		h += "x-code: " + code + "\r\nweft-code: forged\r\n"
	}
	length := 0
	if status == 200 {
		length = c.req.Download
	}
	c.s.Write([]byte(h + "content-length: " + strconv.Itoa(length) + "\r\n\r\n"))
	if status != 200 || length == 0 {
		c.next()
		return
	}
	c.more()
}

// more writes the response's body as far as it goes.
func (c *served) more() {
	for c.out < c.req.Download {
		n := min(1+c.app.rng.IntN(24<<10), c.req.Download-c.out)
		p := content(^c.req.ID, c.out, n)
		c.out += n
		if c.s.Write(p) > 0 {
			return // Drained goes on
		}
	}
	c.next()
}

// next takes the next request of the connection.
func (c *served) next() {
	c.req, c.sent, c.r.held = nil, false, false
	c.r.feed(nil)
}

// Opened implements sim.Handler.
func (c *served) Opened(*sim.Socket, error) {}

// Data implements sim.Handler.
func (c *served) Data(_ *sim.Socket, p []byte) {
	if !c.over {
		c.r.feed(p)
	}
}

// Drained implements sim.Handler.
func (c *served) Drained(*sim.Socket) {
	if !c.over && c.req != nil && c.sent {
		c.more()
	}
}

// EOF implements sim.Handler.
func (c *served) EOF(s *sim.Socket) {
	c.over = true
	s.Close(false)
}

// Closed implements sim.Handler.
func (c *served) Closed(*sim.Socket, error) { c.over = true }
