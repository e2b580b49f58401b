//go:build linux

package epoll

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
	"golang.org/x/sys/unix"
)

// Driver runs one or more loops.
type Driver struct {
	loops []*Loop
}

// New makes a driver with opt.Loops loops, one for each shard of reg.
func New(opt drive.Options, reg *telemetry.Registry) (*Driver, error) {
	d := &Driver{}
	start := time.Now()
	for i := range opt.Loops {
		o := opt
		o.Core.Shard = reg.Shard(i)
		if o.Core.Rand == nil {
			o.Core.Rand = rand.Uint64
		}
		l, err := newLoop(&o, i, start)
		if err == nil {
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
	return d, nil
}

// Run implements drive.Driver.
func (d *Driver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
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
	for _, l := range d.loops {
		l.post(func() {
			l.draining = true
			l.stopAccepting()
			l.core.Drain()
		})
	}
}

// pollNow asks for events without waiting and without telling the scheduler.
func pollNow(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
