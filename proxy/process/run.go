package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/proxy/admin"
	"github.com/weft-mesh/weft/proxy/agent"
	"github.com/weft-mesh/weft/proxy/config"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/dns"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/globallimit"
	"github.com/weft-mesh/weft/proxy/telemetry"
	"github.com/weft-mesh/weft/version"
)

const readyWait = 20 * time.Second // for identity and view, at start

// Run runs a proxy until a signal arrives on signals, then drains and returns. A second signal
// ends it at once. ctx ends it without draining.
func Run(ctx context.Context, cfg *config.Config, signals <-chan os.Signal, log *slog.Logger) (err error) {
	limitHeap(os.DirFS("/"), os.Getenv("GOMEMLIMIT"), log)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	p := &proxy{cfg: cfg, log: log, driverDone: make(chan struct{})}
	defer p.closeAll()
	defer func() {
		if err != nil {
			p.tellReady(config.Ready{PID: os.Getpid(), Error: err.Error()})
		}
	}()
	if err := p.setup(); err != nil {
		return err
	}
	return p.serve(ctx, signals)
}

// proxy is one running proxy.
type proxy struct {
	cfg *config.Config
	log *slog.Logger

	reg        *telemetry.Registry
	agent      *agent.Agent
	driver     drive.Driver
	driverDone chan struct{} // closed when the driver has ended
	vips       *dns.Table
	limits     globallimit.Client
	guards     *core.Guards // of onWorkloads

	listeners []drive.Listener
	ready     config.Ready
	closers   []io.Closer
	metrics   net.Listener
	state     net.Listener
	readyFile *os.File // to whoever started us; nil: nobody, or told all
	readyOnce sync.Once
	leftOnce  sync.Once
	announced atomic.Bool // the mesh was told that the workload leaves, as far as it could be
	serving   atomic.Bool
	ending    atomic.Bool // the loops finish what they have and end, not all at the same time
}

func (p *proxy) closeAll() {
	for _, c := range p.closers {
		c.Close() //nolint:errcheck // most are closed already
	}
}

// setup binds everything, so that what is wrong with the configuration shows before anything runs.
func (p *proxy) setup() error {
	cfg := p.cfg
	if n := len(cfg.Workloads); n == 0 || n > config.MaxWorkloads {
		return badConfig(fmt.Sprintf("1 to %d workloads are needed", config.MaxWorkloads), fmt.Sprintf("%d are given", n))
	}
	loops := cfg.Loops
	if loops <= 0 {
		loops = defaultLoops()
	}
	if cfg.Driver == "net" || runtime.GOOS != "linux" {
		loops = 1
	}
	p.reg = telemetry.NewRegistry(loops)
	if err := p.listen(); err != nil {
		return err
	}
	members, err := p.members()
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	var reporter agent.Reporter
	var sets func() []report.Set
	if !cfg.Unreported {
		reporter = telemetry.NewCollector(p.reg)
		sets = (&setReporter{p: p, began: time.Now()}).next
	}
	p.agent, err = agent.New(agent.Options{
		Control: cfg.Control, Name: cfg.Name, Build: version.String(), Workloads: members, Node: host, Metrics: p.ready.Metrics,
		StateDir: cfg.StateDir, OnTable: p.onTable, OnWorkloads: p.onWorkloads, Reporter: reporter, Sets: sets, Log: p.log,
	})
	if err != nil {
		return err
	}
	p.vips = dns.NewTable(0)
	p.closers = append(p.closers, &p.limits)
	opt := drive.Options{
		Core: core.Config{Workloads: served(members), Log: p.log, Own: p.ownAddrs(), Wall: time.Now}, Loops: loops, Listeners: p.listeners,
		Mesh: mesh{p}, Security: security{p.agent.Identity}, RateLimits: &p.limits, Log: p.log,
	}
	p.driver, err = newDriver(cfg.Driver, opt, p.reg)
	var coded *codes.Error
	if err != nil && !errors.As(err, &coded) {
		return cannotListen("connections", "event loops", err)
	}
	return err
}

