package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/compile"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

const (
	// Grace is how long a workload stays after its stream broke, for a reconnect.
	Grace = 2 * time.Second
	// RestoreGrace is how long one that was read from disk stays without registering again: some
	// of the longest pauses of a proxy between two attempts.
	RestoreGrace = 15 * time.Second

	maxWorkloads = 20000
	maxPorts     = 64
	maxLabels    = 64
	maxText      = 253
)

// State is what a workload is doing.
type State uint8

// The states of an Entry.
const (
	Live     State = iota // its stream is up
	Draining              // its stream is up, and it takes no new requests
	Lost                  // its stream broke or it was read from disk; it goes unless it comes back
)

// String gives the name used in status.
func (s State) String() string { return [...]string{"live", "draining", "lost"}[s] }

// Entry is one registered workload. It is immutable once given out.
type Entry struct {
	Workload model.Workload
	Service  string // it answers for if no Service object says so; may be empty
	State    State
	Since    time.Time // of State
	Proxy    string
	PID      int64

	draining bool // asked for; survives Lost
	instance string
	expires  time.Time // of Lost
	stream   uint64    // that keeps it; 0: none
	raw      *pb.Registration
}

// Registry is the set of registered workloads. Safe for concurrent use.
type Registry struct {
	trustDomain string
	now         func() time.Time
	log         *slog.Logger
	disk        disk

	mu         sync.Mutex // guards what follows
	entries    map[model.Name]*Entry
	generation uint64 // counts changes
	streams    uint64 // counts registrations
	dirty      bool   // to be written

	changed chan struct{} // has room for one: entries changed
	timer   chan struct{} // has room for one: an expiry came
}

// Open makes a registry and takes over what was registered when the state was last written.
func Open(dir Storage, trustDomain string, now func() time.Time, log *slog.Logger) (*Registry, error) {
	r := &Registry{
		trustDomain: trustDomain, now: now, log: log, disk: disk{dir}, entries: map[model.Name]*Entry{},
		changed: make(chan struct{}, 1), timer: make(chan struct{}, 1),
	}
	saved, err := r.disk.read()
	if err != nil {
		return nil, err
	}
	for _, s := range saved {
		e, err := r.entry(s)
		if err != nil {
			log.Warn("a registration on disk was not used", "err", err)
			continue
		}
		e.State, e.Since, e.expires = Lost, now(), now().Add(RestoreGrace)
		r.entries[e.Workload.Name] = e
	}
	return r, nil
}

// Changed gives a channel on which a value waits when something changed since it was last
// received from.
func (r *Registry) Changed() <-chan struct{} { return r.changed }

// All gives the workloads by name, and the generation that this is.
func (r *Registry) All() ([]*Entry, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*Entry, 0, len(r.entries))
	for _, e := range r.entries {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.Workload.Namespace, b.Workload.Namespace), cmp.Compare(a.Workload.Name.Name, b.Workload.Name.Name))
	})
	return out, r.generation
}

// Name gives the workload's name.
func (e *Entry) Name() model.Name { return e.Workload.Name }

// Registered gives a workload as the compiler takes it.
func (e *Entry) Registered() compile.Registered {
	out := compile.Registered{Workload: e.Workload, Service: e.Service, Draining: e.draining}
	if len(e.Workload.Ports) > 0 {
		out.Port = e.Workload.Ports[0].Port
	}
	return out
}

// Lease is one workload's hold on its place.
type Lease struct {
	r      *Registry
	name   model.Name
	stream uint64
	// Generation of the registry that contains the registration.
	Generation uint64
	Identity   string
}

