package fleet

import "time"

// phase is where a try is, as seen at its server.
type phase uint8

const (
	onWire     phase = iota // on its way there
	connecting              // waits for a link that is not answered
	queued                  // at the server's door
	running                 // being worked on
	calling                 // its server waits for the tier below
	replied                 // the answer is on its way, or nothing of it is left at the server
	lost                    // swallowed
)

// try is one request to one server.
type try struct {
	target         float64 // the server's progress at which it is done
	sent, began    time.Duration
	deadline       time.Duration // of its call
	call           int32         // -1: the client gave up
	child          int32         // the call to the tier below; -1: none
	next           int32         // of the same call
	pos            int32         // in the server's heap; -1: not there
	client, server int32
	gen            uint32
	level          int32 // requests in flight at the server when it came
	inflight       int32 // what the answer says of the server's load
	latency        time.Duration
	tier           uint8
	phase          phase
	outcome        Outcome
	class          int8
	inside         bool // counted in the server's requests in flight
	repeated       bool // not the first of its call, or its call came with such a mark
	vain           bool // the answer tells that it failed further down
}

// waiting reports whether the client waits for it.
func (t *try) waiting() bool { return t.call >= 0 }

// atServer reports whether the server has, or will have, something of it.
func (t *try) atServer() bool { return t.phase < replied && t.phase != connecting }

// call is what a client wants done: one try, or more.
type call struct {
	start, deadline time.Duration
	parent          int32 // the try of the tier above that waits; -1: of the first tier
	client          int32
	tries           int32 // those that are under way; -1: none
	avoid           int32 // where the last one failed; -1: none
	gen             uint32
	again           uint16 // tries that followed the first
	tier            uint8
	class           int8
	repeated        bool // came with the mark of a repeated try
}

// client is one caller of a tier.
type client struct {
	choose  Chooser
	prober  Prober // choose, if it is one
	repeats Budget // for what may have been processed, and hedges
	requeue Budget // for what was not
	hedge   Hedger
	cut     []bool // links that were given up and not made anew, by server; nil: links are not watched
}

func (w *World) clientOf(c *call) *client { return &w.tiers[c.tier].clients[c.client] }

// begin starts a call.
func (w *World) begin(tier uint8, who, parent int32) int32 {
	cfg := &w.tiers[tier].cfg.Calls
	var id int32
	if n := len(w.spare); n > 0 {
		id = w.spare[n-1]
		w.spare = w.spare[:n-1]
	} else {
		id = int32(len(w.calls))
		w.calls = append(w.calls, call{})
	}
	c := &w.calls[id]
	*c = call{start: w.now, deadline: w.now + cfg.Timeout, parent: parent, client: who, tries: -1, avoid: -1, gen: c.gen, tier: tier}
	switch {
	case parent >= 0:
		p := &w.tries[parent]
		p.child = id
		c.class, c.repeated = p.class, p.repeated
		c.deadline = min(c.deadline, p.deadline)
	case cfg.Class != nil:
		c.class = cfg.Class(w.random)
	}
	if parent < 0 && w.now < w.end() {
		w.live++
	}
	cl := w.clientOf(c)
	if cl.repeats != nil {
		cl.repeats.Deposit(w.now)
		cl.requeue.Deposit(w.now)
	}
	w.at(c.deadline, evDeadline, id, 0, c.gen)
	if cl.hedge != nil {
		if wait, ok := cl.hedge.Delay(); ok {
			w.at(w.now+wait, evHedge, id, 0, c.gen)
		}
	}
	w.send(id, false)
	return id
}

// send makes a try.
func (w *World) send(id int32, hedge bool) {
	c := &w.calls[id]
	tier := &w.tiers[c.tier]
	cl := &tier.clients[c.client]
	avoid := int(c.avoid)
	if hedge && c.tries >= 0 {
		avoid = int(w.tries[c.tries].server)
	}
	to := cl.choose.Pick(w.now, w.random.Uint64(), avoid)
	if to < 0 {
		if c.tries < 0 {
			w.finish(id, Unreachable)
		}
		return
	}
	if hedge && to == avoid {
		return // there is no other
	}
	cl.choose.Start(to)
	w.ask(c.tier, c.client)
	t := w.newTry()
	x := &w.tries[t]
	*x = try{sent: w.now, deadline: c.deadline, call: id, child: -1, next: c.tries, pos: -1, client: c.client, server: int32(to),
		gen: x.gen, tier: c.tier, class: c.class, repeated: c.repeated || c.again > 0}
	c.tries = t
	w.countTry(c.tier, c.client, to)
	cfg := &tier.cfg.Calls
	if cfg.TryTimeout > 0 && w.now+cfg.TryTimeout < c.deadline {
		w.at(w.now+cfg.TryTimeout, evTryLimit, t, 0, x.gen)
	}
	delay := w.cfg.Latency
	if cl.cut != nil && cl.cut[to] {
		if tier.servers[to].mode == Black {
			x.phase = connecting
			w.at(w.now+cfg.Connect, evSilence, t, 0, x.gen)
			return
		}
		cl.cut[to] = false
		delay += 2 * w.cfg.Latency // for the link
	}
	w.at(w.now+delay, evReach, t, 0, x.gen)
	if cfg.Silence > 0 {
		w.at(w.now+cfg.Silence, evSilence, t, 0, x.gen)
	}
}

