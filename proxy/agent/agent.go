package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/config"
)

// Options say what an Agent keeps up.
type Options struct {
	Control   config.Control
	Name      string     // of the proxy; unique in the mesh
	Build     string     // version of the proxy, for weft status
	Workloads []Workload // whom the proxy serves, at least one
	Node      string     // host name, for display
	Metrics   string     // where the proxy serves metrics, "ip:port", for weft status; empty: nowhere

	// StateDir keeps the last good view; empty: not kept.
	StateDir string

	// OnTable is called with each new table, from one goroutine at a time, before the control
	// plane is told that it is in force: when it returns, the table must be. It must not block.
	OnTable func(*decide.Table)

	// OnWorkloads is called, likewise and before OnTable, when what the mesh says of the proxy's own
	// workloads has changed: with a value for each of Workloads, nil if nothing was said yet. The values
	// are not to be changed.
	OnWorkloads func([]*model.Workload)

	// Reporter is asked for telemetry each ReportEvery (0: one second); nil: none is sent.
	Reporter    Reporter
	ReportEvery time.Duration

	// Sets is asked at the same times how the balancers see the endpoints that they choose from; it
	// gives the sets that changed, which are the Agent's from then on. Nil: none are sent.
	Sets func() []report.Set

	Log  *slog.Logger
	Now  func() time.Time // nil: time.Now
	Rand func() float64   // uniform in [0, 1), safe for concurrent use; nil: math/rand
	Dial Dial             // to Control.Addr; nil: TCP
}

// Reporter is where telemetry comes from.
type Reporter interface {
	// Collect calls add for every series on which something happened since the last Collect. It
	// is called from one goroutine.
	Collect(add func(report.Series))
}

// Agent keeps a proxy in touch with the control plane: one view for all of its workloads, an
// identity and a registration for each. Its methods are safe for concurrent use.
type Agent struct {
	opt      Options
	instance string
	log      *slog.Logger
	members  []*member  // in the order of Options.Workloads
	keepers  []*Keeper  // of their identities
	channels []*channel // to the control plane; the first also carries discovery
	subs     subscriptions

	table atomic.Pointer[decide.Table]
	own   []*model.Workload // last told by OnWorkloads; of the discovery goroutine

	mu      sync.Mutex // guards what follows; a leaf
	status  Status
	changed chan struct{} // closed and replaced whenever a table or an absence came
	absent  map[netip.Addr]bool

	collecting sync.Mutex // held while the Reporter is asked

	ready     chan struct{}
	readyOnce sync.Once
	synced    latch         // a live update was acknowledged
	restored  latch         // a view from disk is in force
	offline   latch         // the control plane could not be reached for a while
	renewed   chan struct{} // has room for one: an identity changed
}

// channel is one connection to the control plane, and the reports that go over it.
type channel struct {
	keeper  *Keeper // whose identity it proves, over TCP
	conn    *grpc.ClientConn
	reports outbox
}

// Status is the agent's state, for the admin page and logs.
type Status struct {
	Connected bool      `json:"connected"` // to the control plane's discovery
	Since     time.Time `json:"since"`     // of Connected as it is
	Epoch     string    `json:"epoch,omitempty"`
	Snapshot  uint64    `json:"snapshot"`            // acknowledged
	Services  int       `json:"services"`            // in the table
	FromDisk  bool      `json:"fromDisk"`            // the view in force was read from disk and not confirmed yet
	Rejected  uint64    `json:"rejected"`            // resources that could not be used, since the start
	LastError string    `json:"lastError,omitempty"` // of the control plane's connection; empty while connected

	// RegisterError is why a workload was refused, e.g. its name is taken; empty if none was.
	RegisterError string `json:"registerError,omitempty"`
}

// New checks the options and makes an Agent. Errors are coded W2207, W2008 or W2102.
func New(opt Options) (*Agent, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Rand == nil {
		opt.Rand = mrand.Float64
	}
	if opt.ReportEvery <= 0 {
		opt.ReportEvery = time.Second
	}
	if opt.Name == "" {
		return nil, badOptions("the proxy has no name")
	}
	if len(opt.Workloads) == 0 {
		return nil, badOptions("the proxy has no workload")
	}
	id := make([]byte, 12)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("random instance id: %w", err)
	}
	a := &Agent{
		opt: opt, instance: hex.EncodeToString(id), log: opt.Log,
		changed: make(chan struct{}), ready: make(chan struct{}), renewed: make(chan struct{}, 1),
		synced: newLatch(), restored: newLatch(), offline: newLatch(),
	}
	a.subs.init()
	a.status.Since = opt.Now()
	if err := a.enlist(); err != nil {
		return nil, err
	}
	return a, nil
}

func badOptions(why string) error {
	e := codes.New("W2207", "the proxy's settings for the control plane are not valid")
	e.Why = why
	return e
}

// Identity gives the store of the certificate and roots of workload i of the options: make the
// TLS settings of its links from it. Workloads of one identity have one store.
func (a *Agent) Identity(i int) *identity.Store { return a.members[i].keeper.Store() }

