package core

import (
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/proxy/h2"
)

// Water marks of output that waits for a slow reader: above high its source is not read any
// more, at low it is read again.
const (
	highWater = 64 << 10
	lowWater  = 16 << 10
	maxUnsent = 1 << 20
)

// handler is what a connection does at present: sniff, HTTP/1 server, link, tunnel, ...
type handler interface {
	connected()
	received(p []byte)
	eof()
	drained()         // output fell to lowWater after someone was told to wait; or resume was asked
	closed(err error) // broke; the connection is no longer listed
	drain()           // finish gracefully
	busy() bool
}

// Conn is one connection as the core sees it.
type Conn struct {
	// Driver belongs to the driver.
	Driver any

	core     *Core
	local    *local // whose listener accepted it, or who dialed a link; nil for other dialed ones
	h        handler
	remote   netip.AddrPort
	peer     string // verified SPIFFE ID of a link's other end
	peerText []byte // the same, for fields

	out    []byte        // output of this batch, from core.bufs
	queued int           // bytes that the kernel has not taken
	held   int           // memory for what waits for the peer to read, as far as the loop was told
	waits  int           // bytes of that
	behind time.Duration // since when waits is not 0

	prev, next *Conn
	active     time.Duration // last byte in or out
	watch      timer         // idle and head deadlines
	life       timer         // of a link: until its certificate ends
	until      time.Duration // when that is; 0: never
	link       bool          // to or from a peer's proxy

	h2         *h2.Conn // set if it speaks HTTP/2
	connecting bool
	accepted   bool
	closed     bool
	closing    bool // Close follows the flush
	fin        bool // CloseWrite follows the flush
	finSent    bool
	eof        bool
	dirty      bool
	waited     bool // someone waits for drained()
	reading    bool
}

type connList struct{ head *Conn }

func (c *Core) newConn(remote netip.AddrPort) *Conn {
	cn := &Conn{core: c, remote: remote, active: c.now, reading: true}
	cn.next = c.conns.head
	if cn.next != nil {
		cn.next.prev = cn
	}
	c.conns.head = cn
	c.nconns++
	return cn
}

// gone takes the connection out of the core's books. Idempotent.
func (cn *Conn) gone() {
	if cn.closed {
		return
	}
	cn.closed = true
	c := cn.core
	c.wheel.disarm(&cn.watch)
	c.wheel.disarm(&cn.life)
	if cn.prev != nil {
		cn.prev.next = cn.next
	} else {
		c.conns.head = cn.next
	}
	if cn.next != nil {
		cn.next.prev = cn.prev
	}
	c.nconns--
	cn.unaccount()
	if cn.accepted {
		c.shard.Conn(false)
	}
	c.bufs.put(cn.out)
	cn.out = nil
}

// Gone reports whether the core has closed the connection or heard of its end; it takes no more
// events. A driver whose dial is answered late looks here whether anybody still waits for it.
func (cn *Conn) Gone() bool { return cn.closed }

// room makes sure that there is an output buffer to append to.
func (cn *Conn) room() {
	if cn.out == nil {
		cn.out = cn.core.bufs.get()
	}
}

// touch marks the connection for the flush if it has an output buffer, also an empty one: what was
// read may need no answer, and the buffer must go back.
func (cn *Conn) touch() {
	if cn.out != nil {
		cn.markDirty()
	}
}

func (cn *Conn) markDirty() {
	if !cn.dirty && !cn.closed {
		cn.dirty = true
		cn.core.dirty = append(cn.core.dirty, cn)
	}
}

// backlog is what a reader is behind.
func (cn *Conn) backlog() int { return len(cn.out) + cn.queued }

// awaitDrain asks for drained() when the backlog is low.
func (cn *Conn) awaitDrain() {
	cn.waited = true
	cn.markDirty()
}

// resumeLater asks for drained() at the end of the batch; it breaks recursion.
func (cn *Conn) resumeLater() { cn.awaitDrain() }

