package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// group runs the parts of the demo. The first that ends before it was told to ends all others.
type group struct {
	ctx    context.Context // ends with the caller's, or by a failure (its cause)
	fail   context.CancelCauseFunc
	log    func(name, line string)
	parent context.Context

	mu    sync.Mutex // guards parts
	parts []*part
}

// part is one running thing.
type part struct {
	name  string
	stop  context.CancelFunc
	done  chan struct{}
	lines *tail
}

func newGroup(ctx context.Context, log func(name, line string)) *group {
	inner, fail := context.WithCancelCause(ctx)
	return &group{ctx: inner, fail: fail, log: log, parent: ctx}
}

// start runs f in a goroutine until it returns; stopAll waits for it.
func (g *group) start(name string, f func(ctx context.Context) error) *part {
	// Parts are stopped one after the other, newest first, so they do not end with g.ctx.
	ctx, stop := context.WithCancel(context.WithoutCancel(g.ctx))
	p := &part{name: name, stop: stop, done: make(chan struct{}), lines: &tail{name: name, each: g.log}}
	g.mu.Lock()
	g.parts = append(g.parts, p)
	g.mu.Unlock()
	go func() {
		defer close(p.done)
		err := f(ctx)
		if ctx.Err() == nil { // it was not told to
			if err == nil {
				err = errors.New("it ended")
			}
			g.fail(g.describe(p, err))
		}
	}()
	return p
}

// describe makes the error about a part that ended, with the last of what it wrote.
func (g *group) describe(p *part, err error) error {
	last := p.lines.last()
	if last != "" {
		err = fmt.Errorf("%w; it wrote: %s", err, last)
	}
	return startError(p.name, err)
}

// stopAll stops the parts, newest first, each within stopTimeout.
func (g *group) stopAll() {
	g.mu.Lock()
	parts := g.parts
	g.mu.Unlock()
	g.fail(context.Canceled)
	// All services at once, then the control plane, which is the first part: proxies that drain
	// still talk to it.
	for i := len(parts) - 1; i > 0; i-- {
		parts[i].stop()
	}
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	for i := len(parts) - 1; i >= 0; i-- {
		parts[i].stop()
		select {
		case <-parts[i].done:
		case <-limit.C:
			limit.Reset(0)
		}
	}
}

// untilDone waits for the caller's context, or the failure of a part.
func (g *group) untilDone() error {
	<-g.ctx.Done()
	return g.cause()
}

// cause is why the group's context ended.
func (g *group) cause() error {
	if g.parent.Err() != nil {
		return context.Cause(g.parent)
	}
	return context.Cause(g.ctx)
}

// await polls until ready gives "", and makes a coded error of the last reason if it does not.
func (g *group) await(limit time.Duration, what string, ready func(ctx context.Context) string) error {
	var last string
	err := g.poll(limit, pollEvery, func(ctx context.Context) string {
		last = ready(ctx)
		return last
	})
	if errors.Is(err, errNotReady) {
		return startError(what, fmt.Errorf("not ready after %s: %s", limit, last))
	}
	return err
}

// poll calls ready until it gives "", the limit is over (errNotReady), or the group ended.
func (g *group) poll(limit, every time.Duration, ready func(ctx context.Context) string) error {
	ctx, cancel := context.WithTimeout(g.ctx, limit)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ready(ctx) == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if g.ctx.Err() != nil {
				return g.cause()
			}
			return errNotReady
		}
	}
}

// tailLines is how many lines of each process are kept for error messages.
const tailLines = 3

// tail is an io.Writer that keeps the last lines, and hands each on to each if that is set.
type tail struct {
	name string
	each func(name, line string)

	mu    sync.Mutex // guards part and lines
	part  string
	lines []string
}

// maxLine bounds a line; the rest of it is dropped.
const maxLine = 4096

// Write implements io.Writer. It never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.part + string(b)
	for {
		line, rest, found := strings.Cut(text, "\n")
		if !found {
			break
		}
		text = rest
		t.lines = append(t.lines, line)
		if len(t.lines) > tailLines {
			t.lines = t.lines[1:]
		}
		if t.each != nil {
			t.each(t.name, line)
		}
	}
	t.part = text[:min(len(text), maxLine)]
	return len(b), nil
}

// last gives the kept lines on one.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.lines
	if t.part != "" {
		lines = append(lines[:len(lines):len(lines)], t.part)
	}
	return strings.Join(lines, " | ")
}
