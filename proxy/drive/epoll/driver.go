//go:build linux

package epoll

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// Driver runs one or more loops.
type Driver struct {
	opt   drive.Options
	loops []*Loop
	calm  calm
}

// New makes a driver with opt.Loops loops, one for each shard of reg.
func New(opt drive.Options, reg *telemetry.Registry) (*Driver, error) {
	d := &Driver{opt: opt, calm: calm{release: debug.FreeOSMemory}}
	start := time.Now()
	opt.Core.Shared = core.NewShared(opt.Loops, len(opt.Core.Workloads))
	for i := range opt.Loops {
		o := opt
		o.Core.Shard, o.Core.Loops = reg.Shard(i), opt.Loops
		if o.Core.Rand == nil {
			o.Core.Rand = rand.Uint64
		}
		l, err := newLoop(&o, i, start)
		if err == nil {
			l.calm = &d.calm
			d.loops = append(d.loops, l)
			for _, ln := range opt.Listeners {
				if err = l.listen(ln); err != nil {
					break
				}
			}
		}
		if err != nil {
			for _, l := range d.loops {
				l.stopAccepting()
				l.free()
			}
			return nil, err
		}
	}
	for _, l := range d.loops {
		l.all = d.loops
	}
	return d, nil
}

// Run implements drive.Driver.
func (d *Driver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer d.closeListeners()
	defer d.calm.stop()
	errs := make([]error, len(d.loops))
	var wg sync.WaitGroup
	for i, l := range d.loops {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if errs[i] = l.run(ctx); errs[i] != nil {
				cancel()
			}
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Post implements drive.Driver.
func (d *Driver) Post(f func(*core.Core)) {
	for _, l := range d.loops {
		l.post(func() { f(l.core) })
	}
}

// Drain implements drive.Driver.
func (d *Driver) Drain() {
	d.closeListeners()
	for _, l := range d.loops {
		l.post(func() {
			if l.draining || l.ended {
				return
			}
			l.draining = true
			for _, ln := range l.listeners { // who has connected already is served
				l.accept(ln)
			}
			l.stopAccepting()
			l.core.Drain()
		})
	}
}

// closeListeners closes the sockets that the loops' own are duplicates of.
func (d *Driver) closeListeners() {
	for _, ln := range d.opt.Listeners {
		ln.TCP.Close() //nolint:errcheck // closing twice is fine
	}
}
