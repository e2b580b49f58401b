package net

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
)

// conn is one connection: a reader and a writer goroutine, told by the loop what to do. It ends
// when both have; the driver's end closes the socket and so ends both.
type conn struct {
	d    *Driver
	core *core.Conn
	nc   *net.TCPConn
	tls  *tls.Conn
	rw   io.ReadWriter

	mu      sync.Mutex // guards what follows; never held while calling out
	cond    *sync.Cond
	out     []byte // to be written
	writing int    // bytes that the writer has taken and not written
	fin     bool   // FIN after out
	ended   bool   // close after out
	dead    bool   // closed
	paused  bool   // the core does not want to read
	lost    error  // of a write that failed
}

func newConn(d *Driver, nc *net.TCPConn) *conn {
	c := &conn{d: d, nc: nc, rw: nc}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// shake does a handshake and returns the peer's identity, and when its certificate ends in the
// core's time.
func (c *conn) shake(t *tls.Conn, timeout time.Duration) (peer string, until time.Duration, err error) {
	ctx, cancel := context.WithTimeout(c.d.ctx, timeout)
	defer cancel()
	where := c.nc.RemoteAddr().String()
	if err := t.HandshakeContext(ctx); err != nil {
		return "", 0, c.d.opt.Security.Explain(err, where)
	}
	cs := t.ConnectionState()
	peer, end, err := drive.Identify(c.d.opt.Security, &cs)
	if err != nil {
		return "", 0, err
	}
	c.tls, c.rw = t, t
	return peer, time.Since(c.d.start) + time.Until(end), nil
}

// run serves the connection to its end.
func (c *conn) run() {
	stop := context.AfterFunc(c.d.ctx, func() { c.end(true) })
	defer stop()
	var writer sync.WaitGroup
	writer.Add(1)
	go func() {
		defer writer.Done()
		c.writeLoop()
	}()
	c.readLoop()
	writer.Wait()
}

// readLoop reads until the peer's end, or the connection's.
func (c *conn) readLoop() {
	buf := make([]byte, readSize)
	taken := make(chan struct{}, 1)
	for c.mayRead() {
		n, err := c.rw.Read(buf)
		if n > 0 {
			if !c.d.tell(func() { c.d.core.Received(c.core, buf[:n]); taken <- struct{}{} }) {
				return
			}
			select {
			case <-taken:
			case <-c.d.ctx.Done():
				return
			}
		}
		if errors.Is(err, io.EOF) {
			err = c.endOrLoss()
		}
		switch {
		case errors.Is(err, io.EOF):
			c.d.tell(func() { c.d.core.EOF(c.core) })
			return
		case err != nil:
			if c.tls != nil {
				err = c.d.opt.Security.Explain(err, c.nc.RemoteAddr().String())
			}
			c.d.tell(func() { c.d.core.Closed(c.core, err) })
			c.end(true)
			return
		}
	}
}

// endOrLoss tells what an end of the stream really is. The kernel tells a loss once: if a write was
// told, reading finds an end. A write whose answer is still on its way has a moment to say so.
func (c *conn) endOrLoss() error {
	const moment = 10 * time.Millisecond
	c.mu.Lock()
	defer c.mu.Unlock()
	over := false
	t := time.AfterFunc(moment, func() {
		c.mu.Lock()
		over = true
		c.mu.Unlock()
		c.cond.Broadcast()
	})
	defer t.Stop()
	for c.lost == nil && c.writing > 0 && !c.dead && !over {
		c.cond.Wait()
	}
	if c.lost != nil {
		return c.lost
	}
	return io.EOF
}

// mayRead waits while reading is off; false means that the connection has ended.
func (c *conn) mayRead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.paused && !c.dead {
		c.cond.Wait()
	}
	return !c.dead
}

func (c *conn) setReading(on bool) {
	c.mu.Lock()
	c.paused = !on
	c.mu.Unlock()
	c.cond.Broadcast()
}

