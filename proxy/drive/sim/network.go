package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
)

// Network is a simulated world with its clock.
type Network struct {
	// Dialed, if not nil, hears of every connection that is begun. peer is who is expected at the
	// other end of a link, empty for a connection that is none.
	Dialed func(from *Host, to netip.AddrPort, peer string)
	// Learned, if not nil, hears of what a proxy was told of a service, once it is in force there; s
	// and e are nil if the service does not exist.
	Learned func(p *Proxy, n model.Name, s *model.Service, e *model.Endpoints)

	seed    uint64
	now     time.Duration
	queue   eventQueue
	taken   map[time.Duration]bool // instants of the queue
	hosts   map[netip.Addr]*Host
	paths   map[[2]*Host]*Path
	dialed  map[string]int // dials so far by who and whom
	names   map[string]netip.Addr
	history history
}

// New makes an empty network. story, if not nil, gets a line for each thing that happens.
func New(seed uint64, story io.Writer) *Network {
	return &Network{
		seed: seed, taken: map[time.Duration]bool{}, hosts: map[netip.Addr]*Host{},
		paths: map[[2]*Host]*Path{}, dialed: map[string]int{}, names: map[string]netip.Addr{},
		history: newHistory(story),
	}
}

// Brief leaves out of the story what happens to single connections: notes and logs stay.
func (n *Network) Brief() { n.history.brief = true }

// Now is the time since the network was made.
func (n *Network) Now() time.Duration { return n.now }

// Rand gives a random source that depends on the seed and the name only.
func (n *Network) Rand(name string) *rand.Rand {
	return rand.New(rand.NewPCG(n.seed, hashText(offset64, name)))
}

// Name makes a DNS name known; proxies may dial it.
func (n *Network) Name(host string, a netip.Addr) { n.names[host] = a }

// Event is something that will happen.
type Event struct {
	at   time.Duration
	do   func()
	gone bool
}

// Cancel makes e not happen. It may be nil, cancelled or past already.
func (e *Event) Cancel() {
	if e != nil {
		e.gone, e.do = true, nil
	}
}

// After makes do happen after d, or a few nanoseconds later: each event has its own instant.
func (n *Network) After(d time.Duration, do func()) *Event {
	at := n.now + max(d, 1)
	for n.taken[at] {
		at++
	}
	n.taken[at] = true
	e := &Event{at: at, do: do}
	n.queue.push(e)
	return e
}

// Run lets d pass.
func (n *Network) Run(d time.Duration) {
	until := n.now + d
	for len(n.queue) > 0 && n.queue[0].at <= until {
		e := n.queue.pop()
		delete(n.taken, e.at)
		if e.gone {
			continue
		}
		n.now = e.at
		e.gone = true
		e.do()
	}
	n.now = until
}

// Note adds a line of the caller's to the history.
func (n *Network) Note(format string, args ...any) {
	n.history.note(n.now, fmt.Sprintf(format, args...))
}

// Hash stands for everything that happened so far, times and bytes included.
func (n *Network) Hash() uint64 { return n.history.sum }

// Events counts what happened so far.
func (n *Network) Events() int { return n.history.events }

// eventQueue is a binary heap by time. Instants are unique, so their order is total.
type eventQueue []*Event

func (q *eventQueue) push(e *Event) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].at <= h[i].at {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

func (q *eventQueue) pop() *Event {
	h := *q
	top := h[0]
	last := len(h) - 1
	h[0], h[last] = h[last], nil
	h = h[:last]
	*q = h
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && h[c+1].at < h[c].at {
			c++
		}
		if h[i].at <= h[c].at {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	return top
}
