package wire

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/model"
)

// maxFilterDepth bounds nesting: a mirror's backend may have filters, and so on.
const maxFilterDepth = 4

// decoder collects the first error, so that the mapping reads as the mapping.
type decoder struct {
	err   error
	depth int
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// ToName decodes a name; nil is the empty name.
func ToName(n *pb.Name) model.Name {
	return model.Name{Namespace: n.GetNamespace(), Name: n.GetName()}
}

// ToAddr decodes an address of 4 or 16 bytes.
func ToAddr(b []byte) (netip.Addr, error) {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.Addr{}, fmt.Errorf("an address has %d bytes, want 4 or 16", len(b))
	}
	return a.Unmap(), nil
}

// ToAddrPort decodes an address with a port; nil is the invalid one.
func ToAddrPort(p *pb.AddrPort) (netip.AddrPort, error) {
	var d decoder
	out := d.addrPort(p)
	return out, d.err
}

// ToService decodes a service.
func ToService(s *pb.Service) (*model.Service, error) {
	var d decoder
	out := &model.Service{
		Name:   d.name(s.GetName()),
		IPs:    each(s.GetIps(), d.addr),
		Ports:  d.ports(s.GetPorts()),
		Routes: each(s.GetRoutes(), d.route),
	}
	if d.err != nil {
		return nil, fmt.Errorf("service %s: %w", out.Name, d.err)
	}
	return out, nil
}

// ToPorts decodes ports.
func ToPorts(ports []*pb.Port) ([]model.Port, error) {
	var d decoder
	out := d.ports(ports)
	return out, d.err
}

// ToEndpoints decodes endpoints.
func ToEndpoints(e *pb.Endpoints) (*model.Endpoints, error) {
	var d decoder
	out := &model.Endpoints{
		Service: d.name(e.GetService()),
		Endpoints: each(e.GetEndpoints(), func(e *pb.Endpoint) model.Endpoint {
			return model.Endpoint{
				Port: d.port(e.GetPort()), Addr: d.addrPort(e.GetAddr()), Link: d.addrPort(e.GetLink()), Identity: e.GetIdentity(),
				Workload: ToName(e.GetWorkload()), Weight: e.GetWeight(), Zone: e.GetZone(), Node: e.GetNode(), Draining: e.GetDraining(),
			}
		}),
	}
	// A link without an identity to expect would take anyone of the mesh for the peer.
	for i := range out.Endpoints {
		if ep := &out.Endpoints[i]; ep.Meshed() && ep.Identity == "" {
			d.fail("endpoint %s has a link and no identity", ep.Addr)
		}
	}
	if d.err != nil {
		return nil, fmt.Errorf("endpoints of %s: %w", out.Service, d.err)
	}
	return out, nil
}

// ToWorkload decodes a workload.
func ToWorkload(w *pb.Workload) (*model.Workload, error) {
	var d decoder
	out := &model.Workload{
		Name: d.name(w.GetName()), Identity: w.GetIdentity(), Addrs: each(w.GetAddrs(), d.addr), Ports: d.ports(w.GetPorts()),
		Labels: w.GetLabels(), Link: d.addrPort(w.GetLink()), Zone: w.GetZone(), Node: w.GetNode(),
		Peers: model.Peers{Index: number(w.GetPeers().GetIndex()), Count: number(w.GetPeers().GetCount())},
	}
	if out.Peers.Index >= max(out.Peers.Count, 1) {
		d.fail("the workload is number %d of %d", out.Peers.Index, out.Peers.Count)
	}
	if d.err != nil {
		return nil, fmt.Errorf("workload %s: %w", out.Name, d.err)
	}
	return out, nil
}

// ToProtocol decodes a protocol.
func ToProtocol(p pb.Protocol) (model.Protocol, error) {
	if p < 0 || p > pb.Protocol(model.ProtocolTLS) {
		return 0, fmt.Errorf("protocol %d is not known", p)
	}
	return model.Protocol(p), nil
}

func (d *decoder) name(n *pb.Name) model.Name {
	if n.GetName() == "" || n.GetNamespace() == "" {
		d.fail("a name is missing")
	}
	return ToName(n)
}

func (d *decoder) addr(b []byte) netip.Addr {
	a, err := ToAddr(b)
	if err != nil {
		d.fail("%w", err)
	}
	return a
}

func (d *decoder) addrPort(p *pb.AddrPort) netip.AddrPort {
	if p == nil {
		return netip.AddrPort{}
	}
	a := d.addr(p.GetAddr())
	if p.GetZone() != "" && a.Is6() {
		a = a.WithZone(p.GetZone())
	}
	return netip.AddrPortFrom(a, d.port(p.GetPort()))
}

func (d *decoder) port(p uint32) uint16 {
	if p > math.MaxUint16 {
		d.fail("port %d is out of range", p)
	}
	return uint16(p)
}

func (d *decoder) ports(in []*pb.Port) []model.Port {
	return each(in, func(p *pb.Port) model.Port {
		proto, err := ToProtocol(p.GetProtocol())
		if err != nil {
			d.fail("%w", err)
		}
		return model.Port{Name: p.GetName(), Port: d.port(p.GetPort()), Protocol: proto, Policy: d.policy(p.GetPolicy())}
	})
}

