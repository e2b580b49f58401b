package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/weft-mesh/weft/api/discovery"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/discovery"
	"github.com/weft-mesh/weft/control/registry"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model/wire"
)

// registryService implements pb.RegistryServer.
type registryService struct {
	pb.UnimplementedRegistryServer
	reg    *registry.Registry
	disco  *discovery.Server
	log    *slog.Logger
	closed context.Context // ends when the control plane stops
}

// ListServices implements pb.RegistryServer.
func (s *registryService) ListServices(_ context.Context, req *pb.ListServicesRequest) (*pb.ListServicesReply, error) {
	return &pb.ListServicesReply{Services: summaries(s.disco.Current(), req.GetNamespace())}, nil
}

// Register implements pb.RegistryServer. The call's goroutine sends; another receives.
func (s *registryService) Register(stream grpc.BidiStreamingServer[pb.RegisterRequest, pb.RegisterReply]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	m := first.GetRegistration()
	if m == nil {
		e := wcodes.New("W2107", "the first message is not a registration")
		return wire.Status(codes.InvalidArgument, e)
	}
	lease, err := s.reg.Register(m)
	if err != nil {
		return wire.Status(registerStatus(err), err)
	}
	// Over TCP a workload registers itself only.
	if c := callerOf(ctx); !c.local && c.id.String() != lease.Identity {
		lease.Leave()
		e := wcodes.New("W2104", fmt.Sprintf("%s may not register %s", c, lease.Identity))
		e.Why = "a certificate stands for its own identity only"
		return wire.Status(codes.PermissionDenied, e)
	}
	s.log.Info("workload registered", "workload", wire.ToName(m.GetName()).String(), "identity", lease.Identity)
	left := false
	defer func() {
		if left {
			lease.Leave()
			s.disco.Left(m.GetProxy(), m.GetInstance())
			s.log.Info("workload left", "workload", wire.ToName(m.GetName()).String())
		} else {
			lease.Break()
		}
	}()
	// Whoever is told that it is registered finds itself in the next answer to any question.
	wait, stopWaiting := context.WithTimeout(ctx, settleTimeout)
	s.disco.Included(wait, lease.Generation)
	stopWaiting()
	err = stream.Send(&pb.RegisterReply{Reply: &pb.RegisterReply_Registered{Registered: &pb.Registered{
		Identity: lease.Identity, TrustDomain: s.disco.Current().Bundle.TrustDomain,
	}}})
	if err != nil {
		return err
	}

	requests := make(chan *pb.RegisterRequest)
	received := make(chan error, 1)
	// The receiver ends with the call: gRPC ends Recv when the handler returns.
	go func() { received <- receiveAll(ctx, stream.Recv, requests) }()

	// One wait at a time: a later one covers the earlier.
	settled := make(chan *pb.Settled, 1)
	stopWait := s.settle(ctx, lease.Generation, false, settled)
	defer func() { stopWait() }()
	for {
		select {
		case m := <-requests:
			switch m.GetRequest().(type) {
			case *pb.RegisterRequest_Draining:
				stopWait()
				settled = make(chan *pb.Settled, 1)
				stopWait = s.settle(ctx, lease.Drain(), true, settled)
			case *pb.RegisterRequest_Leave:
				left = true
				return nil
			default:
				return wire.Status(codes.InvalidArgument, wcodes.New("W2107", "a second registration on one stream"))
			}
		case r := <-settled:
			if err := stream.Send(&pb.RegisterReply{Reply: &pb.RegisterReply_Settled{Settled: r}}); err != nil {
				return err
			}
		case err := <-received:
			return err
		case <-s.closed.Done():
			return wire.Status(codes.Unavailable, errors.New("the control plane stops"))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle waits beside the call until the proxies know a generation, then says so on out. The
// function that it returns ends the wait and waits for its goroutine.
func (s *registryService) settle(ctx context.Context, generation uint64, draining bool, out chan<- *pb.Settled) (stop func()) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, all := s.disco.Settled(ctx, generation)
		out <- &pb.Settled{Draining: draining, Everywhere: all, Snapshot: n} // it has room
	}()
	return func() { cancel(); <-done }
}

func registerStatus(err error) codes.Code {
	var coded *wcodes.Error
	if errors.As(err, &coded) {
		switch coded.Code {
		case "W2301":
			return codes.AlreadyExists
		case "W2108":
			return codes.ResourceExhausted
		}
	}
	return codes.InvalidArgument
}

// receiveAll passes messages on until the stream or ctx ends.
func receiveAll[M any](ctx context.Context, recv func() (M, error), out chan<- M) error {
	for {
		m, err := recv()
		if err != nil {
			return err
		}
		select {
		case out <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// identityOf gives the SPIFFE ID that a caller reports under; empty for local callers.
func identityOf(c caller) string {
	if c.local || c.id == (identity.ID{}) {
		return ""
	}
	return c.id.String()
}
