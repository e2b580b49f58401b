// Package drive holds what the drivers of the data path have in common. A driver owns sockets
// and runs proxy/core on them: drive/epoll on Linux, drive/net elsewhere, the simulator in tests.
package drive

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
)

// Mesh is what the core may ask of the control side. Methods are called on loops: they must not
// block and must be safe for concurrent use.
type Mesh interface {
	Subscribe(n model.Name)
	SubscribeIP(a netip.Addr)
	AddrAbsent(a netip.Addr) bool
	ServiceOfIP(a netip.Addr) (n model.Name, ok bool)
}

// Security makes the TLS settings of links and reads their outcome. Workloads are numbered as in
// core.Config.Workloads; a link proves the identity of one of them. Safe for concurrent use.
type Security interface {
	// Server gives the settings for links that a workload's listener accepted.
	Server(workload int) *tls.Config
	// Client gives the settings for a workload's link to the peer with this SPIFFE ID.
	Client(workload int, peer string) *tls.Config
	// Peer gives the SPIFFE ID that the other end of a finished handshake has proved.
	Peer(cs *tls.ConnectionState) (string, bool)
	// Explain makes an error of a handshake one that says why, with a code.
	Explain(err error, peer string) error
}

// Errors of a handshake that crypto/tls lets pass.
var (
	ErrNoIdentity = errors.New("the peer showed no identity")
	ErrNoProtocol = errors.New("the peer did not ask for the link protocol (ALPN)")
)

// Identify judges a finished handshake and gives the peer's SPIFFE ID, and when the certificate
// that proves it ends. A peer that names no protocol is let through by crypto/tls whatever
// NextProtos says; a link is nothing else. The connection of cs forgets the peer's certificates.
func Identify(s Security, cs *tls.ConnectionState) (peer string, until time.Time, err error) {
	defer forget(cs.PeerCertificates)
	if cs.NegotiatedProtocol == "" {
		return "", until, ErrNoProtocol
	}
	peer, ok := s.Peer(cs)
	if !ok || len(cs.PeerCertificates) == 0 {
		return "", until, ErrNoIdentity
	}
	return peer, identity.PeerNotAfter(cs), nil
}

// forget takes the peer's certificates out of a connection that has been judged by them. crypto/tls
// would keep them for as long as the link lives, 2 to 3 KiB for each peer, and has no use for them
// after a TLS 1.3 handshake without tickets. The slice is the connection's own, and nobody else
// has seen it; the certificates may be shared, and are left alone.
func forget(certs []*x509.Certificate) {
	for i := range certs {
		certs[i] = &forgotten
	}
}

// forgotten stands for each of them, for whoever still asks.
var forgotten x509.Certificate

// Listener is a listening socket and what it takes.
type Listener struct {
	Core *core.Listener
	TCP  *net.TCPListener // the driver closes it when it drains
}

// Options make a driver.
type Options struct {
	Core      core.Config // Host, Now and Shard are set by the driver
	Loops     int
	Listeners []Listener
	Mesh      Mesh
	Security  Security
	// RateLimits asks the services that keep global rate limits; nil: none is reached.
	RateLimits RateLimits
	Log        *slog.Logger
}

// RateLimits asks a service about a global rate limit. It may block for as long as the limit's timeout
// says, and is called on goroutines of the driver, whose number the core bounds. It gives the answer
// and, above the limit, how long to wait (0: not known). Safe for concurrent use.
type RateLimits interface {
	Ask(ctx context.Context, q core.LimitQuery) (core.LimitAnswer, time.Duration)
}

// AskLimit is Ask of what may be nil.
func (o *Options) AskLimit(ctx context.Context, q core.LimitQuery) (core.LimitAnswer, time.Duration) {
	if o.RateLimits == nil {
		return core.LimitError, 0
	}
	return o.RateLimits.Ask(ctx, q)
}

// Driver runs loops.
type Driver interface {
	// Run serves until ctx ends or a loop fails. Every goroutine and socket is gone when it returns.
	Run(ctx context.Context) error
	// Post runs f on every loop, soon. It does not wait and may be called before Run.
	Post(f func(*core.Core))
	// Drain stops accepting and ends gracefully; Run returns when nothing is under way any more,
	// or when its context ends.
	Drain()
}
