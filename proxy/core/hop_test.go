package core

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// ask sends a request on a new connection and gives what comes back.
func (r *rig) ask(request string) string {
	c := r.dial()
	c.send([]byte(request))
	r.settle()
	return string(c.in)
}

const getItems = "GET /items HTTP/1.1\r\nHost: cart\r\n\r\n"

func TestAWorkloadOfTheSameProxyIsReachedWithoutALink(t *testing.T) {
	r := newNodeRig(t, nil, Limits{})
	if got := r.ask(getItems); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "hello") {
		t.Fatalf("got %q", got)
	}
	if r.links != 0 {
		t.Errorf("%d links were made", r.links)
	}
	if !bytes.Contains(r.heard, []byte("weft-client-id: spiffe://m/ns/shop/sa/web\r\n")) {
		t.Errorf("the application is not told who calls: %q", r.heard)
	}
	if bytes.Contains(r.heard, []byte("weft-to")) {
		t.Errorf("the application is told what is for proxies: %q", r.heard)
	}
}

// One request is counted at both ends, as a link's is, and is not called mutual TLS.
func TestBothEndsOfAHopCountItAsLocal(t *testing.T) {
	r := newNodeRig(t, nil, Limits{})
	r.ask(getItems)
	c := r.client.core
	seen := map[telemetry.Direction]telemetry.Key{}
	for _, s := range c.series {
		seen[s.Key.Direction] = s.Key
		if s.Successes.Load() != 1 {
			t.Errorf("outbound: %d succeeded", s.Successes.Load())
		}
	}
	for _, s := range c.inboundSeries {
		seen[s.Key.Direction] = s.Key
		if s.Successes.Load() != 1 || s.Received.Load() != 5 {
			t.Errorf("inbound: %d succeeded, %d bytes", s.Successes.Load(), s.Received.Load())
		}
	}
	if len(seen) != 2 {
		t.Fatalf("counted at %d ends", len(seen))
	}
	for d, k := range seen {
		if !k.Local || k.TLS {
			t.Errorf("%s: local %v, TLS %v", d, k.Local, k.TLS)
		}
	}
	if k := seen[telemetry.Outbound]; k.Source != rigWeb.Name || k.SourceIdentity != rigWeb.Identity {
		t.Errorf("outbound: the source is %v, %s", k.Source, k.SourceIdentity)
	}
	if k := seen[telemetry.Inbound]; k.Backend != rigCart.Name || k.SourceIdentity != rigWeb.Identity {
		t.Errorf("inbound: the backend is %v, the source %s", k.Backend, k.SourceIdentity)
	}
}

// What could not prove its identity on a link gets no hop either.
func TestAHopNeedsTheProofsThatALinkNeeds(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Core)
		links  int
	}{
		{"all is well", func(*Core) {}, 0},
		{"renewed", func(c *Core) { c.SetIdentity(1, rigCart.Identity, time.Hour) }, 0},
		{"the callee has another identity than the mesh says", func(c *Core) { c.SetIdentity(1, "spiffe://m/ns/shop/sa/other", time.Hour) }, 1},
		{"the callee has no identity", func(c *Core) { c.SetIdentity(1, "", time.Hour) }, 1},
		{"the callee's certificate has ended", func(c *Core) { c.SetIdentity(1, rigCart.Identity, -time.Second) }, 1},
		{"the caller's certificate has ended", func(c *Core) { c.SetIdentity(0, rigWeb.Identity, 0) }, 1},
		{"the caller has no identity", func(c *Core) { c.SetIdentity(0, "", time.Hour) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newNodeRig(t, nil, Limits{})
			r.settle()
			c.change(r.client.core)
			r.ask(getItems)
			if r.links != c.links {
				t.Errorf("%d links were made, want %d", r.links, c.links)
			}
		})
	}
}