// queue gives the writer bytes and returns how many wait.
func (c *conn) queue(p []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.ended {
		return 0
	}
	c.out = append(c.out, p...)
	c.cond.Broadcast()
	return len(c.out) + c.writing
}

func (c *conn) finish() {
	c.mu.Lock()
	c.fin = true
	c.mu.Unlock()
	c.cond.Broadcast()
}

// end closes the connection: at once with abort, else when everything is written, bounded.
func (c *conn) end(abort bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead:
		return
	case abort:
		if c.ended {
			c.d.ending.Add(-1)
		}
		c.ended, c.dead = true, true
		c.nc.SetLinger(0) //nolint:errcheck // then it is an ordinary close
		c.nc.Close()      //nolint:errcheck // nothing can be done
	case !c.ended:
		c.ended = true
		c.d.ending.Add(1)
		c.nc.SetWriteDeadline(time.Now().Add(lingerFor)) //nolint:errcheck // then the peer decides
	}
	c.cond.Broadcast()
}

// writeLoop writes what is queued until the end.
func (c *conn) writeLoop() {
	var spare []byte
	finSent := false
	for {
		c.mu.Lock()
		for len(c.out) == 0 && !c.dead && !c.ended && (!c.fin || finSent) {
			c.cond.Wait()
		}
		out, fin, ended, dead := c.out, c.fin, c.ended, c.dead
		c.out, c.writing = spare[:0], len(out)
		c.mu.Unlock()
		switch {
		case dead:
			return
		case len(out) > 0:
			if !c.write(out) {
				return
			}
			if spare = out; cap(spare) > keptBuffer {
				spare = nil
			}
		case fin && !finSent:
			finSent = true
			if c.tls != nil {
				c.tls.CloseWrite() //nolint:errcheck // a broken connection shows in reading
			}
			c.nc.CloseWrite() //nolint:errcheck // as above
		case ended:
			if c.tls != nil && !finSent {
				c.tls.CloseWrite() //nolint:errcheck // as above
			}
			c.closed()
			return
		}
	}
}

// write writes out and tells the loop when nothing waits any more. It reports false if the
// connection broke.
func (c *conn) write(out []byte) bool {
	err := c.writePieces(out)
	c.mu.Lock()
	c.writing = 0
	if err != nil && !errors.Is(err, syscall.EPIPE) { // EPIPE: the peer had ended before
		c.lost = err
	}
	more := len(c.out) > 0
	c.mu.Unlock()
	c.cond.Broadcast()
	if err != nil {
		// What the peer sent before it closed can still be read, a response above all: the reader
		// finds the end. Nothing more can be written.
		c.mu.Lock()
		ended := c.ended
		c.mu.Unlock()
		if ended {
			c.end(true)
		}
		return c.discard()
	}
	if !more {
		c.d.tell(func() { c.d.core.Drained(c.core) })
	}
	return true
}

// writePieces writes out. On a connection that is to close each piece has its time, so that a
// slow reader gets everything and a dead one is let go.
func (c *conn) writePieces(out []byte) error {
	for len(out) > 0 {
		c.mu.Lock()
		if c.ended {
			c.nc.SetWriteDeadline(time.Now().Add(lingerFor)) //nolint:errcheck // then the peer decides
		}
		c.mu.Unlock()
		n, err := c.rw.Write(out[:min(len(out), 16<<10)])
		if err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}

// discard takes what is queued for a peer that takes nothing any more, until the connection ends.
func (c *conn) discard() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.dead && !c.ended {
		c.out = c.out[:0]
		c.cond.Wait()
	}
	if !c.dead {
		c.d.ending.Add(-1)
		c.dead = true
		c.nc.Close() //nolint:errcheck // nothing can be done
		c.cond.Broadcast()
	}
	return false
}

// closed closes the socket in good order.
func (c *conn) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	c.d.ending.Add(-1)
	c.dead = true
	c.nc.Close() //nolint:errcheck // nothing can be done
	c.cond.Broadcast()
}
