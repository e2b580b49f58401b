package join

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/proxy/config"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// healthy is how long a proxy must have run for its end to count as a first one.
	healthy = 10 * time.Second
	// together is how far apart the ends of a proxy and of its application may be when both were
	// told to end at the same time.
	together = time.Second
)

// restartPause is the pause before a start: none before the first, then growing. Proxies are
// one to a process, so there is no herd to spread out.
func restartPause(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	if failures > 6 { // 100 ms doubled six times is beyond the longest
		return lastPause
	}
	return min(firstPause<<(failures-1), lastPause)
}

// supervisor keeps one proxy running. start, keep and stop are called in this order, by one
// goroutine at a time.
type supervisor struct {
	launcher launcher
	log      *slog.Logger
	drain    time.Duration
	ending   chan time.Time // has room for one: when the application was last asked to end
	patience time.Duration  // how long the application may take to, then

	current  *proxy                // nil while there is none
	serving  atomic.Pointer[proxy] // the latest, for leave
	restarts atomic.Uint64         // successful ones
}

// start starts the first proxy.
func (s *supervisor) start(ctx context.Context) error {
	p, err := s.launcher.start(ctx, true)
	if err != nil {
		return err
	}
	s.adopt(p)
	return nil
}

// adopt makes p the current proxy, and its addresses the ones that the next one will have.
func (s *supervisor) adopt(p *proxy) {
	s.current = p
	s.serving.Store(p)
	c := &s.launcher.config.Workloads[0]
	ready := &p.ready.Workloads[0]
	keep := func(field *string, got string) {
		if *field != "" && got != "" {
			*field = got
		}
	}
	keep(&c.Link, ready.Link)
	keep(&c.Outbound.Proxy, ready.Proxy)
	keep(&s.launcher.config.Metrics, p.ready.Metrics)
	if len(ready.Services) == len(c.Outbound.Services) {
		for i, got := range ready.Services {
			want := c.Outbound.Services[i]
			if got.Namespace == want.Namespace && got.Service == want.Service && got.Port == want.Port {
				keep(&c.Outbound.Services[i].Listen, got.Listen)
			}
		}
	}
}

// keep starts the proxy again whenever it ends, until ctx does.
func (s *supervisor) keep(ctx context.Context) {
	failures := 0
	for began := time.Now(); ; {
		if s.current != nil {
			select {
			case <-ctx.Done():
				return
			case <-s.current.done:
			}
			if time.Since(began) >= healthy {
				failures = 0
			}
			ended := s.current
			s.current = nil
			if ended.obeyed() && s.isTheEnd(ctx) {
				return
			}
			s.tell(ended)
		}
		pause := time.NewTimer(restartPause(failures))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		failures++
		p, err := s.launcher.start(ctx, true)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("the proxy could not be started again", "err", err, "attempt", failures, "pause", restartPause(failures))
			}
			continue
		}
		s.adopt(p)
		began = time.Now()
		s.log.Info("the proxy is back", "pid", p.cmd.Process.Pid, "restarts", s.restarts.Add(1))
	}
}

// appEnds says that the application was asked to end. It never waits. One goroutine calls it.
func (s *supervisor) appEnds() {
	select {
	case <-s.ending: // of former times
	default:
	}
	s.ending <- time.Now()
}

// isTheEnd reports whether the application ends too, after a proxy that somebody told to end: a
// supervisor of ours, or a shell, signals all processes of a group. It waits for the application,
// whose end is that of ctx, as long as that may take, and no longer: one that goes on needs a
// proxy.
func (s *supervisor) isTheEnd(ctx context.Context) bool {
	limit := time.NewTimer(together)
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return true
		case asked := <-s.ending: // or long ago, in vain
			if left := s.patience - time.Since(asked); left > 0 {
				limit.Reset(left)
			}
		case <-limit.C:
			return false
		}
	}
}

// tell logs the end of a proxy.
func (s *supervisor) tell(p *proxy) {
	e := codes.New("W4112", "the proxy ended and is being started again")
	e.Why = p.cmd.ProcessState.String() + p.lastWords()
	s.log.Warn(e.What, "code", e.Code, "why", e.Why, "pid", p.cmd.Process.Pid)
}

// stop ends the current proxy. hurry, when closed, makes it end at once.
func (s *supervisor) stop(hurry <-chan struct{}) {
	if s.current != nil {
		s.current.stop(s.drain, hurry)
		s.current = nil
	}
}

// leave announces that the workload takes no new requests; see proxy.leave. It may be called at
// any time after start.
func (s *supervisor) leave() <-chan struct{} { return s.serving.Load().leave() }

// ready is what the current proxy said.
func (s *supervisor) ready() config.Ready { return s.current.ready }
