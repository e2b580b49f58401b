package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model/wire"
)

// leaveTimeout bounds the goodbye at the end of Run.
const leaveTimeout = time.Second

// runRegistration keeps a workload registered until ctx ends, then leaves.
func (a *Agent) runRegistration(ctx context.Context, m *member) {
	if !m.channel.await(ctx, a.opt.Control) {
		return
	}
	told := false
	for n := 0; ctx.Err() == nil; n++ {
		began := a.opt.Now()
		err := a.registerOnce(ctx, m)
		if ctx.Err() != nil {
			return
		}
		if a.opt.Now().Sub(began) > 10*time.Second {
			n, told = 0, false
		}
		// A refusal deserves a line of its own; a lost control plane is told by discovery.
		var coded *codes.Error
		if err = unreachable(err, a.opt.Control); errors.As(err, &coded) && coded.Code != "W2201" && !told {
			told = true
			a.refused(m, err.Error())
			a.log.Error("the workload was not registered; trying again", "workload", m.path(), "err", err)
		}
		sleep(ctx, pause(n, a.opt.Rand()))
	}
}

// refused notes why a workload was refused, or with "" that it was not.
func (a *Agent) refused(m *member, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m.refusal = why
}

func (a *Agent) registration(m *member) *pb.Registration {
	r := &pb.Registration{
		Name: &pb.Name{Namespace: m.Namespace, Name: m.Name}, Instance: a.instance, ServiceAccount: m.account(),
		Service: m.Service, Labels: m.Labels, Link: wire.AddrPort(m.Link), Zone: m.Zone, Node: a.opt.Node,
		Proxy: a.opt.Name, Pid: int64(os.Getpid()),
	}
	for _, p := range m.Ports {
		proto, _ := wire.ProtocolByName(p.Protocol) // checked by New
		r.Ports = append(r.Ports, &pb.RegisteredPort{Name: p.Name, Addr: wire.AddrPort(p.Addr), Protocol: pb.Protocol(proto)})
	}
	return r
}

// registerOnce runs one registration stream. The stream outlives ctx for a moment, to leave.
func (a *Agent) registerOnce(ctx context.Context, m *member) error {
	sctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	// Opening must end with ctx, so it is cancelled by it; from then on only this function ends it.
	stop := context.AfterFunc(ctx, cancel)
	stream, err := pb.NewRegistryClient(m.channel.conn).Register(sctx)
	if err != nil {
		stop()
		return err
	}
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { ended <- a.registryReplies(stream, m) })
	defer func() { cancel(); wg.Wait() }()
	send := func(r *pb.RegisterRequest) error {
		if err := stream.Send(r); err == nil {
			return nil
		}
		return <-ended // the stream is over; only the receiver learns why
	}
	if err := send(&pb.RegisterRequest{Request: &pb.RegisterRequest_Registration{Registration: a.registration(m)}}); err != nil {
		stop()
		return err
	}
	if !stop() {
		return ctx.Err()
	}

	drain := m.drain.done()
	for {
		select {
		case err := <-ended:
			return err
		case <-drain:
			drain = nil
			if err := send(&pb.RegisterRequest{Request: &pb.RegisterRequest_Draining{Draining: &pb.Draining{}}}); err != nil {
				return err
			}
		case <-ctx.Done():
			if send(&pb.RegisterRequest{Request: &pb.RegisterRequest_Leave{Leave: &pb.Leave{}}}) == nil && stream.CloseSend() == nil {
				t := time.NewTimer(leaveTimeout)
				defer t.Stop()
				select {
				case err := <-ended: // the control plane has taken it in
					a.log.Debug("left the registry", "workload", m.path(), "err", err)
				case <-t.C:
				}
			}
			return ctx.Err()
		}
	}
}

// registryReplies takes what the registry says until the stream ends.
func (a *Agent) registryReplies(stream grpc.BidiStreamingClient[pb.RegisterRequest, pb.RegisterReply], m *member) error {
	for {
		reply, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the control plane ended the registration")
		}
		if err != nil {
			return err
		}
		switch r := reply.GetReply().(type) {
		case *pb.RegisterReply_Registered:
			m.enrolled.set()
			a.refused(m, "")
			a.log.Info("registered", "workload", m.path(), "identity", r.Registered.GetIdentity())
		case *pb.RegisterReply_Settled:
			if r.Settled.GetDraining() {
				m.drained.set()
			}
		}
	}
}
