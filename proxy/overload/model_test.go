package overload

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weft-mesh/weft/model"
)

// world is a discrete-event model of one application behind a Guard: workers that each do one
// request at a time, the first come the first served, and clients. It uses the Guard as the data
// path does.
type world struct {
	now     time.Duration
	rng     *rand.Rand
	events  events
	seq     int
	g       *Guard
	workers int
	slow    float64 // factor on all service times; 0: 1
	busy    int
	backlog []*call

	watching bool
	watchAt  time.Duration
	done     []*call // with their outcome, in the order in which they ended
}

// call is one request of the model.
type call struct {
	turn     Turn
	req      Request
	work     time.Duration // what it takes a worker
	hold     time.Duration // before it is answered without work: a long poll
	came     time.Duration
	entered  time.Duration
	ended    time.Duration
	refused  Verdict // Enter: it was not
	gone     bool    // the caller gave up
	patience time.Duration
	then     func(*call)
}

func (c *call) took() time.Duration { return c.ended - c.came }

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func newWorld(seed uint64, workers int, guard model.Guard) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 1)), g: New(&guard, 1), workers: workers}
}

func (w *world) at(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{max(d, w.now), w.seq, do})
}

// run lets the world go on until a moment.
func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

// arrive brings a request to the Guard.
func (w *world) arrive(c *call) {
	c.came = w.now
	c.turn.Owner = c
	if c.patience > 0 {
		c.req.Left = c.patience
		w.at(w.now+c.patience, func() { w.giveUp(c) })
	}
	v, yields := w.g.Arrive(w.now, &c.turn, &c.req)
	if yields != nil {
		w.refuse(yields.Owner.(*call), Full)
	}
	switch v {
	case Enter:
		w.enter(c)
	case Wait:
		w.serve()
		w.watch()
	default:
		w.refuse(c, v)
	}
}

func (w *world) giveUp(c *call) {
	if c.ended != 0 || c.refused != Enter {
		return
	}
	c.gone, c.ended = true, w.now
	w.g.Leave(w.now, &c.turn)
	w.done = append(w.done, c)
	w.serve()
}

func (w *world) refuse(c *call, v Verdict) {
	c.refused, c.ended = v, w.now
	w.done = append(w.done, c)
	if c.then != nil {
		c.then(c)
	}
}

// watch sends away who waits for too long.
func (w *world) watch() {
	at, ok := w.g.Deadline()
	if !ok || w.watching && w.watchAt <= at {
		return
	}
	w.watching, w.watchAt = true, at
	w.at(at, func() {
		if w.watchAt != at {
			return
		}
		w.watching = false
		for t := w.g.Expired(w.now); t != nil; t = w.g.Expired(w.now) {
			w.refuse(t.Owner.(*call), Waited)
		}
		w.watch()
	})
}

// serve gives the application those whose turn it is.
func (w *world) serve() {
	for t := w.g.Next(w.now); t != nil; t = w.g.Next(w.now) {
		w.enter(t.Owner.(*call))
	}
}

func (w *world) enter(c *call) {
	c.entered = w.now
	if c.hold > 0 {
		w.at(w.now+c.hold, func() { w.answer(c) })
		return
	}
	if w.busy >= w.workers {
		w.backlog = append(w.backlog, c)
		return
	}
	w.work(c)
}

func (w *world) work(c *call) {
	w.busy++
	d := c.work
	if w.slow > 0 {
		d = time.Duration(float64(d) * w.slow)
	}
	w.at(w.now+d, func() {
		w.busy--
		if len(w.backlog) > 0 && w.busy < w.workers {
			next := w.backlog[0]
			w.backlog = w.backlog[1:]
			w.work(next)
		}
		w.answer(c)
	})
}

func (w *world) answer(c *call) {
	if c.gone {
		return
	}
	c.ended = w.now
	w.g.Answered(w.now, &c.turn, c.came, true)
	w.done = append(w.done, c)
	w.serve()
	if c.then != nil {
		c.then(c)
	}
}

// poisson brings requests at a rate, of those that make gives, from one moment to another.
func (w *world) poisson(rate float64, from, to time.Duration, make func() *call) {
	var next func()
	gap := func() time.Duration { return time.Duration(w.rng.ExpFloat64() / rate * float64(time.Second)) }
	next = func() {
		if w.now >= to {
			return
		}
		w.arrive(make())
		w.at(w.now+gap(), next)
	}
	w.at(from+gap(), next)
}

// exponential, and the other distributions of service times.
func (w *world) exponential(mean time.Duration) time.Duration {
	return time.Duration(w.rng.ExpFloat64() * float64(mean))
}

// nearly is uniform within a fifth of the mean.
func (w *world) nearly(mean time.Duration) time.Duration {
	return time.Duration(float64(mean) * (0.8 + 0.4*w.rng.Float64()))
}

// outcome sums up the requests that came in a time.
type outcome struct {
	came, answered, refused, gone int
	p50, p99                      time.Duration
	rate                          float64 // answers a second
}

func (w *world) outcome(from, to time.Duration, of func(*call) bool) outcome {
	var o outcome
	var took []time.Duration
	for _, c := range w.done {
		if of != nil && !of(c) {
			continue
		}
		if c.refused == Enter && !c.gone && c.ended >= from && c.ended < to {
			o.rate++
		}
		if c.came < from || c.came >= to {
			continue
		}
		o.came++
		switch {
		case c.refused != Enter:
			o.refused++
		case c.gone:
			o.gone++
		default:
			o.answered++
			took = append(took, c.took())
		}
	}
	o.rate /= (to - from).Seconds()
	slices.Sort(took)
	if n := len(took); n > 0 {
		o.p50, o.p99 = took[n/2], took[int(math.Ceil(float64(n)*0.99))-1]
	}
	return o
}
