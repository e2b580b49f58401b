package control

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/observe"
)

// Stat implements pb.MeshServer.
func (s *meshService) Stat(_ context.Context, req *pb.StatRequest) (*pb.StatReply, error) {
	window := req.GetWindow().AsDuration()
	if window < 0 {
		return nil, wire.Status(codes.InvalidArgument, questionError("the window is negative", "weft stat --since 1m"))
	}
	source := wire.ToName(req.GetSource())
	q := observe.Query{
		Window: window, Service: wire.ToName(req.GetService()), Source: source, Sources: s.meant(source, s.disco.Current()),
		Inbound: req.GetInbound(), Identities: s.identities(), Account: accountOf, Instances: req.GetInstances(),
	}
	switch req.GetGroup() {
	case pb.StatGroup_STAT_ROUTE:
		q.Group = observe.ByRoute
	case pb.StatGroup_STAT_EDGE:
		q.Group = observe.ByEdge
	case pb.StatGroup_STAT_SERVICE:
		q.Group = observe.ByService
	case pb.StatGroup_STAT_BACKEND:
	}
	a := s.store.Stat(q)
	out := &pb.StatReply{
		From: timestamppb.New(a.From), To: timestamppb.New(a.To), Window: durationpb.New(a.To.Sub(a.From)), Dropped: a.Dropped,
	}
	for i := range a.Rows {
		out.Rows = append(out.Rows, statRow(&a.Rows[i]))
	}
	return out, nil
}

// identities gives those of all registered workloads.
func (s *meshService) identities() map[model.Name]string {
	entries, _ := s.reg.All()
	out := make(map[model.Name]string, len(entries))
	for _, e := range entries {
		out[e.Name()] = e.Workload.Identity
	}
	return out
}

func statRow(r *observe.Row) *pb.StatRow {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return &pb.StatRow{
		Source: wire.Name(r.Source), SourceIdentity: r.SourceIdentity, Service: wire.Name(r.Service), Route: r.Route,
		Backend: wire.Name(r.Backend), Protocol: r.Protocol, Requests: r.Requests(), Success: r.Success, Failure: r.Failure,
		SuccessRate: r.SuccessRate, Rps: r.RPS, P50Ms: ms(r.Quantile(0.5)), P95Ms: ms(r.Quantile(0.95)), P99Ms: ms(r.Quantile(0.99)),
		MeanMs: ms(r.Mean()), MtlsShare: r.MTLS, LocalShare: r.Local, BytesIn: r.BytesIn, BytesOut: r.BytesOut, ConnectionsOpened: r.Opened,
		ConnectionsActive: r.Active, Status: r.Status[:], GrpcFailures: r.GRPCFailures,
		Retries: r.Retries, Hedges: r.Hedges, HedgesWon: r.HedgesWon, TriesFailed: r.TriesFailed, TrySuccessRate: r.TrySuccess(),
		Refused: wire.Refusals(r.Refused), Shed: wire.Refusals(r.Shed),
	}
}
