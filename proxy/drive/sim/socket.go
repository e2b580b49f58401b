package sim

import (
	"errors"
	"net/netip"
	"time"
)

// Handler takes what happens to sockets. Its methods may do anything to the socket.
type Handler interface {
	Opened(s *Socket, err error) // the answer to a dial
	Data(s *Socket, p []byte)    // p belongs to the handler
	EOF(s *Socket)
	Drained(s *Socket) // all that waited to be sent has gone to the kernel
	Closed(s *Socket, err error)
}

// Owner is told that a socket has something for its handler, which is handed over by Poll.
type Owner interface{ Ready(s *Socket) }

// Socket is one end of a connection, as a driver sees it.
type Socket struct {
	// User belongs to the owner.
	User any

	name   string
	host   *Host
	other  *Socket
	owner  Owner
	remote netip.AddrPort
	out    flow

	recv      []byte
	fin       bool  // the peer has ended, behind recv
	finTold   bool  //
	broken    error // behind recv
	dialing   bool
	opened    bool
	reading   bool
	drained   bool // to be told
	queued    bool // the owner knows that we are ready
	closed    bool // by the owner, or the owner knows
	lingering bool // closed, and still sending
	refused   bool // something arrived that nobody will read
	rstSent   bool
	deadline  *Event
}

const (
	readSize  = 64 << 10
	lingerFor = 5 * time.Second // as in the other drivers
)

var (
	errReset   = errors.New("connection reset by peer")
	errRefused = errors.New("connection refused")
)

// Name tells the two hosts, which of their connections it is, and which end.
func (s *Socket) Name() string { return s.name }

// Remote is the address of the other end.
func (s *Socket) Remote() netip.AddrPort { return s.remote }

// Queued is how many bytes wait in the driver.
func (s *Socket) Queued() int { return len(s.out.pending) }

// Unread is how many bytes wait to be read.
func (s *Socket) Unread() int { return len(s.recv) }

// Write sends p, of which nothing is kept, and returns what waits for the kernel now.
func (s *Socket) Write(p []byte) int {
	if s.closed || s.broken != nil || s.out.fin || s.out.dead {
		return 0
	}
	s.out.path.net.history.socket(s.out.path.net.now, "writes", s, p)
	s.out.pending = append(s.out.pending, p...)
	s.out.transmit()
	return len(s.out.pending)
}

// CloseWrite ends the sending direction behind what was written.
func (s *Socket) CloseWrite() {
	if s.closed || s.broken != nil {
		return
	}
	s.out.path.net.history.socket(s.out.path.net.now, "ends", s, nil)
	s.out.fin = true
	s.out.transmit()
}

// Close ends the socket: at once, or after what was written. No event follows.
func (s *Socket) Close(abort bool) {
	if s.closed {
		return
	}
	n := s.out.path.net
	s.closed = true
	s.deadline.Cancel()
	switch {
	case s.broken != nil:
	case abort || s.dialing:
		n.history.socket(n.now, "aborts", s, nil)
		s.reset()
	case len(s.out.pending) > 0:
		n.history.socket(n.now, "lingers", s, nil)
		s.lingering = true
		s.linger()
	default:
		n.history.socket(n.now, "closes", s, nil)
		s.goodbye()
	}
}

// SetReading turns Data and EOF on and off.
func (s *Socket) SetReading(on bool) {
	s.reading = on
	s.ready()
}

// linger bounds the time in which nothing of the rest is taken.
func (s *Socket) linger() {
	s.deadline.Cancel()
	s.deadline = s.out.path.net.After(lingerFor, func() {
		if s.lingering {
			s.lingering = false
			s.reset()
		}
	})
}

// goodbye is what close(2) does: FIN, or RST if there is something that nobody read.
func (s *Socket) goodbye() {
	s.lingering = false
	s.deadline.Cancel()
	if len(s.recv) > 0 || s.refused {
		s.reset()
		return
	}
	s.out.fin = true
	s.out.transmit()
}

// reset sends RST, once. What the kernel had taken and not sent yet is lost, a random part here of
// what is under way; so, on some systems, is what the peer has not read.
func (s *Socket) reset() {
	s.refused = true
	s.recv = nil
	s.out.stop()
	if s.rstSent {
		return
	}
	s.rstSent = true
	if n := len(s.out.under); n > 0 {
		s.out.under = s.out.under[:s.out.rng.IntN(n+1)]
	}
	other := s.other
	s.out.signal(func() {
		if s.out.rng.IntN(2) == 0 { // RFC 9112 section 9.6
			other.recv = nil
		}
		other.fail(errReset)
	})
}

// refuseMore answers data that nobody reads. While the rest is sent, it has to wait.
func (s *Socket) refuseMore() {
	s.refused = true
	if !s.lingering {
		s.reset()
	}
}

// ended: the peer's FIN arrived.
func (s *Socket) ended() {
	n := s.out.path.net
	n.history.socket(n.now, "eof", s, nil)
	s.fin = true
	s.ready()
}

// fail breaks this end.
func (s *Socket) fail(err error) {
	if s.broken != nil {
		return
	}
	n := s.out.path.net
	n.history.socket(n.now, "breaks", s, []byte(err.Error()))
	s.broken = err
	s.out.stop()
	s.lingering = false
	s.deadline.Cancel()
	s.ready()
}

// ready tells the owner, once until it polls.
func (s *Socket) ready() {
	if !s.queued && !s.closed && s.owner != nil && s.more() {
		s.queued = true
		s.owner.Ready(s)
	}
}

// more reports whether Poll has something to tell.
func (s *Socket) more() bool {
	return s.broken != nil || s.dialing && s.opened || s.drained ||
		s.reading && !s.dialing && (len(s.recv) > 0 || s.fin && !s.finTold)
}

// Poll hands over what there is, one read of it at most, as a level-triggered driver does.
func (s *Socket) Poll(h Handler) {
	s.queued = false
	switch {
	case s.closed:
		return
	case s.dialing && s.broken != nil:
		s.dialing = false
		s.closed = true
		h.Opened(s, s.broken)
		return
	case s.dialing && !s.opened:
		return
	case s.dialing:
		s.dialing = false
		h.Opened(s, nil)
	}
	if s.drained && !s.closed && s.broken == nil {
		s.drained = false
		if len(s.out.pending) == 0 {
			h.Drained(s)
		}
	}
	if s.closed {
		return
	}
	switch {
	case s.reading && len(s.recv) > 0:
		k := min(len(s.recv), readSize)
		p := s.recv[:k:k]
		if s.recv = s.recv[k:]; len(s.recv) == 0 {
			s.recv = nil
		}
		s.other.out.read(k)
		h.Data(s, p)
	case s.reading && s.fin && !s.finTold && s.broken == nil:
		s.finTold = true
		h.EOF(s)
	case s.broken != nil && (!s.reading || len(s.recv) == 0):
		s.closed = true
		s.recv = nil
		h.Closed(s, s.broken)
		return
	}
	s.ready()
}

// Prompt is an Owner that hands everything over to its handler at once.
type Prompt struct {
	Net     *Network
	Handler Handler
}

// Ready implements Owner.
func (p *Prompt) Ready(s *Socket) { p.Net.After(1, func() { s.Poll(p.Handler) }) }
