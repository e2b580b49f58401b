package control

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/suggest"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/discovery"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

// meshService implements pb.MeshServer: the command line's questions.
type meshService struct {
	pb.UnimplementedMeshServer
	*plane
}

// Status implements pb.MeshServer.
func (s *meshService) Status(context.Context, *pb.StatusRequest) (*pb.StatusReply, error) {
	snap, proxies := s.disco.Current(), s.disco.Proxies()
	routes := compare(nil, snap).routes
	out := &pb.StatusReply{Control: &pb.ControlStatus{
		Pid: int64(os.Getpid()), Build: s.opt.Build, Started: timestamppb.New(s.started), Now: timestamppb.New(s.opt.Now()),
		TrustDomain: s.ca.TrustDomain(), Socket: s.opt.Socket, Listen: s.listen, ConfigDir: s.opt.Dir, StateDir: s.dir.Path(),
		Snapshot: snap.Number, SnapshotTime: timestamppb.New(snap.Time), Services: count(len(snap.Services)), Routes: count(routes),
		Workloads: count(len(snap.Workloads)), Problems: count(len(s.world.Problems())),
		RootNotAfter: timestamppb.New(s.ca.Root().NotAfter), RootHash: identity.RootHash(s.ca.Root().Raw), SeriesDropped: s.store.Dropped(),
	}}
	for i := range proxies {
		out.Proxies = append(out.Proxies, proxyStatus(&proxies[i]))
		if proxies[i].Connected {
			out.Control.Proxies++
		}
	}
	out.Workloads = s.workloads(snap)
	return out, nil
}

func proxyStatus(p *discovery.Proxy) *pb.ProxyStatus {
	out := &pb.ProxyStatus{
		Name: p.Name, Build: p.Build, Connected: p.Connected, Since: timestamppb.New(p.Since), Acknowledged: p.Acknowledged,
		Current: p.Current, Behind: durationpb.New(p.Behind), Subscriptions: count(p.Subscriptions), Resources: count(p.Resources),
		Updates: p.Updates, Rejected: p.Rejected, ClockOffset: durationpb.New(p.ClockOffset), Address: p.Addr, Problems: p.Problems,
	}
	for _, n := range p.Workloads {
		out.Workloads = append(out.Workloads, wire.Name(n))
	}
	out.Metrics = p.Metrics
	if !p.CertificateNotAfter.IsZero() {
		out.CertificateNotAfter = timestamppb.New(p.CertificateNotAfter)
	}
	return out
}

// workloads describes every workload of a snapshot, sorted by name.
func (s *meshService) workloads(snap *snapshot.Snapshot) []*pb.WorkloadStatus {
	serves := map[model.Name][]*pb.Name{}
	for _, n := range sortedNames(snap.Services) {
		seen := map[model.Name]bool{}
		for _, e := range snap.Endpoints[n].Endpoints {
			if !seen[e.Workload] {
				seen[e.Workload] = true
				serves[e.Workload] = append(serves[e.Workload], wire.Name(n))
			}
		}
	}
	out := map[model.Name]*pb.WorkloadStatus{}
	for n, w := range snap.Workloads {
		out[n] = workloadStatus(w, "declared", serves[n])
	}
	entries, _ := s.reg.All()
	for _, e := range entries {
		n := e.Workload.Name
		st := workloadStatus(&e.Workload, e.State.String(), serves[n])
		st.Proxy, st.Pid, st.Since = e.Proxy, e.PID, timestamppb.New(e.Since)
		out[n] = st
	}
	list := make([]*pb.WorkloadStatus, 0, len(out))
	for _, n := range sortedNames(out) {
		list = append(list, out[n])
	}
	return list
}

func workloadStatus(w *model.Workload, state string, services []*pb.Name) *pb.WorkloadStatus {
	out := &pb.WorkloadStatus{
		Name: wire.Name(w.Name), Identity: w.Identity, State: state, Ports: wire.Ports(w.Ports), Labels: w.Labels,
		Services: services, Zone: w.Zone, Node: w.Node,
	}
	for _, a := range w.Addrs {
		out.Addresses = append(out.Addresses, a.String())
	}
	if w.Link.IsValid() {
		out.Link = w.Link.String()
	}
	return out
}

// Services implements pb.MeshServer.
func (s *meshService) Services(_ context.Context, req *pb.ListServicesRequest) (*pb.ListServicesReply, error) {
	return &pb.ListServicesReply{Services: summaries(s.disco.Current(), req.GetNamespace())}, nil
}

// summaries lists services of a namespace (empty: all), sorted by name.
func summaries(snap *snapshot.Snapshot, namespace string) []*pb.ServiceSummary {
	var out []*pb.ServiceSummary
	for _, n := range sortedNames(snap.Services) {
		if namespace == "" || n.Namespace == namespace {
			out = append(out, summary(snap, n))
		}
	}
	return out
}

func summary(snap *snapshot.Snapshot, n model.Name) *pb.ServiceSummary {
	svc := snap.Services[n]
	out := &pb.ServiceSummary{Name: wire.Name(n), Ports: wire.Ports(svc.Ports), Routes: count(len(svc.Routes))}
	for i := range snap.Endpoints[n].Endpoints {
		out.Endpoints++
		if snap.Endpoints[n].Endpoints[i].Meshed() {
			out.MeshedEndpoints++
		}
	}
	return out
}

