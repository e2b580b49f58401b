package plane

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// Network connects hosts by name. All of it happens in one bubble of synctest. Safe for concurrent
// use.
type Network struct {
	seed uint64

	mu        sync.Mutex // guards what follows; held for moments only
	listeners map[string]*listener
	cut       map[[2]string]bool // from, to: what is sent does not arrive for now
	conns     []*conn
	dials     map[[2]string]uint64
}

// NewNetwork makes a network whose delays the seed decides.
func NewNetwork(seed uint64) *Network {
	return &Network{seed: seed, listeners: map[string]*listener{}, cut: map[[2]string]bool{}, dials: map[[2]string]uint64{}}
}

const (
	leastDelay = 200 * time.Microsecond
	moreDelay  = 2 * time.Millisecond
	synAgain   = time.Second // a SYN that was lost
)

var (
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset by peer")
)

// address is a host and what it listens on.
type address string

// Network implements net.Addr.
func (address) Network() string { return "sim" }

// String implements net.Addr.
func (a address) String() string { return string(a) }

// listener is a port of a host.
type listener struct {
	n      *Network
	addr   string
	accept chan *conn
	done   chan struct{}
	once   sync.Once
}

// Listen makes a listener on an address, which is also the name of its host.
func (n *Network) Listen(addr string) (net.Listener, error) {
	l := &listener{n: n, addr: addr, accept: make(chan *conn, 128), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[addr] = l
	return l, nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		defer l.n.mu.Unlock()
		close(l.done)
		if l.n.listeners[l.addr] == l {
			delete(l.n.listeners, l.addr)
		}
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return address(l.addr) }

// Dial connects a host to an address.
func (n *Network) Dial(ctx context.Context, from, to string) (net.Conn, error) {
	for {
		n.mu.Lock()
		lost := n.cut[[2]string{from, to}] || n.cut[[2]string{to, from}]
		l := n.listeners[to]
		n.dials[[2]string{from, to}]++
		serial := n.dials[[2]string{from, to}]
		n.mu.Unlock()
		wait := synAgain
		if !lost {
			wait = 2 * leastDelay
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		case <-t.C:
		}
		switch {
		case lost:
			continue
		case l == nil:
			return nil, errRefused
		}
		a, b := n.pair(from, to, serial)
		select {
		case l.accept <- b:
			return a, nil
		case <-l.done:
			return nil, errRefused
		}
	}
}

func (n *Network) pair(from, to string, serial uint64) (a, b *conn) {
	out, back := n.pipe(from, to, 2*serial), n.pipe(to, from, 2*serial+1)
	a, b = &conn{in: back, out: out, local: from, remote: to}, &conn{in: out, out: back, local: to, remote: from}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, a)
	return a, b
}

// Cut makes what one host sends to another wait until Heal.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = true
}

// Heal ends all cuts between two hosts; what waited arrives.
func (n *Network) Heal(a, b string) {
	n.mu.Lock()
	delete(n.cut, [2]string{a, b})
	delete(n.cut, [2]string{b, a})
	conns := append([]*conn(nil), n.conns...)
	n.mu.Unlock()
	for _, c := range conns {
		if c.between(a, b) {
			c.in.release()
			c.out.release()
		}
	}
}

// Reset breaks all connections of a host.
func (n *Network) Reset(host string) {
	n.mu.Lock()
	var broken []*conn
	kept := n.conns[:0]
	for _, c := range n.conns {
		if c.local == host || c.remote == host {
			broken = append(broken, c)
		} else {
			kept = append(kept, c)
		}
	}
	n.conns = kept
	n.mu.Unlock()
	for _, c := range broken {
		c.in.end(errReset)
		c.out.end(errReset)
	}
}

func (n *Network) isCut(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut[[2]string{from, to}]
}

// pipe is one direction of a connection. Its delays come from a source of its own, and each arrival
// has its own instant, so that two runs of a seed differ as little as possible.
type pipe struct {
	n        *Network
	from, to string

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	last  time.Time // when the last piece arrives
	buf   []byte
	owed  []func() // arrivals that a cut holds up
	err   error    // behind buf
	wake  chan struct{}
	limit time.Time // deadline of reads
}

func (n *Network) pipe(from, to string, serial uint64) *pipe {
	h := n.seed
	for _, c := range from + ">" + to {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return &pipe{n: n, from: from, to: to, rng: rand.New(rand.NewPCG(h, serial)), wake: make(chan struct{})}
}

// send makes something arrive later, in order.
func (p *pipe) send(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Now().Add(leastDelay + time.Duration(p.rng.Int64N(int64(moreDelay))))
	if !at.After(p.last) {
		at = p.last.Add(1)
	}
	p.last = at
	time.AfterFunc(time.Until(at), func() { p.arrive(do) })
}

func (p *pipe) arrive(do func()) {
	cut := p.n.isCut(p.from, p.to)
	p.mu.Lock()
	if cut || len(p.owed) > 0 {
		p.owed = append(p.owed, do)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	do()
}

// release lets what a cut held up arrive.
func (p *pipe) release() {
	p.mu.Lock()
	owed := p.owed
	p.owed = nil
	p.mu.Unlock()
	for _, do := range owed {
		do()
	}
}

func (p *pipe) put(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buf = append(p.buf, b...)
	p.poke()
}

// end ends the direction, behind what has arrived.
func (p *pipe) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.poke()
	}
}

// poke wakes who reads. The lock is held.
func (p *pipe) poke() {
	close(p.wake)
	p.wake = make(chan struct{})
}

func (p *pipe) read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		wake, limit := p.wake, p.limit
		switch {
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			if p.buf = p.buf[n:]; len(p.buf) == 0 {
				p.buf = nil
			}
			p.mu.Unlock()
			return n, nil
		case p.err != nil:
			p.mu.Unlock()
			return 0, p.err
		}
		p.mu.Unlock()
		if limit.IsZero() {
			<-wake
			continue
		}
		left := time.Until(limit)
		if left <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		t := time.NewTimer(left)
		select {
		case <-wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// conn is one end of a connection.
type conn struct {
	in, out       *pipe
	local, remote string
}

func (c *conn) between(a, b string) bool {
	return c.local == a && c.remote == b || c.local == b && c.remote == a
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write implements net.Conn. It never waits: what is under way has no bound here.
func (c *conn) Write(b []byte) (int, error) {
	c.out.mu.Lock()
	err := c.out.err
	c.out.mu.Unlock()
	if errors.Is(err, net.ErrClosed) { // the other end has
		err = errReset
	}
	if err != nil {
		return 0, err
	}
	q := append([]byte(nil), b...)
	c.out.send(func() { c.out.put(q) })
	return len(b), nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.in.end(net.ErrClosed)
	c.out.send(func() { c.out.end(io.EOF) })
	return nil
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return address(c.local) }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return address(c.remote) }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.limit = t
	c.in.poke()
	return nil
}

// SetWriteDeadline implements net.Conn; writes never wait.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
