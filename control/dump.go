package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/weft-mesh/weft/api/discovery"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

// dumped is the form of a dump.
type dumped struct {
	Proxy     string           `json:"proxy,omitempty"`
	Snapshot  uint64           `json:"snapshot"`
	Resources []dumpedResource `json:"resources"`
	Absent    []string         `json:"absent,omitempty"`
}

type dumpedResource struct {
	Kind    string          `json:"kind"`
	Name    string          `json:"name,omitempty"`
	Version string          `json:"version"`
	Value   json.RawMessage `json:"value"`
}

// Dump implements pb.MeshServer: all resources of the snapshot, or those that a proxy
// acknowledged, as JSON. Resources hold no secrets; the bundle holds certificates only.
func (s *meshService) Dump(_ context.Context, req *pb.DumpRequest) (*pb.DumpReply, error) {
	snap := s.disco.Current()
	out := dumped{Proxy: req.GetProxy(), Snapshot: snap.Number, Resources: []dumpedResource{}}
	var view map[snapshot.Key]*pb.Resource
	if req.GetProxy() == "" {
		view = snap.All()
	} else {
		acked, absent, number, ok := s.disco.Acknowledged(req.GetProxy())
		if !ok {
			e := wcodes.New("W2402", fmt.Sprintf("there is no proxy %q", clipText(req.GetProxy())))
			e.Next = []string{"weft status"}
			return nil, wire.Status(codes.NotFound, e)
		}
		view, out.Snapshot = acked, number
		for _, n := range absent {
			out.Absent = append(out.Absent, n.String())
		}
		slices.Sort(out.Absent)
	}
	keys := make([]snapshot.Key, 0, len(view))
	for k := range view {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, snapshot.Key.Compare)
	for _, k := range keys {
		r, err := dumpResource(k, view[k])
		if err != nil {
			return nil, wire.Status(codes.Internal, err)
		}
		out.Resources = append(out.Resources, r)
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, wire.Status(codes.Internal, err)
	}
	return &pb.DumpReply{Json: string(text)}, nil
}

func dumpResource(k snapshot.Key, r *pb.Resource) (dumpedResource, error) {
	var m proto.Message
	switch k.Kind {
	case pb.Kind_KIND_SERVICE:
		m = &pb.Service{}
	case pb.Kind_KIND_ENDPOINTS:
		m = &pb.Endpoints{}
	case pb.Kind_KIND_WORKLOAD:
		m = &pb.Workload{}
	case pb.Kind_KIND_BUNDLE:
		m = &pb.Bundle{}
	default:
		return dumpedResource{}, fmt.Errorf("resource of kind %d", k.Kind)
	}
	if err := proto.Unmarshal(r.GetBody(), m); err != nil {
		return dumpedResource{}, fmt.Errorf("%s %s: %w", k.Kind, k.Name, err)
	}
	value, err := protojson.Marshal(m)
	if err != nil {
		return dumpedResource{}, fmt.Errorf("%s %s: %w", k.Kind, k.Name, err)
	}
	out := dumpedResource{
		Kind: strings.ToLower(strings.TrimPrefix(k.Kind.String(), "KIND_")), Version: fmt.Sprintf("%016x", r.GetVersion()), Value: value,
	}
	if k.Name != (model.Name{}) {
		out.Name = k.Name.String()
	}
	return out, nil
}
