package mesh

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	discoverypb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/identity"
)

// Status implements Client.
func (r *remote) Status(ctx context.Context) (*Status, error) {
	reply, err := r.mesh.Status(ctx, &discoverypb.StatusRequest{})
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	services, err := r.Services(ctx)
	if err != nil {
		return nil, err
	}
	problems, err := r.Problems(ctx)
	if err != nil {
		return nil, err
	}
	c := reply.GetControl()
	out := &Status{
		Control: Control{
			Target: r.target, Version: c.GetBuild(), PID: c.GetPid(), TrustDomain: c.GetTrustDomain(), Listen: c.GetListen(),
			ConfigDir: c.GetConfigDir(), StateDir: c.GetStateDir(), Started: moment(c.GetStarted()), Now: moment(c.GetNow()),
			Snapshot: c.GetSnapshot(), Services: c.GetServices(), Routes: c.GetRoutes(),
			RootExpires: moment(c.GetRootNotAfter()), RootHash: c.GetRootHash(),
		},
		Proxies: []Proxy{}, Workloads: workloads(reply.GetWorkloads()), Services: services, Problems: problems,
	}
	for _, p := range reply.GetProxies() {
		q := Proxy{
			Name: p.GetName(), Connected: p.GetConnected(), Since: moment(p.GetSince()), Acknowledged: p.GetAcknowledged(),
			Current: p.GetCurrent(), BehindMS: p.GetBehind().AsDuration().Milliseconds(), Version: p.GetBuild(),
			Services: p.GetSubscriptions(), CertExpires: moment(p.GetCertificateNotAfter()), Metrics: p.GetMetrics(),
		}
		for _, j := range p.GetRejected() {
			kind := strings.ToLower(strings.TrimPrefix(j.GetKind().String(), "KIND_"))
			q.Rejected = append(q.Rejected, fmt.Sprintf("%s %s: %s", kind, name(j.GetName()), j.GetReason()))
		}
		out.Proxies = append(out.Proxies, q)
	}
	slices.SortFunc(out.Proxies, func(a, b Proxy) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Stat implements Client.
func (r *remote) Stat(ctx context.Context, q StatQuery) (*EdgeList, error) {
	req := &discoverypb.StatRequest{Group: discoverypb.StatGroup_STAT_BACKEND, Service: refName(q.To), Source: refName(q.From), Instances: q.Instances}
	if q.Window > 0 {
		req.Window = durationpb.New(q.Window)
	}
	reply, err := r.mesh.Stat(ctx, req)
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	window := reply.GetWindow().AsDuration()
	out := &EdgeList{WindowMS: window.Milliseconds(), Edges: []Edge{}}
	for _, row := range reply.GetRows() {
		workload := ""
		if q.Instances {
			workload = name(row.GetSource())
		}
		e := Edge{
			From: caller(row), Workload: workload, Identity: row.GetSourceIdentity(), To: name(row.GetService()), Route: row.GetRoute(),
			Backend: name(row.GetBackend()), Protocol: row.GetProtocol(), Requests: row.GetRequests(), Failures: row.GetFailure(),
			Success: row.GetSuccessRate(), RPS: row.GetRps(), P50MS: row.GetP50Ms(), P95MS: row.GetP95Ms(), P99MS: row.GetP99Ms(),
			MTLS: row.GetMtlsShare(), Local: row.GetLocalShare(), BytesIn: row.GetBytesIn(), BytesOut: row.GetBytesOut(),
			Connections: row.GetConnectionsOpened(), Active: row.GetConnectionsActive(),
			Actual: row.GetTrySuccessRate(), Retries: row.GetRetries(), Hedges: row.GetHedges(), HedgesWon: row.GetHedgesWon(),
			TriesFailed: row.GetTriesFailed(), ShedBy: byCode(row.GetShed()), Refused: byCode(row.GetRefused()),
		}
		if sec := window.Seconds(); sec > 0 {
			e.RetriesPS = float64(e.Retries) / sec
		}
		for _, n := range e.ShedBy {
			e.Shed += n
		}
		out.Edges = append(out.Edges, e)
	}
	slices.SortFunc(out.Edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Route, b.Route),
			cmp.Compare(a.Backend, b.Backend), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Workload, b.Workload))
	})
	return out, nil
}

// byCode gives refusals as they are printed; nil if there are none.
func byCode(list []*discoverypb.Refusal) map[string]uint64 {
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]uint64, len(list))
	for _, r := range list {
		out[r.GetCode()] = r.GetCount()
	}
	return out
}

// caller gives the service account of an edge's source: instances come and go, accounts stay.
// A source without identity is known by its workload, or by nothing.
func caller(row *discoverypb.StatRow) string {
	if id, err := identity.Parse(row.GetSourceIdentity()); err == nil {
		return id.Namespace + "/" + id.ServiceAccount
	}
	if n := name(row.GetSource()); n != "" {
		return n
	}
	return "-"
}

// refName gives what a query selects by; nil selects all.
func refName(r Ref) *discoverypb.Name {
	if r == (Ref{}) {
		return nil
	}
	return &discoverypb.Name{Namespace: r.Namespace, Name: r.Name}
}

// Services implements Client.
func (r *remote) Services(ctx context.Context) ([]Service, error) {
	reply, err := r.mesh.Services(ctx, &discoverypb.ListServicesRequest{})
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	return services(reply.GetServices()), nil
}

