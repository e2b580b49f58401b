package sim

import (
	"math/rand/v2"
	"time"
)

// flow is one direction of a connection.
type flow struct {
	from *Socket
	path *Path
	rng  *rand.Rand

	pending []byte // the kernel has not taken these
	window  int
	used    int    // under way, or arrived and not read
	under   []item // under way, in order
	owed    int    // arrivals that a cut path swallowed
	busy    time.Duration
	last    time.Duration // when the last piece arrives
	fin     bool          // end after what is pending
	finSent bool
	dead    bool // nothing goes out any more
}

// item is something under way.
type item struct {
	data   []byte
	signal func() // in place of data
}

// schedule makes one piece arrive.
func (f *flow) schedule(size int) {
	n := f.path.net
	if bw := f.path.Bandwidth; bw > 0 {
		f.busy = max(f.busy, n.now) + time.Duration(size)*time.Second/time.Duration(bw)
	}
	at := max(f.busy, n.now) + f.path.Latency
	if f.path.Jitter > 0 {
		at += time.Duration(f.rng.Int64N(int64(f.path.Jitter)))
	}
	at = max(at, f.last+1)
	f.last = n.After(at-n.now, f.arrive).at
}

// arrive takes the next piece off the path.
func (f *flow) arrive() {
	if f.path.swallows(f.from.host) {
		f.owed++
		return
	}
	if len(f.under) == 0 {
		return // the sender has gone, with what it had sent
	}
	it := f.under[0]
	f.under[0] = item{}
	f.under = f.under[1:]
	to := f.from.other
	switch {
	case it.signal != nil:
		it.signal()
	case to.closed: // nobody is there to read it
		to.refuseMore()
	default:
		f.path.net.history.socket(f.path.net.now, "arrives", to, it.data)
		if to.recv == nil {
			to.recv = it.data // nobody else has it
		} else {
			to.recv = append(to.recv, it.data...)
		}
		to.ready()
	}
}

// signal sends something that is no data, in order.
func (f *flow) signal(do func()) {
	f.under = append(f.under, item{signal: do})
	f.schedule(0)
}

// transmit moves what the window allows onto the path, in pieces of any size.
func (f *flow) transmit() {
	for len(f.pending) > 0 && f.used < f.window && !f.dead {
		k := min(f.piece(), f.window-f.used, len(f.pending))
		p := append([]byte(nil), f.pending[:k]...)
		f.pending = f.pending[k:]
		f.used += k
		f.under = append(f.under, item{data: p})
		f.schedule(k)
	}
	if len(f.pending) > 0 || f.dead {
		return
	}
	f.pending = nil
	if f.fin && !f.finSent {
		f.finSent = true
		to := f.from.other
		f.signal(func() { to.ended() })
	}
}

// piece chooses how much arrives at once. Borders of messages mean nothing.
func (f *flow) piece() int {
	switch f.rng.IntN(8) {
	case 0:
		return 1 + f.rng.IntN(4)
	case 1, 2:
		return 1 + f.rng.IntN(200)
	}
	return 1 + f.rng.IntN(16<<10)
}

// read tells that the receiver took k bytes. A sender that waits for room hears of it later.
func (f *flow) read(k int) {
	if len(f.pending) == 0 {
		f.used -= k
		return
	}
	f.path.net.After(f.path.Latency, func() {
		f.used -= k
		if len(f.pending) == 0 || f.dead {
			return
		}
		f.transmit()
		if s := f.from; len(f.pending) == 0 {
			if s.lingering {
				s.goodbye()
				return
			}
			s.drained = true
			s.ready()
		} else if s.lingering {
			s.linger()
		}
	})
}

// stop drops everything that is not on the path yet.
func (f *flow) stop() {
	f.dead = true
	f.pending = nil
}
