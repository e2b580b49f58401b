package discovery

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/ca"
	"github.com/weft-mesh/weft/control/compile"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

func name(n string) model.Name { return model.Name{Namespace: "shop", Name: n} }

// memory is a state directory in memory.
type memory map[string][]byte

func (m memory) Read(n string) ([]byte, error)  { return m[n], nil }
func (m memory) Write(n string, b []byte) error { m[n] = b; return nil }
func (m memory) Path() string                   { return "memory" }

var bundle = func() *identity.Bundle {
	a, _, err := ca.Open(memory{}, "", time.Now)
	if err != nil {
		panic(err)
	}
	return a.Bundle()
}()

// world is a mesh to make snapshots of.
type world struct {
	t    testing.TB
	last *snapshot.Snapshot
	svcs map[string]*model.Service
	eps  map[string]int
}

func newWorld(t testing.TB) *world {
	return &world{t: t, svcs: map[string]*model.Service{}, eps: map[string]int{}}
}

// put makes or changes a service that routes to others.
func (w *world) put(n string, endpoints int, backends ...string) *world {
	s := &model.Service{Name: name(n), Ports: []model.Port{{Port: 80}}}
	for _, b := range backends {
		s.Routes = append(s.Routes, model.Route{Kind: model.RouteHTTP, Name: name(n), Rules: []model.Rule{{Backends: []model.Backend{{Service: name(b), Port: 80, Weight: 1}}}}})
	}
	w.svcs[n], w.eps[n] = s, endpoints
	return w
}

func (w *world) drop(n string) *world { delete(w.svcs, n); return w }

func (w *world) snap() *snapshot.Snapshot {
	w.t.Helper()
	c := &compile.Snapshot{Services: map[model.Name]*model.Service{}, Endpoints: map[model.Name]*model.Endpoints{}}
	for n, s := range w.svcs {
		c.Services[s.Name] = s
		e := &model.Endpoints{Service: s.Name}
		for i := range w.eps[n] {
			e.Endpoints = append(e.Endpoints, model.Endpoint{Port: 80, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80)})
		}
		c.Endpoints[s.Name] = e
	}
	next, err := snapshot.Build(w.last, c, bundle, 0, time.Unix(0, 0))
	if err != nil {
		w.t.Fatal(err)
	}
	w.last = next
	return next
}

// client is a proxy's side: what it holds by the messages it got.
type client struct {
	t      testing.TB
	s      *session
	held   map[snapshot.Key]*pb.Resource
	absent map[model.Name]bool
	refuse map[snapshot.Key]bool
}

func newClient(t testing.TB, cur *snapshot.Snapshot, names ...string) *client {
	t.Helper()
	h := &pb.Hello{Proxy: "p"}
	h.Subscriptions = subscribe(names...)
	s, err := newSession(h, cur)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, s: s, held: map[snapshot.Key]*pb.Resource{}, absent: map[model.Name]bool{}, refuse: map[snapshot.Key]bool{}}
}

func subscribe(names ...string) *pb.Subscribe {
	out := &pb.Subscribe{}
	for _, n := range names {
		out.Services = append(out.Services, wire.Name(name(n)))
	}
	return out
}

// take applies an update and acknowledges it.
func (c *client) take(parts []*pb.Update) (changed int) {
	c.t.Helper()
	if parts == nil {
		return 0
	}
	ack := &pb.Ack{Sequence: parts[0].GetSequence()}
	for i, u := range parts {
		if u.GetMore() != (i < len(parts)-1) || u.GetSequence() != ack.GetSequence() {
			c.t.Fatalf("part %d of %d: %v", i, len(parts), u)
		}
		for _, k := range u.GetRemoved() {
			delete(c.held, snapshot.Key{Kind: k.GetKind(), Name: wire.ToName(k.GetName())})
			delete(c.absent, wire.ToName(k.GetName()))
		}
		for _, n := range u.GetAbsent() {
			delete(c.held, snapshot.Key{Kind: pb.Kind_KIND_SERVICE, Name: wire.ToName(n)})
			delete(c.held, snapshot.Key{Kind: pb.Kind_KIND_ENDPOINTS, Name: wire.ToName(n)})
			c.absent[wire.ToName(n)] = true
		}
		for _, r := range u.GetChanged() {
			changed++
			if c.refuse[keyOf(r)] {
				ack.Rejected = append(ack.Rejected, &pb.Rejection{Kind: r.GetKind(), Name: r.GetName(), Reason: "no"})
				continue
			}
			c.held[keyOf(r)] = r
			delete(c.absent, wire.ToName(r.GetName()))
		}
	}
	if err := c.s.ack(ack); err != nil {
		c.t.Fatal(err)
	}
	return changed
}

// holds checks that the proxy holds these services and no other.
func (c *client) holds(names ...string) {
	c.t.Helper()
	want := map[model.Name]bool{}
	for _, n := range names {
		want[name(n)] = true
	}
	got := map[model.Name]bool{}
	for k := range c.held {
		if k.Kind == pb.Kind_KIND_SERVICE {
			got[k.Name] = true
		}
	}
	if !maps.Equal(want, got) {
		c.t.Errorf("the proxy holds %v, want %v", got, want)
	}
}

