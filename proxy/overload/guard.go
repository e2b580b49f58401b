package overload

import (
	"time"

	"github.com/weft-mesh/weft/model"
)

// Verdict is what becomes of a request that came.
type Verdict uint8

// The verdicts. All after Wait are refusals.
const (
	Enter  Verdict = iota // the application may have it now
	Wait                  // it has a place in the queue; Next or Expired will give it back
	Shed                  // others are more important, or have had less
	Full                  // the queue is full
	Late                  // it cannot be answered in the time that it has left
	Waited                // it has waited for too long; never the verdict of Arrive
)

// Request is what a Guard wants to know of a request.
type Request struct {
	Kind     uint8  // KindOf its path
	Caller   string // the verified identity of who sent it
	Priority model.Priority
	Tree     uint32        // a hash of the request tree that it belongs to
	Traced   bool          // it belongs to one; otherwise it is for itself
	Rand     func() uint64 // called if it is, and that matters
	Left     time.Duration // until its caller gives up; 0: not known
}

// Guard guards one port of an application on one loop. Make it with New.
type Guard struct {
	limit limit
	queue queue
	shed  shedder
	count Counts
}

// Counts are totals since the start.
type Counts struct {
	Entered uint64
	Queued  uint64          // of those, and of the refused, the ones that waited
	Refused [classes]uint64 // by priority, sheddable first
	Why     [Waited + 1]uint64
	Closed  uint64 // times that the application was found to be overloaded
	Mistook uint64 // times that this turned out to be wrong
}

// State is what there is to see of a Guard.
type State struct {
	Limited  bool // the application is, or was seconds ago, overloaded
	Limit    int  // requests at a time
	InFlight int  // requests that the application has
	Waiting  int
	Slowness float64 // how many times as long as usual requests take (lower quartile); 0: not known
	Counts
}

// New makes a Guard. loops is among how many the proxy's limit is divided.
func New(cfg *model.Guard, loops int) *Guard {
	g := &Guard{}
	g.shed.cut = -1
	g.limit.at = float64(cfg.Concurrency.Max)
	g.limit.open, g.limit.patience = true, 1
	g.Configure(cfg, loops)
	return g
}

// Configure changes the settings. What was learned stays.
func (g *Guard) Configure(cfg *model.Guard, loops int) {
	c := cfg.Concurrency
	loops = max(loops, 1)
	c.Min = max((c.Min+loops-1)/loops, 1)
	c.Max = max((c.Max+loops-1)/loops, c.Min)
	g.limit.configure(c, cfg.Queue)
	g.queue.cfg = cfg.Queue
	if g.limit.open {
		g.limit.at = float64(c.Max)
	}
}

// Arrive decides about a request that came. t takes its place; it must be given back by Leave or
// Answered unless it is refused. yields, if not nil, had to make room in the queue: it is refused
// with Full.
func (g *Guard) Arrive(now time.Duration, t *Turn, r *Request) (v Verdict, yields *Turn) {
	t.kind, t.priority = r.Kind, min(max(r.Priority, model.PrioritySheddable), model.PriorityCriticalPlus)
	l := &g.limit
	if l.age(now) {
		g.shed.cut, g.shed.way = -1, false
		g.press()
	}
	if l.cfg.Adaptive && l.usual.waits(r.Kind) {
		t.place, t.since = aside, now
		g.count.Entered++
		return Enter, nil
	}
	t.flow = 0
	if !l.open {
		t.flow = flowOf(r.Caller)
		if g.shed.roll(now) {
			g.press()
		}
		g.shed.arrived(t.priority, t.flow)
	}
	if l.free(t.priority) && !g.queue.above(t.priority) {
		g.enter(now, t)
		return Enter, nil
	}
	l.held = now
	t.flow = flowOf(r.Caller)
	if !l.open {
		tree := r.Tree
		if !r.Traced && r.Rand != nil {
			tree = uint32(r.Rand())
		}
		if g.shed.sheds(t.priority, t.flow, tree) {
			return g.refuse(t, Shed), nil
		}
	}
	if r.Left > 0 && r.Left < g.needs(now, t) {
		return g.refuse(t, Late), nil
	}
	if g.queue.n >= g.queue.cfg.Max {
		if yields = g.queue.yields(t.priority); yields == nil {
			return g.refuse(t, Full), nil
		}
		g.queue.remove(yields)
		g.refuse(yields, Full)
	}
	g.queue.add(now, t)
	g.count.Queued++
	return Wait, yields
}

