package sim_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive/sim"
)

// tier is a service of two instances, whose application asks the next tier for each request.
type tier struct {
	net  *sim.Network
	name string
	next *tier
	harm string // what the application does instead of its work: "busy" or "reset"
	got  int    // requests
}

// tierPort is where each proxy takes requests for the next tier.
const tierPort = 8080

// newTiers makes tiers that call each other in their order, and the host of those who call the first.
func newTiers(n *sim.Network, policy *model.Policy, names ...string) (caller *sim.Host, tiers []*tier) {
	m := n.Mesh()
	for i := range names {
		tiers = append(tiers, &tier{net: n, name: names[i]})
	}
	for i, x := range tiers {
		if i+1 < len(tiers) {
			x.next = tiers[i+1]
		}
		e := &model.Endpoints{Service: shop(x.name)}
		for j := range 2 {
			h := n.Host(fmt.Sprintf("%s-%d", x.name, j+1), netip.AddrFrom4([4]byte{10, 1, byte(i + 1), byte(j + 1)}))
			x.beside(h, m, x.next)
			h.Listen(appPort, func(s *sim.Socket) { s.Adopt(&sim.Prompt{Net: n, Handler: &tierConn{x: x, h: h}}) })
			e.Endpoints = append(e.Endpoints, model.Endpoint{
				Port: 80, Addr: appAddr, Link: netip.AddrPortFrom(h.Addr, linkPort), Identity: idOf(x.name), Workload: shop(h.Name),
			})
		}
		m.Set(&model.Service{Name: shop(x.name), Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP, Policy: policy}}}, e)
	}
	caller = n.Host("outside", netip.AddrFrom4([4]byte{10, 1, 0, 1}))
	(&tier{net: n, name: "outside"}).beside(caller, m, tiers[0])
	return caller, tiers
}

// beside starts a proxy for an instance.
func (x *tier) beside(h *sim.Host, m *sim.Mesh, next *tier) {
	w := core.Workload{Name: shop(h.Name), Identity: idOf(x.name), Link: netip.AddrPortFrom(h.Addr, linkPort), Ports: []core.AppPort{{Addr: appAddr, Protocol: model.ProtocolHTTP}}}
	listeners := map[uint16]*core.Listener{linkPort: {Kind: core.ListenLink}}
	if next != nil {
		listeners[tierPort] = &core.Listener{Kind: core.ListenService, Service: shop(next.name), Port: 80}
	}
	x.net.Proxy(h, m, core.Config{Workloads: []core.Workload{w}}, listeners).Start()
}

// tierConn is a connection of an application, one request after the other.
type tierConn struct {
	x  *tier
	h  *sim.Host
	in []byte
}

func (c *tierConn) Opened(*sim.Socket, error) {}
func (c *tierConn) Drained(*sim.Socket)       {}
func (c *tierConn) Closed(*sim.Socket, error) {}
func (c *tierConn) EOF(s *sim.Socket)         { s.Close(false) }

func (c *tierConn) Data(s *sim.Socket, p []byte) {
	c.in = append(c.in, p...)
	if !bytes.HasSuffix(c.in, []byte("\r\n\r\n")) {
		return
	}
	c.in = c.in[:0]
	c.x.got++
	switch {
	case c.x.harm == "reset":
		s.Close(true)
	case c.x.harm == "busy":
		answerTier(s, 503)
	case c.x.next == nil:
		c.x.net.After(2*time.Millisecond, func() { answerTier(s, 200) })
	default:
		askTier(c.x.net, c.h, func(status int) { answerTier(s, status) })
	}
}

func answerTier(s *sim.Socket, status int) {
	s.Write(fmt.Appendf(nil, "HTTP/1.1 %d OK\r\nContent-Length: 0\r\n\r\n", status))
}