// Explain implements Client.
func (r *remote) Explain(ctx context.Context, q ExplainQuery) (*Explanation, error) {
	req := &discoverypb.ExplainRequest{Method: q.Method, Url: q.URL, From: q.From, Namespace: q.Namespace}
	for _, h := range q.Headers {
		req.Headers = append(req.Headers, &discoverypb.NameValue{Name: h.Name, Value: h.Value})
	}
	x, err := r.mesh.Explain(ctx, req)
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	out := &Explanation{
		Action: x.GetAction(), Status: x.GetStatus(), Location: x.GetLocation(), Service: name(x.GetService()), Port: x.GetPort(),
		Route: x.GetRoute(), Source: x.GetSource(), Backend: name(x.GetBackend()), Basis: x.GetBasis(), Proxy: x.GetProxy(),
		Snapshot: x.GetSnapshot(), Steps: []Step{}, Choice: x.GetChoice(), Fault: fault(x.GetFault()),
	}
	for _, s := range x.GetSteps() {
		out.Steps = append(out.Steps, Step{Step: s.GetStep(), Object: s.GetObject(), Outcome: s.GetOutcome(), Detail: s.GetDetail(), Source: s.GetSource()})
	}
	for _, s := range x.GetShares() {
		out.Shares = append(out.Shares, Share{Backend: name(s.GetBackend()), Port: s.GetPort(), Weight: s.GetWeight(), Share: s.GetShare(), Invalid: s.GetInvalid()})
	}
	for _, e := range x.GetEndpoints() {
		out.Endpoints = append(out.Endpoints, Endpoint{
			Workload: name(e.GetWorkload()), Address: e.GetAddress(), Link: e.GetLink(), Identity: e.GetIdentity(), Draining: e.GetDraining(),
			Balance: endpointBalance(e.GetBalance()), Chance: e.GetChance(),
		})
	}
	out.Through = out.Action == "forward" && out.Fault == nil && len(out.Endpoints) > 0
	return out, nil
}

// Whois implements Client.
func (r *remote) Whois(ctx context.Context, subject string) (*Whois, error) {
	reply, err := r.mesh.Whois(ctx, &discoverypb.WhoisRequest{What: subject})
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	return &Whois{Subject: subject, Workloads: workloads(reply.GetWorkloads()), Services: services(reply.GetServices())}, nil
}

// Problems implements Client.
func (r *remote) Problems(ctx context.Context) ([]Fault, error) {
	reply, err := r.mesh.Problems(ctx, &discoverypb.ProblemsRequest{})
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	out := []Fault{}
	for _, f := range reply.GetProblems() {
		out = append(out, *fault(f))
	}
	return out, nil
}

// Checks implements Client.
func (r *remote) Checks(ctx context.Context) ([]Check, error) {
	reply, err := r.mesh.Check(ctx, &discoverypb.CheckRequest{})
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	out := []Check{}
	for _, c := range reply.GetResults() {
		out = append(out, Check{Area: c.GetArea(), Name: c.GetName(), State: c.GetState(), Evidence: c.GetEvidence(), Fault: fault(c.GetFault())})
	}
	return out, nil
}

// CreateToken implements Client.
func (r *remote) CreateToken(ctx context.Context, q TokenQuery) (*Token, error) {
	req := &discoverypb.CreateTokenRequest{Namespace: q.Namespace, ServiceAccount: q.Account, Admin: q.Admin}
	if q.TTL > 0 {
		req.Ttl = durationpb.New(q.TTL)
	}
	reply, err := r.mesh.CreateToken(ctx, req)
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	return &Token{Token: reply.GetToken(), Expires: moment(reply.GetExpires()), RootHash: reply.GetRootHash(), Listen: reply.GetListen()}, nil
}

func workloads(in []*discoverypb.WorkloadStatus) []Workload {
	out := []Workload{}
	for _, w := range in {
		x := Workload{
			Namespace: w.GetName().GetNamespace(), Name: w.GetName().GetName(), State: w.GetState(), Identity: w.GetIdentity(),
			Addresses: w.GetAddresses(), Ports: ports(w.GetPorts()), Link: w.GetLink(), Proxy: w.GetProxy(), Labels: w.GetLabels(), PID: w.GetPid(),
		}
		for _, s := range w.GetServices() {
			x.Services = append(x.Services, name(s))
		}
		slices.Sort(x.Services)
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func services(in []*discoverypb.ServiceSummary) []Service {
	out := []Service{}
	for _, s := range in {
		out = append(out, Service{
			Namespace: s.GetName().GetNamespace(), Name: s.GetName().GetName(), Ports: ports(s.GetPorts()),
			Endpoints: s.GetEndpoints(), Meshed: s.GetMeshedEndpoints(), Routes: s.GetRoutes(),
		})
	}
	slices.SortFunc(out, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func ports(in []*discoverypb.Port) []Port {
	out := []Port{}
	for _, p := range in {
		protocol := strings.ToLower(strings.TrimPrefix(p.GetProtocol().String(), "PROTOCOL_"))
		out = append(out, Port{Name: p.GetName(), Port: p.GetPort(), Protocol: protocol})
	}
	return out
}

func fault(f *discoverypb.Fault) *Fault {
	if f == nil {
		return nil
	}
	return &Fault{Code: f.GetCode(), What: f.GetWhat(), Why: f.GetWhy(), Where: f.GetWhere(), Next: f.GetNext()}
}

// name gives "ns/name", or "" for nobody.
func name(n *discoverypb.Name) string {
	if n.GetNamespace() == "" && n.GetName() == "" {
		return ""
	}
	return n.GetNamespace() + "/" + n.GetName()
}

// moment gives the zero time for a timestamp that was not set.
func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