// flush is the connection's turn at the end of a batch.
func (cn *Conn) flush() {
	if cn.closed {
		return
	}
	c := cn.core
	if len(cn.out) > 0 && !cn.connecting {
		cn.queued = c.host.Write(cn, cn.out)
		cn.active = c.now
		c.bufs.put(cn.out)
		cn.out = nil
	}
	if cn.h2 != nil {
		cn.setReading(cn.queued < maxUnsent) // replies to what is read would have to be stored
		if cn.queued <= lowWater && cn.h2.Waiting() {
			cn.room()
			cn.h2.Flushed()
		}
		if s, ok := cn.h.(*h2Server); ok && s.leaving {
			s.afterBatch()
		}
	}
	cn.account()
	if cn.waited && cn.backlog() <= lowWater {
		cn.waited = false
		cn.h.drained()
		if cn.closed {
			return
		}
		if len(cn.out) > 0 {
			cn.markDirty()
			return
		}
	}
	if len(cn.out) > 0 && !cn.connecting {
		cn.markDirty()
		return
	}
	if cn.out != nil && len(cn.out) == 0 {
		c.bufs.put(cn.out)
		cn.out = nil
	}
	if cn.closing {
		cn.gone()
		c.host.Close(cn, false)
		return
	}
	if cn.fin && !cn.finSent {
		cn.finSent = true
		c.host.CloseWrite(cn)
	}
}

// closeWrite ends the sending direction after what was written.
func (cn *Conn) closeWrite() {
	cn.fin = true
	cn.markDirty()
}

// close ends the connection after what was written.
func (cn *Conn) close() {
	cn.closing = true
	cn.markDirty()
}

// abort resets the connection now.
func (cn *Conn) abort() {
	if !cn.closed {
		cn.gone()
		cn.core.host.Close(cn, true)
	}
}

// breakOff resets the connection of a tunnel, behind what was said before: as TCP would have it, a
// reset ends what may follow, and what is under way arrives if the reader has room for it.
func (cn *Conn) breakOff() {
	if len(cn.out) > 0 && !cn.closed && !cn.connecting {
		cn.core.host.Write(cn, cn.out)
	}
	cn.abort()
}

// setReading turns reading on or off.
func (cn *Conn) setReading(on bool) {
	if cn.reading != on && !cn.closed {
		cn.reading = on
		cn.core.host.SetReading(cn, on)
	}
}

// watchIdle arms the idle deadline: expire is called when nothing moved for d. It re-arms itself
// lazily, so that traffic costs one store and no timer work.
func (cn *Conn) watchIdle(d time.Duration, expire func()) {
	w := &cn.core.wheel
	cn.watch.fire = func() {
		if cn.closed {
			return
		}
		if quiet := cn.core.now - cn.active; quiet < d {
			w.arm(&cn.watch, cn.active+d)
			return
		}
		expire()
		if !cn.closed && !cn.closing && !cn.watch.armed() {
			w.arm(&cn.watch, cn.core.now+d)
		}
	}
	w.arm(&cn.watch, cn.core.now+d)
}

// buffers keeps output and input buffers of the loop, so that idle connections hold none. What it
// keeps is bounded in bytes.
type buffers struct {
	free  [][]byte
	bytes int
}

const (
	bufferSize = 16 << 10
	maxBuffer  = 512 << 10
	maxKept    = 4 << 20 // a buffer for each connection that one wake-up can write to
)

func (b *buffers) get() []byte {
	if n := len(b.free); n > 0 {
		p := b.free[n-1]
		b.free[n-1] = nil
		b.free = b.free[:n-1]
		b.bytes -= cap(p)
		return p[:0]
	}
	return make([]byte, 0, bufferSize)
}

func (b *buffers) put(p []byte) {
	if cap(p) >= bufferSize && cap(p) <= maxBuffer && b.bytes+cap(p) <= maxKept {
		b.bytes += cap(p)
		b.free = append(b.free, p[:0])
	}
}