func TestOnlyWhatChangedIsSent(t *testing.T) {
	w := newWorld(t).put("a", 1).put("b", 1).put("c", 1)
	c := newClient(t, w.snap(), "a", "b")
	if n := c.take(c.s.step(w.snap(), "e")); n != 5 { // two services with endpoints, and the bundle
		t.Errorf("at first %d resources, want 5", n)
	}
	if parts := c.s.step(w.snap(), "e"); parts != nil {
		t.Errorf("nothing changed, and %v was sent", parts)
	}
	if n := c.take(c.s.step(w.put("a", 2).snap(), "e")); n != 1 {
		t.Errorf("after a change of endpoints %d resources, want 1", n)
	}
	if parts := c.s.step(w.put("c", 2).snap(), "e"); parts != nil {
		t.Errorf("a service that nobody asked for: %v", parts)
	}
	if c.s.inForce != w.last.Number {
		t.Errorf("snapshot %d is in force, want %d, as nothing in it concerns the proxy", c.s.inForce, w.last.Number)
	}
}

func TestASubscriptionBringsWhatItsRoutesLeadTo(t *testing.T) {
	w := newWorld(t).put("a", 1, "b").put("b", 1, "c", "a").put("c", 1).put("d", 1)
	c := newClient(t, w.snap(), "a")
	c.take(c.s.step(w.last, "e"))
	c.holds("a", "b", "c")
	c.take(c.s.step(w.put("a", 1, "d").snap(), "e"))
	c.holds("a", "d")
}

func TestAbsentServicesAreToldAndAppearLater(t *testing.T) {
	w := newWorld(t).put("a", 1)
	c := newClient(t, w.snap(), "a", "ghost")
	c.take(c.s.step(w.last, "e"))
	if !c.absent[name("ghost")] {
		t.Fatal("the absent service was not told")
	}
	c.take(c.s.step(w.put("ghost", 1).snap(), "e"))
	c.holds("a", "ghost")
	if c.absent[name("ghost")] {
		t.Error("it is there and still absent")
	}
	c.take(c.s.step(w.drop("ghost").snap(), "e"))
	c.holds("a")
	if !c.absent[name("ghost")] {
		t.Error("it went and is not absent")
	}
	c.s.unsubscribe(&pb.Unsubscribe{Services: subscribe("ghost").GetServices()})
	c.take(c.s.step(w.last, "e"))
	if c.absent[name("ghost")] {
		t.Error("it is unsubscribed and still absent")
	}
}

func TestAddressesFindTheirService(t *testing.T) {
	w := newWorld(t).put("a", 1)
	ip := netip.MustParseAddr("10.96.0.1")
	c := newClient(t, w.snap())
	if err := c.s.subscribe(&pb.Subscribe{Addresses: [][]byte{ip.AsSlice()}}); err != nil {
		t.Fatal(err)
	}
	parts := c.s.step(w.last, "e")
	if len(parts[0].GetAbsentAddresses()) != 1 {
		t.Errorf("the address of nobody: %v", parts)
	}
	c.take(parts)
	w.put("b", 1)
	w.svcs["b"].IPs = []netip.Addr{ip}
	c.take(c.s.step(w.snap(), "e"))
	c.holds("b")
}

func TestASlowProxyGetsTheLatestStateInOneStep(t *testing.T) {
	w := newWorld(t).put("a", 0)
	c := newClient(t, w.snap(), "a")
	first := c.s.step(w.last, "e")
	for i := range 100 {
		if parts := c.s.step(w.put("a", i+1).snap(), "e"); parts != nil {
			t.Fatal("a second update before the first was answered")
		}
	}
	c.take(first)
	if n := c.take(c.s.step(w.last, "e")); n != 1 {
		t.Errorf("%d resources for 100 changes of one, want 1", n)
	}
	if c.s.step(w.last, "e") != nil {
		t.Error("there was more")
	}
}

func TestARejectedResourceIsNotSentAgainUntilItChanges(t *testing.T) {
	w := newWorld(t).put("a", 1)
	c := newClient(t, w.snap(), "a")
	k := snapshot.Key{Kind: pb.Kind_KIND_ENDPOINTS, Name: name("a")}
	c.take(c.s.step(w.last, "e"))
	old := c.s.view()[k]
	c.refuse[k] = true
	c.take(c.s.step(w.put("a", 2).snap(), "e"))
	if c.s.rejected[k] == "" || c.s.view()[k] != old {
		t.Error("the rejected version counts as in force")
	}
	if parts := c.s.step(w.last, "e"); parts != nil {
		t.Errorf("it was sent again: %v", parts)
	}
	c.refuse[k] = false
	c.take(c.s.step(w.put("a", 3).snap(), "e"))
	if c.s.rejected[k] != "" || c.s.view()[k] == old {
		t.Error("the repaired version is not in force")
	}
}

