package fleet

import (
	"math/rand/v2"
	"slices"
	"time"
)

// paper is Prequal as its paper has it (Wydrowski et al., NSDI 2024, sections 3 and 4): what ours is
// compared with.
type paper struct {
	pool    []paperReply
	servers int
	heard   []int32 // requests in flight that were heard of, the newest
	at      int
	owed    float64 // probes
	oldest  bool    // what is removed next
	random  *rand.Rand
	noted   bool
	hot     int32
}

type paperReply struct {
	server, inflight int32
	latency, at      time.Duration
	uses             int
}

const (
	paperPool   = 16
	paperProbes = 3.0  // a request
	paperHot    = 0.84 // quantile of requests in flight above which a server is hot
	paperAge    = time.Second
	paperHeard  = 128
)

// PaperPrequal makes choosers with the paper's settings: a pool of 16, three probes a request, one
// reply removed a request.
func PaperPrequal(p Place) Chooser {
	return &paper{servers: len(p.Endpoints), random: rand.New(rand.NewPCG(p.Random.Uint64(), 5))}
}

func (p *paper) Pick(now time.Duration, r uint64, avoid int) int {
	p.pool = slices.DeleteFunc(p.pool, func(r paperReply) bool { return now-r.at > paperAge })
	best := -1
	for i := range p.pool {
		if int(p.pool[i].server) != avoid && (best < 0 || p.better(&p.pool[i], &p.pool[best])) {
			best = i
		}
	}
	if len(p.pool) < 2 || best < 0 {
		s := int(r % uint64(p.servers))
		if s == avoid {
			s = (s + 1) % p.servers
		}
		return s
	}
	x := &p.pool[best]
	s := int(x.server)
	x.inflight++
	if x.uses--; x.uses <= 0 {
		p.pool = slices.Delete(p.pool, best, best+1)
	}
	p.remove()
	return s
}

// better: what is cold before what is hot, by latency among the cold, by requests in flight among
// the hot.
func (p *paper) better(a, b *paperReply) bool {
	hotA, hotB := a.inflight > p.limit(), b.inflight > p.limit()
	switch {
	case hotA != hotB:
		return hotB
	case hotA:
		return a.inflight < b.inflight
	}
	return a.latency < b.latency
}

// limit is the most requests in flight that a cold server has.
func (p *paper) limit() int32 {
	if p.noted {
		p.noted = false
		v := slices.Clone(p.heard)
		slices.Sort(v)
		p.hot = v[int(paperHot*float64(len(v)-1))]
	}
	return p.hot
}

// remove takes out the oldest and the worst by turns.
func (p *paper) remove() {
	if len(p.pool) == 0 {
		return
	}
	p.oldest = !p.oldest
	out := 0
	for i := range p.pool {
		a, b := &p.pool[i], &p.pool[out]
		if p.oldest && a.at < b.at || !p.oldest && p.better(b, a) {
			out = i
		}
	}
	p.pool = slices.Delete(p.pool, out, out+1)
}

func (p *paper) Start(int)                                         {}
func (p *paper) Abandon(time.Duration, int, time.Duration)         {}
func (p *paper) Settle(time.Duration, int, time.Duration, Outcome) {}

// Targets asks three servers a request, drawn at random.
func (p *paper) Targets(_ time.Duration, random *rand.Rand, to []int) []int {
	for p.owed += paperProbes; p.owed >= 1; p.owed-- {
		to = append(to, random.IntN(p.servers))
	}
	return to
}

// Probed puts a reply in the pool, in place of the oldest if it is full.
func (p *paper) Probed(now time.Duration, server, inflight int, latency time.Duration) {
	r := paperReply{server: int32(server), inflight: int32(inflight), latency: latency, at: now, uses: p.uses()}
	if len(p.heard) < paperHeard {
		p.heard = append(p.heard, r.inflight)
	} else {
		p.heard[p.at] = r.inflight
		p.at = (p.at + 1) % paperHeard
	}
	p.noted = true
	if len(p.pool) == paperPool {
		oldest := 0
		for i := range p.pool {
			if p.pool[i].at < p.pool[oldest].at {
				oldest = i
			}
		}
		p.pool = slices.Delete(p.pool, oldest, oldest+1)
	}
	p.pool = append(p.pool, r)
}

// uses is how often a reply may be used: (1 + 1) / ((1 - pool/servers) probes - 1), rounded up or down
// at random so that the mean is right.
func (p *paper) uses() int {
	d := (1-float64(paperPool)/float64(p.servers))*paperProbes - 1
	if d <= 0 {
		return paperPool
	}
	v := max(1, 2/d)
	n := int(v)
	if p.random.Float64() < v-float64(n) {
		n++
	}
	return n
}
