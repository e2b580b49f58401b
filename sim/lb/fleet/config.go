package fleet

import (
	"math/rand/v2"
	"time"
)

// Config describes a World.
type Config struct {
	Seed    uint64
	Clients int     // of the first tier; those of a lower one are the servers above it
	Rate    float64 // requests a second of all clients together, as a Poisson process
	// Shares, if not nil, is what each client sends of that, relative to the others; else all send the
	// same.
	Shares []float64
	// Latency of the network, one way.
	Latency time.Duration
	// Warm is how long the world runs before anything is counted, Length how long it runs then.
	Warm, Length time.Duration
	// Window is how long the windows of Result.Windows are; 0: none are kept.
	Window time.Duration
	// ReportEvery is how often servers report to Weighers; 0: never.
	ReportEvery time.Duration
	Tiers       []Tier
	Script      []Step // in order of time
}

// Tier is servers that are alike and how they are called.
type Tier struct {
	Servers int
	// Cores is how many requests a server runs at full speed; 0: any number.
	Cores float64
	// Work draws what a request takes at full speed.
	Work func(*rand.Rand) time.Duration
	// Vary, if not nil, draws how many cores a server has for how long; again and again.
	Vary func(r *rand.Rand, server int) (cores float64, hold time.Duration)
	// Allocation is what Weighers' reports are relative to; 0: Cores.
	Allocation float64
	// Guard, if not nil, makes what stands before each server.
	Guard func() Guard
	Calls Calls
}

// Causes are the outcomes after which a call is tried again.
type Causes uint8

// The causes. What was Refused or Unreachable is always tried again if there are Attempts.
const (
	OnFailed Causes = 1 << iota
	OnTimeout
	OnBroken
)

// Calls is how the clients of a tier call it.
type Calls struct {
	Choose Maker
	// Timeout of a call, all tries included; it must be set. TryTimeout of one try; 0: none.
	Timeout, TryTimeout time.Duration
	// Attempts is how many tries may follow the first.
	Attempts int
	On       Causes
	// Backoff is the first wait between tries, doubled up to BackoffMax, with full jitter. What was
	// Refused is tried again at once.
	Backoff, BackoffMax time.Duration
	// Budget, if not nil, makes each client's bounds: one for tries that follow the first, and hedges,
	// and one for those that follow what was not processed.
	Budget func() Budget
	// Hedge, if not nil, makes each client's rule for when a second try is sent beside the first.
	Hedge func() Hedger
	// Silence is after how long without a sign of life a link with requests on it is given up; 0:
	// never. Connect is how long a new one may take then.
	Silence, Connect time.Duration
	// Marked says that a try tells whether it is a repeated one, and a failure whether it comes from
	// further down: neither is tried again by the other tiers.
	Marked bool
	// Careless clients do not tell servers that they gave up.
	Careless bool
	// Class draws the priority of a call of the first tier; nil: 0. Lower tiers inherit it.
	Class func(*rand.Rand) int8
}

// Budget bounds what is added to the load.
type Budget interface {
	Deposit(now time.Duration)       // a call began
	Withdraw(now time.Duration) bool // whether one more try may be made
}

// Hedger says when a second try is sent.
type Hedger interface {
	Observe(now, took time.Duration)      // of a try that succeeded
	Delay() (wait time.Duration, ok bool) // not ok: too little is known
}

// Step is something that happens in the world at a moment, counted from the end of Warm.
type Step struct {
	At time.Duration
	Do func(*World)
}

// Result is what was counted.
type Result struct {
	Calls, Good uint64 // of the first tier that began after Warm, and those that succeeded
	Outcomes    [outcomes]uint64
	Latency     Histogram // of those that succeeded
	All         Histogram // of all; what failed counts as long as it took
	Windows     []Window
	Tiers       []TierResult
	Classes     map[int8]*ClassResult
	Events      uint64
	Hash        uint64 // of the history: who called whom, when, and how it ended
}

// Window is what was counted of the calls that began in one.
type Window struct {
	Calls, Good uint64
	Tries       []uint64  // by tier: that were sent in the window
	Latency     Histogram // of the good ones
}

// TierResult is what was counted of a tier.
type TierResult struct {
	Tries    uint64   // that were sent to it
	Served   []uint64 // by server: that reached it
	Links    int      // pairs of a client and a server that had a request
	Done     uint64   // that a server finished, wanted or not
	Probes   uint64
	MaxQueue int // most requests in a server at a time
}

// ClassResult is what was counted of a priority.
type ClassResult struct {
	Calls, Good uint64
	Latency     Histogram
}

// Success is the share of calls that succeeded in time; 1 of none.
func (r *Result) Success() float64 { return share(r.Good, r.Calls) }

// Success is the share of the window's calls that succeeded in time; 1 of none.
func (w *Window) Success() float64 { return share(w.Good, w.Calls) }

func share(part, of uint64) float64 {
	if of == 0 {
		return 1
	}
	return float64(part) / float64(of)
}

// Spread is how much more than the mean the busiest server got.
func (t *TierResult) Spread() float64 {
	var most, sum uint64
	for _, n := range t.Served {
		most = max(most, n)
		sum += n
	}
	if sum == 0 {
		return 1
	}
	return float64(most) * float64(len(t.Served)) / float64(sum)
}

// Merge adds what another world of the same shape counted, of another seed. Hashes are mixed.
func (r *Result) Merge(o *Result) {
	r.Calls += o.Calls
	r.Good += o.Good
	for i, n := range o.Outcomes {
		r.Outcomes[i] += n
	}
	r.Latency.Merge(&o.Latency)
	r.All.Merge(&o.All)
	for i := range min(len(r.Windows), len(o.Windows)) {
		a, b := &r.Windows[i], &o.Windows[i]
		a.Calls += b.Calls
		a.Good += b.Good
		a.Latency.Merge(&b.Latency)
		for t, n := range b.Tries {
			a.Tries[t] += n
		}
	}
	for i := range r.Tiers {
		a, b := &r.Tiers[i], &o.Tiers[i]
		a.Tries += b.Tries
		a.Done += b.Done
		a.Probes += b.Probes
		a.Links = max(a.Links, b.Links)
		a.MaxQueue = max(a.MaxQueue, b.MaxQueue)
		for s, n := range b.Served {
			a.Served[s] += n
		}
	}
	for class, c := range o.Classes {
		mine := r.class(class)
		mine.Calls += c.Calls
		mine.Good += c.Good
		mine.Latency.Merge(&c.Latency)
	}
	r.Events += o.Events
	r.Hash = mix(r.Hash, o.Hash)
}

func (r *Result) class(c int8) *ClassResult {
	if r.Classes == nil {
		r.Classes = map[int8]*ClassResult{}
	}
	if r.Classes[c] == nil {
		r.Classes[c] = &ClassResult{}
	}
	return r.Classes[c]
}

// mix is a step of FNV-1a over 64 bits at a time: enough to tell histories apart.
func mix(h, v uint64) uint64 { return (h ^ v) * 0x100000001b3 }
