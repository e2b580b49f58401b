//go:build linux

package flood

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// stage is a world under honest load.
type stage struct {
	*world
	honest *honest    // through the mesh
	direct *honest    // past it, for control: what the machine itself does
	peers  *newcomers // honest ones that make links
	mem    [2]*memory // of the caller's and the callee's proxy
	start  [2]int64   // resident before anything happened

	quiet, quietDirect []time.Duration // of the latest windows without an attack
	calm               bool            // the machine had time for them
}

func newStage(t *testing.T) *stage {
	s := &stage{world: newWorld(t)}
	s.honest = &honest{addr: s.outbound, workers: 8, every: 16 * time.Millisecond, newEvery: 10} // 500 a second
	s.direct = &honest{addr: s.app, workers: 2, every: 8 * time.Millisecond, newEvery: 10}       // 250
	s.peers = &newcomers{world: s.world, every: 100 * time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i, p := range []*proxy{s.caller, s.callee} {
		s.mem[i] = &memory{pid: p.pid()}
		wg.Go(func() { s.mem[i].run(ctx) })
	}
	wg.Go(func() { s.honest.run(ctx) })
	wg.Go(func() { s.direct.run(ctx) })
	wg.Go(func() { s.peers.run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	s.rest(4 * windows().quiet)
	for i, m := range s.mem {
		s.start[i] = m.most()
	}
	return s
}

// rest lets time pass without an attack and notes how it went.
func (s *stage) rest(d time.Duration) (seen, direct []time.Duration) {
	from := time.Now()
	time.Sleep(d) // a window of measurement
	seen, direct = s.honest.window(from, time.Now()), s.direct.window(from, time.Now())
	switch calm := p99(direct) <= busy/2; {
	case calm && s.calm:
		s.quiet, s.quietDirect = keep(s.quiet, seen), keep(s.quietDirect, direct)
	case calm || !s.calm: // a base line is that of a machine with time for it, if there ever is
		s.quiet, s.quietDirect, s.calm = seen, direct, calm
	}
	return seen, direct
}

// keep adds a window and forgets what is too old for a base line.
func keep(all, window []time.Duration) []time.Duration {
	const most = 1500
	all = append(slices.Clone(all), window...)
	return all[max(0, len(all)-most):]
}

func p99Of(all []time.Duration) time.Duration { return p99(slices.Sorted(slices.Values(all))) }

// endure runs one attack for d and watches.
func (s *stage) endure(t *testing.T, at *attack, link bool, d time.Duration) (o outcome) {
	t.Helper()
	target := s.outbound
	if link {
		target = s.link
	}
	s.failures()
	refused := [2]map[string]int{s.caller.refused(), s.callee.refused()}
	cpu := [2]time.Duration{cpuTime(s.caller.pid()), cpuTime(s.callee.pid())}
	o.before, o.directBefore = p99Of(s.quiet), p99Of(s.quietDirect)
	for _, m := range s.mem {
		m.most()
	}
	todo := order{Attack: at.name, Target: target, Link: link, App: s.app, Identity: s.identity, Share: share}
	if at.hungry {
		todo.Share = 1
	}
	attacker := playing(t, "attack", todo)
	var hello string
	attacker.hear(&hello)
	time.Sleep(windows().begin) // the attack, its beginning
	from := time.Now()
	time.Sleep(d) // the attack
	to := time.Now()
	if err := attacker.in.Close(); err != nil {
		t.Error(err)
	}
	attacker.hear(&o.report)
	<-attacker.done
	ended := time.Now()
	for {
		o.left, o.gone = connections(t, target, attackerIP), time.Since(ended)
		if o.left == 0 || o.gone > patience {
			break
		}
		time.Sleep(5 * time.Millisecond) // polling, with a deadline
	}
	o.during, o.directDuring = p99(s.honest.window(from, to)), p99(s.direct.window(from, to))
	o.links = s.peers.window(from, to)
	for i, m := range s.mem {
		o.growth[i] = m.most() - s.start[i]
	}
	for {
		seen, direct := s.rest(windows().after)
		o.after, o.directAfter = p99(seen), p99(direct)
		if o.within(o.after, o.directAfter, maxAfter) || time.Since(ended) > recoverIn+windows().after {
			break
		}
	}
	for i, m := range s.mem { // what grows on has not recovered
		o.growth[i] = max(o.growth[i], m.most()-s.start[i])
	}
	for i, p := range []*proxy{s.caller, s.callee} {
		o.cpu[i] = cpuTime(p.pid()) - cpu[i]
		o.refused[i] = p.refused()
		for code, n := range refused[i] {
			o.refused[i][code] -= n
		}
		maps.DeleteFunc(o.refused[i], func(_ string, n int) bool { return n == 0 })
	}
	o.failed, o.slow = s.failures()
	return o
}

// failures takes what failed since the last call, and what was only too slow.
func (s *stage) failures() (failed, slow []string) {
	for _, h := range []*ledger{&s.honest.ledger, &s.direct.ledger, &s.peers.ledger} {
		f, w := h.failures()
		failed, slow = append(failed, f...), append(slow, w...)
	}
	return failed, slow
}
