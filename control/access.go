package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	pb "github.com/weft-mesh/weft/api/discovery"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model/wire"
)

// caller is who made a call.
type caller struct {
	local bool // over the Unix socket
	uid   uint32
	pid   int32
	id    identity.ID // over TCP, with a certificate
	known bool        // the connection itself says who it is
	addr  string
}

// String names the caller; equal callers have equal names.
func (c caller) String() string {
	switch {
	case c.local:
		return fmt.Sprintf("uid %d", c.uid)
	case c.known:
		return c.id.String()
	}
	return "somebody without a certificate"
}

// owner reports whether a local caller is the user that runs the control plane, or root.
func (c caller) owner() bool {
	return c.local && c.known && (c.uid == 0 || int(c.uid) == os.Geteuid())
}

func (c caller) admin() bool {
	return c.owner() || !c.local && c.known && c.id.Namespace == identity.SystemNamespace && c.id.ServiceAccount == identity.AdminAccount
}

// callerOf reads who made a call from its connection.
func callerOf(ctx context.Context) caller {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}
	}
	switch info := p.AuthInfo.(type) {
	case socketPeer:
		return caller{local: true, known: true, uid: info.uid, pid: info.pid, addr: fmt.Sprintf("process %d", info.pid)}
	case credentials.TLSInfo:
		c := caller{addr: p.Addr.String()}
		c.id, c.known = identity.PeerID(&info.State)
		return c
	}
	return caller{}
}

// authorize decides whether a caller may call a method. What is not listed is refused.
func authorize(ctx context.Context, method string) error {
	c := callerOf(ctx)
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	switch service {
	case pb.Identity_ServiceDesc.ServiceName:
		return nil // Trust is public; Issue looks at tokens itself
	case pb.Mesh_ServiceDesc.ServiceName:
		if c.admin() {
			return nil
		}
	case pb.Registry_ServiceDesc.ServiceName:
		// Listing services is open to administrators too.
		if c.owner() || !c.local && c.known && (!c.system() || c.admin() && name == "ListServices") {
			return nil
		}
	case pb.Discovery_ServiceDesc.ServiceName, pb.Report_ServiceDesc.ServiceName:
		if c.owner() || !c.local && c.known && !c.system() {
			return nil
		}
	}
	e := wcodes.New("W2105", fmt.Sprintf("%s may not call %s", c, name))
	switch {
	case c.local:
		e.Why = fmt.Sprintf("the control plane runs as uid %d; that user and root may", os.Geteuid())
	case !c.known:
		e.Why = "the connection carries no certificate of the mesh"
	default:
		e.Why = "this identity is not for that"
	}
	return wire.Status(codes.PermissionDenied, e)
}

func (c caller) system() bool { return c.id.Namespace == identity.SystemNamespace }

func authorizeUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := authorize(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func authorizeStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := authorize(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, stream)
}

// socketPeer is what the kernel says of the process at the other end of a Unix socket.
type socketPeer struct {
	credentials.CommonAuthInfo
	uid uint32
	pid int32
}

// AuthType implements credentials.AuthInfo.
func (socketPeer) AuthType() string { return "unix-peer" }

// socketCredentials takes connections of Unix sockets as they are and asks the kernel whose they
// are.
type socketCredentials struct{}

// ServerHandshake implements credentials.TransportCredentials.
func (socketCredentials) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return nil, nil, errors.New("not a Unix socket")
	}
	p, err := peerOf(uc)
	if err != nil {
		return nil, nil, err
	}
	p.SecurityLevel = credentials.PrivacyAndIntegrity // it never leaves the machine
	return c, p, nil
}

// ClientHandshake implements credentials.TransportCredentials; servers only use this type.
func (socketCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("for servers only")
}

// Info implements credentials.TransportCredentials.
func (socketCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "unix-peer"}
}

// Clone implements credentials.TransportCredentials.
func (s socketCredentials) Clone() credentials.TransportCredentials { return s }

// OverrideServerName implements credentials.TransportCredentials.
func (socketCredentials) OverrideServerName(string) error { return nil }

// tlsCredentials are those of the TCP listener.
func tlsCredentials(c *tls.Config) credentials.TransportCredentials { return credentials.NewTLS(c) }
