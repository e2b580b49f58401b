package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/proxy/config"
)

// maxMessage bounds one message from the control plane, which sends parts of about 1 MiB; one
// resource alone may be larger.
const maxMessage = 16 << 20

// dialer opens connections to the control plane.
type dialer struct {
	control config.Control
	now     func() time.Time
	connect Dial // nil: TCP
}

// Dial opens a connection to an address of the control plane, in place of TCP. A simulation gives
// one that leads into its own network.
type Dial func(ctx context.Context, addr string) (net.Conn, error)

// open makes the connection for streams: over the Unix socket as it is, over TCP with the
// certificate and roots of the store, which is looked at anew with each attempt to connect.
func (d dialer) open(store *identity.Store) (*grpc.ClientConn, error) {
	if d.control.Socket != "" {
		return d.unix()
	}
	return d.tcp(credentials.NewTLS(controlTLS(store)))
}

// openPinned makes the connection for first contact over TCP, where the root is known by its hash.
func (d dialer) openPinned(rootHash string) (*grpc.ClientConn, error) {
	return d.tcp(credentials.NewTLS(identity.PinnedClientConfig(rootHash, d.now, "h2")))
}

func (d dialer) unix() (*grpc.ClientConn, error) {
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		var nd net.Dialer
		c, err := nd.DialContext(ctx, "unix", d.control.Socket)
		if err != nil {
			return nil, err
		}
		// Whoever owns the socket hands out identities: it must be this user's or root's.
		if err := trustPeer(c.(*net.UnixConn)); err != nil {
			_ = c.Close()
			return nil, err
		}
		return c, nil
	}
	return d.client(insecure.NewCredentials(), grpc.WithContextDialer(dial))
}

func (d dialer) tcp(creds credentials.TransportCredentials) (*grpc.ClientConn, error) {
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		if d.connect != nil {
			return d.connect(ctx, d.control.Addr)
		}
		var nd net.Dialer
		return nd.DialContext(ctx, "tcp", d.control.Addr)
	}
	return d.client(creds, grpc.WithContextDialer(dial))
}

func (d dialer) client(creds credentials.TransportCredentials, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	opts = append(opts,
		grpc.WithTransportCredentials(creds),
		grpc.WithNoProxy(), // http_proxy may point at this very proxy
		grpc.WithAuthority("weft"),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstPause, Multiplier: 1.6, Jitter: 0.3, MaxDelay: lastPause},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	conn, err := grpc.NewClient("passthrough:///weft", opts...)
	if err != nil {
		return nil, fmt.Errorf("control plane connection: %w", err)
	}
	return conn, nil
}

// controlTLS expects the control plane of the store's trust domain, whichever it is at the time.
func controlTLS(store *identity.Store) *tls.Config {
	c := store.ClientConfig("", "h2")
	verify := c.VerifyConnection
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if err := verify(cs); err != nil {
			return err
		}
		id, _ := identity.PeerID(&cs)
		return identity.Expect(id, identity.ID{
			TrustDomain: id.TrustDomain, Namespace: identity.SystemNamespace, ServiceAccount: identity.ControlAccount,
		}.String())
	}
	return c
}

// foreignOwner is the error for a socket whose listener is another user.
func foreignOwner(uid uint32) error {
	e := codes.New("W2105", "the control socket belongs to another user")
	e.Why = fmt.Sprintf("uid %d listens there; this process is uid %d", uid, os.Geteuid())
	return e
}
