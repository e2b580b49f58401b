package core

import "github.com/weft-mesh/weft/message"

// A request that may have to be sent again is kept until its response begins: its head in saved (see
// park), its body in held, as far as the bounds of its policy and of the loop allow.

// keepable reports whether a copy of the request may be of use once it was sent.
func (x *exchange) keepable() bool { return x.holds || x.heldEnd && len(x.held) == 0 }

// hold keeps a piece of the body that is about to be sent, as long as all of it so far is kept and
// within the bounds of the policy and of the loop. Beyond them the request cannot be repeated.
func (x *exchange) hold(p []byte, end bool) {
	c := x.core
	n := len(x.held) + len(p)
	if x.respHead || n > x.d.Calls().Retry.Body || c.parked+len(p) > c.limits.MaxHeld/4 {
		x.letGo()
		x.kept = false
		return
	}
	if n > cap(x.held) {
		x.growHeld(n)
	}
	x.held = append(x.held, p...)
	x.heldEnd = x.heldEnd || end
	c.parked += len(p)
	x.parked += len(p)
}

// stillHolds reports whether held is to be kept when it is sent, with trailers behind it or not.
func (x *exchange) stillHolds(trailers []message.Field) bool {
	if x.holds && (trailers != nil || len(x.held) > x.d.Calls().Retry.Body) {
		x.holds = false
	}
	return x.holds
}

// letGo forgets the body that was kept for another try.
func (x *exchange) letGo() {
	if !x.holds {
		return
	}
	x.holds = false
	x.kept = x.kept && len(x.held) == 0
	x.core.parked -= x.parked
	x.parked = 0
	x.dropHeld()
}

// growHeld gives held room for n bytes, in memory of a size that can be used again. What is so small
// or so large that this does not pay is left to append.
func (x *exchange) growHeld(n int) {
	c, old := x.core, x.held
	var b []byte
	switch {
	case n <= maxSpare/8 || n > bodySize:
		return
	case n <= maxSpare:
		b = make([]byte, 0, maxSpare)
	case n <= bufferSize:
		b = c.bufs.get()
	default:
		b = c.bodies.get()
	}
	x.held = append(b, old...)
	c.reuse(old)
}

// dropHeld empties held, and gives a large buffer back.
func (x *exchange) dropHeld() {
	if cap(x.held) > maxSpare {
		x.core.reuse(x.held)
		x.held = nil
	}
	x.held = x.held[:0]
}

// reuse takes memory of a body.
func (c *Core) reuse(p []byte) {
	if cap(p) == bodySize {
		c.bodies.put(p)
	} else {
		c.bufs.put(p)
	}
}

// bodySize is the bound of the default policy for a body that is kept.
const bodySize = 64 << 10

// bodies keeps memory for bodies of that size.
type bodies struct{ free [][]byte }

func (b *bodies) get() []byte {
	n := len(b.free)
	if n == 0 {
		return make([]byte, 0, bodySize)
	}
	p := b.free[n-1]
	b.free[n-1] = nil
	b.free = b.free[:n-1]
	return p[:0]
}

func (b *bodies) put(p []byte) {
	if len(b.free) < 16 {
		b.free = append(b.free, p)
	}
}
