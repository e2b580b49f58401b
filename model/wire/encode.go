package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"google.golang.org/protobuf/proto"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/model"
)

// Marshal encodes a message so that equal messages give equal bytes.
func Marshal(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// Name encodes a name.
func Name(n model.Name) *pb.Name { return &pb.Name{Namespace: n.Namespace, Name: n.Name} }

// Addr encodes an address as 4 or 16 bytes. Zones of IPv6 are lost.
func Addr(a netip.Addr) []byte { return a.Unmap().AsSlice() }

// AddrPort encodes an address with a port; an invalid one is nil.
func AddrPort(a netip.AddrPort) *pb.AddrPort {
	if !a.IsValid() {
		return nil
	}
	return &pb.AddrPort{Addr: Addr(a.Addr()), Port: uint32(a.Port()), Zone: a.Addr().Zone()}
}

// Service encodes a service with its routes.
func Service(s *model.Service) *pb.Service {
	return &pb.Service{
		Name:   Name(s.Name),
		Ips:    each(s.IPs, Addr),
		Ports:  Ports(s.Ports),
		Routes: eachPtr(s.Routes, route),
	}
}

// Ports encodes ports.
func Ports(ports []model.Port) []*pb.Port {
	return each(ports, func(p model.Port) *pb.Port {
		return &pb.Port{Name: p.Name, Port: uint32(p.Port), Protocol: pb.Protocol(p.Protocol), Policy: Policy(p.Policy)}
	})
}

// Endpoints encodes the endpoints of a service.
func Endpoints(e *model.Endpoints) *pb.Endpoints {
	return &pb.Endpoints{
		Service: Name(e.Service),
		Endpoints: eachPtr(e.Endpoints, func(e *model.Endpoint) *pb.Endpoint {
			return &pb.Endpoint{
				Port: uint32(e.Port), Addr: AddrPort(e.Addr), Link: AddrPort(e.Link), Identity: e.Identity,
				Workload: Name(e.Workload), Weight: e.Weight, Zone: e.Zone, Node: e.Node, Draining: e.Draining,
			}
		}),
	}
}

// Workload encodes a workload.
func Workload(w *model.Workload) *pb.Workload {
	out := &pb.Workload{
		Name: Name(w.Name), Identity: w.Identity, Addrs: each(w.Addrs, Addr), Ports: Ports(w.Ports),
		Labels: w.Labels, Link: AddrPort(w.Link), Zone: w.Zone, Node: w.Node,
	}
	if w.Peers.Count > 0 {
		out.Peers = &pb.Peers{Index: uint32(w.Peers.Index), Count: uint32(w.Peers.Count)}
	}
	return out
}

func route(r *model.Route) *pb.Route {
	out := &pb.Route{
		Kind: pb.RouteKind(r.Kind), Name: Name(r.Name), Hostnames: r.Hostnames, Source: r.Source,
		Ports: each(r.Ports, func(p uint16) uint32 { return uint32(p) }),
		Rules: eachPtr(r.Rules, rule),
	}
	if !r.Created.IsZero() {
		out.Created = r.Created.UnixNano()
	}
	return out
}

func rule(r *model.Rule) *pb.Rule {
	return &pb.Rule{
		Name: r.Name, Source: r.Source, Calls: calls(r.Calls),
		Matches:  eachPtr(r.Matches, match),
		Filters:  eachPtr(r.Filters, filter),
		Backends: eachPtr(r.Backends, backend),
	}
}

func match(m *model.Match) *pb.Match {
	out := &pb.Match{Method: m.Method, Headers: each(m.Headers, valueMatch), Query: each(m.Query, valueMatch)}
	if m.Path != nil {
		out.Path = &pb.PathMatch{Kind: pb.PathKind(m.Path.Kind), Value: m.Path.Value}
	}
	if g := m.GRPC; g != nil {
		out.Grpc = &pb.GRPCMatch{Service: g.Service, Method: g.Method, Regex: g.Regex}
	}
	return out
}

func valueMatch(m model.ValueMatch) *pb.ValueMatch {
	return &pb.ValueMatch{Name: m.Name, Value: m.Value, Regex: m.Regex}
}

func filter(f *model.Filter) *pb.Filter {
	switch {
	case f.RequestHeaders != nil:
		return &pb.Filter{Filter: &pb.Filter_RequestHeaders{RequestHeaders: headers(f.RequestHeaders)}}
	case f.ResponseHeaders != nil:
		return &pb.Filter{Filter: &pb.Filter_ResponseHeaders{ResponseHeaders: headers(f.ResponseHeaders)}}
	case f.Redirect != nil:
		r := f.Redirect
		return &pb.Filter{Filter: &pb.Filter_Redirect{Redirect: &pb.Redirect{
			Scheme: r.Scheme, Hostname: r.Hostname, Path: pathModifier(r.Path), Port: uint32(r.Port), Status: uint32(r.Status),
		}}}
	case f.Rewrite != nil:
		return &pb.Filter{Filter: &pb.Filter_Rewrite{Rewrite: &pb.Rewrite{Hostname: f.Rewrite.Hostname, Path: pathModifier(f.Rewrite.Path)}}}
	case f.Mirror != nil:
		m := f.Mirror
		return &pb.Filter{Filter: &pb.Filter_Mirror{Mirror: &pb.Mirror{Backend: backend(&m.Backend), Numerator: m.Numerator, Denominator: m.Denominator}}}
	case f.CORS != nil:
		c := f.CORS
		return &pb.Filter{Filter: &pb.Filter_Cors{Cors: &pb.CORS{
			AllowOrigins: c.AllowOrigins, AllowCredentials: c.AllowCredentials, AllowMethods: c.AllowMethods,
			AllowHeaders: c.AllowHeaders, ExposeHeaders: c.ExposeHeaders, MaxAge: int64(c.MaxAge),
		}}}
	}
	return &pb.Filter{}
}

func headers(h *model.HeaderModifier) *pb.HeaderModifier {
	nv := func(n model.NameValue) *pb.NameValue { return &pb.NameValue{Name: n.Name, Value: n.Value} }
	return &pb.HeaderModifier{Set: each(h.Set, nv), Add: each(h.Add, nv), Remove: h.Remove}
}

func pathModifier(p *model.PathModifier) *pb.PathModifier {
	switch {
	case p == nil:
		return nil
	case p.Full != nil:
		return &pb.PathModifier{Path: &pb.PathModifier_Full{Full: *p.Full}}
	case p.PrefixMatch != nil:
		return &pb.PathModifier{Path: &pb.PathModifier_PrefixMatch{PrefixMatch: *p.PrefixMatch}}
	}
	return &pb.PathModifier{}
}

func backend(b *model.Backend) *pb.Backend {
	return &pb.Backend{
		Service: Name(b.Service), Port: uint32(b.Port), Weight: b.Weight,
		Filters: eachPtr(b.Filters, filter), Invalid: b.Invalid,
	}
}

// each maps a slice; nil stays nil.
func each[A, B any](in []A, f func(A) B) []B {
	if in == nil {
		return nil
	}
	out := make([]B, len(in))
	for i := range in {
		out[i] = f(in[i])
	}
	return out
}

// eachPtr is each for values too large to copy.
func eachPtr[A, B any](in []A, f func(*A) B) []B {
	if in == nil {
		return nil
	}
	out := make([]B, len(in))
	for i := range in {
		out[i] = f(&in[i])
	}
	return out
}

// Version gives the version of an encoded resource: the first 8 bytes of its SHA-256. Equal
// contents have equal versions in every control plane, before and after a restart.
func Version(body []byte) uint64 {
	h := sha256.Sum256(body)
	return binary.BigEndian.Uint64(h[:8])
}

// ProtocolByName gives the protocol of a name as model.Protocol.String writes it; the empty name
// is ProtocolDetect.
func ProtocolByName(name string) (model.Protocol, bool) {
	if name == "" {
		return model.ProtocolDetect, true
	}
	for p := model.ProtocolDetect; p <= model.ProtocolTLS; p++ {
		if p.String() == name {
			return p, true
		}
	}
	return 0, false
}
