package sim_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/proxy/drive/sim"
)

// client is a caller with one connection at a time to its proxy. It goes through a list of
// requests; when its connection ends it opens another one for what it has not sent yet.
type client struct {
	l        *ledger
	net      *sim.Network
	rng      *rand.Rand
	name     string
	host     *sim.Host
	port     uint16 // of the proxy on its host
	absolute bool   // it was told to use a proxy (http_proxy)
	pipeline int    // requests that it sends without waiting; at least 1
	slow     bool   // reads slowly
	shy      bool   // is silent for a while on a new connection
	stubborn bool   // reads nothing before it has written its request
	hasty    int    // gives up one request in so many; 0: never
	pause    time.Duration

	todo     []*ask
	waiting  []*ask // sent, in order
	s        *sim.Socket
	r        reader
	got      int
	sentUp   int // of the last of waiting
	open     bool
	writing  bool
	closing  bool // the present response is the last
	unwanted bool // the rest of the body: the response is there
	status   int
	code     string
	turn     int // of connections
	done     func()
}

func newClient(l *ledger, name string, h *sim.Host, port uint16) *client {
	return &client{l: l, net: l.net, rng: l.net.Rand("client " + name), name: name, host: h, port: port, pipeline: 1, pause: 20 * time.Millisecond}
}

func (c *client) start() { c.next() }

// next sends what may be sent, or ends.
func (c *client) next() {
	switch {
	case c.writing:
	case len(c.todo) == 0 && len(c.waiting) == 0:
		if c.s != nil {
			c.s.Close(false)
			c.s = nil
			c.turn++
		}
		if c.done != nil {
			c.done()
			c.done = nil
		}
	case c.s == nil && len(c.todo) > 0:
		c.dial()
	case c.open && !c.closing && len(c.todo) > 0 && len(c.waiting) < c.pipeline && !c.busy():
		a := c.todo[0]
		if a.upgrade && len(c.waiting) > 0 {
			return
		}
		c.todo = c.todo[1:]
		c.waiting = append(c.waiting, a)
		c.send(a)
	}
}

// busy: after an upgrade, or behind a request that ends the connection, nothing can be sent.
func (c *client) busy() bool {
	for _, a := range c.waiting {
		if a.upgrade {
			return true
		}
	}
	return false
}

func (c *client) dial() {
	c.turn++
	c.r = reader{response: true, head: c.head, data: c.data, end: c.end, noBody: func(int) bool {
		return len(c.waiting) > 0 && c.waiting[0].method == "HEAD"
	}, bad: func(what string) {
		c.l.violation("%s got no HTTP: %s", c.name, what)
		c.drop("bad")
	}}
	c.open, c.got, c.status = false, 0, 0
	c.s = c.host.Dial(&sim.Prompt{Net: c.net, Handler: c}, netip.AddrPortFrom(c.host.Addr, c.port), time.Second)
}

func (c *client) later(d time.Duration, f func()) {
	turn := c.turn
	c.net.After(1+time.Duration(c.rng.Int64N(int64(d))), func() {
		if c.turn == turn {
			f()
		}
	})
}

// send writes a request, with pauses.
func (c *client) send(a *ask) {
	a.sent = true
	target := fmt.Sprintf("/ask/%d", a.id)
	if c.absolute {
		target = "http://" + a.service + ".shop" + target
	}
	h := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s.shop\r\n", a.method, target, a.service)
	switch {
	case a.upgrade:
		h += "Connection: upgrade\r\nUpgrade: echo\r\n"
	case a.chunked:
		h += "Transfer-Encoding: chunked\r\n"
	case a.upload > 0 || a.method == "POST":
		h += fmt.Sprintf("Content-Length: %d\r\n", a.upload)
	}
	c.s.Write([]byte(h + "Weft-Client-Id: forged\r\n\r\n"))
	c.sentUp = 0
	if c.hasty > 0 && c.rng.IntN(c.hasty) == 0 {
		c.later(30*time.Millisecond, func() {
			for _, a := range c.waiting {
				a.abandoned = true
			}
			c.drop("abandoned")
		})
	}
	if a.upgrade {
		return
	}
	c.writing = true
	if c.stubborn {
		c.s.SetReading(false)
	}
	c.body(a)
}

// body writes the next piece of a request's body, or of an upgraded connection.
func (c *client) body(a *ask) {
	if c.unwanted {
		return
	}
	for c.sentUp < a.upload {
		n := min(1+c.rng.IntN(32<<10), a.upload-c.sentUp)
		p := content(a.id, c.sentUp, n)
		c.sentUp += n
		if a.chunked {
			p = append(fmt.Appendf(nil, "%x\r\n", n), append(p, '\r', '\n')...)
		}
		if c.s.Write(p) > 0 {
			return // Drained goes on
		}
		if c.rng.IntN(4) == 0 {
			c.later(2*time.Millisecond, func() { c.body(a) })
			return
		}
	}
	if !c.writing {
		return
	}
	c.writing = false
	if c.stubborn {
		c.s.SetReading(true)
	}
	if a.chunked {
		c.s.Write([]byte("0\r\n\r\n"))
	}
	if a.upgrade {
		c.s.CloseWrite()
		return
	}
	c.next()
}

