// Package meshtest is a control plane for tests of the command line: it answers the questions of
// the Mesh service from values that the test gave, over real gRPC on a real socket.
package meshtest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/identity"
)

// Now is the time at which the fixed mesh is looked at.
var Now = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// Server is a Mesh with fixed answers. A nil answer is an empty one.
type Server struct {
	pb.UnimplementedMeshServer

	StatusReply   *pb.StatusReply
	StatReply     *pb.StatReply
	ServicesReply *pb.ListServicesReply
	BalanceReply  *pb.BalanceReply
	ExplainReply  map[string]*pb.ExplainReply // by URL
	WhoisReply    map[string]*pb.WhoisReply   // by subject
	CheckReply    *pb.CheckReply
	ProblemsReply *pb.ProblemsReply
	TokenReply    *pb.CreateTokenReply

	// Fail, if not nil, is the answer to everything.
	Fail error
	// Hang makes every answer wait for the end of the call.
	Hang bool
}

// Start serves on the socket until the test ends.
func (s *Server) Start(t testing.TB, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if s.Hang {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if s.Fail != nil {
			return nil, s.Fail
		}
		return next(ctx, req)
	}))
	pb.RegisterMeshServer(g, s)
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(l) }() // ends by Stop
	t.Cleanup(func() {
		g.Stop()
		// A test that asked nothing may stop it before it began.
		if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("the control plane of the test: %v", err)
		}
	})
}

// Faulty makes the error of a call that carries a fault.
func Faulty(c grpccodes.Code, f *pb.Fault) error {
	st, err := status.New(c, f.GetWhat()).WithDetails(f)
	if err != nil {
		return err
	}
	return st.Err()
}

// Status implements the service.
func (s *Server) Status(context.Context, *pb.StatusRequest) (*pb.StatusReply, error) {
	return s.StatusReply, nil
}