// Whois implements pb.MeshServer.
func (s *meshService) Whois(_ context.Context, req *pb.WhoisRequest) (*pb.WhoisReply, error) {
	what := strings.TrimSpace(req.GetWhat())
	snap := s.disco.Current()
	addr, port, isAddr := parseAddr(what)
	if !isAddr && what == "" {
		return nil, wire.Status(codes.InvalidArgument, questionError("nothing was asked for", "weft whois 10.0.0.7", "weft whois cart"))
	}
	out := &pb.WhoisReply{}
	holds := func(w *pb.WorkloadStatus) bool {
		switch {
		case isAddr:
			return hasAddr(w, addr, port)
		case strings.HasPrefix(what, "spiffe://"):
			return w.GetIdentity() == what
		}
		return related(w, what, "") != unrelated
	}
	wanted := map[string]bool{}
	for _, w := range s.workloads(snap) {
		if holds(w) {
			out.Workloads = append(out.Workloads, w)
			wanted[w.GetProxy()] = w.GetProxy() != ""
		}
	}
	for _, n := range sortedNames(snap.Services) {
		match := n.String() == what || n.Name == what
		if isAddr {
			match = slices.Contains(snap.Services[n].IPs, addr)
		}
		if match {
			out.Services = append(out.Services, summary(snap, n))
		}
	}
	proxies := s.disco.Proxies()
	for i := range proxies {
		if wanted[proxies[i].Name] || proxies[i].Name == what {
			out.Proxies = append(out.Proxies, proxyStatus(&proxies[i]))
		}
	}
	if len(out.GetWorkloads())+len(out.GetServices())+len(out.GetProxies()) == 0 {
		return nil, wire.Status(codes.NotFound, s.nobody(what, snap))
	}
	return out, nil
}

func (s *meshService) nobody(what string, snap *snapshot.Snapshot) error {
	e := wcodes.New("W2402", fmt.Sprintf("nobody in the mesh is %q", what))
	var names []string
	for n, w := range snap.Workloads {
		names = append(names, n.String(), n.Name, w.Labels[appLabel])
	}
	for n := range snap.Services {
		names = append(names, n.String(), n.Name)
	}
	slices.Sort(names)
	if like := suggest.Closest(what, names); like != "" {
		e.Why = "closest name seen: " + like
		e.Next = append(e.Next, "weft whois "+like)
	}
	e.Next = append(e.Next, "weft status")
	return e
}

// parseAddr reads an IP address, with or without a port.
func parseAddr(s string) (addr netip.Addr, port uint16, ok bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), ap.Port(), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap(), 0, err == nil
}

func hasAddr(w *pb.WorkloadStatus, addr netip.Addr, port uint16) bool {
	if link, err := netip.ParseAddrPort(w.GetLink()); err == nil && link.Addr().Unmap() == addr && (port == 0 || link.Port() == port) {
		return true
	}
	if !slices.Contains(w.GetAddresses(), addr.String()) {
		return false
	}
	return port == 0 || slices.ContainsFunc(w.GetPorts(), func(p *pb.Port) bool { return p.GetPort() == uint32(port) })
}

// Problems implements pb.MeshServer.
func (s *meshService) Problems(context.Context, *pb.ProblemsRequest) (*pb.ProblemsReply, error) {
	out := &pb.ProblemsReply{}
	for _, p := range s.world.Problems() {
		out.Problems = append(out.Problems, wire.Fault(p))
	}
	return out, nil
}

// CreateToken implements pb.MeshServer.
func (s *meshService) CreateToken(ctx context.Context, req *pb.CreateTokenRequest) (*pb.CreateTokenReply, error) {
	life := time.Hour
	if req.GetTtl() != nil {
		life = req.GetTtl().AsDuration()
	}
	ns, account := req.GetNamespace(), req.GetServiceAccount()
	if req.GetAdmin() {
		ns, account = identity.SystemNamespace, identity.AdminAccount
	} else {
		if ns == identity.SystemNamespace {
			return nil, wire.Status(codes.InvalidArgument, questionError("namespace "+ns+" is the mesh's own", "weft token create --admin"))
		}
		ns, account = cmp.Or(ns, "default"), cmp.Or(account, "*")
	}
	token, expires, err := s.ca.Token(ns, account, life)
	if err != nil {
		return nil, wire.Status(codes.InvalidArgument, err)
	}
	s.log.Info("join token made", "for", ns+"/"+account, "until", expires.UTC().Format(time.RFC3339), "by", callerOf(ctx).String())
	return &pb.CreateTokenReply{
		Token: token, Expires: timestamppb.New(expires), RootHash: identity.RootHash(s.ca.Root().Raw), Listen: s.listen,
	}, nil
}

func questionError(why string, next ...string) error {
	e := wcodes.New("W2404", "the question is not valid")
	e.Why, e.Next = why, next
	return e
}

// count makes a number of the wire from a length, which is never negative or that large.
func count(n int) uint32 { return uint32(min(max(n, 0), 1<<31)) }

func sortedNames[V any](m map[model.Name]V) []model.Name {
	out := make([]model.Name, 0, len(m))
	for n := range m {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b model.Name) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}