func TestACertificateThatEndsEndsTheHops(t *testing.T) {
	r := newNodeRig(t, nil, Limits{})
	r.client.core.SetIdentity(1, rigCart.Identity, 10*time.Second)
	if r.ask(getItems); r.links != 0 {
		t.Fatalf("%d links while it was good", r.links)
	}
	r.now += 11 * time.Second
	if r.ask(getItems); r.links != 1 {
		t.Errorf("%d links after its end, want 1", r.links)
	}
}

// An endpoint that claims one workload's link and another's port is refused, as on a link.
func TestAHopServesTheDeclaredPortsOfItsWorkloadOnly(t *testing.T) {
	secret := rigCart
	secret.Name.Name, secret.Identity = "vault-1", "spiffe://m/ns/bank/sa/vault"
	secret.Ports = []AppPort{{Addr: netip.MustParseAddrPort("127.0.0.1:7000")}}
	secret.Link = netip.MustParseAddrPort("127.0.0.1:7001")
	near := rigCart
	near.Link = rigLink
	r := newRigOf(t, nil, Limits{}, rigWeb, near, secret)
	svc := &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}
	for _, proto := range []model.Protocol{model.ProtocolHTTP, model.ProtocolTCP} {
		svc.Ports[0].Protocol = proto
		ep := rigEndpoint
		ep.Addr = secret.Ports[0].Addr
		r.publish(svc, ep)
		r.heard = nil
		got := r.ask(getItems)
		if proto == model.ProtocolHTTP && (!strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.Contains(got, "W3311")) {
			t.Errorf("HTTP: got %q", got)
		}
		if len(r.heard) > 0 || r.links > 0 {
			t.Errorf("%v: somebody was asked: %q, %d links", proto, r.heard, r.links)
		}
	}
}

// A route's filter may not speak for a proxy.
func TestAFilterCannotForgeTheCallersIdentityOnAHop(t *testing.T) {
	svc := &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}, Routes: []model.Route{{
		Kind: model.RouteHTTP, Name: rigService, Rules: []model.Rule{{
			Backends: []model.Backend{{Service: rigService, Port: 80, Weight: 1}},
			Filters: []model.Filter{{RequestHeaders: &model.HeaderModifier{
				Set: []model.NameValue{{Name: "weft-client-id", Value: "spiffe://m/ns/shop/sa/admin"}, {Name: "weft_client_id", Value: "x"}, {Name: "x-kept", Value: "1"}},
			}}},
		}},
	}}}
	r := newNodeRig(t, svc, Limits{})
	r.ask(getItems)
	if n := bytes.Count(r.heard, []byte("weft")); n != 1 || !bytes.Contains(r.heard, []byte("weft-client-id: spiffe://m/ns/shop/sa/web\r\n")) || !bytes.Contains(r.heard, []byte("x-kept: 1\r\n")) {
		t.Errorf("the application was sent %q", r.heard)
	}
}

func TestADrainingWorkloadGetsNothingNewAndItsNeighboursDo(t *testing.T) {
	r := newNodeRig(t, nil, Limits{})
	c := r.dial()
	r.mute = true
	c.send([]byte(getItems))
	r.settle()
	r.client.core.DrainWorkload(1)
	if got := r.ask(getItems); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "W3305") {
		t.Errorf("a new request got %q", got)
	}
	for _, p := range r.pipes {
		if p.app {
			p.send(r.answer)
		}
	}
	r.settle()
	if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) {
		t.Errorf("the request under way got %q", c.in)
	}
	// Elsewhere there is another instance.
	far := rigEndpoint
	far.Link, far.Workload.Name = netip.MustParseAddrPort("10.0.0.9:9001"), "cart-2"
	r.mute = false
	r.publish(&model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}, rigEndpoint, far)
	for range 8 {
		if got := r.ask(getItems); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Fatalf("with another instance: %q", got)
		}
	}
	if r.links != 1 {
		t.Errorf("%d links", r.links)
	}
}