// members are the workloads as the control plane is to know them.
func (p *proxy) members() ([]agent.Workload, error) {
	var out []agent.Workload
	for i := range p.cfg.Workloads {
		w := &p.cfg.Workloads[i]
		link, err := linkAddr(w, p.ready.Workloads[i].Link)
		if err != nil {
			return nil, err
		}
		m := agent.Workload{Workload: *w, Link: link}
		if w.IdentityFD > 0 {
			f := os.NewFile(uintptr(w.IdentityFD), "identity")
			p.closers = append(p.closers, f)
			m.Handover = f
		}
		out = append(out, m)
	}
	return out, nil
}

// defaultLoops leaves room for the application on the same machine: half of the processors.
func defaultLoops() int { return max(1, runtime.GOMAXPROCS(0)/2) }

func badConfig(what, why string) *codes.Error {
	e := codes.New("W3021", "the proxy's configuration cannot be used: "+what)
	e.Why = why
	e.Next = []string{"weft-proxy is started by `weft run`; see docs/proxy.md for its configuration"}
	return e
}

// served are the workloads as the core knows them.
func served(members []agent.Workload) []core.Workload {
	out := make([]core.Workload, len(members))
	for i := range members {
		m, w := &members[i], &out[i]
		w.Name, w.Link, w.Zone = model.Name{Namespace: m.Namespace, Name: m.Name}, m.Link, m.Zone
		if m.Service != "" {
			w.Service = model.Name{Namespace: m.Namespace, Name: m.Service}
		}
		for _, port := range m.Ports {
			proto, _ := wire.ProtocolByName(port.Protocol) // checked by the agent
			w.Ports = append(w.Ports, core.AppPort{Addr: port.Addr, Protocol: proto})
		}
	}
	return out
}

func (p *proxy) ownAddrs() []netip.AddrPort {
	var out []netip.AddrPort
	for _, l := range p.listeners {
		if a, ok := l.TCP.Addr().(*net.TCPAddr); ok && l.Core.Kind != core.ListenTransparent {
			ap := a.AddrPort()
			out = append(out, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
		}
	}
	return out
}

// onTable gives a new table to all loops and waits until it is in force there: the control plane
// is told so afterwards.
func (p *proxy) onTable(t *decide.Table) {
	p.onAllLoops(func(c *core.Core) { c.SetTable(t) })
}

// onAllLoops runs f on each loop and waits until it is done.
func (p *proxy) onAllLoops(f func(*core.Core)) {
	inForce := make(chan struct{}, p.reg.Shards())
	p.driver.Post(func(c *core.Core) {
		f(c)
		inForce <- struct{}{}
	})
	for range p.reg.Shards() {
		select {
		case <-inForce:
		case <-p.driverDone: // nobody is left to use it
			return
		}
	}
}

// serve runs everything until a signal.
func (p *proxy) serve(ctx context.Context, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, 1)
	start := func(ctx context.Context, what string, f func(context.Context) error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := f(ctx); err != nil && ctx.Err() == nil {
				select {
				case failed <- fmt.Errorf("%s: %w", what, err):
				default: // the first ends everything
				}
			}
		}()
	}
	start(ctx, "data path", func(ctx context.Context) error {
		defer close(p.driverDone)
		return p.driver.Run(ctx)
	})
	start(ctx, "control", p.agent.Run)
	for i := range p.cfg.Workloads {
		start(ctx, "identity", func(ctx context.Context) error { return p.followIdentity(ctx, i) })
	}
	pages := &admin.Server{Registry: p.reg, State: p.stateOf, Sets: p.allSets, Ready: p.isReady, Drain: p.drainWorkload}
	if p.metrics != nil {
		start(ctx, "metrics", func(ctx context.Context) error { return pages.ServeMetrics(ctx, p.metrics) })
	}
	if p.state != nil {
		start(ctx, "admin", func(ctx context.Context) error { return pages.ServeState(ctx, p.state) })
	}
	if err := p.startDNS(ctx, start); err != nil {
		return err
	}
	if err := p.awaitReady(ctx, signals, failed); err != nil {
		return err
	}
	p.tellReady(p.ready)
	releaseStartup()
	for i := range p.ready.Workloads {
		w := &p.ready.Workloads[i]
		p.log.Info("serving", "proxy", p.cfg.Name, "workload", w.Namespace+"/"+w.Name, "link", w.Link, "outbound", w.Proxy, "metrics", p.ready.Metrics)
	}

	for {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		case s := <-signals:
			if !asksToLeave(s) {
				p.log.Info("draining", "signal", s.String())
				return p.drain(ctx, signals)
			}
			wg.Go(func() { p.leave(ctx) })
		}
	}
}

