package process

import (
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/weft-mesh/weft/proxy/config"
	"github.com/weft-mesh/weft/proxy/core"
)

const (
	defaultDrain  = 30 * time.Second
	announceDrain = 2 * time.Second        // how long others may take to learn that we leave
	hopeDrain     = 300 * time.Millisecond // the same, while there is no control plane to tell them
)

// leave tells the mesh that the workloads take no new requests, and whoever started us when that
// is known. Everything is served as before: the applications, which have not been told yet, still
// answer and call.
func (p *proxy) leave(ctx context.Context) {
	p.announce(ctx)
	p.leftOnce.Do(func() {
		if p.readyFile != nil {
			io.WriteString(p.readyFile, config.LeftLine) //nolint:errcheck // the starter went away
		}
	})
}

// announce tells the mesh that the workloads take no new requests, and waits until the others
// know; not for long, if there is nobody to tell.
func (p *proxy) announce(ctx context.Context) {
	if p.announced.Load() {
		return
	}
	defer p.announced.Store(true)
	ctx, cancel := context.WithTimeout(ctx, p.announceLimit())
	defer cancel()
	var all sync.WaitGroup
	for i := range p.cfg.Workloads {
		all.Go(func() { p.announceOne(ctx, i) })
	}
	all.Wait()
}

// announceLimit is how long others may take to learn that somebody leaves.
func (p *proxy) announceLimit() time.Duration {
	if !p.agent.Status().Connected {
		return hopeDrain
	}
	return announceDrain
}

// announceOne is announce for one workload, bounded by ctx.
func (p *proxy) announceOne(ctx context.Context, i int) {
	w := &p.cfg.Workloads[i]
	if len(w.Ports) == 0 {
		return // nobody is sent there
	}
	if err := p.agent.Drain(ctx, i); err != nil {
		p.log.Info("leaving without the others knowing", "workload", w.Namespace+"/"+w.Name, "why", err)
	}
}

// drainWorkload makes one workload leave while the others stay: the mesh is told, and from then on
// it takes nothing new from peers. What is under way is finished, what it sends itself is served.
func (p *proxy) drainWorkload(ctx context.Context, name string) (known bool) {
	i := slices.IndexFunc(p.cfg.Workloads, func(w config.Workload) bool { return w.Namespace+"/"+w.Name == name })
	if i < 0 {
		return false
	}
	p.log.Info("a workload leaves", "workload", name)
	ctx, cancel := context.WithTimeout(ctx, p.announceLimit())
	defer cancel()
	p.announceOne(ctx, i)
	p.driver.Post(func(c *core.Core) { c.DrainWorkload(i) })
	return true
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
	p.ending.Store(true)
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
