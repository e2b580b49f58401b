package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/api/suggest"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

const maxShown = 100 // endpoints in an answer

// Explain implements pb.MeshServer. It compiles the table from the very bytes that the client's
// proxy acknowledged and asks it with reasons, so the answer is the data path's own. If the
// proxy does not hold the service (it never called it), what it would be sent is used.
func (s *meshService) Explain(_ context.Context, req *pb.ExplainRequest) (*pb.ExplainReply, error) {
	q, err := parseQuestion(req)
	if err != nil {
		return nil, wire.Status(codes.InvalidArgument, err)
	}
	snap := s.disco.Current()
	if err := s.findClient(q, req, snap); err != nil {
		return nil, wire.Status(codes.NotFound, err)
	}
	var canonical decide.Canonical
	if err := decide.Canonicalize(&canonical, &q.request); err != nil {
		return ambiguous(q, err), nil
	}
	svc, ns, ok := decide.ServiceName(q.host, q.namespace)
	if !ok {
		return nil, wire.Status(codes.NotFound, noService(string(q.host)+" is not the name of a service", snap, string(q.host)))
	}
	name := model.Name{Namespace: ns, Name: svc}
	table, reply, err := s.tableFor(q, name, snap)
	if err != nil {
		return nil, wire.Status(codes.Internal, err)
	}
	service, _ := table.Service(name)
	if service == nil {
		return nil, wire.Status(codes.NotFound, noService("there is no service "+name.String(), snap, name.String(), name.Name))
	}
	if b := answer(reply, q, &canonical, table, service, req.GetRandom()); b != nil && b.Set != nil {
		s.addBalance(reply, report.SetKey{Service: b.Set.Service, Port: b.Set.Port})
	}
	return reply, nil
}

// question is a request for Explain, parsed.
type question struct {
	scheme    string
	host      []byte // canonical form of the URL's host
	port      uint16 // 0: the scheme's
	opaque    bool
	grpc      bool
	request   message.Request
	namespace string // of the client
	proxy     string // of the client; empty: any
}

// parseQuestion takes the URL apart without normalising it: what is odd in it shall be judged by
// the code that judges requests.
func parseQuestion(req *pb.ExplainRequest) (*question, error) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(req.GetUrl()), "://")
	if !ok {
		return nil, questionError(fmt.Sprintf("%q is not a URL", clipText(req.GetUrl())), "weft explain GET http://cart/items --from web")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	q := &question{scheme: strings.ToLower(scheme), namespace: req.GetNamespace()}
	method := req.GetMethod()
	switch q.scheme {
	case "http", "https":
		if method == "" {
			method = "GET"
		}
	case "grpc":
		q.grpc, method = true, "POST"
	case "tcp", "tls":
		q.opaque, method, path = true, "CONNECT", ""
	default:
		return nil, questionError(fmt.Sprintf("scheme %q; want http, https, grpc, tcp or tls", clipText(scheme)), "weft explain GET http://cart/items --from web")
	}
	if !strings.HasPrefix(path, "/") && !q.opaque && (method != "OPTIONS" || path != "*") {
		path = "/" + path
	}
	q.request = message.Request{Method: []byte(method), Scheme: []byte("http"), Authority: []byte(authority), Path: []byte(path), ContentLength: -1}
	if err := q.addHeaders(req.GetHeaders()); err != nil {
		return nil, err
	}
	// The service is named by the URL, whatever a Host header says.
	var c decide.Canonical
	probe := message.Request{Method: []byte("GET"), Authority: []byte(authority), Path: []byte("/")}
	if err := decide.Canonicalize(&c, &probe); err != nil {
		return nil, questionError("host "+clipText(authority)+": "+err.Error(), "weft explain GET http://cart/items --from web")
	}
	q.host, q.port = bytes.Clone(c.Host), c.Port
	if q.opaque {
		// The core decides on the destination alone; a port makes the form of CONNECT whole.
		q.request.Authority = fmt.Appendf(nil, "%s:%d", q.host, max(q.port, 1))
	}
	return q, nil
}

func (q *question) addHeaders(hs []*pb.NameValue) error {
	if len(hs) > 200 {
		return questionError(fmt.Sprintf("%d headers, want at most 200", len(hs)))
	}
	for _, h := range hs {
		name, value := strings.ToLower(strings.TrimSpace(h.GetName())), strings.TrimSpace(h.GetValue())
		if name == "" || strings.ContainsAny(name, " \t\r\n:") || strings.ContainsAny(value, "\r\n\x00") {
			return questionError(fmt.Sprintf("header %q", clipText(h.GetName()+": "+h.GetValue())), "weft explain GET http://cart/ -H 'x-user: anna'")
		}
		if name == "host" {
			q.request.Authority = []byte(value)
			continue
		}
		q.request.Fields = append(q.request.Fields, message.Field{Name: []byte(name), Value: []byte(value)})
	}
	if q.grpc && message.Get(q.request.Fields, "content-type") == nil {
		q.request.Fields = append(q.request.Fields, message.Field{Name: []byte("content-type"), Value: []byte("application/grpc")})
	}
	q.grpc = q.grpc || message.IsGRPC(q.request.Fields)
	return nil
}