// awaitReady waits until the proxy may serve, bounded.
func (p *proxy) awaitReady(ctx context.Context, signals <-chan os.Signal, failed <-chan error) error {
	timer := time.NewTimer(readyWait)
	defer timer.Stop()
	e := codes.New("W3022", "the proxy has neither an identity nor a view of the mesh")
	e.Next = []string{"weft status"}
	for {
		select {
		case <-p.agent.Ready():
			// followIdentity may not have had its turn, and the first requests between two workloads of
			// ours would take the long way.
			p.onAllLoops(func(c *core.Core) {
				for i := range p.cfg.Workloads {
					setIdentity(c, i, p.agent.Identity(i).Load())
				}
			})
			p.serving.Store(true)
			return nil
		case err := <-failed:
			return err
		case s := <-signals:
			if asksToLeave(s) { // it has not come yet
				continue
			}
			e.Why = "it was stopped before it was ready, by the signal " + s.String()
		case <-ctx.Done():
			e.Why, e.Err = "it was stopped before it was ready", ctx.Err()
		case <-timer.C:
			st := p.agent.Status()
			e.Why = "the control plane was not reached in " + readyWait.String() + ": " + st.LastError
			if st.RegisterError != "" {
				e.Why = st.RegisterError
			}
		}
		return e
	}
}

func (p *proxy) isReady() bool { return p.serving.Load() }

// stateOf is what the admin socket shows.
func (p *proxy) stateOf() any {
	type workload struct {
		config.ReadyWorkload
		Identity            string     `json:"identity,omitempty"`
		CertificateNotAfter *time.Time `json:"certificateNotAfter,omitempty"`
	}
	var workloads []workload
	for i, r := range p.ready.Workloads {
		w := workload{ReadyWorkload: r}
		if pair := p.agent.Identity(i).Load().Pair; pair != nil {
			end := pair.NotAfter()
			w.Identity, w.CertificateNotAfter = pair.ID.String(), &end
		}
		workloads = append(workloads, w)
	}
	return map[string]any{
		"proxy": p.cfg.Name, "version": version.String(), "pid": os.Getpid(), "metrics": p.ready.Metrics,
		"workloads": workloads, "control": p.agent.Status(),
	}
}

// tellReady writes the answer to whoever started us, once.
func (p *proxy) tellReady(r config.Ready) {
	p.readyOnce.Do(func() {
		if p.cfg.ReadyFD <= 0 {
			return
		}
		f := os.NewFile(uintptr(p.cfg.ReadyFD), "ready")
		p.readyFile = f
		p.closers = append(p.closers, f)
		b, err := json.Marshal(r)
		if err == nil {
			f.Write(append(b, '\n')) //nolint:errcheck // the starter went away
		}
	})
}

// mesh answers the core's questions.
type mesh struct{ p *proxy }

func (m mesh) Subscribe(n model.Name)       { m.p.agent.Subscribe(n) }
func (m mesh) SubscribeIP(a netip.Addr)     { m.p.agent.SubscribeAddr(a) }
func (m mesh) AddrAbsent(a netip.Addr) bool { return m.p.agent.AddrAbsent(a) }
func (m mesh) ServiceOfIP(a netip.Addr) (model.Name, bool) {
	return m.p.vips.Lookup(time.Now(), a)
}