// askTier asks the next tier by the proxy of a host. A call without an answer counts as 502.
func askTier(n *sim.Network, h *sim.Host, done func(status int)) {
	c := &tierCall{done: done}
	s := h.Dial(&sim.Prompt{Net: n, Handler: c}, netip.AddrPortFrom(h.Addr, tierPort), time.Second)
	s.Write([]byte("GET / HTTP/1.1\r\nHost: next\r\nConnection: close\r\n\r\n"))
}

// tierCall is one request and its answer.
type tierCall struct {
	in   []byte
	done func(status int)
}

func (c *tierCall) end(status int) {
	if f := c.done; f != nil {
		c.done = nil
		f(status)
	}
}

func (c *tierCall) Opened(_ *sim.Socket, err error) {
	if err != nil {
		c.end(502)
	}
}
func (c *tierCall) Drained(*sim.Socket)       {}
func (c *tierCall) Closed(*sim.Socket, error) { c.end(502) }

func (c *tierCall) Data(_ *sim.Socket, p []byte) { c.in = append(c.in, p...) }

func (c *tierCall) EOF(s *sim.Socket) {
	s.Close(false)
	status := 502
	_, _ = fmt.Sscanf(string(c.in), "HTTP/1.1 %d", &status)
	c.end(status)
}

// phase is a time of steady load.
type phase struct{ asked, failed int }

// load makes requests at a rate for a while, and counts them.
func load(n *sim.Network, caller *sim.Host, perSecond int, d time.Duration) (p phase) {
	for i := range int(d.Seconds() * float64(perSecond)) {
		n.After(time.Duration(i)*time.Second/time.Duration(perSecond), func() {
			p.asked++
			askTier(n, caller, func(status int) {
				if status != 200 {
					p.failed++
				}
			})
		})
	}
	n.Run(d)
	return p
}

// In a total outage of the lowest of three tiers, each of which tries again, the load on it grows by a
// fifth; when it is over, all is well within two seconds and no load remains of it.
func TestAnOutageIsNotMultipliedByTheTiersAbove(t *testing.T) {
	for _, harm := range []string{"busy", "reset"} {
		t.Run(harm, func(t *testing.T) {
			p := model.DefaultPolicy
			r := &p.Calls.Retry
			r.On, r.Codes = model.RetryCodes|model.RetryReset|model.RetryTimeout, []int{500, 502, 503, 504}
			n := sim.New(7, nil)
			caller, tiers := newTiers(n, &p, "front", "middle", "back")
			back := tiers[2]
			if calm := load(n, caller, 200, 10*time.Second); calm.failed > 0 || back.got < calm.asked*99/100 || back.got > calm.asked {
				t.Errorf("before: %d of %d failed, the lowest tier got %d", calm.failed, calm.asked, back.got)
			}
			n.Run(time.Second)
			for _, x := range tiers {
				x.got = 0
			}
			back.harm = harm
			outage := load(n, caller, 200, 20*time.Second)
			n.Run(time.Second)
			for _, x := range tiers {
				by := float64(x.got) / float64(outage.asked)
				t.Logf("%s: %d requests became %d, %.3f times as many", x.name, outage.asked, x.got, by)
				// A fifth, and a little: each caller's share is of what it sent in the window, and balancers move
				// load from one caller to the other meanwhile.
				if by > 1.22 {
					t.Errorf("%s got %.3f times as many requests", x.name, by)
				}
			}
			if by := float64(back.got) / float64(outage.asked); by < 1.05 {
				t.Errorf("%.3f: nothing was tried again", by)
			}
			if outage.failed < outage.asked-1 { // one was under way
				t.Errorf("%d of %d failed in the outage", outage.failed, outage.asked)
			}
			back.harm = ""
			healing := load(n, caller, 200, 2*time.Second)
			back.got = 0
			well := load(n, caller, 200, 4*time.Second)
			n.Run(time.Second)
			t.Logf("%d of %d failed in the first two seconds after", healing.failed, healing.asked)
			if well.failed > 0 || back.got > well.asked*101/100 {
				t.Errorf("after: %d of %d failed, the lowest tier got %d", well.failed, well.asked, back.got)
			}
		})
	}
}
