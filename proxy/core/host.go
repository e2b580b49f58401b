package core

import (
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/model"
)

// Host is what the core asks of the driver that runs it. The core calls it only from inside its
// own entry points, on its loop; no method may block or call back into the core.
type Host interface {
	// Dial opens a connection for c. The driver answers later with Core.Connected.
	Dial(c *Conn, d Dial)
	// Write sends p. It keeps nothing of p after it returns. It returns how many bytes of the
	// connection now wait for the kernel; when they have gone the driver calls Core.Drained.
	Write(c *Conn, p []byte) (queued int)
	// CloseWrite ends the sending direction after what is queued (FIN; under TLS close-notify first).
	CloseWrite(c *Conn)
	// Close ends the connection. With abort false queued bytes are sent first, bounded in time;
	// with abort true it is reset. No event for c follows.
	Close(c *Conn, abort bool)
	// SetReading turns Received and EOF on and off. It is on at first.
	SetReading(c *Conn, on bool)
	// Join asks the driver to carry what a receives to b, and what b receives to a, by itself: both
	// are plain, and nothing of theirs waits anywhere. False means that it will not, and nothing has
	// changed. After true it calls Moved in place of Received and Drained; EOF once everything that
	// came before the end has gone to the other's kernel, which the core answers with CloseWrite on
	// the other; and Closed as ever. What it holds for a slow reader is bounded. When the core closes
	// one of the two it closes the other in the same batch.
	Join(a, b *Conn) bool
	// AskLimit asks the service that keeps a global rate limit. The driver answers later, within the
	// limit's timeout or a little more, with Core.LimitAnswered.
	AskLimit(q *Question, about LimitQuery)
	// Subscribe asks for a service that the table does not know. Core.SetTable follows when the
	// control plane has answered, also if it says that there is none.
	Subscribe(n model.Name)
	// SubscribeIP does the same for a destination known by address only.
	SubscribeIP(a netip.Addr)
	// AddrAbsent reports whether the control plane said that the address is no service's.
	AddrAbsent(a netip.Addr) bool
	// ServiceOfIP tells which service an address stands for that our own DNS gave out.
	ServiceOfIP(a netip.Addr) (n model.Name, ok bool)
}

// Dial says how to connect.
type Dial struct {
	Addr    netip.AddrPort
	Host    string // if set, a DNS name to resolve and connect to instead of Addr (port in HostPort)
	Port    uint16
	Timeout time.Duration
	// Peer, if set, makes it a link: mutual TLS with this SPIFFE ID expected, presenting the
	// certificate of workload number Workload, whose identity is Self.
	Peer     string
	Self     string
	Workload int
}

// Kind says what a listener takes.
type Kind uint8

// The kinds of listeners.
const (
	ListenLink        Kind = iota // links of peers; the driver does the TLS handshake before Accept
	ListenProxy                   // absolute-form and CONNECT requests (http_proxy)
	ListenService                 // an address that stands for one service port
	ListenTransparent             // redirected connections; Accept.OrigDst is set
)

// Listener is one listening socket as the core knows it. Immutable.
type Listener struct {
	Kind     Kind
	Workload int        // whose it is, a place in Config.Workloads
	Service  model.Name // ListenService
	Port     uint16     // ListenService
}

// Accept describes an accepted connection.
type Accept struct {
	Listener *Listener
	Remote   netip.AddrPort
	OrigDst  netip.AddrPort // ListenTransparent
	Peer     string         // ListenLink: the verified SPIFFE ID
	Until    time.Duration  // ListenLink: when the peer's certificate ends, in the core's time; 0: never
	Driver   any            // becomes Conn.Driver
}
