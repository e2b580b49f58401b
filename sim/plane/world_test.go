package plane

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-mesh/weft/control"
	"github.com/weft-mesh/weft/control/ca"
	"github.com/weft-mesh/weft/control/state"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/agent"
	"github.com/weft-mesh/weft/proxy/config"
)

const controlHost = "control:15010"

var services = []string{"front", "cart", "stock"}

// world is a control plane and the agents of some workloads.
type world struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand
	net  *Network
	dir  string
	ca   *ca.Authority // for tokens of first contact, as an administrator makes them

	down    func() // ends the control plane; nil: it is down
	members []*member
	serial  int
	story   []string
	what    []string // the same without times
	wrong   []string
}

// member is a workload's agent on a host of its own.
type member struct {
	w       *world
	name    string
	service string
	offset  time.Duration // of its clock
	link    netip.AddrPort
	*agent.Agent
	stop func()
	cut  bool

	mu      sync.Mutex // guards what follows
	history []string   // what it has had in force, one line each
	epoch   string
	seen    uint64 // the newest snapshot of the epoch
}

func newWorld(t *testing.T, seed uint64, dir string) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), net: NewNetwork(seed), dir: dir}
	d, err := state.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	if w.ca, _, err = ca.Open(d, "", time.Now); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	w.what = append(w.what, line)
	w.story = append(w.story, time.Now().Format("02 15:04:05.000 ")+line)
}

// violated notes that an invariant of package invariant does not hold.
func (w *world) violated(name, format string, args ...any) {
	line := name + ": " + fmt.Sprintf(format, args...)
	w.note("VIOLATED %s", line)
	if len(w.wrong) < 5 {
		w.wrong = append(w.wrong, line)
	}
}

// startControl starts the control plane from what is on disk.
func (w *world) startControl() {
	if w.down != nil {
		return
	}
	w.note("the control plane starts")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	ready := make(chan struct{})
	opt := control.Options{
		StateDir: filepath.Join(w.dir, "state"), Listen: controlHost, Bind: w.net.Listen,
		Started: func(control.Started) { close(ready) },
	}
	go func() { ended <- control.Run(ctx, opt) }()
	select {
	case <-ready:
	case err := <-ended:
		w.t.Fatalf("control plane: %v", err)
	}
	w.down = func() {
		cancel()
		if err := <-ended; err != nil {
			w.violated("P", "the control plane ended with %v", err)
		}
	}
}

// stopControl ends it: with its connections, or so that nobody is told.
func (w *world) stopControl(kill bool) {
	if w.down == nil {
		return
	}
	w.note("the control plane ends, killed %v", kill)
	if kill {
		w.net.Reset(controlHost)
	}
	down := w.down
	w.down = nil
	down()
}

