package wire

import (
	"fmt"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
)

// maxLabel bounds one text of a series; names are at most 253, SPIFFE IDs rarely longer than 200.
const maxLabel = 1024

// Series encodes one series of a report.
func Series(s *report.Series) *pb.Series {
	return &pb.Series{
		Direction: pb.Direction(s.Direction), SourceIdentity: s.SourceIdentity, Source: Name(s.Source), Service: Name(s.Service),
		Route: s.Route, Backend: Name(s.Backend), Protocol: s.Protocol, Tls: s.TLS, Local: s.Local,
		Status: append([]uint64(nil), s.Status[:]...), GrpcFailures: s.GRPCFailures, Success: s.Success, Failure: s.Failure,
		Latency: each(s.Latency, func(b report.Bucket) *pb.Bucket {
			return &pb.Bucket{Index: uint32(b.Index), Count: b.Count}
		}),
		LatencySumUs: s.LatencySumMicros, BytesIn: s.BytesIn, BytesOut: s.BytesOut,
		ConnectionsOpened: s.Opened, ConnectionsActive: s.Active,
		Retries: s.Retries, Hedges: s.Hedges, HedgesWon: s.HedgesWon, TriesFailed: s.TriesFailed, Refused: Refusals(s.Refused),
	}
}

// ToSeries decodes one series. Texts that are too long, and buckets out of range or not
// ascending are errors.
func ToSeries(s *pb.Series) (report.Series, error) {
	var out report.Series
	if s.GetDirection() != pb.Direction_DIRECTION_OUTBOUND && s.GetDirection() != pb.Direction_DIRECTION_INBOUND {
		return out, fmt.Errorf("direction %d is not known", s.GetDirection())
	}
	for _, text := range []string{
		s.GetSourceIdentity(), s.GetRoute(), s.GetProtocol(),
		s.GetSource().GetNamespace(), s.GetSource().GetName(), s.GetService().GetNamespace(), s.GetService().GetName(),
		s.GetBackend().GetNamespace(), s.GetBackend().GetName(),
	} {
		if len(text) > maxLabel {
			return out, fmt.Errorf("a label has %d bytes, want at most %d", len(text), maxLabel)
		}
	}
	if len(s.GetStatus()) > len(out.Status) {
		return out, fmt.Errorf("%d status classes, want at most %d", len(s.GetStatus()), len(out.Status))
	}
	copy(out.Status[:], s.GetStatus())
	out.Key = report.Key{
		Direction: report.Direction(s.GetDirection()), SourceIdentity: s.GetSourceIdentity(), Source: ToName(s.GetSource()),
		Service: ToName(s.GetService()), Route: s.GetRoute(), Backend: ToName(s.GetBackend()), Protocol: s.GetProtocol(), TLS: s.GetTls(), Local: s.GetLocal(),
	}
	out.GRPCFailures, out.Success, out.Failure = s.GetGrpcFailures(), s.GetSuccess(), s.GetFailure()
	out.LatencySumMicros, out.BytesIn, out.BytesOut = s.GetLatencySumUs(), s.GetBytesIn(), s.GetBytesOut()
	out.Opened, out.Active = s.GetConnectionsOpened(), s.GetConnectionsActive()
	out.Retries, out.Hedges, out.HedgesWon, out.TriesFailed = s.GetRetries(), s.GetHedges(), s.GetHedgesWon(), s.GetTriesFailed()
	var err error
	if out.Refused, err = toRefusals(s.GetRefused()); err != nil {
		return out, err
	}
	last := -1
	for _, b := range s.GetLatency() {
		if b.GetIndex() >= report.NumBuckets || int(b.GetIndex()) <= last {
			return out, fmt.Errorf("histogram bucket %d is out of range or order", b.GetIndex())
		}
		last = int(b.GetIndex())
		out.Latency = append(out.Latency, report.Bucket{Index: uint16(b.GetIndex()), Count: b.GetCount()})
	}
	return out, nil
}
