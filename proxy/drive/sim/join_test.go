package sim_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive/sim"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// speaker is one end of an opaque conversation outside the mesh. It says what it has to say in
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

// outside is a proxy with a destination outside the mesh, and what one conversation was.
type outside struct {
	net    *sim.Network
	proxy  *sim.Proxy
	client *speaker
	server *speaker
	story  *bytes.Buffer
}

const outsidePort = 9999

// converse runs one conversation through CONNECT. The client's first bytes are those of no
// protocol.
func converse(seed uint64, cuts string) *outside {
	x := &outside{story: &bytes.Buffer{}}
	n := sim.New(seed, x.story)
	x.net = n
	rng := n.Rand("conversation")
	h := n.Host("proxy", netip.MustParseAddr("10.0.0.1"))
	far := n.Host("outside", netip.MustParseAddr("203.0.113.1"))
	n.Path(h, far).Window = 500 + rng.IntN(64<<10)
	n.Path(h, h).Window = 500 + rng.IntN(64<<10)
	x.proxy = n.Proxy(h, n.Mesh(), core.Config{Limits: core.Limits{IdleTimeout: 30 * time.Second}},
		map[uint16]*core.Listener{anyPort: {Kind: core.ListenTransparent}})
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
	far.Listen(outsidePort, func(s *sim.Socket) {
		s.Adopt(&sim.Prompt{Net: n, Handler: x.server})
		x.server.begin(s)
	})
	s := h.Dial(&sim.Prompt{Net: n, Handler: x.client}, netip.AddrPortFrom(h.Addr, anyPort), time.Second)
	s.User = netip.AddrPortFrom(far.Addr, outsidePort) // its original destination
	return x
}

// moved is what the proxy counted, both ways.
func (x *outside) moved() (sent, got uint64) {
	telemetry.NewCollector(x.proxy.Telemetry).Collect(func(s report.Series) {
		sent, got = sent+s.BytesOut, got+s.BytesIn
	})
	return sent, got
}

func (x *outside) joined() bool { return strings.Contains(x.story.String(), ": joins ") }

func TestAJoinedTunnelIsLikeAnyOther(t *testing.T) {
	var joined [2]int
	for seed := range uint64(80) {
		x := converse(seed, "")
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
		if x.joined() {
			joined[1]++
		} else {
			joined[0]++
		}
		if !bytes.Equal(x.server.got, x.client.say) || !bytes.Equal(x.client.got, x.server.say) || !x.client.ended || !x.server.ended {
			t.Errorf("seed %d, joined %v: the server got %d of %d bytes (end %v, %v), the client %d of %d (end %v, %v)", seed, x.joined(),
				len(x.server.got), len(x.client.say), x.server.ended, x.server.err, len(x.client.got), len(x.server.say), x.client.ended, x.client.err)
		}
		if sent, got := x.moved(); sent != uint64(len(x.client.say)) || got != uint64(len(x.server.say)) {
			t.Errorf("seed %d, joined %v: counted %d and %d, said %d and %d", seed, x.joined(), sent, got, len(x.client.say), len(x.server.say))
		}
		if most > 256<<10 {
			t.Errorf("seed %d: %d bytes waited in the proxy", seed, most)
		}
		if u := x.proxy.Core.Usage(); u.Conns > 0 || u.Timers > 0 || len(x.proxy.Sockets()) > 0 {
			t.Errorf("seed %d: %d sockets and %+v are left", seed, len(x.proxy.Sockets()), u)
		}
	}
	if joined[0] == 0 || joined[1] == 0 {
		t.Errorf("%d joined, %d not: both were to be met", joined[1], joined[0])
	}
}

func TestAResetEndsAJoinedTunnel(t *testing.T) {
	for seed := range uint64(40) {
		for _, who := range []string{"client", "server"} {
			x := converse(seed, who)
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
			if u := x.proxy.Core.Usage(); u.Conns > 0 || u.Timers > 0 || len(x.proxy.Sockets()) > 0 {
				t.Errorf("seed %d, %s: %d sockets and %+v are left", seed, who, len(x.proxy.Sockets()), u)
			}
		}
	}
}

// TestAHalfOpenTunnelThatIsJoinedEndsAfterSilence: and not as long as the other direction moves.
func TestAHalfOpenTunnelThatIsJoinedEndsAfterSilence(t *testing.T) {
	var joined [2]int
	for seed := range uint64(40) {
		x := converse(seed, "")
		x.net.Run(20 * time.Millisecond)
		if x.server.s == nil || x.client.fin || x.server.fin {
			continue
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
		if x.client.err == nil || x.proxy.Core.Conns() > 0 {
			t.Errorf("seed %d, joined %v: half open for ever", seed, x.joined())
		}
		if x.joined() {
			joined[1]++
		} else {
			joined[0]++
		}
	}
	if joined[0] == 0 || joined[1] == 0 {
		t.Errorf("%d joined, %d not: both were to be met", joined[1], joined[0])
	}
}