// press tells limit and queue what is decided about who is shed.
func (g *Guard) press() {
	g.limit.way = g.shed.way
	for i := range g.queue.press {
		g.queue.press[i] = g.shed.pressed(i)
	}
}

func (g *Guard) enter(now time.Duration, t *Turn) {
	g.limit.enter(now, t)
	g.shed.entered++
	g.count.Entered++
}

func (g *Guard) refuse(t *Turn, v Verdict) Verdict {
	g.count.Refused[class(t.priority)]++
	g.count.Why[v]++
	return v
}

// needs is how much time a request needs at least that cannot enter at once: of its kind three in
// four take longer, and those before it in the queue have to enter first.
func (g *Guard) needs(now time.Duration, t *Turn) time.Duration {
	l := &g.limit
	var d time.Duration
	if mean, ok := l.usual.of(t.kind); ok && l.ratio > 0 {
		d = time.Duration(l.ratio * float64(mean))
	}
	i := class(t.priority)
	if l.rate > 0 && !g.queue.standing(now, i, t.flow) { // else the last comes first
		before := 0
		for ; i < classes; i++ {
			before += g.queue.class[i].n
		}
		d += time.Duration(float64(before) / l.rate * float64(time.Second))
	}
	return d
}

// Next takes a request out of the queue that may enter, and has entered; nil if none may. Call it
// until then after Answered and Leave, when it suits.
func (g *Guard) Next(now time.Duration) *Turn {
	for i := classes - 1; i >= 0 && g.queue.n > 0; i-- {
		if g.queue.class[i].n == 0 {
			continue
		}
		if !g.limit.free(model.Priority(i) + model.PrioritySheddable) {
			continue
		}
		t := g.queue.pop(now, i)
		g.limit.held = now
		g.enter(now, t)
		return t
	}
	return nil
}

// Expired takes a request out of the queue that has waited for too long: it is refused with Waited.
// nil if there is none.
func (g *Guard) Expired(now time.Duration) *Turn {
	t := g.queue.expired(now)
	if t != nil {
		g.limit.held = now
		g.refuse(t, Waited)
	}
	return t
}

// Deadline is when Expired is to be called at the latest; false if nobody waits.
func (g *Guard) Deadline() (time.Duration, bool) {
	t, at := g.queue.first()
	return at, t != nil
}

// Answered tells that the application has begun to answer, or failed to: what it has of the request
// does not count any more. asked is when it had all of the request; measure is false if how long it
// took says nothing about its load: an error, a request whose end had not come.
func (g *Guard) Answered(now time.Duration, t *Turn, asked time.Duration, measure bool) {
	was := t.place
	if was != inside && was != aside {
		return
	}
	took := now - max(t.since, asked)
	if t.place == inside {
		g.limit.leave(t)
	}
	t.place = outside
	if was == aside {
		// A kind that waits may begin to work; what has become slow says what is usual only if nothing
		// is wrong.
		if l := &g.limit; measure && (l.trusts() || l.usual.waits(t.kind)) {
			l.usual.learn(now, t.kind, took)
		}
		return
	}
	g.limit.window.answered++
	g.shed.answered++
	if measure {
		g.limit.learn(now, t, took)
		g.limit.measure(now, t, took)
	} else {
		g.limit.forget(now, t)
	}
}

// Leave gives up the place of a request that nobody waits for any more. Calling it again does nothing.
func (g *Guard) Leave(now time.Duration, t *Turn) {
	switch t.place {
	case waiting:
		g.queue.remove(t)
	case inside:
		g.limit.leave(t)
		// Where every caller gives up before it is answered, that is all there is to measure by.
		mean, _ := g.limit.usual.of(t.kind)
		if took := now - t.since; float64(took) > g.limit.cfg.Tolerance*float64(mean) {
			g.limit.measure(now, t, took)
		} else {
			g.limit.forget(now, t)
		}
	}
	t.place = outside
}

// Waiting is how many requests wait.
func (g *Guard) Waiting() int { return g.queue.n }

// State gives what there is to see.
func (g *Guard) State() State {
	g.count.Closed, g.count.Mistook = g.limit.closed, g.limit.mistook
	return State{
		Limited: !g.limit.open, Limit: g.limit.now(), InFlight: g.limit.in, Waiting: g.queue.n,
		Slowness: g.limit.ratio, Counts: g.count,
	}
}

// flowOf hashes a caller's identity (FNV-1a).
func flowOf(id string) uint8 {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return uint8((h ^ h>>6 ^ h>>13) % flows)
}