func (c *client) head(first string, f map[string]string) {
	if len(c.waiting) == 0 {
		c.l.violation("%s got %q unasked", c.name, first)
		c.drop("bad")
		return
	}
	a := c.waiting[0]
	c.status, _ = strconv.Atoi(strings.Split(first, " ")[1])
	c.code = f["weft-code"]
	if c.code == "" {
		c.code = f["x-code"]
	}
	c.got = 0
	if strings.EqualFold(f["connection"], "close") {
		c.lastOne()
	}
	if c.code == "forged" {
		c.l.violation("%v: an application's weft-code came through", a)
	}
	switch {
	case c.status == 101 && a.upgrade:
		c.r.state = inTunnel
		c.writing = true
		c.body(a)
	case c.status == 101:
		c.l.violation("%v got 101", a)
	case c.status < 300 && c.code == "" && f["x-id"] != strconv.FormatUint(a.id, 10):
		c.l.violation("%v got the response of %q", a, f["x-id"])
	}
}

// lastOne: the present response is the last of the connection. What was sent behind it is sent
// again on another (RFC 9112 section 9.6).
func (c *client) lastOne() {
	c.closing = true
	behind := c.waiting[1:]
	if len(behind) == 0 {
		return
	}
	c.l.seen["pipelined behind the last"]++
	for _, a := range behind {
		if a.executed > 0 {
			c.l.violation("%v was executed, and its caller told that it would not be", a)
		}
		a.sent = false
	}
	c.todo = append(append([]*ask(nil), behind...), c.todo...)
	c.waiting = c.waiting[:1]
	c.writing = false
	c.sentUp = c.waiting[0].upload
	c.unwanted = true // the body that is under way, if any, is of a request behind
}

func (c *client) data(p []byte) {
	if len(c.waiting) == 0 {
		return
	}
	a := c.waiting[0]
	id := ^a.id
	if a.upgrade {
		id = a.id
	}
	if c.status < 300 {
		for i := range p {
			if p[i] != pattern(id, c.got+i) {
				c.l.violation("%v: its response is not its own at %d", a, c.got+i)
				c.drop("bad")
				return
			}
		}
	}
	c.got += len(p)
}

func (c *client) end() {
	if len(c.waiting) == 0 {
		return
	}
	a := c.waiting[0]
	if c.status < 300 && a.method != "HEAD" && !a.upgrade && c.got != a.download {
		c.l.violation("%v: a response that seems complete has %d of %d bytes", a, c.got, a.download)
	}
	c.waiting = c.waiting[1:]
	c.l.answered(a, c.status, c.code)
	if c.writing && len(c.waiting) == 0 { // answered before it was read: the rest is not wanted
		c.unwanted = true
		c.later(3*time.Millisecond, func() { c.drop("early") })
		return
	}
	if a.upgrade && c.status >= 400 { // the rest of the list may use the connection
		c.writing = false
	}
	c.later(c.pause, c.next)
}

// drop ends the connection.
func (c *client) drop(how string) {
	if c.s != nil {
		c.s.Close(true)
	}
	c.ended(how)
}

// ended: the connection is over; what was sent on it has its outcome.
func (c *client) ended(how string) {
	c.s, c.open, c.writing, c.unwanted, c.closing = nil, false, false, false, false
	c.turn++
	for _, a := range c.waiting {
		c.l.lost(a, how)
	}
	c.waiting = nil
	c.later(c.pause, c.next)
}

// Opened implements sim.Handler.
func (c *client) Opened(s *sim.Socket, err error) {
	if s != c.s {
		return
	}
	if err != nil { // its proxy is not there
		c.s = nil
		c.turn++
		c.later(200*time.Millisecond, c.next)
		return
	}
	c.open = true
	if c.slow {
		c.doze()
	}
	if c.shy {
		c.open = false
		c.later(20*time.Millisecond, func() { c.open = true; c.next() })
		return
	}
	for range c.pipeline {
		c.next()
	}
}

// doze makes the client read now and then only.
func (c *client) doze() {
	c.s.SetReading(false)
	c.later(80*time.Millisecond, func() {
		c.s.SetReading(true)
		c.later(10*time.Millisecond, c.doze)
	})
}

// Data implements sim.Handler.
func (c *client) Data(s *sim.Socket, p []byte) {
	if s == c.s {
		c.r.feed(p)
	}
}

// Drained implements sim.Handler.
func (c *client) Drained(s *sim.Socket) {
	if s == c.s && c.writing && len(c.waiting) > 0 {
		c.body(c.waiting[len(c.waiting)-1])
	}
}

