package join

import (
	"context"
	"os"
)

// start is the time before the application runs: a signal then ends the start, for there is
// nobody to pass it to.
type start struct {
	ctx    context.Context
	cancel context.CancelFunc
	over   chan struct{}
	signal chan os.Signal // holds the one that ended it
	gone   chan struct{}
}

func newStart(ctx context.Context, signals <-chan os.Signal) *start {
	s := &start{over: make(chan struct{}), signal: make(chan os.Signal, 1), gone: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(ctx)
	go s.watch(signals)
	return s
}

func (s *start) watch(signals <-chan os.Signal) {
	defer close(s.gone)
	for {
		select {
		case <-s.over:
			return
		case sig := <-signals:
			if ends(sig) {
				s.signal <- sig
				s.cancel()
				return
			}
		}
	}
}

// finish ends the start and gives the signal that broke it off, or nil.
func (s *start) finish() os.Signal {
	close(s.over)
	<-s.gone
	s.cancel()
	select {
	case sig := <-s.signal:
		return sig
	default:
		return nil
	}
}

// impatience watches, in the last seconds of a run in which the proxy drains, for a signal that
// asks to end, and closes hurry at the first. stop ends the watch.
func impatience(signals <-chan os.Signal) (hurry <-chan struct{}, stop func()) {
	// The Ctrl-C that ended the application came to us as well and is no second one.
	for pending := true; pending; {
		select {
		case <-signals:
		default:
			pending = false
		}
	}
	now, over, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-over:
				return
			case s := <-signals:
				if ends(s) {
					close(now)
					return
				}
			}
		}
	}()
	return now, func() { close(over); <-gone }
}