func (w *World) newTry() int32 {
	if n := len(w.free); n > 0 {
		t := w.free[n-1]
		w.free = w.free[:n-1]
		return t
	}
	w.tries = append(w.tries, try{})
	return int32(len(w.tries) - 1)
}

func (w *World) freeTry(t int32) {
	w.tries[t].gen++
	w.free = append(w.free, t)
}

// reply: an answer has reached the client.
func (w *World) reply(e *event) {
	x := &w.tries[e.a]
	if x.gen != e.gen {
		return
	}
	if p := w.tiers[x.tier].clients[x.client].prober; p != nil && x.outcome == OK {
		p.Probed(w.now, int(x.server), int(x.inflight), x.latency)
	}
	w.ended(e.a, x.outcome)
}

// tryLate: the time of one try is over.
func (w *World) tryLate(e *event) {
	if x := &w.tries[e.a]; x.gen == e.gen && x.waiting() {
		w.ended(e.a, TimedOut)
	}
}

// late: a call's time is over.
func (w *World) late(e *event) {
	c := &w.calls[e.a]
	if c.gen != e.gen {
		return
	}
	for c.tries >= 0 {
		t := c.tries
		x := &w.tries[t]
		w.clientOf(c).choose.Settle(w.now, int(x.server), w.now-x.sent, TimedOut)
		w.detach(t)
	}
	w.finish(e.a, TimedOut)
}

// detach ends the client's interest in a try. If the server has something of it, it is told.
func (w *World) detach(t int32) {
	x := &w.tries[t]
	c := &w.calls[x.call]
	for p := &c.tries; ; p = &w.tries[*p].next {
		if *p == t {
			*p = x.next
			break
		}
	}
	x.call = -1
	switch {
	case !x.atServer():
		w.freeTry(t)
	case !w.tiers[x.tier].cfg.Calls.Careless:
		w.at(w.now+w.cfg.Latency, evCancel, t, 0, x.gen)
	}
}

// ended: a try has ended for its client, while the call has time left.
func (w *World) ended(t int32, o Outcome) {
	x := &w.tries[t]
	id, to, vain := x.call, x.server, x.vain
	c := &w.calls[id]
	cl := w.clientOf(c)
	took := w.now - x.sent
	cl.choose.Settle(w.now, int(to), took, o)
	if cl.hedge != nil && o == OK {
		cl.hedge.Observe(w.now, took)
	}
	w.detach(t)
	if o == OK {
		w.finish(id, OK)
		return
	}
	c.avoid = to
	if c.tries >= 0 {
		return // another try is under way
	}
	if !w.mayRepeat(c, o, vain) {
		w.finish(id, o)
		return
	}
	c.again++
	wait := w.backoff(c, o)
	if wait == 0 {
		w.send(id, false)
		return
	}
	w.at(w.now+wait, evAgain, id, 0, c.gen)
}

func (w *World) mayRepeat(c *call, o Outcome, vain bool) bool {
	cfg := &w.tiers[c.tier].cfg.Calls
	if int(c.again) >= cfg.Attempts {
		return false
	}
	if !o.unprocessed() && (cfg.On&causeOf(o) == 0 || cfg.Marked && (c.repeated || vain)) {
		return false
	}
	cl := w.clientOf(c)
	switch {
	case cl.repeats == nil:
		return true
	case o.unprocessed():
		return cl.requeue.Withdraw(w.now)
	}
	return cl.repeats.Withdraw(w.now)
}

// unprocessed reports whether the server has provably done nothing.
func (o Outcome) unprocessed() bool { return o == Refused || o == Unreachable }

func causeOf(o Outcome) Causes {
	switch o {
	case Failed:
		return OnFailed
	case TimedOut:
		return OnTimeout
	case Broken:
		return OnBroken
	}
	return 0
}