// findClient fills in the client's namespace and proxy. from is a workload; or, for any living
// instance of it, a service for which it answers, its account, or the name that it was run under.
func (s *meshService) findClient(q *question, req *pb.ExplainRequest, snap *snapshot.Snapshot) error {
	from := req.GetFrom()
	if from == "" {
		if q.namespace == "" {
			q.namespace = "default"
		}
		return nil
	}
	var known []string
	var best *pb.WorkloadStatus
	bestRank := 0
	for _, w := range s.workloads(snap) {
		n := wire.ToName(w.GetName())
		if r := clientRank(w, from, q.namespace); r > bestRank {
			best, bestRank = w, r
		}
		known = append(known, n.String(), n.Name, w.GetLabels()[appLabel])
	}
	if best != nil {
		q.namespace, q.proxy = best.GetName().GetNamespace(), best.GetProxy()
		return nil
	}
	e := wcodes.New("W2402", fmt.Sprintf("there is no workload %q", clipText(from)))
	if like := suggest.Closest(from, known); like != "" {
		e.Why = "closest name seen: " + like
		e.Next = append(e.Next, "weft explain "+req.GetMethod()+" "+req.GetUrl()+" --from "+like)
	}
	e.Next = append(e.Next, "weft status")
	return e
}

// clientRank tells how well a workload fits a name; 0: not at all. The closest relation wins, and
// of equal ones an instance that is live.
func clientRank(w *pb.WorkloadStatus, from, namespace string) int {
	rank := 2 * int(related(w, from, namespace))
	if rank > 0 && live(w) {
		rank++
	}
	return rank
}

// tableFor compiles what the client's proxy has in force, or what it would be sent.
func (s *meshService) tableFor(q *question, name model.Name, snap *snapshot.Snapshot) (*decide.Table, *pb.ExplainReply, error) {
	reply := &pb.ExplainReply{Proxy: q.proxy}
	if q.proxy != "" {
		view, _, number, ok := s.disco.Acknowledged(q.proxy)
		if ok && view[snapshot.Key{Kind: pb.Kind_KIND_SERVICE, Name: name}] != nil {
			t, err := compileView(view, s.ca.TrustDomain())
			reply.Basis, reply.Snapshot = "acknowledged", number
			return t, reply, err
		}
	}
	wanted, absent := map[snapshot.Key]struct{}{}, map[model.Name]struct{}{}
	snap.Closure([]model.Name{name}, wanted, absent)
	view := map[snapshot.Key]*pb.Resource{}
	for k := range wanted {
		view[k] = snap.Resource(k)
	}
	t, err := compileView(view, s.ca.TrustDomain())
	reply.Basis, reply.Snapshot = "snapshot", snap.Number
	return t, reply, err
}

// compileView makes a table of encoded resources, as a proxy does.
func compileView(view map[snapshot.Key]*pb.Resource, trustDomain string) (*decide.Table, error) {
	v := &decide.View{TrustDomain: trustDomain, Services: map[model.Name]*model.Service{}, Endpoints: map[model.Name]*model.Endpoints{}}
	for k, r := range view {
		switch k.Kind {
		case pb.Kind_KIND_SERVICE:
			var m pb.Service
			if err := proto.Unmarshal(r.GetBody(), &m); err != nil {
				return nil, fmt.Errorf("service %s: %w", k.Name, err)
			}
			svc, err := wire.ToService(&m)
			if err != nil {
				return nil, err
			}
			v.Services[k.Name] = svc
		case pb.Kind_KIND_ENDPOINTS:
			var m pb.Endpoints
			if err := proto.Unmarshal(r.GetBody(), &m); err != nil {
				return nil, fmt.Errorf("endpoints %s: %w", k.Name, err)
			}
			e, err := wire.ToEndpoints(&m)
			if err != nil {
				return nil, err
			}
			v.Endpoints[k.Name] = e
		}
	}
	t, _ := decide.Compile(nil, v) // problems deny, and the reasons tell them
	return t, nil
}

// portOf gives the port that the question means.
func portOf(q *question, service *decide.Service) uint16 {
	switch {
	case q.port != 0:
		return q.port
	case q.scheme == "http":
		return 80
	case q.scheme == "https":
		return 443
	}
	// Other schemes have no port of their own: the first that speaks it, else the first.
	for _, p := range service.Ports() {
		if q.grpc && (p.Port.Protocol == model.ProtocolGRPC || p.Port.Port == 80) {
			return p.Port.Port
		}
	}
	if ps := service.Ports(); len(ps) > 0 {
		return ps[0].Port.Port
	}
	return 0
}

