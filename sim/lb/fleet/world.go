package fleet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/weft-mesh/weft/model"
)

// World is one run of a Config.
type World struct {
	cfg     Config
	now     time.Duration
	events  queue
	random  *rand.Rand
	tiers   []tier
	tries   []try
	free    []int32 // tries
	calls   []call
	spare   []int32 // calls
	targets []int   // scratch for probes
	signals []signal
	idle    []int32 // signals
	rate    float64
	ends    []float64 // of Config.Shares, each with the sum of those before it
	live    int       // calls of the first tier that began before the end, and have not ended
	out     Result
}

// tier is the state of a Tier.
type tier struct {
	cfg     *Tier
	servers []server
	clients []client
	reached [][]uint64 // bits by client: servers that had a request of it
	black   []time.Duration
	random  *rand.Rand // of its work: the order of other draws does not change it
}

// New makes a world. It panics if the configuration makes no sense.
func New(cfg Config) *World {
	w := &World{cfg: cfg, random: rand.New(rand.NewPCG(cfg.Seed, 1)), rate: cfg.Rate}
	w.tiers = make([]tier, len(cfg.Tiers))
	w.out.Tiers = make([]TierResult, len(cfg.Tiers))
	clients := cfg.Clients
	for i := range w.tiers {
		w.tiers[i].start(w, i, clients)
		w.out.Tiers[i].Served = make([]uint64, cfg.Tiers[i].Servers)
		clients = cfg.Tiers[i].Servers
	}
	sum := 0.0
	for _, share := range cfg.Shares {
		sum += share
		w.ends = append(w.ends, sum)
	}
	if cfg.Window > 0 {
		w.out.Windows = make([]Window, (cfg.Length+cfg.Window-1)/cfg.Window)
		for i := range w.out.Windows {
			w.out.Windows[i].Tries = make([]uint64, len(cfg.Tiers))
		}
	}
	return w
}

func (t *tier) start(w *World, at, clients int) {
	cfg := &w.cfg.Tiers[at]
	if cfg.Calls.Timeout <= 0 || cfg.Servers <= 0 || clients <= 0 {
		panic(fmt.Sprintf("tier %d: no timeout, servers or clients", at))
	}
	t.cfg = cfg
	t.random = rand.New(rand.NewPCG(w.cfg.Seed, 1000+uint64(at)))
	t.servers = make([]server, cfg.Servers)
	t.black = make([]time.Duration, cfg.Servers)
	for i := range t.servers {
		s := &t.servers[i]
		s.cores, s.speed, s.due = cfg.Cores, 1, never
		if s.cores == 0 {
			s.cores = math.Inf(1)
		}
		if cfg.Guard != nil {
			s.gate = cfg.Guard()
		}
		if cfg.Vary != nil {
			w.vary(at, i)
		}
	}
	t.clients = make([]client, clients)
	t.reached = make([][]uint64, clients)
	endpoints := Endpoints(cfg.Servers)
	for i := range t.clients {
		c := &t.clients[i]
		c.choose = cfg.Calls.Choose(Place{Client: i, Clients: clients, Endpoints: endpoints, Random: w.random})
		c.prober, _ = c.choose.(Prober)
		if cfg.Calls.Budget != nil {
			c.repeats, c.requeue = cfg.Calls.Budget(), cfg.Calls.Budget()
		}
		if cfg.Calls.Hedge != nil {
			c.hedge = cfg.Calls.Hedge()
		}
		if cfg.Calls.Silence > 0 {
			c.cut = make([]bool, cfg.Servers)
		}
		t.reached[i] = make([]uint64, (cfg.Servers+63)/64)
	}
}

// Endpoints gives n endpoints as the control plane would.
func Endpoints(n int) []model.Endpoint {
	out := make([]model.Endpoint, n)
	for i := range out {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		name := fmt.Sprint(i)
		out[i] = model.Endpoint{
			Port: 80, Addr: netip.AddrPortFrom(addr, 8080), Link: netip.AddrPortFrom(addr, 15001),
			Identity: "spiffe://mesh/ns/shop/sa/server", Workload: model.Name{Namespace: "shop", Name: name},
		}
	}
	return out
}

// indexOf is the inverse of Endpoints.
func indexOf(e *model.Endpoint) int {
	b := e.Addr.Addr().As4()
	return int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}

// Now is the moment, counted from the end of Warm.
func (w *World) Now() time.Duration { return w.now - w.cfg.Warm }

// at schedules an event.
func (w *World) at(when time.Duration, k kind, a, b int32, gen uint32) {
	w.events.push(event{at: when, kind: k, a: a, b: b, gen: gen})
}

func (w *World) end() time.Duration { return w.cfg.Warm + w.cfg.Length }

