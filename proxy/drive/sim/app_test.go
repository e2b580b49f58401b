package sim_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/proxy/drive/sim"
)

// app is an application: one kind of server on one port of a host.
type app struct {
	l       *ledger
	net     *sim.Network
	rng     *rand.Rand
	service string
	host    *sim.Host
	port    uint16
	slow    int // one connection in so many reads slowly; 0: none
	conns   []*sim.Socket
	up      bool
	pace    time.Duration // at most how long it thinks; 0: 3 ms
	asleep  time.Duration // how long it does not read at first
}

func newApp(l *ledger, h *sim.Host, port uint16, service string) *app {
	return &app{l: l, net: l.net, rng: l.net.Rand("app " + h.Name), service: service, host: h, port: port}
}

func (a *app) start() {
	a.up = true
	a.host.Listen(a.port, a.take)
}

// crash ends the application at once.
func (a *app) crash() {
	a.up = false
	a.host.Unlisten(a.port)
	for _, s := range a.conns {
		s.Close(true)
	}
	a.conns = nil
}

func (a *app) take(s *sim.Socket) {
	a.conns = append(a.conns, s)
	var h sim.Handler
	switch a.service {
	case "web":
		h = newWebConn(a, s)
	case "echo":
		h = &echoConn{a: a}
	default:
		h = &greetConn{a: a}
	}
	s.Adopt(&sim.Prompt{Net: a.net, Handler: h})
	if g, ok := h.(*greetConn); ok {
		a.net.After(time.Duration(a.rng.Int64N(int64(20*time.Millisecond))), func() { s.Write([]byte("220 greet\r\n")); g.greeted = true })
	}
	if a.asleep > 0 {
		s.SetReading(false)
		a.net.After(a.asleep, func() { s.SetReading(true) })
	}
	if a.slow > 0 && a.rng.IntN(a.slow) == 0 {
		a.l.seen["slow application"]++
		a.doze(s)
	}
}

// doze makes the application read now and then only.
func (a *app) doze(s *sim.Socket) {
	s.SetReading(false)
	rounds := 20
	var turn func()
	turn = func() {
		rounds--
		s.SetReading(rounds%2 == 0)
		if rounds > 0 {
			a.net.After(time.Duration(1+a.rng.IntN(100))*time.Millisecond, turn)
		}
	}
	a.net.After(50*time.Millisecond, turn)
}

// webConn serves HTTP/1 requests, one after the other.
type webConn struct {
	a       *app
	s       *sim.Socket
	r       reader
	ask     *ask
	read    bool // the request is complete
	began   bool // the response
	done    bool // its last byte was written
	written int
	tunnel  bool
	turn    int // of requests: a delayed step of an earlier one does nothing
}

func newWebConn(a *app, s *sim.Socket) *webConn {
	c := &webConn{a: a, s: s}
	c.r = reader{head: c.head, data: c.data, end: c.end, bad: func(what string) {
		a.l.violation("%s got no HTTP: %s", s.Name(), what)
		s.Close(true)
	}}
	return c
}

func (c *webConn) head(first string, f map[string]string) {
	l := c.a.l
	part := strings.Split(first, " ")
	if len(part) != 3 || !strings.HasPrefix(part[1], "/ask/") {
		l.violation("%s got the request line %q", c.s.Name(), first)
		c.s.Close(true)
		return
	}
	id, _ := strconv.ParseUint(strings.TrimPrefix(part[1], "/ask/"), 10, 64)
	x := l.find(id)
	switch {
	case x == nil || part[0] != x.method:
		l.violation("%s got %q, which nobody asked", c.s.Name(), first)
		c.s.Close(true)
		return
	case c.ask != nil:
		l.violation("%s got %v while it works on %v", c.s.Name(), x, c.ask)
	}
	c.ask, c.read, c.began, c.done, c.written = x, false, false, false, 0
	c.turn++
	l.execute(x, c.a.service, f["weft-client-id"])
	switch {
	case x.upgrade:
		if f["upgrade"] != "echo" {
			l.violation("%v came without its upgrade", x)
		}
		c.tunnel = true
		c.r.state = inTunnel
		c.s.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"))
	case x.harm != "" && c.a.rng.IntN(2) == 0:
		c.later(c.harm)
	case x.early:
		c.later(c.respond)
	}
}

func (c *webConn) later(f func()) {
	turn := c.turn
	pace := c.a.pace
	if pace == 0 {
		pace = 3 * time.Millisecond
	}
	c.a.net.After(time.Duration(c.a.rng.Int64N(int64(pace))), func() {
		if c.turn == turn {
			f()
		}
	})
}

func (c *webConn) data(p []byte) {
	x := c.ask
	if x == nil {
		return
	}
	for i := range p {
		if p[i] != pattern(x.id, x.uploaded+i) {
			c.a.l.violation("%v: its body is not its own at %d", x, x.uploaded+i)
			c.s.Close(true)
			return
		}
	}
	x.uploaded += len(p)
	if c.tunnel {
		c.s.Write(p)
	}
}

func (c *webConn) end() {
	x := c.ask
	if x == nil || c.tunnel {
		return
	}
	if x.uploaded != x.upload {
		c.a.l.violation("%v: its body ended too early", x)
	}
	c.read = true
	c.r.held = true // the next request waits
	if x.harm != "" {
		c.later(c.harm)
		return
	}
	if !c.began {
		c.later(c.respond)
	}
	c.finished()
}