// answer decides and writes the decision down. It gives the backend, if there is one.
func answer(reply *pb.ExplainReply, q *question, c *decide.Canonical, t *decide.Table, service *decide.Service, random uint64) *decide.Backend {
	port := portOf(q, service)
	dq := decide.Query{
		Port: service.Port(port), ClientNamespace: q.namespace, GRPC: q.grpc, Opaque: q.opaque,
		Method: q.request.Method, Scheme: q.request.Scheme, Host: c.Host, Path: c.Path, RawQuery: c.RawQuery,
		Fields: q.request.Fields, Rand: random,
	}
	if q.scheme == "tls" {
		dq.SNI = q.host
	}
	if random == 0 {
		if d := t.Decide(&dq, nil); d.Rule != nil {
			dq.Rand = largestShare(d.Rule)
		}
	}
	var why decide.Reasons
	d := t.Decide(&dq, &why)
	for _, r := range why.Steps {
		reply.Steps = append(reply.Steps, &pb.ExplainStep{Step: string(r.Step), Object: r.Object, Source: r.Source, Outcome: r.Outcome, Detail: r.Detail})
	}
	reply.Action, reply.Status = d.Action.String(), count(d.Status)
	reply.Service, reply.Port, reply.Route = wire.Name(service.Name()), uint32(port), "default"
	if d.Action == decide.Refuse {
		e := wcodes.New(d.Code, "the proxy would refuse this")
		e.Why = d.Reason
		if d.Rule != nil {
			e.Where = d.Rule.Source()
		}
		reply.Fault = wire.Fault(e)
	}
	if d.Rule != nil {
		reply.Route, reply.Source = d.Rule.Label, d.Rule.Source()
		reply.Shares = shares(d.Rule)
	} else if d.Route == nil && dq.Port != nil && dq.Port.Routed(q.namespace) {
		reply.Route = "" // routes are there, and none of them takes it
	}
	if d.Action == decide.Redirect {
		var s decide.Scratch
		reply.Location = string(d.Location(&q.request, c, &s))
	}
	if d.Backend != nil {
		reply.Backend = wire.Name(d.Backend.Service())
		reply.Endpoints = shownEndpoints(d.Backend)
	}
	return d.Backend
}

// largestShare gives a random number that the backend with the largest weight answers to.
func largestShare(r *decide.Rule) uint64 {
	var total, before, from, largest uint64
	for _, b := range r.Backends {
		w := uint64(b.Model.Weight)
		if w > largest {
			largest, from = w, before
		}
		before += w
		total += w
	}
	if total == 0 || largest == total {
		return 0
	}
	x, _ := bits.Div64(from, 0, total) // from < total
	half, _ := bits.Div64(largest/2, 0, total)
	return x + half
}

func shares(r *decide.Rule) []*pb.ExplainShare {
	var total float64
	for _, b := range r.Backends {
		total += float64(b.Model.Weight)
	}
	out := make([]*pb.ExplainShare, 0, len(r.Backends))
	for _, b := range r.Backends {
		s := &pb.ExplainShare{Backend: wire.Name(b.Service()), Port: uint32(b.Model.Port), Weight: b.Model.Weight, Invalid: b.Invalid}
		if total > 0 {
			s.Share = float64(b.Model.Weight) / total
		}
		out = append(out, s)
	}
	return out
}

func shownEndpoints(b *decide.Backend) []*pb.ExplainEndpoint {
	if b.Set == nil {
		return nil
	}
	var out []*pb.ExplainEndpoint
	for i := range b.Set.Endpoints[:min(len(b.Set.Endpoints), maxShown)] {
		e := &b.Set.Endpoints[i]
		x := &pb.ExplainEndpoint{Workload: wire.Name(e.Workload), Address: e.Addr.String(), Identity: e.Identity, Draining: e.Draining}
		if e.Meshed() {
			x.Link = e.Link.String()
		}
		out = append(out, x)
	}
	return out
}

// ambiguous is the answer to a request that has no canonical form.
func ambiguous(q *question, err error) *pb.ExplainReply {
	out := &pb.ExplainReply{Action: decide.Refuse.String(), Status: 400, Basis: "request", Proxy: q.proxy}
	e := wcodes.New("W2404", "the proxy would refuse this")
	var a *decide.Ambiguous
	if errors.As(err, &a) {
		e.Code, out.Status = a.Code, count(a.Status)
		e.Why = a.Reason
	}
	out.Fault = wire.Fault(e)
	out.Steps = []*pb.ExplainStep{{Step: string(decide.StepCanonical), Outcome: decide.Refused, Detail: e.Why}}
	return out
}

func noService(what string, snap *snapshot.Snapshot, asked ...string) error {
	e := wcodes.New("W2401", what)
	var names []string
	for _, n := range sortedNames(snap.Services) {
		names = append(names, n.String(), n.Name)
	}
	for _, a := range asked {
		if like := suggest.Closest(a, names); like != "" {
			e.Why = "closest name seen: " + like
			break
		}
	}
	e.Next = []string{"weft status"}
	return e
}

func clipText(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
