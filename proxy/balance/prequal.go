package balance

import (
	"slices"
	"time"
)

// Prequal chooses by what endpoints say of their load at present, asked for before it is needed
// (Wydrowski, Kleinberg, Rumble, Archer: "Load is not what you should balance: Introducing
// Prequal", NSDI 2024). The set keeps a pool of replies. Most ride on responses and are nearly free;
// NextProbe names an endpoint to ask by itself now and then, so that those that get no requests
// are known too.
const (
	poolSize     = 16
	replyLife    = time.Second
	hotQuantile  = 0.84 // of the numbers in flight that were heard of: those above are hot
	probePick    = 0.1  // probes a request, beside the replies that ride on responses,
	probeSecond  = 50.0 // and a second, so that few requests do not mean few replies
	probeBurst   = 3.0
	heardOf      = 64  // numbers in flight that are remembered
	maxReported  = 1e6 // requests in flight that are believed
	maxLatency   = 1e9 * 3600
	contradicted = 8    // times what an endpoint says its latency is, and
	allowance    = 20e6 // ns more for the way, is seen: then it is not believed
)

// reply is what one endpoint said.
type reply struct {
	e        *Endpoint
	inflight float64 // at it, of all its clients
	latency  float64 // ns, near that number
	at       time.Duration
}

// replies is the pool. The zero value is empty.
type replies struct {
	list   [poolSize]reply
	n      int
	oldest bool // what is taken out next: the oldest, or the worst

	heard  [heardOf]float64
	nheard int
	hot    float64

	credit float64 // probes that may be sent
	paid   time.Duration
}

// Reply takes what the endpoint says: how many requests it has in flight, and the latency of those
// that finished when it had about so many. What cannot be, or is far from what was seen, is counted
// and ignored, which it reports.
func (e *Endpoint) Reply(now time.Duration, inflight int, latency time.Duration) (believed bool) {
	s := e.set
	if s == nil {
		return true
	}
	n, l := float64(inflight), float64(latency)
	if l == 0 { // it has not served any yet
		l = e.latency(now)
	}
	if n < 0 || n > maxReported || l < 0 || l > maxLatency || e.latency(now) > contradicted*l+allowance {
		s.counts.Lies++
		return false
	}
	s.pool.add(reply{e: e, inflight: max(n, float64(e.Inflight)), latency: l, at: now})
	s.pool.note(n, &s.scratch)
	return true
}

// add puts a reply into the pool, in place of an older one of the same endpoint, or of the oldest.
func (p *replies) add(r reply) {
	at := 0
	for i := range p.n {
		if p.list[i].e == r.e {
			p.list[i] = r
			return
		}
		if p.list[i].at < p.list[at].at {
			at = i
		}
	}
	if p.n < poolSize {
		at = p.n
		p.n++
	}
	p.list[at] = r
}

// note keeps the threshold between cold and hot.
func (p *replies) note(inflight float64, scratch *[]float64) {
	p.heard[p.nheard%heardOf] = inflight
	p.nheard++
	if p.nheard > heardOf && p.nheard%8 != 0 {
		return
	}
	v := append((*scratch)[:0], p.heard[:min(p.nheard, heardOf)]...)
	slices.Sort(v)
	p.hot = v[int(hotQuantile*float64(len(v)-1))]
	*scratch = v
}

// Replies is how many endpoints' replies are in the pool, fresh or not.
func (s *Set) Replies() int { return s.pool.n }

func (p *replies) remove(i int) {
	p.n--
	p.list[i] = p.list[p.n]
	p.list[p.n] = reply{}
}

// forget drops what an endpoint said.
func (p *replies) forget(e *Endpoint) {
	for i := p.n - 1; i >= 0; i-- {
		if p.list[i].e == e {
			p.remove(i)
		}
	}
}

// byReply picks by the pool, or returns nil if it holds fewer than two replies that are of use: a
// choice between two by what was seen is better then.
//
// The coldest: among replies whose number in flight is not above the threshold the one with the least
// latency; if all are above it, the one with the least in flight.
//
// A reply is used once. The paper uses replies several times if they are few; where a choice by what
// was seen is there to fall back to, that is worse: with a hundred clients and servers at 145 and 170 %
// of their allocation p99 was 558 and 642 ms by the paper's budget, and 329 and 371 ms with one use.
func (s *Set) byReply(now time.Duration, avoid *Endpoint) *Endpoint {
	p := &s.pool
	best, fit := -1, 0
	for i := p.n - 1; i >= 0; i-- {
		r := &p.list[i]
		if now-r.at > replyLife || r.at > now || !r.e.in {
			p.remove(i)
		}
	}
	for i := range p.n {
		r := &p.list[i]
		if r.e == avoid {
			continue
		}
		fit++
		if best < 0 || p.better(r, &p.list[best]) {
			best = i
		}
	}
	if fit < 2 {
		return nil
	}
	e := p.list[best].e
	p.remove(best)
	p.tidy()
	return e
}

// better orders replies: cold before hot, cold ones by latency, hot ones by number in flight.
func (p *replies) better(a, b *reply) bool {
	hotA, hotB := a.inflight > p.hot, b.inflight > p.hot
	switch {
	case hotA != hotB:
		return hotB
	case hotA:
		return a.inflight < b.inflight
	}
	return a.latency < b.latency
}

// tidy takes one reply out of a pool that is more than half full, by turns the oldest and the worst,
// or the pool would be left with those that nobody wants.
func (p *replies) tidy() {
	if p.n <= poolSize/2 {
		return
	}
	p.oldest = !p.oldest
	out := 0
	for i := 1; i < p.n; i++ {
		a, b := &p.list[i], &p.list[out]
		if p.oldest && a.at < b.at || !p.oldest && p.better(b, a) {
			out = i
		}
	}
	p.remove(out)
}

// NextProbe names an endpoint to ask for its load, after a pick; nil: none, for now. r is 64 random
// bits. The caller asks it and hands the answer to Reply. How many there are is bounded by the
// number of picks and by time.
func (s *Set) NextProbe(now time.Duration, r uint64) *Endpoint {
	p := &s.pool
	if dt := now - p.paid; dt > 0 {
		p.credit = min(p.credit+dt.Seconds()*probeSecond, probeBurst)
	}
	p.paid = now
	p.credit = min(p.credit+probePick, probeBurst)
	if p.credit < 1 || len(s.usable) < 2 {
		return nil
	}
	p.credit--
	return s.usable[scale(uint32(mix(r)), len(s.usable))]
}