// The whole process drains: what it has begun it finishes, hops included.
func TestADrainingProxyFinishesOverHopsWhatItHasTaken(t *testing.T) {
	r := newNodeRig(t, nil, Limits{})
	c := r.dial()
	r.settle()
	c.send([]byte("GET /items HT"))
	r.settle()
	r.client.core.Drain()
	c.send([]byte("TP/1.1\r\nHost: cart\r\n\r\n"))
	r.settle()
	if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) || !bytes.Contains(c.in, []byte("connection: close")) && !bytes.Contains(c.in, []byte("Connection: close")) {
		t.Errorf("got %q", c.in)
	}
	if r.client.core.Busy() {
		t.Error("it is busy after that")
	}
}

// An application that cannot be connected to is no reason to give up while there is another.
func TestAnApplicationThatIsNotThereIsTriedElsewhere(t *testing.T) {
	r := newNodeRig(t, nil, Limits{})
	r.refuse = rigApp
	far := rigEndpoint
	far.Addr, far.Link, far.Workload.Name = netip.MustParseAddrPort("127.0.0.1:9100"), netip.MustParseAddrPort("10.0.0.9:9001"), "cart-2"
	r.server.core.locals[0].Ports = []AppPort{{Addr: far.Addr}}
	r.publish(&model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}, rigEndpoint, far)
	for range 8 {
		if got := r.ask(getItems); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Fatalf("got %q", got)
		}
	}
	r.publish(&model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}, rigEndpoint)
	if got := r.ask(getItems); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "W3305") {
		t.Errorf("with none left: %q", got)
	}
}

// Two callers of different identities behind one proxy never share a link to the same peer.
func TestCallersOfTwoIdentitiesNeverShareALink(t *testing.T) {
	other := Workload{Name: model.Name{Namespace: "bank", Name: "teller-1"}, Identity: "spiffe://m/ns/bank/sa/teller"}
	twin := rigWeb
	twin.Name.Name = "web-2"
	r := newRigOf(t, nil, Limits{}, rigWeb, other, twin)
	for i, want := range []struct {
		id    string
		links int
	}{{rigWeb.Identity, 1}, {other.Identity, 2}, {rigWeb.Identity, 2}} {
		c, theirs := &pipe{client: true}, &pipe{host: r.client}
		r.connect(c, theirs)
		theirs.conn = r.client.core.Accept(Accept{Listener: &Listener{Kind: ListenService, Workload: i, Service: rigService, Port: 80}, Driver: theirs})
		c.send([]byte(getItems))
		r.settle()
		if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) || !bytes.Contains(r.heard, []byte("weft-client-id: "+want.id+"\r\n")) || r.links != want.links {
			t.Errorf("workload %d: %q; the application heard %q; %d links, want %d", i, c.in, r.heard, r.links, want.links)
		}
	}
	counted := map[model.Name]uint64{}
	for _, s := range r.client.core.series {
		counted[s.Key.Source] += s.Successes.Load()
	}
	if want := (map[model.Name]uint64{rigWeb.Name: 1, other.Name: 1, twin.Name: 1}); !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}

// A response without a body ends with its head, on both sides alike.
func TestAHeadThatIsAWholeResponseEndsTheHop(t *testing.T) {
	r := newNodeRig(t, nil, Limits{})
	c := r.dial()
	for _, answer := range []string{"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"} {
		r.answer = []byte(answer)
		c.send([]byte("HEAD / HTTP/1.1\r\nHost: cart\r\n\r\n"))
		r.settle()
	}
	if n := bytes.Count(c.in, []byte("HTTP/1.1 20")); n != 2 {
		t.Errorf("got %q", c.in)
	}
	for _, s := range r.client.core.inboundSeries {
		if s.Successes.Load() != 2 || s.Classes[2].Load() != 2 {
			t.Errorf("the callee counted %d successes, %d of class 2", s.Successes.Load(), s.Classes[2].Load())
		}
	}
	if n := r.client.core.Conns(); n != 2 {
		t.Errorf("%d connections, want the client's and one to the application", n)
	}
}