// Register enters a workload. The place of a live one is taken only by the same instance; a lost
// one's place by anyone of the same identity. Errors are coded W2301, W2302 or W2108.
func (r *Registry) Register(m *pb.Registration) (*Lease, error) {
	e, err := r.entry(m)
	if err != nil {
		return nil, err
	}
	n := e.Workload.Name
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.entries[n]; old != nil {
		if old.instance != e.instance && old.State != Lost {
			return nil, taken(old)
		}
		if old.Workload.Identity != e.Workload.Identity {
			return nil, taken(old)
		}
		// A reconnect in the middle of draining is still draining.
		e.draining = old.draining && old.instance == e.instance
	} else if len(r.entries) >= maxWorkloads {
		c := codes.New("W2108", "no more workloads can be registered")
		c.Why = fmt.Sprintf("%d are", len(r.entries))
		return nil, c
	}
	r.streams++
	e.stream, e.Since = r.streams, r.now()
	if e.draining {
		e.State = Draining
	}
	r.put(n, e)
	return &Lease{r: r, name: n, stream: e.stream, Generation: r.generation, Identity: e.Workload.Identity}, nil
}

// Drain marks the workload as draining and gives the generation that says so.
func (l *Lease) Drain() uint64 {
	return l.change(func(e *Entry) *Entry {
		e.draining, e.State, e.Since = true, Draining, l.r.now()
		return e
	})
}

// Leave removes the workload at once.
func (l *Lease) Leave() { l.change(func(*Entry) *Entry { return nil }) }

// Break says that the stream ended without Leave: the grace begins.
func (l *Lease) Break() {
	l.change(func(e *Entry) *Entry {
		e.State, e.Since, e.expires, e.stream = Lost, l.r.now(), l.r.now().Add(Grace), 0
		return e
	})
}

// change applies f to a copy of the entry, if this lease still holds it.
func (l *Lease) change(f func(*Entry) *Entry) uint64 {
	r := l.r
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.entries[l.name]
	if old == nil || old.stream != l.stream {
		return r.generation // another stream has taken the place
	}
	next := *old
	r.put(l.name, f(&next))
	return r.generation
}

// put changes the map; nil removes. The caller holds mu.
func (r *Registry) put(n model.Name, e *Entry) {
	if e == nil {
		delete(r.entries, n)
	} else {
		r.entries[n] = e
	}
	r.generation++
	r.dirty = true
	wake(r.changed)
	wake(r.timer)
}

// Run removes workloads whose grace is over and keeps the file up to date, until ctx ends. What
// is registered then stays in the file.
func (r *Registry) Run(ctx context.Context) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	failing := false
	for {
		next := r.expire()
		if err := r.save(); err != nil && !failing {
			r.log.Warn("registrations are not kept", "err", err)
			failing = true
		} else if err == nil {
			failing = false
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(next.Sub(r.now()), time.Millisecond)
		}
		if failing {
			wait = min(wait, 10*time.Second) // try again
		}
		t.Reset(wait)
		select {
		case <-ctx.Done():
			if err := r.save(); err != nil {
				r.log.Warn("registrations are not kept", "err", err)
			}
			return
		case <-r.timer:
		case <-t.C:
		}
	}
}

// expire removes what is over and gives the next expiry, zero if there is none.
func (r *Registry) expire() (next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, e := range r.entries {
		if e.State != Lost {
			continue
		}
		if !r.now().Before(e.expires) {
			r.log.Info("workload removed", "workload", n.String(), "why", "it did not come back")
			delete(r.entries, n)
			r.generation++
			r.dirty = true
			wake(r.changed)
			continue
		}
		if next.IsZero() || e.expires.Before(next) {
			next = e.expires
		}
	}
	return next
}