// Run runs the world from its beginning to its end and gives what was counted. Call it once.
func (w *World) Run() *Result {
	end := w.end()
	for i := range w.cfg.Script {
		w.at(w.cfg.Warm+w.cfg.Script[i].At, evScript, int32(i), 0, 0)
	}
	if w.cfg.ReportEvery > 0 {
		w.at(w.cfg.ReportEvery, evReport, 0, 0, 0)
	}
	if w.rate > 0 {
		w.at(w.gap(), evArrival, 0, 0, 0)
	}
	for len(w.events.heap) > 0 {
		e := w.events.pop()
		if e.at >= end && w.live == 0 {
			break // what began before the end is seen through, under the same load
		}
		w.now = e.at
		w.out.Events++
		w.step(&e)
	}
	for i := range w.tiers {
		for _, bits := range w.tiers[i].reached {
			w.out.Tiers[i].Links += ones(bits)
		}
	}
	return &w.out
}

func (w *World) step(e *event) {
	switch e.kind {
	case evArrival:
		w.arrive()
	case evReach:
		w.reach(e)
	case evDone:
		w.done(e)
	case evReply:
		w.reply(e)
	case evCancel:
		w.cancel(e)
	case evDeadline:
		w.late(e)
	case evTryLimit:
		w.tryLate(e)
	case evAgain:
		w.again(e)
	case evHedge:
		w.hedgeNow(e)
	case evSilence:
		w.silent(e)
	case evVary:
		if w.tiers[e.b].servers[e.a].variety == e.gen {
			w.vary(int(e.b), int(e.a))
		}
	case evReport:
		w.report()
	case evProbe:
		w.probe(e)
	case evProbed:
		w.probed(e)
	case evScript:
		w.cfg.Script[e.a].Do(w)
	case evGuard:
		w.guardTimer(e)
	}
}

// gap draws the time to the next arrival.
func (w *World) gap() time.Duration {
	return time.Duration(w.random.ExpFloat64() / w.rate * float64(time.Second))
}

func (w *World) arrive() {
	w.at(w.now+w.gap(), evArrival, 0, 0, 0)
	w.begin(0, w.who(), -1)
}

// who draws the client of a new request.
func (w *World) who() int32 {
	if w.ends == nil {
		return int32(w.random.IntN(len(w.tiers[0].clients)))
	}
	i, _ := slices.BinarySearch(w.ends, w.random.Float64()*w.ends[len(w.ends)-1])
	return int32(i)
}

// reschedule makes sure that an event comes when the first request of a server is due. An event that
// turns out to come too early costs less than one for each change of the rate.
func (w *World) reschedule(tier, i int32) {
	s := &w.tiers[tier].servers[i]
	if next := s.next(w.now, w.tries); next < s.due {
		s.due = next
		w.at(next, evDone, i, tier, 0)
	}
}

// done lets go of what a server has finished.
func (w *World) done(e *event) {
	s := &w.tiers[e.b].servers[e.a]
	if e.at != s.due {
		return // a later change made an earlier event
	}
	s.due = never
	s.advance(w.now)
	for len(s.running) > 0 {
		t := s.running[0]
		if s.next(w.now, w.tries) > w.now {
			break
		}
		s.remove(w.tries, t)
		w.worked(t)
	}
	w.reschedule(e.b, e.a)
}

func (w *World) vary(tier, i int) {
	t := &w.tiers[tier]
	s := &t.servers[i]
	s.advance(w.now)
	cores, hold := t.cfg.Vary(t.random, i)
	s.cores = cores
	s.variety++
	w.at(w.now+hold, evVary, int32(i), int32(tier), s.variety)
	w.reschedule(int32(tier), int32(i))
}

// report tells Weighers what servers did.
func (w *World) report() {
	w.at(w.now+w.cfg.ReportEvery, evReport, 0, 0, 0)
	for t := range w.tiers {
		tier := &w.tiers[t]
		allocation := tier.cfg.Allocation
		if allocation == 0 {
			allocation = tier.cfg.Cores
		}
		for i := range tier.servers {
			s := &tier.servers[i]
			s.advance(w.now)
			seconds := w.cfg.ReportEvery.Seconds()
			perSecond, used := float64(s.ok)/seconds, s.busy/float64(w.cfg.ReportEvery)/allocation
			s.ok, s.busy = 0, 0
			for c := range tier.clients {
				if r, ok := tier.clients[c].choose.(Weigher); ok {
					r.Report(i, perSecond, used)
				}
			}
		}
	}
}

// SetSpeed changes how fast a server works; 0.1: ten times as slow.
func (w *World) SetSpeed(tier, i int, speed float64) {
	s := &w.tiers[tier].servers[i]
	s.advance(w.now)
	s.speed = speed
	w.reschedule(int32(tier), int32(i))
}

// SetMode changes how a server behaves. One that becomes Black swallows what it has too; one that is
// healed begins anew.
func (w *World) SetMode(tier, i int, m Mode) {
	t := &w.tiers[tier]
	s := &t.servers[i]
	s.advance(w.now)
	s.mode = m
	if m != Black {
		return
	}
	t.black[i] = w.now
	for len(s.running) > 0 {
		id := s.running[0]
		s.remove(w.tries, id)
		w.lose(id)
	}
}

// SetRate changes how many requests come a second.
func (w *World) SetRate(perSecond float64) { w.rate = perSecond }

func ones(words []uint64) int {
	n := 0
	for _, v := range words {
		for ; v != 0; v &= v - 1 {
			n++
		}
	}
	return n
}