// appEnd is the core's end of the only connection to the application.
func (r *rig) appEnd() *pipe {
	for _, p := range r.pipes {
		if p.app {
			return p.other
		}
	}
	r.t.Fatal("there is no connection to the application")
	return nil
}

// Whoever is slow slows down who sends to it, through the hop, and nothing is lost.
func TestASlowClientSlowsDownTheApplicationThroughAHop(t *testing.T) {
	r := newNodeRig(t, nil, Limits{})
	r.mute = true
	c := r.dial()
	c.send([]byte(getItems))
	r.settle()
	app := r.appEnd()
	c.other.stalled = true
	const piece, pieces = 32 << 10, 64
	app.other.send(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", piece*pieces))
	sent := 0
	for ; sent < pieces && !app.paused; sent++ {
		app.other.send(bytes.Repeat([]byte{'x'}, piece))
		r.settle()
	}
	if held := sent * piece; !app.paused || held > highWater+2*piece {
		t.Fatalf("%d bytes were taken for a client that reads nothing; reading stopped: %v", held, app.paused)
	}
	c.other.release()
	r.settle()
	if app.paused {
		t.Fatal("the application is not read again after the client has read")
	}
	for ; sent < pieces; sent++ {
		app.other.send(bytes.Repeat([]byte{'x'}, piece))
		r.settle()
	}
	if n := bytes.Count(c.in, []byte{'x'}); n < piece*pieces {
		t.Errorf("%d bytes arrived of %d", n, piece*pieces)
	}
}

func TestASlowApplicationSlowsDownTheClientThroughAHop(t *testing.T) {
	r := newNodeRig(t, nil, Limits{})
	r.mute = true
	c := r.dial()
	const piece, pieces = 32 << 10, 64
	c.send(fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: %d\r\n\r\n", piece*pieces))
	r.settle()
	app := r.appEnd()
	app.stalled = true
	sent, got := 0, 0
	push := func() {
		c.send(bytes.Repeat([]byte{'x'}, piece))
		r.settle()
		sent++
	}
	for sent < pieces && !c.other.paused {
		push()
	}
	if held := sent * piece; !c.other.paused || held > highWater+2*piece {
		t.Fatalf("%d bytes were taken for an application that reads nothing; reading stopped: %v", held, c.other.paused)
	}
	app.release()
	r.settle()
	if c.other.paused {
		t.Fatal("the client is not read again after the application has read")
	}
	for sent < pieces {
		push()
	}
	for _, s := range r.client.core.inboundSeries {
		got += int(s.Opened.Load())
	}
	if got != 1 || c.other.paused {
		t.Errorf("%d requests, paused %v", got, c.other.paused)
	}
}

// Peers elsewhere are told by GOAWAY; what they sent before is finished.
func TestADrainingWorkloadSaysGoAwayOnItsLinks(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c := r.dial()
	r.mute = true
	c.send([]byte(getItems))
	r.settle()
	if r.links != 1 {
		t.Fatalf("%d links", r.links)
	}
	r.server.core.DrainWorkload(0)
	r.settle()
	r.mute = false
	if got := r.ask(getItems); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "W3305") {
		t.Errorf("a new request got %q", got)
	}
	if r.links > 1+maxTries {
		t.Errorf("%d links were made to a workload that drains", r.links)
	}
	for _, p := range r.pipes {
		if p.app {
			p.send(r.answer)
		}
	}
	r.settle()
	if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) {
		t.Errorf("the request under way got %q", c.in)
	}
	r.pass(10*time.Second, 500*time.Millisecond)
	if n := r.server.core.Conns(); n > 0 {
		t.Errorf("%d links are left", n)
	}
}
