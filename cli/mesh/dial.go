package mesh

import (
	"context"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	discoverypb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
)

// maxReply bounds one answer; the status of 10,000 workloads is about 4 MiB.
const maxReply = 64 << 20

// DialSocket makes a client for the control plane on a Unix socket. It connects with the first
// question.
func DialSocket(path string) (Client, error) {
	conn, err := ConnectSocket(path)
	if err != nil {
		return nil, err
	}
	return &remote{target: path, conn: conn, mesh: discoverypb.NewMeshClient(conn)}, nil
}

// DialTCP makes a client for the control plane at host:port, with the certificate of an
// administrator in creds.
func DialTCP(addr string, creds credentials.TransportCredentials) (Client, error) {
	conn, err := Connect(addr, creds)
	if err != nil {
		return nil, err
	}
	return &remote{target: addr, conn: conn, mesh: discoverypb.NewMeshClient(conn)}, nil
}

// ConnectSocket opens a connection to the control plane on a Unix socket.
func ConnectSocket(path string) (*grpc.ClientConn, error) {
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return Connect(path, insecure.NewCredentials(), grpc.WithContextDialer(dial))
}

// Connect opens a connection to the control plane at a target.
func Connect(target string, creds credentials.TransportCredentials, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	opts := append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithNoProxy(), // http_proxy is for applications; behind it may be the very mesh that is asked about
		grpc.WithDisableServiceConfig(),
		// One that is just starting is found soon: nobody waits for seconds at a prompt.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)),
	}, more...)
	conn, err := grpc.NewClient("passthrough:///"+target, opts...)
	if err != nil {
		e := codes.New("W4002", "the control plane cannot be reached")
		e.Why, e.Where, e.Err = err.Error(), target, err
		e.Next = []string{"weft status --control PATH|HOST:PORT"}
		return nil, e
	}
	return conn, nil
}

// remote is a Client over gRPC.
type remote struct {
	target string
	conn   *grpc.ClientConn
	mesh   discoverypb.MeshClient
}

// Close ends the connection.
func (r *remote) Close() error { return r.conn.Close() }

func (r *remote) fail(ctx context.Context, err error) error { return CallError(ctx, r.target, err) }

// CallError turns the outcome of a call into a coded error: the control plane's own if it sent
// one.
func CallError(ctx context.Context, target string, err error) error {
	st := status.Convert(err)
	for _, d := range st.Details() {
		if f, ok := d.(*discoverypb.Fault); ok {
			return &codes.Error{Code: f.GetCode(), What: f.GetWhat(), Why: f.GetWhy(), Where: f.GetWhere(), Next: f.GetNext(), Err: err}
		}
	}
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return cause
	}
	var e *codes.Error
	switch st.Code() {
	case grpccodes.Unavailable:
		e = codes.New("W4002", "the control plane does not answer")
		e.Next = []string{"weft up DIR", "weft status --control PATH|HOST:PORT"}
	case grpccodes.DeadlineExceeded, grpccodes.Canceled:
		e = codes.New("W4003", "the control plane did not answer in time")
		e.Next = []string{"weft status --timeout 30s"}
	case grpccodes.PermissionDenied, grpccodes.Unauthenticated:
		e = codes.New("W4004", "the control plane refuses to answer this user")
		e.Next = []string{"sudo weft status"}
	case grpccodes.Unimplemented:
		e = codes.New("W4005", "the control plane does not know this question")
		e.Next = []string{"weft version          (of this command)", "weft status           (of the control plane)"}
	default:
		e = codes.New("W4005", "the control plane refused the question")
		e.Next = []string{"weft status"}
	}
	e.Why, e.Where, e.Err = st.Message(), target, err
	return e
}