// Ready gives a channel that is closed once each workload has an identity and a view is in force:
// that of the control plane, or, if it cannot be reached, the last good one.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Table gives the table in force, or nil before the first.
func (a *Agent) Table() *decide.Table { return a.table.Load() }

// Subscribe asks for a service, without waiting. Asking again costs a lookup. It is false if the
// bound of subscriptions is reached and no absent one could be dropped.
func (a *Agent) Subscribe(n model.Name) bool { return a.subs.add(n) }

// SubscribeAddr asks for the service that has a virtual address, likewise.
func (a *Agent) SubscribeAddr(ip netip.Addr) bool { return a.subs.addAddr(ip.Unmap()) }

// AddrAbsent reports whether the control plane said that an address belongs to no service.
func (a *Agent) AddrAbsent(ip netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.absent[ip.Unmap()]
}

// Await subscribes to a service and waits until the control plane says whether it exists, or ctx
// ends. The service is nil if it does not exist; known is false if nothing was heard.
func (a *Agent) Await(ctx context.Context, n model.Name) (s *decide.Service, known bool) {
	a.Subscribe(n)
	for {
		a.mu.Lock()
		changed := a.changed
		a.mu.Unlock()
		if t := a.table.Load(); t != nil {
			if s, known := t.Service(n); known {
				return s, true
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// Status gives the present state.
func (a *Agent) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.status
	for _, m := range a.members {
		if m.refusal != "" {
			st.RegisterError = m.refusal
			break
		}
	}
	return st
}

// Drain tells the control plane that workload i takes no new requests and waits until the other
// proxies know, the control plane gives up waiting for them, or ctx ends. Without a connection it
// waits for ctx.
func (a *Agent) Drain(ctx context.Context, i int) error {
	m := a.members[i]
	m.drain.set()
	select {
	case <-m.drained.done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run keeps everything up until ctx ends, then leaves the registry and returns nil. It returns
// early only if the options cannot work. Call it once.
func (a *Agent) Run(ctx context.Context) (err error) {
	for _, m := range a.members {
		if err := m.takeHandover(a.opt.Now()); err != nil {
			a.log.Warn("identity handed over was not used", "workload", m.path(), "err", err)
		}
	}
	disk := newDisk(a.opt.StateDir, a.opt.Name, a.log)
	view := a.restore(disk)

	defer func() {
		for _, ch := range a.channels {
			if ch.conn == nil {
				continue
			}
			if cerr := ch.conn.Close(); cerr != nil && err == nil {
				err = fmt.Errorf("closing the control plane's connection: %w", cerr)
			}
		}
	}()
	for _, ch := range a.channels {
		if ch.conn, err = ch.keeper.dialer().open(ch.keeper.Store()); err != nil {
			return err
		}
	}
	parts := []func(context.Context){
		func(ctx context.Context) { a.runDiscovery(ctx, a.channels[0], view, disk) },
		a.watchReady,
		a.markOffline,
		disk.run,
	}
	for _, k := range a.keepers {
		parts = append(parts, func(ctx context.Context) { _ = k.Run(ctx) }, func(ctx context.Context) { a.watchIdentity(ctx, k) })
	}
	for _, m := range a.members {
		parts = append(parts, func(ctx context.Context) { a.runRegistration(ctx, m) })
	}
	for _, ch := range a.channels {
		parts = append(parts, func(ctx context.Context) { a.runReports(ctx, ch) })
	}
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(func() { part(ctx) })
	}
	wg.Wait()
	return nil
}

// watchIdentity passes on that an identity changed, until ctx ends.
func (a *Agent) watchIdentity(ctx context.Context, k *Keeper) {
	for {
		changed := k.store.Changed()
		select {
		case a.renewed <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// await waits, over TCP, for the certificate without which the control plane takes no stream. It
// is false if ctx ended first.
func (ch *channel) await(ctx context.Context, control config.Control) bool {
	if control.Socket != "" {
		return true
	}
	select {
	case <-ch.keeper.Ready():
		return true
	case <-ctx.Done():
		return false
	}
}

// watchReady closes ready when its conditions hold.
func (a *Agent) watchReady(ctx context.Context) {
	wait := func(cs ...<-chan struct{}) bool { // until all are closed
		for _, c := range cs {
			select {
			case <-c:
			case <-ctx.Done():
				return false
			}
		}
		return true
	}
	for _, k := range a.keepers {
		if !wait(k.Ready()) {
			return
		}
	}
	live := make(chan struct{})
	go func() {
		defer close(live)
		if !wait(a.synced.done()) {
			return
		}
		for _, m := range a.members {
			if !wait(m.enrolled.done()) {
				return
			}
		}
	}()
	last := make(chan struct{})
	go func() {
		defer close(last)
		wait(a.restored.done(), a.offline.done())
	}()
	select {
	case <-live:
	case <-last:
	}
	if ctx.Err() == nil {
		a.readyOnce.Do(func() { close(a.ready) })
	}
	// Both helpers end with ctx at the latest.
	<-ctx.Done()
	<-live
	<-last
}

// setStatus changes the status under the lock.
func (a *Agent) setStatus(f func(*Status)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.status)
}
