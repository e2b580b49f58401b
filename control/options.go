package control

import (
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/weft-mesh/weft/codes"
)

// Options say what a control plane runs on.
type Options struct {
	Dir         string // configuration; empty: registered workloads only
	StateDir    string // CA, join secret, registrations; needed
	Socket      string // path of the Unix socket; needed
	Listen      string // TCP address for proxies elsewhere, with mTLS; empty: none
	TrustDomain string // empty: that of StateDir, or ca.DefaultTrustDomain for a new one
	Build       string // version, for status

	// Started is called once everything serves.
	Started func(Started)
	// Reloaded is called after a change of the configuration, once it is live at all connected
	// proxies or after a bounded wait; one call at a time.
	Reloaded func(Reloaded)

	Log *slog.Logger
	Now func() time.Time // nil: time.Now
	// Bind, if not nil, makes the listener of Listen in place of TCP; there need not be a socket then.
	// A simulation gives one of its own network.
	Bind func(addr string) (net.Listener, error)
}

// Started tells what a control plane started with.
type Started struct {
	Socket, Listen string // Listen with the port that was bound
	TrustDomain    string
	RootCreated    bool
	Services       int
	Routes         int
	Files          int
	Problems       []*codes.Error
}

// Reloaded tells what a change of the configuration did.
type Reloaded struct {
	Snapshot        uint64
	Services        int // that are new, gone or different, apart from their routes and endpoints
	Routes          int // likewise
	Endpoints       int // services of which only the endpoints are different
	Problems        []*codes.Error
	Live, Connected int           // proxies that serve it, of those connected
	Took            time.Duration // from the notice of the change
}

const (
	settleTimeout = 5 * time.Second // how long proxies may take until nobody waits for them
	stopTimeout   = 2 * time.Second // how long calls may take to end at the end
)

func (o *Options) normalize() error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.StateDir == "" || o.Socket == "" && o.Bind == nil {
		e := codes.New("W2002", "the control plane needs a state directory and a socket path")
		e.Why = fmt.Sprintf("state %q, socket %q", o.StateDir, o.Socket)
		e.Next = []string{"weft up DIR"}
		return e
	}
	return nil
}
