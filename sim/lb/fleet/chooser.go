package fleet

import (
	"math/rand/v2"
	"time"

	"github.com/weft-mesh/weft/model"
)

// Outcome is how a try ended, as the client sees it.
type Outcome uint8

// The outcomes.
const (
	OK          Outcome = iota
	Failed              // answered with a failure
	TimedOut            // the client's patience ended
	Broken              // the link was given up while the request was under way
	Refused             // turned away at the door, unprocessed
	Unreachable         // no connection was made

	outcomes = iota
)

// Chooser chooses servers for the requests of one client. Servers go by their index. It is used by
// one World, from one goroutine.
type Chooser interface {
	// Pick gives a server for a request, or -1 if there is none. r is 64 random bits; avoid is not
	// picked if there is another; -1: none.
	Pick(now time.Duration, r uint64, avoid int) int
	// Start counts a request that is sent to the server.
	Start(server int)
	// Settle counts its end. took is what the client waited.
	Settle(now time.Duration, server int, took time.Duration, o Outcome)
	// Abandon counts the end of a try whose answer nobody waits for any more: another came first, or
	// the caller's caller gave up. It would have taken longer than waited.
	Abandon(now time.Duration, server int, waited time.Duration)
}

// Prober is a Chooser that asks servers for their load.
type Prober interface {
	Chooser
	// Targets appends the servers to ask now; it is called once for each request, after Pick.
	Targets(now time.Duration, random *rand.Rand, to []int) []int
	// Probed tells what one of them said, or what a server said of itself with an answer: requests in
	// flight there, and how long they take.
	Probed(now time.Duration, server, inflight int, latency time.Duration)
}

// Weigher is a Chooser that is told what servers did.
type Weigher interface {
	Chooser
	// Report says what a server did since the last report: requests a second, and the share of its
	// allocation that it used (which may be above 1).
	Report(server int, perSecond, used float64)
}

// Place is who a chooser works for.
type Place struct {
	Client, Clients int
	Endpoints       []model.Endpoint // of all servers, by index; shared, not to be changed
	Random          *rand.Rand       // for the start only
}

// Maker makes the chooser of a client.
type Maker func(Place) Chooser

// counted keeps requests in flight by server.
type counted struct{ inflight []int32 }

func (c *counted) Start(s int) { c.inflight[s]++ }
func (c *counted) Settle(_ time.Duration, s int, _ time.Duration, _ Outcome) {
	c.inflight[s]--
}

func (c *counted) Abandon(_ time.Duration, s int, _ time.Duration) { c.inflight[s]-- }

// leastLoaded picks a server with the fewest requests of this client, of all. Of those that are even
// it takes the next in turn.
type leastLoaded struct {
	counted
	at int
}

// LeastLoaded compares all servers by the client's own requests in flight: what least_conn does
// elsewhere.
func LeastLoaded(p Place) Chooser {
	n := len(p.Endpoints)
	return &leastLoaded{counted: counted{make([]int32, n)}, at: p.Random.IntN(n)}
}

func (l *leastLoaded) Pick(_ time.Duration, _ uint64, avoid int) int {
	n := len(l.inflight)
	best := -1
	for i := range n {
		s := l.at + i
		if s >= n {
			s -= n
		}
		if s != avoid && (best < 0 || l.inflight[s] < l.inflight[best]) {
			best = s
		}
	}
	if best < 0 {
		return avoid
	}
	l.at = (best + 1) % n
	return best
}

// weighted is the round robin of the Prequal paper: weights are requests a second by use of the
// allocation, so that in the end all servers use as much of theirs.
type weighted struct {
	weights, credit []float64
}

// WeightedRoundRobin gives each server turns by its weight, which follows from its reports: the
// requests a second that it could do with its whole allocation, smoothed (gRFC A58 has the same
// formula). A World that uses it needs Config.ReportEvery.
func WeightedRoundRobin(p Place) Chooser {
	w := &weighted{weights: make([]float64, len(p.Endpoints)), credit: make([]float64, len(p.Endpoints))}
	for i := range w.weights {
		w.weights[i] = 1
		w.credit[i] = p.Random.Float64() // clients do not march in step
	}
	return w
}

// Pick: each server earns its weight, the richest pays for all (nginx's smooth weighted round robin).
func (w *weighted) Pick(_ time.Duration, _ uint64, avoid int) int {
	best, sum := -1, 0.0
	for i, v := range w.weights {
		w.credit[i] += v
		sum += v
		if i != avoid && (best < 0 || w.credit[i] > w.credit[best]) {
			best = i
		}
	}
	if best < 0 {
		return avoid
	}
	w.credit[best] -= sum
	return best
}

func (w *weighted) Start(int)                                         {}
func (w *weighted) Settle(time.Duration, int, time.Duration, Outcome) {}
func (w *weighted) Abandon(time.Duration, int, time.Duration)         {}

// Report takes what a server did into its weight.
func (w *weighted) Report(s int, perSecond, used float64) {
	const smooth = 0.3 // of the newest report
	if used <= 0 || perSecond <= 0 {
		return
	}
	fresh := perSecond / used
	if w.weights[s] == 1 { // the first report
		w.weights[s] = fresh
		return
	}
	w.weights[s] += smooth * (fresh - w.weights[s])
}