// backoff draws the wait before another try.
func (w *World) backoff(c *call, o Outcome) time.Duration {
	cfg := &w.tiers[c.tier].cfg.Calls
	if o.unprocessed() || cfg.Backoff == 0 {
		return 0
	}
	most := min(cfg.Backoff<<min(c.again-1, 16), cfg.BackoffMax)
	return time.Duration(w.random.Int64N(int64(most) + 1))
}

// again: the wait before another try is over.
func (w *World) again(e *event) {
	if w.calls[e.a].gen == e.gen {
		w.send(e.a, false)
	}
}

// hedgeNow: a call waits for longer than most.
func (w *World) hedgeNow(e *event) {
	c := &w.calls[e.a]
	if c.gen != e.gen || c.again > 0 || c.tries < 0 {
		return
	}
	if b := w.clientOf(c).repeats; b != nil && !b.Withdraw(w.now) {
		return
	}
	c.again++
	w.send(e.a, true)
}

// finish ends a call once: what is still under way is cancelled.
func (w *World) finish(id int32, o Outcome) {
	c := &w.calls[id]
	w.drop(c)
	if c.parent < 0 {
		if c.start < w.end() {
			w.live--
		}
		w.record(c, o)
	}
	parent := c.parent
	w.freeCall(id)
	if parent < 0 {
		return
	}
	p := &w.tries[parent]
	p.child = -1
	if o == OK {
		w.answer(parent, OK)
		return
	}
	p.vain = true
	w.answer(parent, Failed)
}

// drop cancels the tries of a call that are still under way.
func (w *World) drop(c *call) {
	for c.tries >= 0 {
		t := c.tries
		x := &w.tries[t]
		w.clientOf(c).choose.Abandon(w.now, int(x.server), w.now-x.sent)
		w.detach(t)
	}
}

func (w *World) freeCall(id int32) {
	w.calls[id].gen++
	w.spare = append(w.spare, id)
}

// silent: a link may have been without a sign of life for too long.
func (w *World) silent(e *event) {
	x := &w.tries[e.a]
	if x.gen != e.gen || !x.waiting() {
		return
	}
	if x.phase == connecting {
		w.ended(e.a, Unreachable)
		return
	}
	tier := &w.tiers[x.tier]
	silence := tier.cfg.Calls.Silence
	if tier.servers[x.server].mode != Black {
		w.at(w.now+silence, evSilence, e.a, 0, x.gen) // a slow application's proxy answers pings
		return
	}
	if last := max(x.sent, tier.black[x.server]); w.now-last < silence {
		w.at(last+silence, evSilence, e.a, 0, x.gen)
		return
	}
	tier.clients[x.client].cut[x.server] = true
	on, client, server := x.tier, x.client, x.server
	for i := range w.tries {
		x := &w.tries[i]
		if x.waiting() && x.tier == on && x.client == client && x.server == server && x.phase != connecting {
			w.ended(int32(i), Broken)
		}
	}
}

// record counts a finished call of the first tier.
func (w *World) record(c *call, o Outcome) {
	w.out.Hash = mix(mix(w.out.Hash, uint64(w.now)), uint64(c.client)<<8|uint64(o))
	since := c.start - w.cfg.Warm
	if since < 0 || since >= w.cfg.Length {
		return
	}
	took := w.now - c.start
	w.out.Calls++
	w.out.Outcomes[o]++
	w.out.All.Add(took)
	if o == OK {
		w.out.Good++
		w.out.Latency.Add(took)
	}
	if w.tiers[0].cfg.Calls.Class != nil {
		k := w.out.class(c.class)
		k.Calls++
		if o == OK {
			k.Good++
			k.Latency.Add(took)
		}
	}
	if w.cfg.Window > 0 {
		v := &w.out.Windows[since/w.cfg.Window]
		v.Calls++
		if o == OK {
			v.Good++
			v.Latency.Add(took)
		}
	}
}

// countTry counts a try that is sent.
func (w *World) countTry(tier uint8, client int32, to int) {
	w.out.Hash = mix(w.out.Hash, uint64(tier)<<56|uint64(to))
	since := w.now - w.cfg.Warm
	if since < 0 || since >= w.cfg.Length {
		return
	}
	r := &w.out.Tiers[tier]
	r.Tries++
	r.Served[to]++
	w.tiers[tier].reached[client][to/64] |= 1 << (to % 64)
	if w.cfg.Window > 0 {
		w.out.Windows[since/w.cfg.Window].Tries[tier]++
	}
}
