package sim_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive/sim"
)

// single starts one client with one request.
func (w *world) single(a *ask, change func(c *client)) *client {
	x := w.callers[0]
	a.caller, a.service = x.id, "web"
	if a.framing == "" {
		a.framing = "length"
	}
	c := newClient(w.l, fmt.Sprintf("single %d", len(w.l.asks)), x.host, webPort)
	if change != nil {
		change(c)
	}
	c.todo = []*ask{w.l.add(a)}
	w.running++
	c.done = func() { w.running-- }
	c.start()
	return c
}

// held is more than two proxies and the paths between may hold of one body.
const held = 3 << 20

func TestAClientThatDoesNotReadBoundsWhatIsTakenFromTheApplication(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		w := newWorld(t, seed, nil)
		a := &ask{method: "GET", download: 8 << 20, framing: []string{"length", "chunked"}[seed%2]}
		c := w.single(a, nil)
		w.net.Run(5 * time.Millisecond)
		c.s.SetReading(false)
		w.net.Run(10 * time.Second)
		if got := a.written - c.got; got > held {
			t.Errorf("seed %d: %d bytes of a response are held", seed, got)
		}
		c.s.SetReading(true)
		w.net.Run(10 * time.Second)
		if a.status != 200 && !w.cutByTimeout(a) {
			t.Errorf("seed %d: %v did not go on", seed, a)
		}
		w.settle()
		w.report(seed)
	}
}

// cutByTimeout: the route's timeout ended it.
func (w *world) cutByTimeout(a *ask) bool { return w.timeout > 0 && a.outcomes > 0 }

func TestAnApplicationThatDoesNotReadBoundsWhatIsTakenFromTheClient(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		w := newWorld(t, seed, nil)
		for _, x := range w.servers["web"] {
			x.app.asleep = 9 * time.Second
		}
		a := &ask{method: "POST", upload: 8 << 20, download: 10, chunked: seed%2 == 0}
		c := w.single(a, nil)
		w.net.Run(8 * time.Second)
		if got := c.sentUp - a.uploaded; got > held {
			t.Errorf("seed %d: %d bytes of a request are held", seed, got)
		}
		for _, x := range w.servers["web"] {
			x.app.asleep = 0
		}
		w.net.Run(11 * time.Second)
		if a.status != 200 {
			t.Errorf("seed %d: %v did not go on", seed, a)
		}
		w.settle()
		w.report(seed)
	}
}

func TestARequestDoesNotWaitLongForAControlPlaneThatIsSilent(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.mesh.Mute(true)
	a := &ask{method: "GET"}
	w.single(a, func(c *client) { c.port, c.absolute = anyPort, true })
	w.net.Run(1900 * time.Millisecond)
	if a.outcomes != 0 {
		t.Errorf("%v was given up early", a)
	}
	w.net.Run(200 * time.Millisecond)
	if a.status != 503 || a.code != "W3303" {
		t.Errorf("%v: want 503 W3303 after 2 s", a)
	}
	w.mesh.Mute(false)
	w.settle()
	w.report(1)
}

func TestALinkThatSwallowsEverythingIsNoticed(t *testing.T) {
	w := newWorld(t, 2, nil)
	w.timeout = 0
	w.publish("web")
	for range 4 { // links stand
		w.single(&ask{method: "GET", download: 10}, nil)
	}
	w.net.Run(2 * time.Second)
	for _, x := range w.servers["web"] {
		w.net.Path(w.callers[0].host, x.host).Cut()
	}
	a := &ask{method: "GET", download: 10}
	w.single(a, nil)
	w.net.Run(25 * time.Second) // sooner than TCP would
	if a.outcomes != 1 || a.status < 500 {
		t.Errorf("%v: nothing was noticed", a)
	}
	for _, x := range w.servers["web"] {
		w.net.Path(w.callers[0].host, x.host).Heal()
	}
	w.settle()
	w.report(2)
}

func TestDestinationsOutsideTheMeshDoNotPileUp(t *testing.T) {
	w := newWorld(t, 3, nil)
	x := w.callers[0]
	h := w.net.Host("outside", netip.MustParseAddr("203.0.113.1"))
	h.Listen(80, func(s *sim.Socket) { s.Adopt(&sim.Prompt{Net: w.net, Handler: &teapot{}}) })
	answers := 0
	for i := range 600 {
		name := fmt.Sprintf("n%d.example.com", i)
		if i%3 > 0 {
			w.net.Name(name, h.Addr)
		}
		s := x.host.Dial(&sim.Prompt{Net: w.net, Handler: &teapot{answers: &answers}}, netip.AddrPortFrom(x.host.Addr, anyPort), time.Second)
		s.Write([]byte("GET http://" + name + "/ HTTP/1.1\r\nHost: " + name + "\r\nConnection: close\r\n\r\n"))
		if i%100 == 99 {
			w.net.Run(500 * time.Millisecond)
		}
	}
	if answers != 600 {
		t.Errorf("%d of 600 were answered", answers)
	}
	w.net.Run(time.Minute)
	if u := x.proxy.Core.Usage(); u.Pools > 0 || u.Conns > 0 || u.Timers > 0 {
		t.Errorf("after a minute of silence the proxy holds %+v", u)
	}
	w.settle()
	w.report(3)
}

// teapot is either side of a short exchange.
type teapot struct{ answers *int }

func (*teapot) Opened(*sim.Socket, error) {}
func (*teapot) EOF(s *sim.Socket)         { s.Close(false) }
func (*teapot) Drained(*sim.Socket)       {}
func (*teapot) Closed(*sim.Socket, error) {}
func (p *teapot) Data(s *sim.Socket, _ []byte) {
	if p.answers == nil {
		s.Write([]byte("HTTP/1.1 418 Teapot\r\ncontent-length: 0\r\n\r\n"))
		return
	}
	*p.answers++
	s.SetReading(false)
	s.Close(false)
}

func TestAProxyThatIsFullRefusesMore(t *testing.T) {
	n := sim.New(1, nil)
	h := n.Host("full", netip.MustParseAddr("10.0.0.1"))
	p := n.Proxy(h, n.Mesh(), core.Config{Limits: core.Limits{MaxConns: 3}}, map[uint16]*core.Listener{anyPort: {Kind: core.ListenProxy}})
	p.Start()
	var ends []*ender
	for range 5 {
		e := &ender{}
		ends = append(ends, e)
		h.Dial(&sim.Prompt{Net: n, Handler: e}, netip.AddrPortFrom(h.Addr, anyPort), time.Second)
	}
	n.Run(time.Second)
	over := 0
	for _, e := range ends {
		if e.eof || e.err != nil {
			over++
		}
	}
	if over != 2 || p.Core.Conns() != 3 || len(p.Sockets()) != 3 {
		t.Errorf("%d of 5 were refused, %d are held by the core, %d by the driver; want 2, 3, 3", over, p.Core.Conns(), len(p.Sockets()))
	}
}

// ender notes what happens to a socket.
type ender struct {
	opened  bool
	openErr error
	got     []byte
	eof     bool
	drained int
	err     error
}

func (e *ender) Opened(_ *sim.Socket, err error) { e.opened, e.openErr = true, err }
func (e *ender) Data(_ *sim.Socket, p []byte)    { e.got = append(e.got, p...) }
func (e *ender) EOF(*sim.Socket)                 { e.eof = true }
func (e *ender) Drained(*sim.Socket)             { e.drained++ }
func (e *ender) Closed(_ *sim.Socket, err error) { e.err = err }