// Stat implements the service.
func (s *Server) Stat(_ context.Context, r *pb.StatRequest) (*pb.StatReply, error) {
	out := &pb.StatReply{Window: r.GetWindow()}
	for _, row := range s.StatReply.GetRows() {
		id, err := identity.Parse(row.GetSourceIdentity())
		account := &pb.Name{Namespace: id.Namespace, Name: id.ServiceAccount}
		if !selects(r.GetService(), row.GetService()) || !selects(r.GetSource(), row.GetSource()) && !selects(r.GetSource(), account) {
			continue
		}
		if !r.GetInstances() && err == nil {
			row = proto.CloneOf(row)
			row.Source = account
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// selects reports whether a name is the wanted one; what is empty in want selects all.
func selects(want, got *pb.Name) bool {
	return (want.GetNamespace() == "" || want.GetNamespace() == got.GetNamespace()) && (want.GetName() == "" || want.GetName() == got.GetName())
}

// Balance implements the service. Who is asked for by --from must be a workload of the proxy.
func (s *Server) Balance(_ context.Context, r *pb.BalanceRequest) (*pb.BalanceReply, error) {
	out := &pb.BalanceReply{}
	for _, x := range s.BalanceReply.GetSets() {
		if selects(r.GetService(), x.GetSet().GetService()) && (r.GetFrom() == "" || x.GetWorkloads()[0].GetName() == r.GetFrom()) {
			out.Sets = append(out.Sets, x)
		}
	}
	if r.GetFrom() == "nobody" {
		return nil, Faulty(grpccodes.NotFound, &pb.Fault{Code: "W2402", What: "no workload with a proxy is called \"nobody\"", Next: []string{"weft status -o wide"}})
	}
	return out, nil
}

// Services implements the service.
func (s *Server) Services(context.Context, *pb.ListServicesRequest) (*pb.ListServicesReply, error) {
	return s.ServicesReply, nil
}

// Explain implements the service.
func (s *Server) Explain(_ context.Context, r *pb.ExplainRequest) (*pb.ExplainReply, error) {
	x, ok := s.ExplainReply[r.GetUrl()]
	if !ok {
		return nil, Faulty(grpccodes.NotFound, &pb.Fault{Code: "W4008", What: "there is no workload \"" + r.GetFrom() + "\"", Why: "nobody is called so", Next: []string{"weft status -o wide"}})
	}
	return x, nil
}

// Whois implements the service.
func (s *Server) Whois(_ context.Context, r *pb.WhoisRequest) (*pb.WhoisReply, error) {
	if x := s.WhoisReply[r.GetWhat()]; x != nil {
		return x, nil
	}
	return &pb.WhoisReply{}, nil
}

// Check implements the service.
func (s *Server) Check(context.Context, *pb.CheckRequest) (*pb.CheckReply, error) {
	return s.CheckReply, nil
}

// Problems implements the service.
func (s *Server) Problems(context.Context, *pb.ProblemsRequest) (*pb.ProblemsReply, error) {
	return s.ProblemsReply, nil
}

// CreateToken implements the service.
func (s *Server) CreateToken(context.Context, *pb.CreateTokenRequest) (*pb.CreateTokenReply, error) {
	return s.TokenReply, nil
}

// Shop is a control plane with a small shop in it: five services, seven workloads, one edge that
// loses requests.
func Shop() *Server {
	name := func(n string) *pb.Name { return &pb.Name{Namespace: "shop", Name: n} }
	at := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(Now.Add(d)) }
	id := func(sa string) string { return "spiffe://weft.local/ns/shop/sa/" + sa }
	http := []*pb.Port{{Name: "http", Port: 80, Protocol: pb.Protocol_PROTOCOL_HTTP}}
	row := func(from, to, route, backend string, n, failed uint64, p50 float64) *pb.StatRow {
		return &pb.StatRow{
			Source: name(from + "-100"), SourceIdentity: id(from), Service: name(to), Route: route, Backend: name(backend), Protocol: "http",
			Requests: n, Success: n - failed, Failure: failed, SuccessRate: float64(n-failed) / float64(n), Rps: float64(n) / 60,
			P50Ms: p50, P95Ms: 3 * p50, P99Ms: 7 * p50, MtlsShare: 1, BytesIn: n * 900, BytesOut: n * 120, ConnectionsOpened: 2, ConnectionsActive: 2,
			TrySuccessRate: float64(n-failed) / float64(n),
		}
	}
	workload := func(n, sa, labels string) *pb.WorkloadStatus {
		return &pb.WorkloadStatus{
			Name: name(n), Identity: id(sa), State: "live", Addresses: []string{"127.0.0.1:8080"}, Ports: http, Link: "127.0.0.1:4000",
			Labels: map[string]string{"app": labels}, Services: []*pb.Name{name(labels)}, Proxy: "shop/" + n, Pid: 100,
		}
	}
	s := &Server{
		StatusReply: &pb.StatusReply{
			Control: &pb.ControlStatus{
				Pid: 77, Build: "v0.1.0", Started: at(-90 * time.Second), Now: at(0), TrustDomain: "weft.local", ConfigDir: "/srv/mesh",
				StateDir: "/srv/state", Snapshot: 12, Services: 2, Routes: 1, Workloads: 2, Proxies: 2, RootNotAfter: at(9 * 365 * 24 * time.Hour), RootHash: "ab12",
			},
			Proxies: []*pb.ProxyStatus{
				{Name: "shop/web-100", Build: "v0.1.0", Connected: true, Since: at(-80 * time.Second), Acknowledged: 12, Current: true, Subscriptions: 2, CertificateNotAfter: at(20 * time.Hour), Metrics: "127.0.0.1:9090"},
				{Name: "shop/ratings-v2-100", Build: "v0.1.0", Connected: false, Since: at(-30 * time.Second), Acknowledged: 11, CertificateNotAfter: at(19 * time.Hour)},
			},
			Workloads: []*pb.WorkloadStatus{workload("web-100", "web", "web"), workload("ratings-v2-100", "ratings-v2", "ratings")},
		},
		StatReply: &pb.StatReply{Window: durationpb.New(time.Minute), Rows: []*pb.StatRow{
			row("web", "ratings", "HTTPRoute shop/ratings rule 0", "ratings-v1", 905, 0, 1.2),
			row("web", "ratings", "HTTPRoute shop/ratings rule 0", "ratings-v2", 95, 28, 1.4),
			row("load", "web", "default", "web", 2000, 1, 4.1),
		}},
		ServicesReply: &pb.ListServicesReply{Services: []*pb.ServiceSummary{
			{Name: name("web"), Ports: http, Endpoints: 1, MeshedEndpoints: 1},
			{Name: name("ratings"), Ports: http, Endpoints: 1, MeshedEndpoints: 1, Routes: 1},
		}},
		CheckReply: &pb.CheckReply{Results: []*pb.CheckResult{
			{Area: "control plane", Name: "state", State: "ok", Evidence: "/srv/state is 0700"},
			{Area: "data plane", Name: "proxy shop/ratings-v2-100", State: "failed", Evidence: "gone for 30s",
				Fault: &pb.Fault{Code: "W4043", What: "proxy shop/ratings-v2-100 is gone", Why: "last seen 30s ago at snapshot 11 of 12", Next: []string{"weft status -o wide"}}},
		}},
		ProblemsReply: &pb.ProblemsReply{},
		TokenReply:    &pb.CreateTokenReply{Token: "weft1.x.y", Expires: at(15 * time.Minute), RootHash: "ab12"},
	}
	s.ExplainReply = map[string]*pb.ExplainReply{
		"http://ratings/ratings/tea": {
			Action: "forward", Service: name("ratings"), Port: 80, Route: "HTTPRoute shop/ratings rule 0", Source: "ratings.yaml:10",
			Backend: name("ratings-v1"), Basis: "acknowledged", Proxy: "shop/web-100", Snapshot: 12,
			Steps: []*pb.ExplainStep{
				{Step: "canonical", Object: "ratings/ratings/tea", Outcome: "ok"},
				{Step: "service", Object: "shop/ratings:80", Outcome: "found"},
				{Step: "rule", Object: "HTTPRoute shop/ratings rule 1", Outcome: "no match", Detail: "header x-user: wanted \"beta\", got none", Source: "ratings.yaml:18"},
				{Step: "rule", Object: "HTTPRoute shop/ratings rule 0", Outcome: "chosen", Detail: "path prefix /ratings", Source: "ratings.yaml:10"},
			},
			Shares:    []*pb.ExplainShare{{Backend: name("ratings-v1"), Port: 80, Weight: 90, Share: 0.9}, {Backend: name("ratings-v2"), Port: 80, Weight: 10, Share: 0.1}},
			Endpoints: []*pb.ExplainEndpoint{{Workload: name("ratings-v1-100"), Address: "127.0.0.1:8080", Link: "127.0.0.1:4000", Identity: id("ratings-v1")}},
		},
		"http://ratings/other": {
			Action: "refuse", Status: 404, Service: name("ratings"), Port: 80, Basis: "acknowledged", Proxy: "shop/web-100", Snapshot: 12,
			Steps: []*pb.ExplainStep{{Step: "rule", Object: "HTTPRoute shop/ratings rule 0", Outcome: "no match", Detail: "path: wanted prefix /ratings", Source: "ratings.yaml:10"}},
			Fault: &pb.Fault{Code: "W4005", What: "no rule matches", Why: "1 rule was considered", Next: []string{"weft status"}},
		},
	}
	s.BalanceReply = ratingsSets(name)
	web := &pb.WhoisReply{Workloads: s.StatusReply.Workloads[:1]}
	s.WhoisReply = map[string]*pb.WhoisReply{"127.0.0.1": web, "web": web, "shop/web": web, "shop/front": web}
	return s
}

// ratingsSets is how two proxies see the ratings: the first has ejected one.
func ratingsSets(name func(string) *pb.Name) *pb.BalanceReply {
	addr := func(port uint32) *pb.AddrPort { return &pb.AddrPort{Addr: []byte{127, 0, 0, 1}, Port: port} }
	set := func(loops uint32, es ...*pb.BalanceEndpoint) *pb.BalanceSet {
		return &pb.BalanceSet{Service: name("ratings"), Port: 80, Algorithm: "PeakEWMA", Loops: loops, Endpoints: es}
	}
	good := &pb.BalanceEndpoint{Workload: name("ratings-v1-100"), Address: addr(8080), StateMs: 80_000, LatencyUs: 1234, InFlight: 2, Weight: 1, Success: 1, Loops: 2}
	bad := &pb.BalanceEndpoint{
		Workload: name("ratings-v2-100"), Address: addr(8081), State: pb.EndpointState_ENDPOINT_EJECTED, StateMs: 4000, LatencyUs: 1_000_000, Success: 0.12, Ejections: 3, Loops: 1,
	}
	first, second := set(2, good, bad), set(1, &pb.BalanceEndpoint{Workload: name("ratings-v1-100"), Address: addr(8080), State: pb.EndpointState_ENDPOINT_SLOW_START, StateMs: 900, Weight: 0.25, Success: 1, Loops: 1})
	first.Budget, first.BudgetKnown, second.Omitted = 12.5, true, 7
	return &pb.BalanceReply{Sets: []*pb.ProxyBalance{
		{Proxy: "shop/load-100", Workloads: []*pb.Name{name("load-100")}, Set: second, Age: durationpb.New(0)},
		{Proxy: "shop/web-100", Workloads: []*pb.Name{name("web-100")}, Set: first, Age: durationpb.New(2 * time.Second)},
	}}
}

// Busy is the shop while its ratings have trouble: requests are tried again, hedged and shed.
func Busy() *Server {
	s := Shop()
	r := s.StatReply.Rows[1]
	r.Success, r.Failure, r.SuccessRate = 95, 0, 1
	r.Retries, r.TriesFailed, r.Hedges, r.HedgesWon, r.TrySuccessRate = 27, 28, 2, 1, 1-28./124
	r.Shed = []*pb.Refusal{{Code: "W3320", Count: 20}, {Code: "W3325", Count: 4}}
	x := s.ExplainReply["http://ratings/ratings/tea"]
	x.Choice = "of two at random the one with less latency times requests in flight (PeakEWMA); at present most likely shop/ratings-v1-100 (100 %)"
	x.Endpoints[0].Balance, x.Endpoints[0].Chance = s.BalanceReply.Sets[1].Set.Endpoints[0], 1
	x.Endpoints = append(x.Endpoints, &pb.ExplainEndpoint{
		Workload: s.BalanceReply.Sets[1].Set.Endpoints[1].Workload, Address: "127.0.0.1:8081", Balance: s.BalanceReply.Sets[1].Set.Endpoints[1],
	}, &pb.ExplainEndpoint{Workload: &pb.Name{Namespace: "shop", Name: "ratings-v1-200"}, Address: "127.0.0.1:8082"})
	s.StatReply.Rows[2].Refused = []*pb.Refusal{{Code: "W3304", Count: 1}}
	return s
}

// Empty is a control plane with nothing in it.
func Empty() *Server {
	s := Shop()
	s.StatusReply.Proxies, s.StatusReply.Workloads = nil, nil
	s.StatusReply.Control.Services, s.StatusReply.Control.Routes = 0, 0
	s.StatReply, s.ServicesReply, s.CheckReply = &pb.StatReply{}, &pb.ListServicesReply{}, &pb.CheckReply{}
	return s
}

// Broken is the shop with a problem in its configuration.
func Broken() *Server {
	s := Shop()
	s.ProblemsReply = &pb.ProblemsReply{Problems: []*pb.Fault{{
		Code: "W4045", What: "service shop/tea has no endpoint", Why: "selector app=tea matches 0 of 2 workloads", Where: "services.yaml:14",
		Next: []string{"weft status -o wide"},
	}}}
	return s
}