func (c *webConn) harm() {
	switch c.ask.harm {
	case "abort":
		if c.a.rng.IntN(2) == 0 {
			c.respond()
		}
		c.s.Close(true)
	case "end":
		c.s.Close(false)
	default:
		c.s.Write([]byte("HTTP/1.1 503 Busy\r\nweft-code: forged\r\nx-code: busy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"))
		c.s.Close(false)
	}
	c.turn++
}

func (c *webConn) respond() {
	x := c.ask
	if x == nil || c.began {
		return
	}
	c.began = true
	h := fmt.Sprintf("HTTP/1.1 200 OK\r\nx-id: %d\r\n", x.id)
	switch x.framing {
	case "chunked":
		h += "transfer-encoding: chunked\r\n"
	case "close":
		h += "connection: close\r\n"
	default:
		h += fmt.Sprintf("content-length: %d\r\n", x.download)
	}
	c.s.Write([]byte(h + "\r\n"))
	if x.method == "HEAD" {
		c.written, c.done = x.download, true
		c.finished()
		return
	}
	c.more()
}

// more writes the next piece of the response, as long as they go out.
func (c *webConn) more() {
	x := c.ask
	for c.written < x.download {
		n := min(1+c.a.rng.IntN(32<<10), x.download-c.written)
		p := content(^x.id, c.written, n)
		c.written += n
		x.written = c.written
		if x.framing == "chunked" {
			p = append(fmt.Appendf(nil, "%x\r\n", n), p...)
			p = append(p, '\r', '\n')
		}
		if c.s.Write(p) > 0 {
			return // Drained goes on
		}
		if c.a.rng.IntN(4) == 0 && c.written < x.download {
			c.later(c.more)
			return
		}
	}
	if c.done {
		return
	}
	c.done = true
	if x.framing == "chunked" {
		c.s.Write([]byte("0\r\n\r\n"))
	}
	c.finished()
}

// finished: if both messages are complete, the next request may come.
func (c *webConn) finished() {
	x := c.ask
	if !c.done {
		return
	}
	if x.framing == "close" && x.method != "HEAD" {
		c.s.Close(false)
		return
	}
	if !c.read {
		return
	}
	x.served = true
	c.ask = nil
	c.turn++
	c.r.held = false
	c.r.feed(nil)
}

func (c *webConn) Opened(*sim.Socket, error)    {}
func (c *webConn) Data(_ *sim.Socket, p []byte) { c.r.feed(p) }
func (c *webConn) Drained(*sim.Socket) {
	if c.ask != nil && c.began && !c.done {
		c.more()
	}
}
func (c *webConn) EOF(s *sim.Socket) {
	if c.tunnel {
		s.CloseWrite()
		return
	}
	s.Close(false)
	c.turn++
}
func (c *webConn) Closed(*sim.Socket, error) { c.turn++ }

// echoConn sends back what it gets. A conversation begins with "echo ID LENGTH\n".
type echoConn struct {
	a     *app
	first []byte
	ask   *ask
}

func (c *echoConn) Opened(*sim.Socket, error) {}
func (c *echoConn) Drained(s *sim.Socket)     { s.SetReading(true) }
func (c *echoConn) Closed(*sim.Socket, error) {}
func (c *echoConn) EOF(s *sim.Socket) {
	if c.ask != nil && c.ask.uploaded == c.ask.upload {
		c.ask.served = true
	}
	s.Close(false)
}

func (c *echoConn) Data(s *sim.Socket, p []byte) {
	if c.ask == nil {
		c.first = append(c.first, p...)
		i := strings.IndexByte(string(c.first), '\n')
		if i < 0 {
			return
		}
		var id uint64
		if _, err := fmt.Sscanf(string(c.first[:i]), "echo %d", &id); err != nil || c.a.l.find(id) == nil {
			c.a.l.violation("%s got %.40q, which nobody sent", s.Name(), c.first)
			s.Close(true)
			return
		}
		c.ask = c.a.l.find(id)
		c.a.l.execute(c.ask, c.a.service, c.ask.caller)
		p = c.first[i+1:]
	}
	for i := range p {
		if p[i] != pattern(c.ask.id, c.ask.uploaded+i) {
			c.a.l.violation("%v: its bytes are not its own at %d", c.ask, c.ask.uploaded+i)
			s.Close(true)
			return
		}
	}
	c.ask.uploaded += len(p)
	if s.Write(p) > 0 {
		s.SetReading(false)
	}
}

// greetConn speaks first, then answers a line with "250 " and the line, until the client ends.
type greetConn struct {
	a       *app
	line    []byte
	greeted bool
}

func (c *greetConn) Opened(*sim.Socket, error) {}
func (c *greetConn) Drained(*sim.Socket)       {}
func (c *greetConn) Closed(*sim.Socket, error) {}
func (c *greetConn) EOF(s *sim.Socket)         { s.Close(false) }

func (c *greetConn) Data(s *sim.Socket, p []byte) {
	if !c.greeted {
		c.a.l.violation("%s: the client of a server that speaks first spoke first: %q", s.Name(), p)
	}
	c.line = append(c.line, p...)
	for {
		i := strings.IndexByte(string(c.line), '\n')
		if i < 0 {
			return
		}
		var id uint64
		if _, err := fmt.Sscanf(string(c.line[:i]), "hello %d", &id); err == nil && c.a.l.find(id) != nil {
			x := c.a.l.find(id)
			c.a.l.execute(x, c.a.service, x.caller)
			x.served = true
		} else {
			c.a.l.violation("%s got %q", s.Name(), c.line[:i])
		}
		s.Write(append([]byte("250 "), c.line[:i+1]...))
		c.line = c.line[i+1:]
	}
}
