// Package net runs the data path on the standard library's network poller: for systems without
// epoll, and to hold the epoll driver to the same tests. One goroutine owns the core; each
// connection has a reader and a writer beside it.
package net

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/capture"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

const (
	readSize     = 32 << 10
	lingerFor    = 5 * time.Second
	shakeTimeout = 5 * time.Second
	queued       = 1024 // events that wait for the loop; readers wait beyond it
	keptBuffer   = 256 << 10
	maxShakes    = 1024 // handshakes of accepted links at a time
	tellEvery    = 10 * time.Second
)

// Driver is one loop over net.Conns.
type Driver struct {
	opt   drive.Options
	core  *core.Core
	shard *telemetry.Shard
	start time.Time

	events chan func()
	posted chan func(*core.Core)
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine but the loop itself
	ending atomic.Int64   // connections that are to close when they have written everything
	shakes chan struct{}  // a place for each handshake

	draining bool
	drained  chan struct{}
	once     sync.Once
}

// New makes a driver. It always has one loop, for shard 0 of reg.
func New(opt drive.Options, reg *telemetry.Registry) (*Driver, error) {
	d := &Driver{
		opt: opt, start: time.Now(), events: make(chan func(), queued),
		posted: make(chan func(*core.Core), queued), drained: make(chan struct{}), shakes: make(chan struct{}, maxShakes),
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	cfg := opt.Core
	d.shard = reg.Shard(0)
	cfg.Host, cfg.Shard = d, d.shard
	if cfg.Rand == nil {
		cfg.Rand = rand.Uint64
	}
	d.core = core.New(cfg)
	return d, nil
}

// Post implements drive.Driver.
func (d *Driver) Post(f func(*core.Core)) {
	select {
	case d.posted <- f:
	case <-d.ctx.Done():
	}
}

// Drain implements drive.Driver.
func (d *Driver) Drain() { d.once.Do(func() { close(d.drained) }) }

// Run implements drive.Driver.
func (d *Driver) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, d.cancel)
	defer stop()
	for _, ln := range d.opt.Listeners {
		d.wg.Add(1)
		go d.acceptLoop(ln)
	}
	defer func() {
		d.cancel()
		d.closeListeners()
		d.emptyUntilDone()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	drained := d.drained
	for {
		wait := 10 * time.Second
		if at, ok := d.core.NextTimer(); ok {
			wait = min(wait, max(at-time.Since(d.start), 0))
		}
		if d.draining {
			wait = min(wait, 20*time.Millisecond)
		}
		timer.Reset(wait)
		select {
		case f := <-d.events:
			d.core.SetNow(time.Since(d.start))
			f()
		case f := <-d.posted:
			d.core.SetNow(time.Since(d.start))
			f(d.core)
		case <-timer.C:
			d.core.SetNow(time.Since(d.start))
		case <-drained:
			drained = nil
			d.draining = true
			d.closeListeners()
			d.core.Drain()
		case <-d.ctx.Done():
			return nil
		}
		for more := true; more; { // what came meanwhile shares the batch
			select {
			case f := <-d.events:
				f()
			default:
				more = false
			}
		}
		d.core.Tick()
		d.core.Flush()
		if d.draining && !d.core.Busy() && d.ending.Load() == 0 {
			return nil
		}
	}
}

func (d *Driver) closeListeners() {
	for _, ln := range d.opt.Listeners {
		ln.TCP.Close() //nolint:errcheck // closing twice is fine
	}
}

// emptyUntilDone lets the goroutines end that still want to tell something.
func (d *Driver) emptyUntilDone() {
	done := make(chan struct{})
	go func() { d.wg.Wait(); close(done) }()
	for {
		select {
		case <-d.events:
		case <-d.posted:
		case <-done:
			return
		}
	}
}

// tell runs f on the loop, and waits for it if wait is set. It reports false if the loop ended.
func (d *Driver) tell(f func()) bool {
	select {
	case d.events <- f:
		return true
	case <-d.ctx.Done():
		return false
	}
}

func (d *Driver) acceptLoop(ln drive.Listener) {
	defer d.wg.Done()
	var told time.Time
	for {
		nc, err := ln.TCP.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			d.refused("W3012")
			if now := time.Now(); now.Sub(told) >= tellEvery {
				told = now
				d.opt.Log.Warn("cannot accept", "code", "W3012", "err", err)
			}
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-d.ctx.Done():
				return
			}
		}
		d.wg.Add(1)
		go d.serve(ln.Core, nc)
	}
}

// serve brings an accepted connection to the core and then reads it to its end.
func (d *Driver) serve(ln *core.Listener, nc *net.TCPConn) {
	defer d.wg.Done()
	a := core.Accept{Listener: ln, Remote: addrPort(nc.RemoteAddr())}
	c := newConn(d, nc)
	switch ln.Kind {
	case core.ListenLink:
		select {
		case d.shakes <- struct{}{}:
		default:
			d.refused("W3011")
			nc.Close() //nolint:errcheck // nothing can be done
			return
		}
		peer, until, err := c.shake(tls.Server(nc, d.opt.Security.Server(ln.Workload)), shakeTimeout)
		<-d.shakes
		if err != nil {
			d.refused("W3014")
			d.opt.Log.Warn("link refused", "code", "W3014", "from", a.Remote, "err", err)
			nc.Close() //nolint:errcheck // nothing can be done
			return
		}
		a.Peer, a.Until = peer, until
	case core.ListenTransparent:
		dst, err := originalDst(nc)
		if err != nil {
			d.opt.Log.Warn("no original destination", "code", "W3013", "from", a.Remote, "err", err)
			nc.Close() //nolint:errcheck // nothing can be done
			return
		}
		a.OrigDst = dst
	}
	ok := make(chan bool, 1)
	a.Driver = c
	if !d.tell(func() {
		c.core = d.core.Accept(a)
		ok <- c.core != nil
	}) {
		nc.Close() //nolint:errcheck // nothing can be done
		return
	}
	select {
	case accepted := <-ok:
		if !accepted {
			nc.Close() //nolint:errcheck // nothing can be done
			return
		}
	case <-d.ctx.Done():
		nc.Close() //nolint:errcheck // nothing can be done
		return
	}
	c.run()
}

