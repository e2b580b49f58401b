package control

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/compile"
	"github.com/weft-mesh/weft/control/discovery"
	"github.com/weft-mesh/weft/control/registry"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/source/file"
)

// world turns what is written and who is registered into snapshots. Its goroutine alone builds
// them; others read what is published.
type world struct {
	opt    *Options
	log    *slog.Logger
	bundle *identity.Bundle
	reg    *registry.Registry
	src    *file.Source // nil: no directory
	disco  *discovery.Server

	set      file.Set // owned by run
	last     *snapshot.Snapshot
	problems atomic.Pointer[[]*codes.Error] // of set and last

	sets chan change // latest unread set
}

// change is a set with the time of its notice.
type change struct {
	set file.Set
	at  time.Time
}

// first builds the first snapshot.
func (w *world) first() (*snapshot.Snapshot, error) {
	w.sets = make(chan change, 1)
	if w.src != nil {
		w.set = w.src.Set()
	}
	if err := w.build(); err != nil {
		return nil, err
	}
	return w.last, nil
}

// build compiles what there is now.
func (w *world) build() error {
	entries, generation := w.reg.All()
	in := compile.Input{Objects: w.set.Objects, TrustDomain: w.bundle.TrustDomain}
	for _, e := range entries {
		in.Registered = append(in.Registered, e.Registered())
	}
	if w.last != nil {
		in.Prev = w.last.Snapshot
	}
	if w.opt.Dir != "" {
		in.Check = "weft check " + w.opt.Dir
	}
	c, found := compile.Compile(in)
	next, err := snapshot.Build(w.last, c, w.bundle, generation, w.opt.Now())
	if err != nil {
		return err
	}
	problems := append(append([]*codes.Error{}, w.set.Problems...), found...)
	w.last = next
	w.problems.Store(&problems)
	return nil
}

// Problems gives what is wrong with the configuration at present.
func (w *world) Problems() []*codes.Error { return *w.problems.Load() }

// run follows the source and the registry until ctx ends.
func (w *world) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	watch := make(chan error, 1)
	if w.src != nil {
		wg.Go(func() { watch <- w.src.Run(ctx, w.offer) })
	}
	reloads := make(chan reload, 1)
	wg.Go(func() { w.tell(ctx, reloads) })
	defer cancel() // before wg.Wait
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-watch:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watching %s: %w", w.opt.Dir, err)
		case <-w.reg.Changed():
			if err := w.publish(); err != nil {
				return err
			}
		case c := <-w.sets:
			if sameSet(w.set, c.set) {
				continue
			}
			before := w.last
			w.set = c.set
			if err := w.publish(); err != nil {
				return err
			}
			r := reload{before, w.last, w.Problems(), c.at}
			w.logReload(r)
			select { // the older of two that wait is of no interest any more
			case <-reloads:
			default:
			}
			reloads <- r
		}
	}
}

// offer keeps the latest set for run; it never waits.
func (w *world) offer(s file.Set) {
	c := change{s, w.opt.Now()}
	for {
		select {
		case w.sets <- c:
			return
		default:
		}
		select {
		case <-w.sets:
		default:
		}
	}
}

func (w *world) publish() error {
	if err := w.build(); err != nil {
		return err
	}
	w.disco.Publish(w.last)
	return nil
}

// sameSet reports whether two sets mean the same: the source gives the present one again at its
// start.
func sameSet(a, b file.Set) bool {
	same := func(x, y []*object.Object) bool {
		if len(x) != len(y) {
			return false
		}
		for i := range x {
			if x[i] != y[i] {
				return false
			}
		}
		return true
	}
	return same(a.Objects, b.Objects) && reflect.DeepEqual(a.Problems, b.Problems)
}

// reload is one change of the configuration.
type reload struct {
	before, now *snapshot.Snapshot
	problems    []*codes.Error
	at          time.Time
}

func (w *world) logReload(r reload) {
	w.log.Info("configuration read", "snapshot", r.now.Number, "services", len(r.now.Services), "problems", len(r.problems))
	for _, p := range r.problems {
		w.log.Warn("configuration problem", "err", p)
	}
}

// tell calls Options.Reloaded once a change is live, until ctx ends.
func (w *world) tell(ctx context.Context, reloads <-chan reload) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-reloads:
			if w.opt.Reloaded == nil {
				continue
			}
			wait, cancel := context.WithTimeout(ctx, settleTimeout)
			live, all := w.disco.Live(wait, r.now.Number)
			cancel()
			if ctx.Err() != nil {
				return
			}
			out := Reloaded{Snapshot: r.now.Number, Problems: r.problems, Live: live, Connected: all, Took: w.opt.Now().Sub(r.at)}
			c := compare(r.before, r.now)
			out.Services, out.Routes, out.Endpoints = c.services, c.routes, c.endpoints
			w.opt.Reloaded(out)
		}
	}
}
