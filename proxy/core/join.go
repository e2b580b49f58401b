package core

// A tunnel whose two far ends are plain connections of this loop, in one exchange or in two that a
// hop joins, needs nobody to look at its bytes. The driver is asked to carry them by itself (Host.Join), which saves copying them into
// the core's buffers and, where the kernel can, into the process. What the core has promised
// stays: the directions end by themselves and in order, what moves is counted, silence is
// noticed, and a slow reader stops its sender.

// joint says who carries the bytes of a tunnel's end.
type joint uint8

const (
	jointOpen joint = iota // the core; the driver has not been asked yet
	jointMade              // the driver
	jointNone              // the core, for good
)

// far gives the raw at the other end of the tunnel, be it beyond a hop. settled is false as long as
// it may still become one: the upstream is not there, or the downstream is still being sniffed at.
func (r *raw) far() (o *raw, settled bool) {
	var side any = r.x.up
	if r.asUp {
		side = r.x.down
	}
	if h, ok := side.(*localHop); ok {
		side = h.beyond(r.asUp)
	}
	switch s := side.(type) {
	case nil, *sniffer:
		return nil, false
	case *raw:
		return s, true
	}
	return nil, true
}

// tryJoin asks the driver once nothing of the tunnel is on its way through the core, or it would
// be overtaken. It is called when the output of one end has gone.
func (r *raw) tryJoin() {
	x := r.x
	if r.joint != jointOpen || x == nil || !x.tunnel {
		return
	}
	o, settled := r.far()
	if !settled {
		return
	}
	if o == nil || o.joint == jointNone {
		r.joint = jointNone
		return
	}
	if !r.atRest() || !o.atRest() {
		r.c.waited = r.c.waited || r.c.queued > 0 // or the other end comes here, when its output has gone
		return
	}
	r.joint, o.joint = jointNone, jointNone
	if r.c.core.host.Join(r.c, o.c) {
		r.joint, o.joint = jointMade, jointMade
	}
}

// beyond gives what is at the other side of the hop: the caller's end for the callee's, and the
// other way round.
func (h *localHop) beyond(asUp bool) any {
	switch {
	case !asUp:
		return h.y.up
	case h.x != nil:
		return h.x.down
	}
	return nil
}

// atRest reports whether nothing of the end's is held in its exchange or the driver, in either
// direction. A hop holds nothing: what passes it is owed in the exchanges of both ends.
func (r *raw) atRest() bool {
	c, x := r.c, r.x
	return x != nil && !c.closed && !c.closing && !c.connecting && c.reading && c.backlog() == 0 &&
		len(x.held) == 0 && x.owedUp == 0 && x.owedDown == 0
}

// awaitJoin makes drained be called when what was just written has gone.
func (r *raw) awaitJoin() {
	if r.joint == jointOpen {
		r.c.waited = true // written bytes have marked it for the flush
	}
}

// Moved tells that the driver has given n bytes that came from one of two joined connections to
// the kernel of the other. Both count as active, also with n 0.
func (c *Core) Moved(from, to *Conn, n int) {
	if from.closed || to.closed {
		return
	}
	from.active, to.active = c.now, c.now
	in, _ := from.h.(*raw)
	out, _ := to.h.(*raw)
	if in == nil || out == nil || in.x == nil {
		return
	}
	in.count(n, in.asUp)
	if out.x != nil && out.x != in.x { // each of two exchanges counts what passes it
		out.count(n, !out.asUp)
	}
}

// count counts bytes of the driver's that passed r's exchange.
func (r *raw) count(n int, response bool) {
	if response {
		r.x.got += uint64(n)
	} else {
		r.x.sent += uint64(n)
	}
}
