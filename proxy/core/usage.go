package core

// Usage is what the core holds at a moment. When nothing is under way and all connections are
// closed, everything but what is kept for reuse (Sets, Spare, Buffers) is zero; a simulation
// checks that. Counting walks everything: not for the path of requests.
type Usage struct {
	Conns    int // open connections
	Pools    int // places that connections are kept for
	Links    int // HTTP/2 connections of pools
	Idle     int // unused HTTP/1 connections of pools
	Used     int // HTTP/1 connections of pools, dialing and idle ones included
	Dialing  int
	Waiters  int // exchanges that wait for a connection
	Waiting  int // exchanges and connections that wait for the control plane
	Inflight int // requests that endpoints were given and have not finished
	Timers   int // armed
	Sets     int // endpoint sets in use
	Spare    int // exchanges kept for reuse
	Buffers  int // bytes kept for reuse
}

// Usage counts what the core holds.
func (c *Core) Usage() Usage {
	u := Usage{Conns: c.nconns, Pools: len(c.pools), Sets: len(c.setNames), Spare: len(c.freeX), Buffers: c.bufs.bytes}
	for _, p := range c.pools {
		u.Links += len(p.shared)
		u.Idle += len(p.idle)
		u.Used += p.total
		u.Dialing += p.dialing
		u.Waiters += p.waiters.n
	}
	for _, list := range c.waiting {
		u.Waiting += len(list)
	}
	for _, e := range c.setNames {
		u.Inflight += e.set.Inflight()
	}
	u.Timers = c.wheel.armed()
	return u
}

// armed counts the timers.
func (w *wheel) armed() int {
	n := 0
	for i := range w.slot {
		for t := w.slot[i].next; t != &w.slot[i]; t = t.next {
			n++
		}
	}
	return n
}