// join makes a workload come.
func (w *world) join(service string) *member {
	w.serial++
	name := fmt.Sprintf("%s-%d", service, w.serial)
	m := &member{w: w, name: name, service: service, offset: time.Duration(w.rng.Int64N(int64(4*time.Minute))) - 2*time.Minute}
	m.link = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(w.serial)}), 4143)
	now := func() time.Time { return time.Now().Add(m.offset) }
	random := rand.New(rand.NewPCG(w.seed, uint64(w.serial)+100))
	var mu sync.Mutex // guards random
	token, _, err := w.ca.Token("shop", service, 12*time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := agent.New(agent.Options{
		Control: config.Control{Addr: controlHost, Token: token}, Name: "shop/" + name, Node: name,
		Workloads: []agent.Workload{{
			Workload: config.Workload{
				Name: name, Namespace: "shop", Service: service,
				Ports: []config.Port{{Addr: netip.AddrPortFrom(m.link.Addr(), 9000), Protocol: "http"}},
			},
			Link: m.link,
		}},
		OnTable: m.onTable, ReportEvery: 24 * time.Hour, Log: slog.New(slog.DiscardHandler), Now: now,
		Rand: func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return random.Float64()
		},
		Dial: func(ctx context.Context, addr string) (net.Conn, error) { return w.net.Dial(ctx, name, addr) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	m.Agent = a
	for _, s := range services {
		a.Subscribe(model.Name{Namespace: "shop", Name: s})
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = a.Run(ctx)
	}()
	m.stop = func() {
		cancel()
		<-ended
	}
	w.members = append(w.members, m)
	w.note("%s joins, its clock %s off", name, m.offset.Round(time.Second))
	return m
}

// leave makes a workload go: in good order, or so that the control plane has to notice.
func (w *world) leave(m *member, kill bool) {
	w.note("%s leaves, killed %v", m.name, kill)
	if kill {
		w.net.Reset(m.name)
		w.net.Cut(m.name, controlHost)
	}
	m.stop()
	w.net.Heal(m.name, controlHost)
	w.members = slices.DeleteFunc(w.members, func(x *member) bool { return x == m })
}

// onTable notes what is in force.
func (m *member) onTable(t *decide.Table) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history = append(m.history, time.Now().Format("02 15:04:05.000 ")+told(t))
}

// told says who serves what, by a table.
func told(t *decide.Table) string {
	var b strings.Builder
	for _, s := range services {
		fmt.Fprintf(&b, "%s%v ", s, endpoints(t, s))
	}
	return b.String()
}

func endpoints(t *decide.Table, service string) []string {
	svc, _ := t.Service(model.Name{Namespace: "shop", Name: service})
	if svc == nil || svc.Port(80) == nil {
		return nil
	}
	var out []string
	for i := range svc.Port(80).Default.Set.Endpoints {
		out = append(out, svc.Port(80).Default.Set.Endpoints[i].Workload.Name)
	}
	slices.Sort(out)
	return out
}

// look checks what holds at any time.
func (w *world) look() {
	for _, m := range w.members {
		st := m.Status()
		if st.Epoch == m.epoch && st.Snapshot < m.seen {
			w.violated("S5", "%s went from snapshot %d to %d", m.name, m.seen, st.Snapshot)
		}
		m.epoch, m.seen = st.Epoch, st.Snapshot
		if m.Table() == nil {
			continue // it has not been told anything yet
		}
		w.lookAtIdentity(m)
	}
}

// lookAtIdentity: whoever is in the mesh can prove it to everybody else in it, each by its own clock.
func (w *world) lookAtIdentity(m *member) {
	mine := m.Identity(0).Load()
	if mine.Pair == nil {
		return
	}
	for _, x := range w.members {
		theirs := x.Identity(0).Load()
		if theirs.Bundle == nil {
			continue
		}
		if _, err := identity.Verify([]*x509.Certificate{mine.Pair.TLS.Leaf}, theirs.Bundle, time.Now().Add(x.offset)); err != nil {
			w.violated("L2", "%s cannot prove to %s who it is: %v", m.name, x.name, err)
		}
	}
}

// current checks that everybody knows who is there, and, if exactly, nobody else.
func (w *world) current(exactly bool) {
	want := map[string][]string{}
	for _, m := range w.members {
		want[m.service] = append(want[m.service], m.name)
	}
	for _, m := range w.members {
		t := m.Table()
		if t == nil || !m.Status().Connected {
			w.violated("L1", "%s is not connected: %+v", m.name, m.Status())
			continue
		}
		for _, s := range services {
			slices.Sort(want[s])
			got := endpoints(t, s)
			if !exactly {
				got = slices.DeleteFunc(got, func(n string) bool { return !slices.Contains(want[s], n) })
			}
			if !slices.Equal(got, want[s]) {
				w.violated("L1", "%s knows %v of %s, there are %v", m.name, got, s, want[s])
			}
		}
	}
}

// pass lets time pass, looking now and then.
func (w *world) pass(d time.Duration) {
	for step := max(d/8, time.Millisecond); d > 0; d -= step {
		time.Sleep(min(step, d))
		synctest.Wait()
		w.look()
	}
}