func (r *Registry) save() error {
	r.mu.Lock()
	if !r.dirty {
		r.mu.Unlock()
		return nil
	}
	all := make([]*pb.Registration, 0, len(r.entries))
	for _, e := range r.entries {
		all = append(all, e.raw)
	}
	r.dirty = false
	r.mu.Unlock()
	err := r.disk.write(all)
	if err != nil {
		r.mu.Lock()
		r.dirty = true
		r.mu.Unlock()
	}
	return err
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func taken(old *Entry) error {
	e := codes.New("W2301", fmt.Sprintf("workload %s is already there", old.Workload.Name))
	e.Why = fmt.Sprintf("it is %s since %s UTC, process %d, identity %s", old.State, old.Since.UTC().Format(time.DateTime), old.PID, old.Workload.Identity)
	e.Next = []string{"weft whois " + old.Name().String()}
	return e
}

// entry checks a registration and makes an entry of it.
func (r *Registry) entry(m *pb.Registration) (*Entry, error) {
	fail := func(err error) (*Entry, error) {
		e := codes.New("W2302", fmt.Sprintf("registration of %s is not valid", wire.ToName(m.GetName())))
		e.Why = err.Error()
		return nil, e
	}
	n := wire.ToName(m.GetName())
	err := errors.Join(identity.ValidLabel("namespace", n.Namespace), identity.ValidLabel("workload", n.Name))
	if m.GetService() != "" {
		err = errors.Join(err, identity.ValidLabel("namespace", m.GetService())) // services are DNS labels too
	}
	account := m.GetServiceAccount()
	if account == "" {
		if account = m.GetService(); account == "" {
			account = n.Name
		}
	}
	id := identity.ID{TrustDomain: r.trustDomain, Namespace: n.Namespace, ServiceAccount: account}
	err = errors.Join(err, id.Valid())
	if n.Namespace == identity.SystemNamespace {
		err = errors.Join(err, fmt.Errorf("namespace %s is the mesh's own", n.Namespace))
	}
	if len(m.GetPorts()) > maxPorts || len(m.GetLabels()) > maxLabels {
		err = errors.Join(err, fmt.Errorf("%d ports and %d labels, want at most %d and %d", len(m.GetPorts()), len(m.GetLabels()), maxPorts, maxLabels))
	}
	for k, v := range m.GetLabels() {
		if len(k) > maxText || len(v) > maxText {
			err = errors.Join(err, fmt.Errorf("label %.40q is too long", k))
		}
	}
	for _, s := range []string{m.GetInstance(), m.GetZone(), m.GetNode()} {
		if len(s) > maxText {
			err = errors.Join(err, fmt.Errorf("%.40q is longer than %d bytes", s, maxText))
		}
	}
	if len(m.GetProxy()) > 512 {
		err = errors.Join(err, errors.New("the proxy's name is longer than 512 bytes"))
	}
	if err != nil {
		return fail(err)
	}
	link, err := wire.ToAddrPort(m.GetLink())
	if err != nil {
		return fail(fmt.Errorf("link: %w", err))
	}
	w := model.Workload{Name: n, Identity: id.String(), Labels: m.GetLabels(), Link: link, Zone: m.GetZone(), Node: m.GetNode()}
	if err := addPorts(&w, m.GetPorts()); err != nil {
		return fail(err)
	}
	return &Entry{Workload: w, Service: m.GetService(), Proxy: m.GetProxy(), PID: m.GetPid(), instance: m.GetInstance(), raw: m}, nil
}

func addPorts(w *model.Workload, ports []*pb.RegisteredPort) error {
	if len(ports) > 0 && (!w.Link.IsValid() || w.Link.Port() == 0 || w.Link.Addr().IsUnspecified()) {
		return errors.New("it has ports and no link address that peers can dial")
	}
	seen := map[uint16]bool{}
	for _, p := range ports {
		a, err := wire.ToAddrPort(p.GetAddr())
		if err != nil {
			return fmt.Errorf("port %q: %w", p.GetName(), err)
		}
		proto, err := wire.ToProtocol(p.GetProtocol())
		if err != nil {
			return fmt.Errorf("port %q: %w", p.GetName(), err)
		}
		if !a.IsValid() || a.Port() == 0 {
			return fmt.Errorf("port %q has no address", p.GetName())
		}
		if seen[a.Port()] {
			return fmt.Errorf("port %d is there twice", a.Port())
		}
		seen[a.Port()] = true
		w.Ports = append(w.Ports, model.Port{Name: p.GetName(), Port: a.Port(), Protocol: proto})
		if !slices.ContainsFunc(w.Addrs, func(x netip.Addr) bool { return x == a.Addr() }) {
			w.Addrs = append(w.Addrs, a.Addr())
		}
	}
	return nil
}
