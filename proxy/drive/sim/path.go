package sim

import (
	"errors"
	"slices"
	"time"
)

// Path is what lies between two hosts.
type Path struct {
	// Latency and Jitter bound how long a piece is under way; Bandwidth is in bytes a second for
	// each direction of each connection, 0 for no limit. They may be changed at any time.
	Latency, Jitter time.Duration
	Bandwidth       int
	// Window is what a direction of a new connection holds, in bytes: under way, and arrived but
	// not read. More waits in the sender's driver. At least 1.
	Window int

	net     *Network
	ends    [2]*Host
	down    [2]bool // what the first sends does not arrive; what the second sends
	cuts    int
	sockets []*Socket // open ones, in the order of their making
	prune   int       // length at which those that are over are dropped
}

// What TCP does about a silent peer, as proxies set it: data that is not acknowledged, and
// keep-alive probes that are not answered.
const (
	userTimeout = 30 * time.Second
	keepAlive   = 45 * time.Second
)

var errTimedOut = errors.New("connection timed out")

// Path returns what lies between two hosts; in both directions it is the same.
func (n *Network) Path(a, b *Host) *Path {
	if a.Name > b.Name {
		a, b = b, a
	}
	p := n.paths[[2]*Host{a, b}]
	if p == nil {
		p = &Path{net: n, ends: [2]*Host{a, b}, Latency: 200 * time.Microsecond, Jitter: 300 * time.Microsecond, Window: 128 << 10}
		if a == b {
			p.Latency, p.Jitter = 10*time.Microsecond, 20*time.Microsecond
		}
		n.paths[[2]*Host{a, b}] = p
	}
	return p
}

// Cut makes the path swallow everything. What is on its way, and what is sent meanwhile, arrives
// after Heal, as TCP repeats it, unless it was so long that connections timed out.
func (p *Path) Cut() { p.cut([2]bool{true, true}) }

// CutFrom makes the path swallow what h sends, as a partition in one direction does. What the other
// sends arrives, and is never acknowledged.
func (p *Path) CutFrom(h *Host) { p.cut([2]bool{p.ends[0] == h, p.ends[1] == h}) }

func (p *Path) cut(from [2]bool) {
	if p.Down() {
		return
	}
	p.down = from
	p.cuts++
	cut := p.cuts
	p.net.After(userTimeout, func() {
		if p.Down() && p.cuts == cut {
			p.breakAll(func(s *Socket) bool { return len(s.out.under) > 0 })
		}
	})
	p.net.After(keepAlive, func() {
		if p.Down() && p.cuts == cut {
			p.breakAll(func(*Socket) bool { return true })
		}
	})
}

// Heal ends a cut.
func (p *Path) Heal() {
	if !p.Down() {
		return
	}
	p.down = [2]bool{}
	for _, s := range p.sockets {
		f := &s.out
		owed := f.owed
		f.owed = 0
		for range owed {
			f.schedule(0)
		}
	}
}

// Down reports whether the path is cut, in one direction at least.
func (p *Path) Down() bool { return p.down[0] || p.down[1] }

// swallows reports whether what h sends does not arrive.
func (p *Path) swallows(h *Host) bool {
	return p.down[0] && p.ends[0] == h || p.down[1] && p.ends[1] == h
}

// Reset breaks all connections of the path at both ends at once, as a middlebox may.
func (p *Path) Reset() { p.breakAll(func(*Socket) bool { return true }) }

func (p *Path) breakAll(which func(*Socket) bool) {
	for _, s := range slices.Clone(p.sockets) {
		if s.broken != nil || s.closed && !s.lingering || !which(s) {
			continue
		}
		s.fail(errTimedOut)
		other := s.other
		p.net.After(keepAlive, func() { other.fail(errReset) }) // at the latest then it learns
	}
}

// add lists both ends of a new connection, and drops those that are over from time to time.
func (p *Path) add(a, b *Socket) {
	if len(p.sockets) >= p.prune {
		p.sockets = slices.DeleteFunc(p.sockets, func(s *Socket) bool { return s.over() && s.other.over() })
		p.prune = 2*len(p.sockets) + 64
	}
	p.sockets = append(p.sockets, a, b)
}

// over reports whether nothing can come of the socket any more.
func (s *Socket) over() bool {
	return (s.closed || s.owner == nil && s.broken != nil) && !s.lingering && len(s.out.under) == 0
}