func (d *decoder) route(r *pb.Route) model.Route {
	if r.GetKind() < 0 || r.GetKind() > pb.RouteKind(model.RouteTCP) {
		d.fail("route kind %d is not known", r.GetKind())
		return model.Route{}
	}
	out := model.Route{
		Kind: model.RouteKind(r.GetKind()), Name: d.name(r.GetName()), Hostnames: r.GetHostnames(), Source: r.GetSource(),
		Ports: each(r.GetPorts(), d.port), Rules: each(r.GetRules(), d.rule),
	}
	if r.GetCreated() != 0 {
		out.Created = time.Unix(0, r.GetCreated()).UTC()
	}
	return out
}

func (d *decoder) rule(r *pb.Rule) model.Rule {
	return model.Rule{
		Name: r.GetName(), Source: r.GetSource(),
		Matches: each(r.GetMatches(), d.match), Filters: each(r.GetFilters(), d.filter), Backends: each(r.GetBackends(), d.backend),
		Calls: d.calls(r.GetCalls()),
	}
}

func (d *decoder) duration(n int64) time.Duration {
	if n < 0 {
		d.fail("a duration is negative")
	}
	return time.Duration(n)
}

func toValueMatch(v *pb.ValueMatch) model.ValueMatch {
	return model.ValueMatch{Name: v.GetName(), Value: v.GetValue(), Regex: v.GetRegex()}
}

func (d *decoder) match(m *pb.Match) model.Match {
	out := model.Match{Method: m.GetMethod(), Headers: each(m.GetHeaders(), toValueMatch), Query: each(m.GetQuery(), toValueMatch)}
	if p := m.GetPath(); p != nil {
		if p.GetKind() < 0 || p.GetKind() > pb.PathKind(model.PathRegex) {
			d.fail("path match %d is not known", p.GetKind())
		}
		out.Path = &model.PathMatch{Kind: model.PathKind(p.GetKind()), Value: p.GetValue()}
	}
	if g := m.GetGrpc(); g != nil {
		out.GRPC = &model.GRPCMatch{Service: g.GetService(), Method: g.GetMethod(), Regex: g.GetRegex()}
	}
	return out
}

// filter decodes one filter. A kind that is not known is an error: leaving it out could let
// through what it was there to stop.
func (d *decoder) filter(f *pb.Filter) model.Filter {
	d.depth++
	defer func() { d.depth-- }()
	if d.depth > maxFilterDepth {
		d.fail("filters are nested deeper than %d", maxFilterDepth)
		return model.Filter{}
	}
	switch f := f.GetFilter().(type) {
	case *pb.Filter_RequestHeaders:
		return model.Filter{RequestHeaders: toHeaders(f.RequestHeaders)}
	case *pb.Filter_ResponseHeaders:
		return model.Filter{ResponseHeaders: toHeaders(f.ResponseHeaders)}
	case *pb.Filter_Redirect:
		r := f.Redirect
		return model.Filter{Redirect: &model.Redirect{
			Scheme: r.GetScheme(), Hostname: r.GetHostname(), Path: d.pathModifier(r.GetPath()), Port: d.port(r.GetPort()), Status: int(r.GetStatus()),
		}}
	case *pb.Filter_Rewrite:
		return model.Filter{Rewrite: &model.Rewrite{Hostname: f.Rewrite.GetHostname(), Path: d.pathModifier(f.Rewrite.GetPath())}}
	case *pb.Filter_Mirror:
		return model.Filter{Mirror: &model.Mirror{
			Backend: d.backend(f.Mirror.GetBackend()), Numerator: f.Mirror.GetNumerator(), Denominator: f.Mirror.GetDenominator(),
		}}
	case *pb.Filter_Cors:
		c := f.Cors
		return model.Filter{CORS: &model.CORS{
			AllowOrigins: c.GetAllowOrigins(), AllowCredentials: c.GetAllowCredentials(), AllowMethods: c.GetAllowMethods(),
			AllowHeaders: c.GetAllowHeaders(), ExposeHeaders: c.GetExposeHeaders(), MaxAge: d.duration(c.GetMaxAge()),
		}}
	}
	d.err = errors.Join(d.err, errors.New("a filter is of no known kind"))
	return model.Filter{}
}

func toHeaders(h *pb.HeaderModifier) *model.HeaderModifier {
	nv := func(n *pb.NameValue) model.NameValue {
		return model.NameValue{Name: n.GetName(), Value: n.GetValue()}
	}
	return &model.HeaderModifier{Set: each(h.GetSet(), nv), Add: each(h.GetAdd(), nv), Remove: h.GetRemove()}
}

func (d *decoder) pathModifier(p *pb.PathModifier) *model.PathModifier {
	if p == nil {
		return nil
	}
	switch p := p.GetPath().(type) {
	case *pb.PathModifier_Full:
		return &model.PathModifier{Full: &p.Full}
	case *pb.PathModifier_PrefixMatch:
		return &model.PathModifier{PrefixMatch: &p.PrefixMatch}
	}
	d.fail("a path modifier is of no known kind")
	return nil
}

// backend decodes a backend. One that could not be resolved may lack a name.
func (d *decoder) backend(b *pb.Backend) model.Backend {
	return model.Backend{
		Service: ToName(b.GetService()), Port: d.port(b.GetPort()), Weight: b.GetWeight(),
		Filters: each(b.GetFilters(), d.filter), Invalid: b.GetInvalid(),
	}
}
