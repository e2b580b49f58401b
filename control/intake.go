package control

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/observe"
)

// Bounds of one report; an honest proxy sends at most 1000 series and 32 sets.
const (
	maxBatch     = 5000
	maxBatchSets = 100
)

// reportService implements pb.ReportServer.
type reportService struct {
	pb.UnimplementedReportServer
	store *observe.Store
	log   *slog.Logger
}

// Stream implements pb.ReportServer.
func (s *reportService) Stream(stream grpc.BidiStreamingServer[pb.ReportBatch, pb.ReportAck]) error {
	c := callerOf(stream.Context())
	var instance string
	defer func() {
		if instance != "" {
			s.store.Gone(instance)
		}
	}()
	for {
		b, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// Instances of different callers are told apart, so that nobody can make another's
		// batches look like ones that came before.
		key := reporterKey(identityOf(c), b.GetInstance())
		if instance != "" && key != instance || len(key) > 1024 || b.GetInstance() == "" {
			return badReport("the instance is missing, too long, or changed")
		}
		instance = key
		series, err := s.check(b, identityOf(c))
		if err != nil {
			return err
		}
		sets, err := checkSets(b)
		if err != nil {
			return err
		}
		s.store.Add(instance, b.GetSequence(), series)
		s.store.AddSets(instance, b.GetProxy(), sets)
		if err := stream.Send(&pb.ReportAck{Sequence: b.GetSequence()}); err != nil {
			return err
		}
	}
}

// check decodes a batch. A proxy elsewhere reports what its own workload did as a client, or what
// it saw as a server, and nothing in other names.
func (s *reportService) check(b *pb.ReportBatch, identity string) ([]report.Series, error) {
	if len(b.GetSeries()) > maxBatch {
		return nil, badReport(fmt.Sprintf("%d series, want at most %d", len(b.GetSeries()), maxBatch))
	}
	out := make([]report.Series, 0, len(b.GetSeries()))
	for _, m := range b.GetSeries() {
		one, err := wire.ToSeries(m)
		if err != nil {
			return nil, badReport(err.Error())
		}
		if one.Direction == report.Outbound && one.SourceIdentity == "" {
			one.SourceIdentity = identity // counted before the proxy knew it
		}
		if identity != "" && one.Direction == report.Outbound && one.SourceIdentity != identity {
			return nil, badReport(fmt.Sprintf("%s reports for %s", identity, one.SourceIdentity))
		}
		out = append(out, one)
	}
	return out, nil
}

// checkSets decodes the endpoint sets of a batch. Of which proxy they really are is judged when
// somebody asks: only a connected proxy's are shown.
func checkSets(b *pb.ReportBatch) ([]report.Set, error) {
	if len(b.GetSets()) > maxBatchSets || len(b.GetProxy()) > maxProxyName {
		return nil, badReport(fmt.Sprintf("%d sets of a proxy whose name has %d bytes, want at most %d and %d", len(b.GetSets()), len(b.GetProxy()), maxBatchSets, maxProxyName))
	}
	out := make([]report.Set, 0, len(b.GetSets()))
	for _, m := range b.GetSets() {
		one, err := wire.ToSet(m)
		if err != nil {
			return nil, badReport(err.Error())
		}
		out = append(out, one)
	}
	return out, nil
}

// maxProxyName bounds the name of a proxy, as discovery does.
const maxProxyName = 512

// reporterKey names a process of a proxy to the store. Instances of different callers are told
// apart, so that nobody can speak for another.
func reporterKey(identity, instance string) string { return identity + "|" + instance }

func badReport(why string) error {
	e := wcodes.New("W2107", "a report is not valid")
	e.Why = why
	return wire.Status(codes.InvalidArgument, e)
}
