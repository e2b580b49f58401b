package fleet

import "time"

// reach: a try has come to its server.
func (w *World) reach(e *event) {
	x := &w.tries[e.a]
	if x.gen != e.gen {
		return
	}
	s := &w.tiers[x.tier].servers[x.server]
	switch s.mode {
	case Black:
		w.lose(e.a)
		return
	case Failing:
		w.answer(e.a, Failed)
		return
	}
	if s.gate == nil {
		w.enter(e.a)
		return
	}
	x.phase = queued
	w.verdict(e.a, s.gate.Arrive(w.now, Arrival{ID: e.a, Class: x.class, Client: x.client, Tree: treeOf(x.deadline), Left: x.deadline - w.now}))
	w.passGate(x.tier, x.server)
}

// treeOf hashes what the tries of one tree have in common, and hardly two trees: when they must end.
func treeOf(deadline time.Duration) uint32 {
	x := uint64(deadline) * 0x9e3779b97f4a7c15
	return uint32((x ^ x>>29) * 0xbf58476d1ce4e5b9 >> 32)
}

// lose: nothing will ever come of a try.
func (w *World) lose(t int32) {
	x := &w.tries[t]
	w.outside(x, -1)
	x.phase = lost
	if x.child >= 0 {
		w.abandon(x.child)
		x.child = -1
	}
	if !x.waiting() {
		w.freeTry(t)
	}
}

// enter: a server begins to work on a try.
func (w *World) enter(t int32) {
	x := &w.tries[t]
	tier := &w.tiers[x.tier]
	s := &tier.servers[x.server]
	x.began, x.phase = w.now, running
	x.inside = true
	x.level = int32(s.meter.Begin())
	w.out.Tiers[x.tier].MaxQueue = max(w.out.Tiers[x.tier].MaxQueue, int(x.level)+1)
	s.advance(w.now)
	s.add(w.tries, t, tier.cfg.Work(tier.random))
	w.reschedule(int32(x.tier), x.server)
}

// outside: a try is no longer among a server's requests in flight. took is how long it was; negative:
// it was not answered.
func (w *World) outside(x *try, took time.Duration) {
	if x.inside {
		x.inside = false
		w.tiers[x.tier].servers[x.server].meter.End(int(x.level), took)
	}
}

// worked: a server has done its own part of a try.
func (w *World) worked(t int32) {
	x := &w.tries[t]
	s := &w.tiers[x.tier].servers[x.server]
	s.ok++
	if w.now >= w.cfg.Warm && w.now < w.cfg.Warm+w.cfg.Length {
		w.out.Tiers[x.tier].Done++
	}
	if int(x.tier)+1 < len(w.tiers) {
		x.phase = calling
		w.begin(x.tier+1, x.server, t)
		return
	}
	w.answer(t, OK)
}

// answer: a server is done with a try.
func (w *World) answer(t int32, o Outcome) {
	x := &w.tries[t]
	was, tier, server := x.phase, x.tier, x.server
	if w.tiers[tier].servers[server].mode == Black {
		w.lose(t)
		return
	}
	s := &w.tiers[tier].servers[server]
	w.outside(x, w.now-x.began)
	x.phase, x.outcome = replied, o
	if x.waiting() {
		if w.tiers[tier].clients[x.client].prober != nil {
			x.inflight, x.latency = s.load()
		}
		w.at(w.now+w.cfg.Latency, evReply, t, 0, x.gen)
	} else {
		w.freeTry(t)
	}
	if s.gate != nil && (was == running || was == calling) {
		s.gate.Finished(w.now, t)
		w.passGate(tier, server)
	}
}

// cancel: the server hears that nobody waits for a try any more.
func (w *World) cancel(e *event) {
	x := &w.tries[e.a]
	if x.gen != e.gen {
		return
	}
	tier, server := x.tier, x.server
	s := &w.tiers[tier].servers[server]
	was := x.phase
	w.outside(x, -1)
	switch was {
	case running:
		s.advance(w.now)
		s.remove(w.tries, e.a)
		w.reschedule(int32(tier), server)
	case calling:
		w.abandon(x.child)
	}
	w.freeTry(e.a)
	if s.gate != nil && was != onWire {
		s.gate.Leave(w.now, e.a)
		w.passGate(tier, server)
	}
}

// abandon gives up a call to a lower tier: nobody waits for it.
func (w *World) abandon(id int32) {
	w.drop(&w.calls[id])
	w.freeCall(id)
}

// ask sends probes to the servers that a client's chooser names.
func (w *World) ask(tier uint8, who int32) {
	cl := &w.tiers[tier].clients[who]
	if cl.prober == nil {
		return
	}
	w.targets = cl.prober.Targets(w.now, w.random, w.targets[:0])
	for _, to := range w.targets {
		if since := w.now - w.cfg.Warm; since >= 0 && since < w.cfg.Length {
			w.out.Tiers[tier].Probes++
		}
		w.at(w.now+w.cfg.Latency, evProbe, who, int32(to), uint32(tier))
	}
}

// load is what a server says of itself.
func (s *server) load() (inflight int32, latency time.Duration) {
	n, latency := s.meter.Load()
	return int32(n), latency
}

// signal is the answer to a probe, under way.
type signal struct {
	client, server int32
	tier           uint8
	inflight       int32
	latency        time.Duration
}

// probe: a probe has come to its server.
func (w *World) probe(e *event) {
	s := &w.tiers[e.gen].servers[e.b]
	if s.mode == Black {
		return
	}
	var id int32
	if n := len(w.idle); n > 0 {
		id = w.idle[n-1]
		w.idle = w.idle[:n-1]
	} else {
		id = int32(len(w.signals))
		w.signals = append(w.signals, signal{})
	}
	w.signals[id] = signal{client: e.a, server: e.b, tier: uint8(e.gen)}
	w.signals[id].inflight, w.signals[id].latency = s.load()
	w.at(w.now+w.cfg.Latency, evProbed, id, 0, 0)
}

// probed: its answer has come to the client.
func (w *World) probed(e *event) {
	a := &w.signals[e.a]
	w.tiers[a.tier].clients[a.client].prober.Probed(w.now, int(a.server), int(a.inflight), a.latency)
	w.idle = append(w.idle, e.a)
}
