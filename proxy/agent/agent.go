package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/proxy/config"
)

// Options say what an Agent keeps up.
type Options struct {
	Control  config.Control
	Name     string          // of the proxy; unique in the mesh
	Build    string          // version of the proxy, for weft status
	Workload config.Workload // whom the proxy serves
	Link     netip.AddrPort  // where peers dial the proxy; needed if the workload has ports
	Node     string          // host name, for display
	Metrics  string          // where the proxy serves metrics, "ip:port", for weft status; empty: nowhere

	// StateDir keeps the last good view; empty: not kept.
	StateDir string

	// Handover, if not nil, is read to its end at the start of Run for an initial identity
	// (identity.WriteHandover). If it cannot be used, that is logged and the control plane asked.
	Handover io.Reader

	// OnTable is called with each new table, from one goroutine at a time, before the control
	// plane is told that it is in force: when it returns, the table must be. It must not block.
	OnTable func(*decide.Table)

	// Reporter is asked for telemetry each ReportEvery (0: one second); nil: none is sent.
	Reporter    Reporter
	ReportEvery time.Duration

	Log  *slog.Logger
	Now  func() time.Time // nil: time.Now
	Rand func() float64   // uniform in [0, 1), safe for concurrent use; nil: math/rand
}

// Reporter is where telemetry comes from.
type Reporter interface {
	// Collect calls add for every series on which something happened since the last Collect. It
	// is called from one goroutine.
	Collect(add func(report.Series))
}

// Agent keeps a proxy in touch with the control plane. Its methods are safe for concurrent use.
type Agent struct {
	opt      Options
	instance string
	log      *slog.Logger
	keeper   *Keeper
	subs     subscriptions
	reports  outbox

	table atomic.Pointer[decide.Table]

	mu       sync.Mutex // guards what follows; a leaf
	status   Status
	changed  chan struct{} // closed and replaced whenever a table or an absence came
	absent   map[netip.Addr]bool
	draining bool

	ready     chan struct{}
	readyOnce sync.Once
	synced    latch // a live update was acknowledged
	restored  latch // a view from disk is in force
	offline   latch // the control plane could not be reached for a while
	enrolled  latch // registered at least once

	drain   chan struct{} // closed by Drain
	drained latch         // the control plane settled the draining
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

	// RegisterError is why the workload was refused, e.g. its name is taken; empty if it was not.
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
	w := opt.Workload
	if len(w.Ports) > 0 && !opt.Link.IsValid() {
		return nil, badOptions("workload " + w.Namespace + "/" + w.Name + " has ports and the proxy no link address")
	}
	keeper, err := NewKeeper(KeeperOptions{
		Control: opt.Control, Namespace: w.Namespace, ServiceAccount: serviceAccount(w),
		Log: opt.Log, Now: opt.Now, Rand: opt.Rand,
	})
	if err != nil {
		return nil, err
	}
	if err := identity.ValidLabel("workload", w.Name); err != nil {
		return nil, badOptions(err.Error())
	}
	for _, p := range w.Ports {
		if _, ok := wire.ProtocolByName(p.Protocol); !ok {
			return nil, badOptions(fmt.Sprintf("port %s speaks %q; want detect, http, http2, grpc, tcp or tls", p.Addr, p.Protocol))
		}
	}
	id := make([]byte, 12)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("random instance id: %w", err)
	}
	a := &Agent{
		opt: opt, instance: hex.EncodeToString(id), log: opt.Log, keeper: keeper,
		changed: make(chan struct{}), ready: make(chan struct{}), drain: make(chan struct{}),
		synced: newLatch(), restored: newLatch(), offline: newLatch(), enrolled: newLatch(), drained: newLatch(),
	}
	a.subs.init()
	a.reports.init()
	a.status.Since = opt.Now()
	return a, nil
}

func serviceAccount(w config.Workload) string {
	switch {
	case w.ServiceAccount != "":
		return w.ServiceAccount
	case w.Service != "":
		return w.Service
	}
	return w.Name
}

func badOptions(why string) error {
	e := codes.New("W2207", "the proxy's settings for the control plane are not valid")
	e.Why = why
	return e
}

// Identity gives the store of the workload's certificate and roots: make the TLS settings of
// links from it.
func (a *Agent) Identity() *identity.Store { return a.keeper.Store() }

// Ready gives a channel that is closed once there is an identity and a view in force: that of
// the control plane, or, if it cannot be reached, the last good one.
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
	return a.status
}

// Drain tells the control plane that the workload takes no new requests and waits until the
// other proxies know, the control plane gives up waiting for them, or ctx ends. Without a
// connection it waits for ctx.
func (a *Agent) Drain(ctx context.Context) error {
	a.mu.Lock()
	if !a.draining {
		a.draining = true
		close(a.drain)
	}
	a.mu.Unlock()
	select {
	case <-a.drained.done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run keeps everything up until ctx ends, then leaves the registry and returns nil. It returns
// early only if the options cannot work. Call it once.
func (a *Agent) Run(ctx context.Context) error {
	a.takeHandover()
	disk := newDisk(a.opt.StateDir, a.opt.Name, a.log)
	view := a.restore(disk)

	conn, err := a.keeper.dialer().open(a.keeper.Store())
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, part := range []func(context.Context){
		func(ctx context.Context) { _ = a.keeper.Run(ctx) },
		func(ctx context.Context) { a.runDiscovery(ctx, conn, view, disk) },
		func(ctx context.Context) { a.runRegistration(ctx, conn) },
		func(ctx context.Context) { a.runReports(ctx, conn) },
		a.watchReady,
		a.markOffline,
		disk.run,
	} {
		wg.Go(func() { part(ctx) })
	}
	wg.Wait()
	if err := conn.Close(); err != nil {
		return fmt.Errorf("closing the control plane's connection: %w", err)
	}
	return nil
}

// handoverTimeout bounds the wait for a supervisor that was to write at once.
const handoverTimeout = 5 * time.Second

// takeHandover reads the initial identity, if one is given.
func (a *Agent) takeHandover() {
	if a.opt.Handover == nil {
		return
	}
	// A supervisor that forgets to close its end must not hold the proxy up. Not every descriptor
	// takes a deadline, and then its owner is trusted.
	if d, ok := a.opt.Handover.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = d.SetReadDeadline(time.Now().Add(handoverTimeout))
	}
	p, b, err := identity.ReadHandover(a.opt.Handover, a.opt.Now())
	if err == nil {
		err = a.keeper.adopt(p, b)
	}
	if err != nil {
		a.log.Warn("identity handed over was not used", "err", err)
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
	if !wait(a.keeper.Ready()) {
		return
	}
	live := make(chan struct{})
	go func() {
		defer close(live)
		wait(a.synced.done(), a.enrolled.done())
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
