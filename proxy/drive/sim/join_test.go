package sim_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive/sim"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// speaker is one end of an opaque conversation. It says what it has to say in
// pieces, ends its direction, and notes what the other says.
type speaker struct {
	net   *sim.Network
	rng   *rand.Rand
	s     *sim.Socket
	say   []byte
	cuts  bool // it resets before it has said everything
	got   []byte
	ended bool // the other has
	err   error
	said  int
	fin   bool
	stays bool // it never ends
	lazy  bool // it stops reading now and then
}

func (t *speaker) Opened(s *sim.Socket, _ error) { t.begin(s) }
func (t *speaker) Closed(_ *sim.Socket, e error) { t.err = e }
func (t *speaker) Drained(*sim.Socket)           { t.more() }

func (t *speaker) begin(s *sim.Socket) {
	t.s = s
	t.net.After(time.Duration(t.rng.Int64N(int64(20*time.Millisecond))), t.more)
}

func (t *speaker) more() {
	for t.err == nil && !t.fin && !t.stays && t.s.Queued() == 0 {
		if t.cuts && t.said >= len(t.say)/2 {
			t.fin = true
			t.s.Close(true)
			return
		}
		n := min(len(t.say)-t.said, 1+t.rng.IntN(1+t.rng.IntN(40_000)))
		if n == 0 {
			t.fin = true
			t.s.CloseWrite()
			t.leave()
			return
		}
		t.s.Write(t.say[t.said : t.said+n])
		t.said += n
		if t.rng.IntN(4) == 0 {
			t.net.After(time.Duration(t.rng.Int64N(int64(30*time.Millisecond))), t.more)
			return
		}
	}
}

func (t *speaker) Data(s *sim.Socket, p []byte) {
	t.got = append(t.got, p...)
	if t.lazy && t.rng.IntN(8) == 0 {
		s.SetReading(false)
		t.net.After(time.Duration(t.rng.Int64N(int64(50*time.Millisecond))), func() { s.SetReading(true) })
	}
}

func (t *speaker) EOF(*sim.Socket) {
	t.ended = true
	t.leave()
}

func (t *speaker) leave() {
	if t.fin && t.ended {
		t.s.Close(false)
	}
}

// tunnel is one conversation through one proxy.
type tunnel struct {
	net    *sim.Network
	proxy  *sim.Proxy
	client *speaker
	server *speaker
}

// ways are where the server is: outside the mesh, or a workload beside the client's in the same proxy.
var ways = []struct {
	name string
	ends int // that count it
}{{"outside", 1}, {"same node", 2}}

// converse runs one conversation. The client's first bytes are those of no protocol.
func converse(seed uint64, way, cuts string) *tunnel {
	x := &tunnel{}
	n := sim.New(seed, nil)
	x.net = n
	rng := n.Rand("conversation")
	h := n.Host("proxy", netip.MustParseAddr("10.0.0.1"))
	far := n.Host("outside", netip.MustParseAddr("203.0.113.1"))
	n.Path(h, far).Window = 500 + rng.IntN(64<<10)
	n.Path(h, h).Window = 500 + rng.IntN(64<<10)
	cfg := core.Config{Limits: core.Limits{IdleTimeout: 30 * time.Second}}
	listeners := map[uint16]*core.Listener{anyPort: {Kind: core.ListenTransparent}}
	target := netip.AddrPortFrom(far.Addr, 9999)
	mesh := n.Mesh()
	if way == "same node" {
		far, target = h, appAddr
		link := netip.AddrPortFrom(h.Addr, linkPort)
		cfg.Workloads = []core.Workload{
			{Name: shop("caller-1"), Identity: idOf("caller")},
			{Name: shop("echo-1"), Service: shop("echo"), Identity: idOf("echo"), Link: link, Ports: []core.AppPort{{Addr: target}}},
		}
		listeners[anyPort] = &core.Listener{Kind: core.ListenService, Service: shop("echo"), Port: 7}
		listeners[linkPort] = &core.Listener{Kind: core.ListenLink, Workload: 1}
		mesh.Set(&model.Service{Name: shop("echo"), Ports: []model.Port{{Port: 7}}}, &model.Endpoints{Service: shop("echo"), Endpoints: []model.Endpoint{{
			Port: 7, Addr: target, Link: link, Identity: idOf("echo"), Workload: shop("echo-1"),
		}}})
	}
	x.proxy = n.Proxy(h, mesh, cfg, listeners)
	x.proxy.Start()
	talk := func(name string) *speaker {
		t := &speaker{net: n, rng: n.Rand(name), cuts: cuts == name, lazy: rng.IntN(2) == 0}
		t.say = make([]byte, 1+rng.IntN(1+rng.IntN(600_000)))
		for i := range t.say {
			t.say[i] = byte(rng.Uint32())
		}
		t.say[0] = 0xff
		return t
	}
	x.client, x.server = talk("client"), talk("server")
	far.Listen(target.Port(), func(s *sim.Socket) {
		s.Adopt(&sim.Prompt{Net: n, Handler: x.server})
		x.server.begin(s)
	})
	s := h.Dial(&sim.Prompt{Net: n, Handler: x.client}, netip.AddrPortFrom(h.Addr, anyPort), time.Second)
	s.User = target // its original destination
	return x
}

