package registry_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/registry"
	"github.com/weft-mesh/weft/model/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a state directory in memory.
type memory map[string][]byte

func (m memory) Read(n string) ([]byte, error)  { return m[n], nil }
func (m memory) Write(n string, b []byte) error { m[n] = b; return nil }
func (m memory) Path() string                   { return "memory" }

func open(t testing.TB, m memory) *registry.Registry {
	t.Helper()
	r, err := registry.Open(m, "weft.local", time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func addr(s string) *pb.AddrPort { return wire.AddrPort(netip.MustParseAddrPort(s)) }

func cart(instance string) *pb.Registration {
	return &pb.Registration{
		Name: &pb.Name{Namespace: "shop", Name: "cart"}, Instance: instance, Service: "cart", Link: addr("10.0.0.1:15001"),
		Ports: []*pb.RegisteredPort{{Addr: addr("127.0.0.1:8081"), Protocol: pb.Protocol_PROTOCOL_HTTP}},
	}
}

func register(t testing.TB, r *registry.Registry, m *pb.Registration) *registry.Lease {
	t.Helper()
	l, err := r.Register(m)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func states(r *registry.Registry) string {
	all, _ := r.All()
	var out []string
	for _, e := range all {
		out = append(out, e.Workload.Name.Name+" "+e.State.String())
	}
	return strings.Join(out, ", ")
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	var e *codes.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%v, want %s", err, code)
	}
}

// inBubble runs a registry's life in simulated time.
func inBubble(t *testing.T, m memory, f func(r *registry.Registry)) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, m)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		f(r)
		cancel()
		<-done
	})
}

func TestABrokenStreamKeepsItsPlaceForTheGrace(t *testing.T) {
	inBubble(t, memory{}, func(r *registry.Registry) {
		register(t, r, cart("one")).Break()
		time.Sleep(registry.Grace - time.Millisecond)
		if got := states(r); got != "cart lost" {
			t.Errorf("within the grace: %q", got)
		}
		time.Sleep(2 * time.Millisecond)
		if got := states(r); got != "" {
			t.Errorf("after the grace: %q", got)
		}
	})
}

func TestAReconnectKeepsThePlaceAndTheOldStreamsEndChangesNothing(t *testing.T) {
	inBubble(t, memory{}, func(r *registry.Registry) {
		old := register(t, r, cart("one"))
		old.Drain()
		register(t, r, cart("one")) // before the old stream was seen to end
		old.Break()
		old.Leave()
		time.Sleep(time.Minute)
		if got := states(r); got != "cart draining" {
			t.Errorf("%q, want draining as before", got)
		}
	})
}

func TestALiveNameIsNotTakenByAnother(t *testing.T) {
	inBubble(t, memory{}, func(r *registry.Registry) {
		l := register(t, r, cart("one"))
		_, err := r.Register(cart("two"))
		wantCode(t, err, "W2301")
		l.Break()
		thief := cart("two")
		thief.ServiceAccount = "other"
		_, err = r.Register(thief)
		wantCode(t, err, "W2301")
		register(t, r, cart("two")) // the restarted process, while its predecessor is lost
		if got := states(r); got != "cart live" {
			t.Errorf("%q", got)
		}
	})
}

func TestLeavingIsAtOnceAndTold(t *testing.T) {
	inBubble(t, memory{}, func(r *registry.Registry) {
		l := register(t, r, cart("one"))
		<-r.Changed()
		_, before := r.All()
		l.Leave()
		<-r.Changed()
		if all, after := r.All(); len(all) != 0 || after <= before {
			t.Errorf("%d workloads, generation %d after %d", len(all), after, before)
		}
	})
}

func TestARestartedControlPlaneRemembersUntilWorkloadsHadTimeToComeBack(t *testing.T) {
	m := memory{}
	inBubble(t, m, func(r *registry.Registry) { register(t, r, cart("one")) })
	inBubble(t, m, func(r *registry.Registry) {
		if got := states(r); got != "cart lost" {
			t.Fatalf("%q", got)
		}
		all, _ := r.All()
		if reg := all[0].Registered(); reg.Port != 8081 || reg.Service != "cart" || reg.Workload.Identity != "spiffe://weft.local/ns/shop/sa/cart" {
			t.Errorf("%+v", reg)
		}
		time.Sleep(registry.RestoreGrace - time.Millisecond)
		if got := states(r); got != "cart lost" {
			t.Errorf("within the grace: %q", got)
		}
		time.Sleep(2 * time.Millisecond)
		if got := states(r); got != "" {
			t.Errorf("after it: %q", got)
		}
	})
	m["registry.json"] = []byte("{")
	_, err := registry.Open(m, "weft.local", time.Now, slog.New(slog.DiscardHandler))
	wantCode(t, err, "W2002")
}

func TestRegistrationsThatCannotWorkAreRefused(t *testing.T) {
	r := open(t, memory{})
	for name, spoil := range map[string]func(*pb.Registration){
		"no name":                  func(m *pb.Registration) { m.Name = nil },
		"a name that is no label":  func(m *pb.Registration) { m.Name.Name = "Cart!" },
		"the mesh's own namespace": func(m *pb.Registration) { m.Name.Namespace = "weft-system" },
		"an account with a slash":  func(m *pb.Registration) { m.ServiceAccount = "a/b" },
		"a service with a dot":     func(m *pb.Registration) { m.Service = "a.b" },
		"ports without a link":     func(m *pb.Registration) { m.Link = nil },
		"a link to everywhere":     func(m *pb.Registration) { m.Link = addr("0.0.0.0:1") },
		"a port without address":   func(m *pb.Registration) { m.Ports[0].Addr = nil },
		"port 0":                   func(m *pb.Registration) { m.Ports[0].Addr = addr("127.0.0.1:0") },
		"an unknown protocol":      func(m *pb.Registration) { m.Ports[0].Protocol = 77 },
		"a port twice":             func(m *pb.Registration) { m.Ports = append(m.Ports, m.Ports[0]) },
		"a thousand ports":         func(m *pb.Registration) { m.Ports = make([]*pb.RegisteredPort, 1000) },
		"a label of a megabyte":    func(m *pb.Registration) { m.Labels = map[string]string{"a": string(make([]byte, 1<<20))} },
	} {
		m := cart("one")
		spoil(m)
		if _, err := r.Register(m); err == nil {
			t.Errorf("%s was accepted", name)
		} else {
			wantCode(t, err, "W2302")
		}
	}
	if got := states(r); got != "" {
		t.Errorf("registered: %q", got)
	}
}