// EOF implements sim.Handler.
func (c *client) EOF(s *sim.Socket) {
	if s != c.s {
		return
	}
	if len(c.waiting) > 0 && c.waiting[0].upgrade && c.r.state == inTunnel {
		a := c.waiting[0]
		if c.got != a.upload {
			c.l.violation("%v: its tunnel ended in good order after %d bytes", a, c.got)
		}
		c.waiting = nil
		c.l.answered(a, 101, "")
	} else if !c.r.over() && len(c.waiting) == 0 {
		c.l.violation("%s: bytes without a request: %q", c.name, c.r.buf)
	}
	if c.s == s {
		s.Close(false)
		c.ended("eof")
	}
}

// Closed implements sim.Handler.
func (c *client) Closed(s *sim.Socket, err error) {
	if s == c.s {
		c.ended("reset " + err.Error())
	}
}

// talker holds one opaque conversation: with an echo server, or with one that speaks first.
type talker struct {
	l       *ledger
	net     *sim.Network
	rng     *rand.Rand
	a       *ask
	host    *sim.Host
	port    uint16
	connect string // CONNECT this first; empty: the port stands for the service
	slow    bool

	s    *sim.Socket
	in   []byte
	way  int // 0: CONNECT is to be answered, 1: the conversation
	sent int
	got  int
	over bool
}

func (t *talker) start() {
	t.a.sent = true
	t.s = t.host.Dial(&sim.Prompt{Net: t.net, Handler: t}, netip.AddrPortFrom(t.host.Addr, t.port), time.Second)
}

func (t *talker) Opened(s *sim.Socket, err error) {
	switch {
	case err != nil:
		t.end("refused by the proxy")
	case t.connect != "":
		s.Write([]byte("CONNECT " + t.connect + " HTTP/1.1\r\nHost: " + t.connect + "\r\n\r\n"))
	default:
		t.way = 1
		t.begin()
	}
}

// begin: the way to the server seems to stand.
func (t *talker) begin() {
	if t.slow {
		t.s.SetReading(false)
		t.net.After(100*time.Millisecond, func() { t.s.SetReading(true) })
	}
	if t.a.method == "TCP" {
		t.s.Write(fmt.Appendf(nil, "echo %d\n", t.a.id))
		t.speak()
	}
}

func (t *talker) speak() {
	for t.sent < t.a.upload {
		n := min(1+t.rng.IntN(16<<10), t.a.upload-t.sent)
		p := content(t.a.id, t.sent, n)
		t.sent += n
		if t.s.Write(p) > 0 {
			return
		}
	}
	t.s.CloseWrite()
}

func (t *talker) Drained(*sim.Socket) {
	if t.way == 1 && t.a.method == "TCP" && !t.over {
		t.speak()
	}
}

func (t *talker) Data(s *sim.Socket, p []byte) {
	if t.way == 0 {
		t.in = append(t.in, p...)
		i := bytes.Index(t.in, []byte("\r\n\r\n"))
		if i < 0 {
			return
		}
		if !bytes.HasPrefix(t.in, []byte("HTTP/1.1 200 ")) {
			status, _ := strconv.Atoi(string(t.in[9:12]))
			code := ""
			if _, after, ok := strings.Cut(strings.ToLower(string(t.in)), "weft-code: "); ok {
				code = strings.ToUpper(after[:5])
			}
			t.l.answered(t.a, status, code)
			t.over = true
			s.Close(true)
			return
		}
		p = t.in[i+4:]
		t.in, t.way = nil, 1
		t.begin()
	}
	if t.a.method == "TCP" {
		for i := range p {
			if p[i] != pattern(t.a.id, t.got+i) {
				t.l.violation("%v: what came back is not its own at %d", t.a, t.got+i)
				t.end("bad")
				s.Close(true)
				return
			}
		}
		t.got += len(p)
		return
	}
	t.in = append(t.in, p...)
	want := fmt.Sprintf("250 hello %d\n", t.a.id)
	switch {
	case string(t.in) == "220 greet\r\n":
		s.Write(fmt.Appendf(nil, "hello %d\n", t.a.id))
	case string(t.in) == "220 greet\r\n"+want:
		s.CloseWrite()
		t.got = 1
	case !strings.HasPrefix("220 greet\r\n"+want, string(t.in)):
		t.l.violation("%v heard %q", t.a, t.in)
		t.end("bad")
		s.Close(true)
	}
}

func (t *talker) EOF(s *sim.Socket) {
	s.Close(false)
	switch {
	case t.a.method == "TCP" && t.got == t.a.upload && t.way == 1, t.a.method == "GREET" && t.got == 1:
		if !t.over {
			t.over = true
			t.l.answered(t.a, 200, "")
		}
	case t.a.method == "TCP" && t.a.executed > 0:
		t.l.violation("%v: the conversation ended in good order after %d bytes", t.a, t.got)
		t.end("eof")
	default:
		t.end("eof")
	}
}

func (t *talker) Closed(_ *sim.Socket, err error) { t.end("reset " + err.Error()) }

func (t *talker) end(how string) {
	if !t.over {
		t.over = true
		t.l.lost(t.a, how)
	}
}