// moved is what the proxy counted, both ways and at each end.
func (x *tunnel) moved() (sent, got []uint64) {
	telemetry.NewCollector(x.proxy.Telemetry).Collect(func(s report.Series) {
		sent, got = append(sent, s.BytesOut), append(got, s.BytesIn)
	})
	return sent, got
}

func (x *tunnel) joined() bool { return x.proxy.Joined > 0 }

// eachWay runs a test of many seeds for each of the ways. live reports whether the seed was of use.
// The test fails if none of those was joined, or all were.
func eachWay(t *testing.T, seeds uint64, cuts string, live func(t *testing.T, x *tunnel, seed uint64, ends int) bool) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			joined := map[bool]int{}
			for seed := range seeds {
				x := converse(seed, way.name, cuts)
				if live(t, x, seed, way.ends) {
					joined[x.joined()]++
				}
			}
			if joined[true] == 0 || joined[false] == 0 {
				t.Errorf("%d joined, %d not: both were to be met", joined[true], joined[false])
			}
		})
	}
}

// mustBeOver fails if the proxy still holds something.
func (x *tunnel) mustBeOver(t *testing.T, seed uint64) {
	if u := x.proxy.Core.Usage(); u.Conns > 0 || u.Timers > 0 || u.Inflight > 0 || len(x.proxy.Sockets()) > 0 {
		t.Errorf("seed %d, joined %v: %d sockets and %+v are left", seed, x.joined(), len(x.proxy.Sockets()), u)
	}
}

func TestAJoinedTunnelIsLikeAnyOther(t *testing.T) {
	eachWay(t, 80, "", func(t *testing.T, x *tunnel, seed uint64, ends int) bool {
		most := 0
		for range 6000 {
			x.net.Run(10 * time.Millisecond)
			for _, s := range x.proxy.Sockets() {
				most = max(most, s.Queued())
			}
			if x.client.ended && x.server.ended {
				break
			}
		}
		x.net.Run(time.Second)
		if !bytes.Equal(x.server.got, x.client.say) || !bytes.Equal(x.client.got, x.server.say) || !x.client.ended || !x.server.ended {
			t.Errorf("seed %d, joined %v: the server got %d of %d bytes (end %v, %v), the client %d of %d (end %v, %v)", seed, x.joined(),
				len(x.server.got), len(x.client.say), x.server.ended, x.server.err, len(x.client.got), len(x.server.say), x.client.ended, x.client.err)
		}
		said := uint64(len(x.client.say))
		heard := uint64(len(x.server.say))
		if sent, got := x.moved(); !slices.Equal(sent, slices.Repeat([]uint64{said}, ends)) || !slices.Equal(got, slices.Repeat([]uint64{heard}, ends)) {
			t.Errorf("seed %d, joined %v: counted %d and %d, said %d and %d, with %d ends", seed, x.joined(), sent, got, said, heard, ends)
		}
		if most > 256<<10 {
			t.Errorf("seed %d: %d bytes waited in the proxy", seed, most)
		}
		x.mustBeOver(t, seed)
		return true
	})
}

func TestAResetEndsAJoinedTunnel(t *testing.T) {
	for _, who := range []string{"client", "server"} {
		t.Run(who, func(t *testing.T) {
			eachWay(t, 40, who, func(t *testing.T, x *tunnel, seed uint64, _ int) bool {
				x.net.Run(time.Minute)
				broken, other := x.client, x.server
				if who == "server" {
					broken, other = x.server, x.client
				}
				if !bytes.HasPrefix(broken.say, other.got) {
					t.Errorf("seed %d: the bytes before the %s's reset are not what it said", seed, who)
				}
				if other.s != nil && other.err == nil && !broken.ended {
					t.Errorf("seed %d, joined %v: nobody heard of the %s's reset", seed, x.joined(), who)
				}
				x.mustBeOver(t, seed)
				return true
			})
		})
	}
}

// TestAHalfOpenTunnelThatIsJoinedEndsAfterSilence: and not as long as the other direction moves.
func TestAHalfOpenTunnelThatIsJoinedEndsAfterSilence(t *testing.T) {
	eachWay(t, 40, "", func(t *testing.T, x *tunnel, seed uint64, _ int) bool {
		x.net.Run(20 * time.Millisecond)
		if x.server.s == nil || x.client.fin || x.server.fin {
			return false
		}
		x.server.stays = true
		x.net.Run(20 * time.Second)
		for range 5 {
			x.server.s.Write([]byte("still here"))
			x.net.Run(20 * time.Second)
		}
		if !x.server.ended || x.client.err != nil || !strings.HasSuffix(string(x.client.got), strings.Repeat("still here", 5)) {
			t.Errorf("seed %d, joined %v: ended %v, cut short: %v", seed, x.joined(), x.server.ended, x.client.err)
		}
		x.net.Run(time.Minute)
		if x.client.err == nil {
			t.Errorf("seed %d, joined %v: half open for ever", seed, x.joined())
		}
		x.mustBeOver(t, seed)
		return true
	})
}
