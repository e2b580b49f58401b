package net

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
)

// conn is one connection: the goroutine in run reads it, the one in writeLoop writes it, the
// loop tells both what to do.
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
}

func newConn(d *Driver, nc *net.TCPConn) *conn {
	c := &conn{d: d, nc: nc, rw: nc}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// shake does a handshake and returns the peer's identity.
func (c *conn) shake(t *tls.Conn, timeout time.Duration) (peer string, err error) {
	ctx, cancel := context.WithTimeout(c.d.ctx, timeout)
	defer cancel()
	where := c.nc.RemoteAddr().String()
	if err := t.HandshakeContext(ctx); err != nil {
		return "", c.d.opt.Security.Explain(err, where)
	}
	cs := t.ConnectionState()
	peer, ok := c.d.opt.Security.Peer(&cs)
	if !ok {
		return "", errNoIdentity
	}
	c.tls, c.rw = t, t
	return peer, nil
}

type noIdentity struct{}

func (noIdentity) Error() string { return "the peer showed no identity" }

var errNoIdentity = noIdentity{}

// run reads to the end. The driver's end closes the socket and so ends it.
func (c *conn) run() {
	stop := context.AfterFunc(c.d.ctx, func() { c.end(true) })
	defer stop()
	c.d.wg.Add(1)
	go c.writeLoop()
	buf := make([]byte, readSize)
	taken := make(chan struct{}, 1)
	for {
		if !c.mayRead() {
			return
		}
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
		switch {
		case err == io.EOF:
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
	if c.dead {
		return
	}
	c.ended = true
	if abort {
		c.dead = true
		c.nc.SetLinger(0) //nolint:errcheck // then it is an ordinary close
		c.nc.Close()      //nolint:errcheck // nothing can be done
	} else {
		c.nc.SetWriteDeadline(time.Now().Add(lingerFor)) //nolint:errcheck // then the peer decides
	}
	c.cond.Broadcast()
}

// writeLoop writes what is queued until the end.
func (c *conn) writeLoop() {
	defer c.d.wg.Done()
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
		if dead {
			return
		}
		if len(out) > 0 {
			_, err := c.rw.Write(out)
			c.mu.Lock()
			c.writing = 0
			more := len(c.out) > 0
			c.mu.Unlock()
			spare = out
			if err != nil {
				c.d.tell(func() { c.d.core.Closed(c.core, err) })
				c.end(true)
				return
			}
			if !more {
				c.d.tell(func() { c.d.core.Drained(c.core) })
			}
			continue
		}
		if fin && !finSent {
			finSent = true
			if c.tls != nil {
				c.tls.CloseWrite() //nolint:errcheck // a broken connection shows in reading
			}
			c.nc.CloseWrite() //nolint:errcheck // as above
		}
		if ended {
			if c.tls != nil && !finSent {
				c.tls.CloseWrite() //nolint:errcheck // as above
			}
			c.mu.Lock()
			c.dead = true
			c.mu.Unlock()
			c.nc.Close() //nolint:errcheck // nothing can be done
			c.cond.Broadcast()
			return
		}
	}
}
