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
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/proxy/admin"
	"github.com/weft-mesh/weft/proxy/agent"
	"github.com/weft-mesh/weft/proxy/config"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/dns"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
	"github.com/weft-mesh/weft/version"
)

const (
	defaultDrain  = 30 * time.Second
	announceDrain = 2 * time.Second        // how long others may take to learn that we leave
	hopeDrain     = 300 * time.Millisecond // the same, while there is no control plane to tell them
	readyWait     = 20 * time.Second       // for identity and view, at start
)

// Run runs a proxy until a signal arrives on signals, then drains and returns. A second signal
// ends it at once. ctx ends it without draining.
func Run(ctx context.Context, cfg *config.Config, signals <-chan os.Signal, log *slog.Logger) (err error) {
	limitHeap(os.DirFS("/"), os.Getenv("GOMEMLIMIT"), log)
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
}

func (p *proxy) closeAll() {
	for _, c := range p.closers {
		c.Close() //nolint:errcheck // most are closed already
	}
}

// setup binds everything, so that what is wrong with the configuration shows before anything runs.
func (p *proxy) setup() error {
	cfg := p.cfg
	if len(cfg.Workloads) != 1 {
		return badConfig("exactly one workload is needed", fmt.Sprintf("%d are given", len(cfg.Workloads)))
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
	w := cfg.Workloads[0]
	link, err := netip.ParseAddrPort(p.ready.Link)
	if cfg.LinkAdvertise != "" {
		link, err = netip.ParseAddrPort(cfg.LinkAdvertise)
	}
	if err != nil && p.ready.Link+cfg.LinkAdvertise != "" {
		return badConfig("the link address is not ip:port", err.Error())
	}
	if link.Addr().IsUnspecified() && len(w.Ports) > 0 {
		e := badConfig("peers cannot dial the link address", link.String()+" is every address of this machine and none in particular")
		e.Next = []string{"weft run --link-advertise ADDRESS:PORT ...", "or let the link listen on one address"}
		return e
	}
	var handover io.Reader
	if cfg.IdentityFD > 0 {
		f := os.NewFile(uintptr(cfg.IdentityFD), "identity")
		p.closers = append(p.closers, f)
		handover = f
	}
	host, _ := os.Hostname()
	var reporter agent.Reporter
	if !cfg.Unreported {
		reporter = telemetry.NewCollector(p.reg)
	}
	p.agent, err = agent.New(agent.Options{
		Control: cfg.Control, Name: cfg.Name, Build: version.String(), Workload: w, Link: link, Node: host, Metrics: p.ready.Metrics,
		StateDir: cfg.StateDir, Handover: handover, OnTable: p.onTable, Reporter: reporter, Log: p.log,
	})
	if err != nil {
		return err
	}
	p.vips = dns.NewTable(0)
	opt := drive.Options{
		Core: core.Config{Workload: p.workload(w), Log: p.log, Own: p.ownAddrs()}, Loops: loops, Listeners: p.listeners,
		Mesh: mesh{p}, Security: security{p.agent.Identity()}, Log: p.log,
	}
	p.driver, err = newDriver(cfg.Driver, opt, p.reg)
	var coded *codes.Error
	if err != nil && !errors.As(err, &coded) {
		return cannotListen("connections", "event loops", err)
	}
	return err
}

// defaultLoops leaves room for the application on the same machine: half of the processors.
func defaultLoops() int { return max(1, runtime.GOMAXPROCS(0)/2) }

func badConfig(what, why string) *codes.Error {
	e := codes.New("W3021", "the proxy's configuration cannot be used: "+what)
	e.Why = why
	e.Next = []string{"weft-proxy is started by `weft run`; see docs/proxy.md for its configuration"}
	return e
}

// workload is whom the core serves.
func (p *proxy) workload(w config.Workload) core.Workload {
	out := core.Workload{Name: model.Name{Namespace: w.Namespace, Name: w.Name}}
	if w.Service != "" {
		out.Service = model.Name{Namespace: w.Namespace, Name: w.Service}
	}
	for _, port := range w.Ports {
		proto, _ := wire.ProtocolByName(port.Protocol)
		out.Ports = append(out.Ports, core.AppPort{Addr: port.Addr, Protocol: proto})
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
	inForce := make(chan struct{}, p.reg.Shards())
	p.driver.Post(func(c *core.Core) {
		c.SetTable(t)
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

// followIdentity tells the data path when the identity is there and when the roots of trust
// change: then every peer has to prove itself again.
func (p *proxy) followIdentity(ctx context.Context) error {
	store := p.agent.Identity()
	var roots *identity.Bundle
	for {
		changed := store.Changed()
		st := store.Load()
		if st.Pair != nil {
			id := st.Pair.ID.String()
			p.driver.Post(func(c *core.Core) { c.SetIdentity(id) })
		}
		if st.Bundle != nil {
			if roots != nil && !roots.Equal(st.Bundle) {
				p.log.Info("the roots of trust changed: links are made anew")
				p.driver.Post(func(c *core.Core) { c.RetireLinks() })
			}
			roots = st.Bundle
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
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
	start(ctx, "identity", p.followIdentity)
	pages := &admin.Server{Registry: p.reg, State: p.stateOf, Ready: p.isReady}
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
	p.log.Info("serving", "proxy", p.cfg.Name, "link", p.ready.Link, "outbound", p.ready.Proxy, "metrics", p.ready.Metrics)

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

// leave tells the mesh that the workload takes no new requests, and whoever started us when that
// is known. Everything is served as before: the application, which has not been told yet, still
// answers and calls.
func (p *proxy) leave(ctx context.Context) {
	p.announce(ctx)
	p.leftOnce.Do(func() {
		if p.readyFile != nil {
			io.WriteString(p.readyFile, config.LeftLine) //nolint:errcheck // the starter went away
		}
	})
}

// announce tells the mesh that the workload takes no new requests, and waits until the others
// know; not for long, if there is nobody to tell.
func (p *proxy) announce(ctx context.Context) {
	if len(p.cfg.Workloads[0].Ports) == 0 || p.announced.Load() {
		return // nobody is sent here
	}
	defer p.announced.Store(true)
	limit := announceDrain
	if !p.agent.Status().Connected {
		limit = hopeDrain
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := p.agent.Drain(ctx); err != nil {
		p.log.Info("leaving without the others knowing", "why", err)
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

// drain ends in order: tell the control plane, so that peers stop choosing us; finish what is
// under way; leave. Bounded, and cut short by a second signal.
func (p *proxy) drain(ctx context.Context, signals <-chan os.Signal) error {
	limit := time.Duration(p.cfg.DrainTimeout)
	if limit <= 0 {
		limit = defaultDrain
	}
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	announce, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	told := make(chan struct{})
	go func() { // ends with announce at the latest
		defer close(told)
		p.announce(announce)
	}()
	defer func() { cancel(); <-told }()
	if !p.until(told, signals, nil) {
		return nil
	}
	p.driver.Drain()
	p.until(p.driverDone, signals, deadline.C)
	return nil // which ends whatever is left
}

// until waits for done, or for limit to pass; false means that a signal asked for the end at once.
func (p *proxy) until(done <-chan struct{}, signals <-chan os.Signal, limit <-chan time.Time) bool {
	for {
		select {
		case <-done:
			return true
		case <-limit:
			p.log.Warn("drain timeout: work under way is cut off", "code", "W3023")
			return true
		case s := <-signals:
			if !asksToLeave(s) { // we are leaving already
				return false
			}
		}
	}
}

func (p *proxy) isReady() bool { return p.serving.Load() }

// stateOf is what the admin socket shows.
func (p *proxy) stateOf() any {
	st := p.agent.Status()
	id := p.agent.Identity().Load()
	out := map[string]any{
		"proxy": p.cfg.Name, "version": version.String(), "pid": os.Getpid(), "listeners": p.ready, "control": st,
	}
	if id.Pair != nil {
		out["identity"] = id.Pair.ID.String()
		out["certificateNotAfter"] = id.Pair.NotAfter()
	}
	return out
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

// security makes TLS settings from the identity in force.
type security struct{ store *identity.Store }