func TestAReconnectSendsTheDifferenceOnly(t *testing.T) {
	w := newWorld(t).put("a", 1).put("b", 1).put("gone", 1)
	c := newClient(t, w.snap(), "a", "b", "gone")
	c.take(c.s.step(w.last, "e"))
	h := &pb.Hello{Proxy: "p", Subscriptions: subscribe("a", "b")}
	for k, r := range c.held {
		h.Held = append(h.Held, &pb.Held{Kind: k.Kind, Name: wire.Name(k.Name), Version: r.GetVersion()})
	}
	// Another control plane, or the same after a restart, has equal contents but for a.
	other := newWorld(t).put("a", 2).put("b", 1)
	s, err := newSession(h, other.snap())
	if err != nil {
		t.Fatal(err)
	}
	c.s = s
	if n := c.take(c.s.step(other.last, "e2")); n != 1 {
		t.Errorf("%d resources, want the endpoints of a only", n)
	}
	c.holds("a", "b")
	if len(c.s.view()) != len(c.held) {
		t.Errorf("%d resources count as acknowledged, the proxy holds %d", len(c.s.view()), len(c.held))
	}
}

func TestLargeUpdatesComeInParts(t *testing.T) {
	w := newWorld(t)
	var names []string
	for i := range 60 {
		n := fmt.Sprintf("s%d", i)
		w.put(n, 200)
		w.svcs[n].Routes = []model.Route{{Name: name(n), Hostnames: []string{string(make([]byte, 50000))}}}
		names = append(names, n)
	}
	c := newClient(t, w.snap(), names...)
	parts := c.s.step(w.last, "e")
	if len(parts) < 3 {
		t.Errorf("%d parts", len(parts))
	}
	for _, u := range parts {
		if n := proto.Size(u); n > partSize+100<<10 {
			t.Errorf("a part of %d bytes", n)
		}
	}
	c.take(parts)
	c.holds(names...)
}

func TestBrokenProxiesAreToldSo(t *testing.T) {
	w := newWorld(t)
	cur := w.snap()
	code := func(err error) string {
		var e *codes.Error
		errors.As(err, &e)
		if e == nil {
			return ""
		}
		return e.Code
	}
	if _, err := newSession(&pb.Hello{}, cur); code(err) != "W2107" {
		t.Errorf("no name: %v", err)
	}
	s, _ := newSession(&pb.Hello{Proxy: "p"}, cur)
	if err := s.ack(&pb.Ack{Sequence: 1}); code(err) != "W2107" {
		t.Errorf("an answer to nothing: %v", err)
	}
	if err := s.subscribe(&pb.Subscribe{Addresses: [][]byte{{1}}}); code(err) != "W2107" {
		t.Errorf("an address of one byte: %v", err)
	}
	if err := s.subscribe(&pb.Subscribe{Services: []*pb.Name{{}}}); code(err) != "W2107" {
		t.Errorf("an empty name: %v", err)
	}
	many := &pb.Subscribe{}
	for i := range maxSubscriptions + 1 {
		many.Services = append(many.Services, wire.Name(name(fmt.Sprint(i))))
	}
	if err := s.subscribe(many); code(err) != "W2108" {
		t.Errorf("too many subscriptions: %v", err)
	}
}

// Whatever happens in whatever order, an honest proxy ends up with exactly what it wants of the
// latest snapshot.
func TestAnyHistoryConverges(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		names := []string{"a", "b", "c", "d", "e"}
		c := newClient(t, w.snap())
		subs := map[string]bool{}
		var flight []*pb.Update
		for range 60 {
			n := names[r.IntN(len(names))]
			switch r.IntN(6) {
			case 0:
				w.put(n, r.IntN(3), names[r.IntN(len(names))]).snap()
			case 1:
				w.drop(n).snap()
			case 2:
				subs[n] = true
				if err := c.s.subscribe(subscribe(n)); err != nil {
					t.Fatal(err)
				}
			case 3:
				delete(subs, n)
				c.s.unsubscribe(&pb.Unsubscribe{Services: subscribe(n).GetServices()})
			case 4:
				if flight == nil {
					flight = c.s.step(w.last, "e")
				}
			case 5:
				c.take(flight)
				flight = nil
			}
		}
		c.take(flight)
		c.take(c.s.step(w.last, "e"))
		if c.s.step(w.last, "e") != nil {
			t.Fatalf("seed %d: two steps were not enough", seed)
		}
		wanted, absent, _ := c.s.want(w.last)
		if len(c.held) != len(wanted) || len(c.absent) != len(absent) {
			t.Fatalf("seed %d: holds %d, absent %v, want %d, %v", seed, len(c.held), c.absent, len(wanted), absent)
		}
		for k := range wanted {
			if c.held[k].GetVersion() != w.last.Resource(k).GetVersion() {
				t.Fatalf("seed %d: %v is not the latest", seed, k)
			}
			if c.s.view()[k].GetVersion() != w.last.Resource(k).GetVersion() {
				t.Fatalf("seed %d: %v is not acknowledged", seed, k)
			}
		}
	}
}