func originalDst(nc *net.TCPConn) (dst netip.AddrPort, err error) {
	rc, err := nc.SyscallConn()
	if err != nil {
		return dst, err
	}
	local := addrPort(nc.LocalAddr())
	var derr error
	err = rc.Control(func(fd uintptr) { dst, derr = capture.OriginalDst(int(fd), local.Addr().Is6()) })
	return dst, errors.Join(err, derr)
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// Dial implements core.Host.
func (d *Driver) Dial(cc *core.Conn, spec core.Dial) {
	d.wg.Add(1)
	go d.connect(cc, spec)
}

// connect dials on its own goroutine and then reads the connection to its end.
func (d *Driver) connect(cc *core.Conn, spec core.Dial) {
	defer d.wg.Done()
	timeout := spec.Timeout
	if timeout <= 0 {
		timeout = shakeTimeout
	}
	ctx, cancel := context.WithTimeout(d.ctx, timeout)
	defer cancel()
	addr := spec.Addr.String()
	if spec.Host != "" {
		addr = net.JoinHostPort(spec.Host, strconv.Itoa(int(spec.Port)))
	}
	nd := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}}
	raw, err := nd.DialContext(ctx, "tcp", addr)
	if err != nil {
		d.tell(func() { d.core.Connected(cc, err) })
		return
	}
	nc := raw.(*net.TCPConn)
	if spec.Host != "" && d.core.Own(addrPort(nc.RemoteAddr())) {
		nc.Close() //nolint:errcheck // nothing can be done
		d.tell(func() { d.core.Connected(cc, core.ErrLoop) })
		return
	}
	c := newConn(d, nc)
	c.core = cc
	var until time.Duration
	if spec.Peer != "" {
		if _, until, err = c.shake(tls.Client(nc, d.opt.Security.Client(spec.Workload, spec.Peer)), max(timeout, time.Second)); err != nil {
			nc.Close() //nolint:errcheck // nothing can be done
			d.tell(func() { d.core.Connected(cc, err) })
			return
		}
	}
	if !d.tell(func() {
		if cc.Gone() { // nobody waits for it any more
			c.end(true)
			return
		}
		cc.Driver = c
		if spec.Peer != "" {
			d.core.ConnectedUntil(cc, until)
		} else {
			d.core.Connected(cc, nil)
		}
	}) {
		nc.Close() //nolint:errcheck // nothing can be done
		return
	}
	c.run()
}

// refused counts a connection that was refused. The counters belong to the loop.
func (d *Driver) refused(code string) {
	d.tell(func() { d.shard.Refused(code) })
}

// Join implements core.Host: every byte passes the core.
func (d *Driver) Join(_, _ *core.Conn) bool { return false }

// AskLimit implements core.Host.
func (d *Driver) AskLimit(q *core.Question, about core.LimitQuery) {
	d.wg.Add(1)
	go func() { // bounded by the limit's timeout
		defer d.wg.Done()
		answer, wait := d.opt.AskLimit(d.ctx, about)
		d.tell(func() { d.core.LimitAnswered(q, about, answer, wait) })
	}()
}

// Subscribe implements core.Host.
func (d *Driver) Subscribe(n model.Name) { d.opt.Mesh.Subscribe(n) }

// SubscribeIP implements core.Host.
func (d *Driver) SubscribeIP(a netip.Addr) { d.opt.Mesh.SubscribeIP(a) }

// AddrAbsent implements core.Host.
func (d *Driver) AddrAbsent(a netip.Addr) bool { return d.opt.Mesh.AddrAbsent(a) }

// ServiceOfIP implements core.Host.
func (d *Driver) ServiceOfIP(a netip.Addr) (model.Name, bool) { return d.opt.Mesh.ServiceOfIP(a) }

// Write implements core.Host.
func (d *Driver) Write(cc *core.Conn, p []byte) int {
	c, _ := cc.Driver.(*conn)
	if c == nil {
		return 0
	}
	return c.queue(p)
}

// CloseWrite implements core.Host.
func (d *Driver) CloseWrite(cc *core.Conn) {
	if c, _ := cc.Driver.(*conn); c != nil {
		c.finish()
	}
}

// Close implements core.Host.
func (d *Driver) Close(cc *core.Conn, abort bool) {
	if c, _ := cc.Driver.(*conn); c != nil {
		c.end(abort)
	}
}

// SetReading implements core.Host.
func (d *Driver) SetReading(cc *core.Conn, on bool) {
	if c, _ := cc.Driver.(*conn); c != nil {
		c.setReading(on)
	}
}

var (
	_ drive.Driver = (*Driver)(nil)
	_ core.Host    = (*Driver)(nil)
)
