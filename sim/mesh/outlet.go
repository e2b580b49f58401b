package mesh

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/proxy/drive/sim"
	"github.com/weft-mesh/weft/sim/invariant"
)

// outlet is how a user or an application asks: over connections to the proxy beside it, each with
// one request at a time, kept for the next.
type outlet struct {
	w       *world
	host    *sim.Host
	port    uint16
	service bool // the port stands for a service, so requests are not in absolute form
	rng     *rand.Rand
	lines   []*line // open ones
}

// ask is a request with the manner in which it is made.
type ask struct {
	*invariant.Request
	chunked bool
	slow    bool          // its reader is slow
	giveUp  time.Duration // after which its caller does not want it any more; 0: never
	done    func()        // it has its outcome
}

// line is one connection of an outlet.
type line struct {
	o     *outlet
	s     *sim.Socket
	r     reader
	a     *ask // under way; nil: idle
	open  bool
	over  bool
	last  bool // the response is the connection's last
	sent  int
	got   int
	heard int // the status of the response; 0: none yet
	code  string
}

const maxIdleLines = 4

// send makes a request that Begin has numbered.
func (o *outlet) send(a *ask) {
	for _, c := range o.lines {
		if c.a == nil && c.open {
			c.begin(a)
			return
		}
	}
	c := &line{o: o, a: a}
	c.r = reader{response: true, onHead: c.head, onData: c.data, onEnd: c.end, onBad: c.bad}
	o.lines = append(o.lines, c)
	c.s = o.host.Dial(&sim.Prompt{Net: o.w.net, Handler: c}, netip.AddrPortFrom(o.host.Addr, o.port), time.Second)
}

// crash ends all connections, as the death of their process does.
func (o *outlet) crash() {
	lines := o.lines
	o.lines = nil
	for _, c := range lines {
		c.over = true
		c.s.Close(true)
		if a := c.a; a != nil {
			c.a = nil
			o.w.watch.GaveUp(a.Request)
		}
	}
}

func (c *line) begin(a *ask) {
	c.a, c.sent, c.got, c.heard, c.code, c.last = a, 0, 0, 0, "", false
	target := "/open/"
	if a.Private {
		target = "/private/"
	}
	target += strconv.FormatUint(a.ID, 10)
	host := a.Service + ".shop"
	if !c.o.service {
		target = "http://" + host + target
	}
	h := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nWeft-Client-Id: spiffe://weft.local/ns/shop/sa/root\r\n", a.Method, target, host)
	switch {
	case a.chunked:
		h += "Transfer-Encoding: chunked\r\n"
	case a.Upload > 0 || a.Method == "POST":
		h += fmt.Sprintf("Content-Length: %d\r\n", a.Upload)
	}
	c.s.Write([]byte(h + "\r\n"))
	if a.giveUp > 0 {
		c.o.w.net.After(a.giveUp, func() {
			if c.a == a {
				c.o.w.saw(invariant.CallerGaveUp, true)
				c.close(true)
				c.o.w.watch.GaveUp(a.Request)
				a.done()
			}
		})
	}
	if a.slow {
		c.o.w.saw(invariant.SlowReader, true)
		c.doze(30)
	}
	c.push()
}

// push writes the request's body as far as it goes.
func (c *line) push() {
	a := c.a
	for c.sent < a.Upload {
		n := min(1+c.o.rng.IntN(24<<10), a.Upload-c.sent)
		p := content(a.ID, c.sent, n)
		if a.chunked {
			p = append(fmt.Appendf(nil, "%x\r\n", n), append(p, '\r', '\n')...)
		}
		c.sent += n
		if c.sent == a.Upload && a.chunked {
			p = append(p, "0\r\n\r\n"...)
		}
		if c.s.Write(p) > 0 {
			return // Drained goes on
		}
	}
}

// doze makes the caller read now and then only, so many times.
func (c *line) doze(rounds int) {
	a := c.a
	c.s.SetReading(false)
	c.o.w.net.After(between(c.o.rng, 10*time.Millisecond, 80*time.Millisecond), func() {
		c.s.SetReading(true)
		if rounds > 0 && c.a == a && !c.over {
			c.o.w.net.After(2*time.Millisecond, func() {
				if c.a == a && !c.over {
					c.doze(rounds - 1)
				}
			})
		}
	})
}

func (c *line) head(first string, f fields) {
	w := c.o.w
	part := strings.SplitN(first, " ", 3)
	if c.a == nil || len(part) < 2 || !strings.HasPrefix(first, "HTTP/1.1 ") {
		c.bad(strconv.Quote(first))
		return
	}
	c.heard, _ = strconv.Atoi(part[1])
	if c.code = f["weft-code"]; c.code == "" {
		c.code = f["x-code"]
	}
	c.last = strings.EqualFold(f["connection"], "close")
	if c.heard == 200 && f["x-id"] != strconv.FormatUint(c.a.ID, 10) {
		w.watch.Crossed(c.a.Request, f["x-id"])
	}
}

func (c *line) data(p []byte) {
	if c.heard == 200 && c.a != nil && !matches(p, ^c.a.ID, c.got) {
		c.o.w.watch.Garbled(c.a.Request, "its response is not its own behind byte %d", c.got)
		c.heard = -1 // once is enough
	}
	c.got += len(p)
}

func (c *line) end() {
	a, w := c.a, c.o.w
	if a == nil {
		return
	}
	if c.heard == 200 && c.got != a.Download {
		w.watch.Garbled(a.Request, "a response that seems whole has %d bytes", c.got)
	}
	c.a = nil
	if c.last || c.sent < a.Upload || len(c.o.lines) > maxIdleLines {
		c.close(c.sent < a.Upload)
	}
	w.watch.Answered(a.Request, c.heard, c.code)
	a.done()
}

func (c *line) bad(what string) {
	c.o.w.watch.NoHTTP(c.s.Name(), what)
	c.lost("bytes that are no HTTP")
}

// close ends the connection.
func (c *line) close(abort bool) {
	c.over, c.open = true, false
	c.s.Close(abort)
	for i, x := range c.o.lines {
		if x == c {
			c.o.lines = append(c.o.lines[:i], c.o.lines[i+1:]...)
			break
		}
	}
}

// lost ends the connection and the request that is under way.
func (c *line) lost(how string) {
	if c.over {
		return
	}
	c.close(true)
	if a := c.a; a != nil {
		c.a = nil
		c.o.w.watch.Lost(a.Request, how)
		a.done()
	}
}

// Opened implements sim.Handler.
func (c *line) Opened(_ *sim.Socket, err error) {
	switch {
	case c.over:
	case err != nil:
		c.lost("a proxy that is not there")
	default:
		c.open = true
		c.begin(c.a)
	}
}

// Data implements sim.Handler.
func (c *line) Data(_ *sim.Socket, p []byte) {
	if !c.over {
		c.r.feed(p)
	}
}

// Drained implements sim.Handler.
func (c *line) Drained(*sim.Socket) {
	if !c.over && c.a != nil {
		c.push()
	}
}

// EOF implements sim.Handler.
func (c *line) EOF(*sim.Socket) {
	if !c.over && c.a != nil && !c.r.over() {
		c.lost("an early end")
	}
	if !c.over {
		c.close(false)
	}
}

// Closed implements sim.Handler.
func (c *line) Closed(_ *sim.Socket, err error) { c.lost("reset: " + err.Error()) }
