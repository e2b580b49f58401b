package mesh

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/proxy/drive/sim"
	"github.com/weft-mesh/weft/sim/invariant"
)

// talker is the server's side of an opaque conversation. It begins with "talk ID\n" and the caller's
// bytes; the answer is sent when the caller has ended its direction, and not before: half-closed
// connections must work.
type talker struct {
	app   *app
	first []byte
	req   *invariant.Request
	got   int
	out   int
	ended bool
	bad   bool
}

// Data implements sim.Handler.
func (t *talker) Data(s *sim.Socket, p []byte) {
	w := t.app.w
	if t.bad {
		return
	}
	if t.req == nil {
		t.first = append(t.first, p...)
		i := bytes.IndexByte(t.first, '\n')
		if i < 0 {
			return
		}
		var id uint64
		var r *invariant.Request
		if _, err := fmt.Sscanf(string(t.first[:i]), "talk %d", &id); err == nil {
			r = w.watch.Request(id)
		}
		w.watch.Arrived(r, invariant.Arrival{Service: t.app.x.serves, Workload: t.app.x.name})
		if r == nil {
			t.bad = true
			s.Close(true)
			return
		}
		t.req, p = r, t.first[i+1:]
	}
	if !matches(p, t.req.ID, t.got) {
		w.watch.Garbled(t.req, "its bytes are not its own behind byte %d", t.got)
		t.bad = true
		s.Close(true)
		return
	}
	t.got += len(p)
}

// EOF implements sim.Handler.
func (t *talker) EOF(s *sim.Socket) {
	if t.req == nil {
		s.Close(false)
		return
	}
	if t.got != t.req.Upload {
		t.app.w.watch.Garbled(t.req, "its bytes ended in good order after %d", t.got)
	}
	t.ended = true
	t.app.w.saw(invariant.HalfClosed, true)
	t.app.later(between(t.app.rng, 1, 4*time.Millisecond), func() { t.speak(s) })
}

func (t *talker) speak(s *sim.Socket) {
	for t.out < t.req.Download {
		n := min(1+t.app.rng.IntN(16<<10), t.req.Download-t.out)
		p := content(^t.req.ID, t.out, n)
		t.out += n
		if s.Write(p) > 0 {
			return
		}
	}
	s.Close(false)
}

// Drained implements sim.Handler.
func (t *talker) Drained(s *sim.Socket) {
	if t.ended {
		t.speak(s)
	}
}

// Opened implements sim.Handler.
func (t *talker) Opened(*sim.Socket, error) {}

// Closed implements sim.Handler.
func (t *talker) Closed(*sim.Socket, error) {}

// conversation is the caller's side.
type conversation struct {
	w       *world
	rng     *rand.Rand
	r       *invariant.Request
	connect bool // it is asked for with CONNECT
	slow    bool
	done    func()

	s     *sim.Socket
	in    []byte
	on    bool // the way to the server seems to stand
	sent  int
	got   int
	over  bool
	wrong bool
}

func (c *conversation) start(h *sim.Host) {
	port := uint16(talkPort)
	if c.connect {
		port = batchPort
	}
	c.s = h.Dial(&sim.Prompt{Net: c.w.net, Handler: c}, netip.AddrPortFrom(h.Addr, port), time.Second)
}

// Opened implements sim.Handler.
func (c *conversation) Opened(s *sim.Socket, err error) {
	switch {
	case err != nil:
		c.lost("a proxy that is not there")
	case c.connect:
		s.Write([]byte("CONNECT talk.shop:7 HTTP/1.1\r\nHost: talk.shop:7\r\n\r\n"))
	default:
		c.begin()
	}
}

func (c *conversation) begin() {
	c.on = true
	if c.slow {
		c.s.SetReading(false)
		c.w.net.After(150*time.Millisecond, func() { c.s.SetReading(true) })
	}
	c.s.Write(fmt.Appendf(nil, "talk %d\n", c.r.ID))
	c.speak()
}

func (c *conversation) speak() {
	for c.sent < c.r.Upload {
		n := min(1+c.rng.IntN(16<<10), c.r.Upload-c.sent)
		p := content(c.r.ID, c.sent, n)
		c.sent += n
		if c.s.Write(p) > 0 {
			return
		}
	}
	c.s.CloseWrite()
}

// Drained implements sim.Handler.
func (c *conversation) Drained(*sim.Socket) {
	if c.on && !c.over {
		c.speak()
	}
}

// Data implements sim.Handler.
func (c *conversation) Data(s *sim.Socket, p []byte) {
	if !c.on {
		c.in = append(c.in, p...)
		i := bytes.Index(c.in, []byte("\r\n\r\n"))
		if i < 0 {
			return
		}
		if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) {
			c.refused()
			return
		}
		p = c.in[i+4:]
		c.begin()
	}
	if c.over || c.wrong {
		return
	}
	if !matches(p, ^c.r.ID, c.got) {
		c.wrong = true
		c.w.watch.Garbled(c.r, "what came back is not its own behind byte %d", c.got)
	}
	c.got += len(p)
}

// refused: the proxy said no to CONNECT, and why.
func (c *conversation) refused() {
	var status int
	code := ""
	_, _ = fmt.Sscanf(string(c.in), "HTTP/1.1 %d", &status)
	if _, after, ok := bytes.Cut(bytes.ToLower(c.in), []byte("weft-code: ")); ok && len(after) >= 5 {
		code = string(bytes.ToUpper(after[:5]))
	}
	c.over = true
	c.s.Close(true)
	c.w.watch.Answered(c.r, status, code)
	c.done()
}

// EOF implements sim.Handler.
func (c *conversation) EOF(s *sim.Socket) {
	if c.over {
		return
	}
	if c.got < c.r.Download {
		// TCP has no length: only this simulation knows that it was not whole. A tunnel must be reset
		// if its other end was.
		if c.r.Executed > 0 {
			c.w.watch.Garbled(c.r, "the conversation ended in good order after %d bytes", c.got)
		}
		c.lost("an early end")
		return
	}
	c.over = true
	s.Close(false)
	c.w.watch.Answered(c.r, 200, "")
	c.done()
}

// Closed implements sim.Handler.
func (c *conversation) Closed(_ *sim.Socket, err error) { c.lost("reset: " + err.Error()) }

func (c *conversation) lost(how string) {
	if c.over {
		return
	}
	c.over = true
	if c.s != nil {
		c.s.Close(true)
	}
	c.w.watch.Lost(c.r, how)
	c.done()
}
