package control

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/api/suggest"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/discovery"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/observe"
)

// maxShownSets bounds one answer: some 10 MB if each set is full.
const maxShownSets = 2000

// Balance implements pb.MeshServer: how proxies see the endpoints of a service, and of those that
// its routes lead to.
func (s *meshService) Balance(_ context.Context, req *pb.BalanceRequest) (*pb.BalanceReply, error) {
	snap := s.disco.Current()
	var of map[string]bool // proxies; nil: all
	if from := req.GetFrom(); from != "" {
		var err error
		if of, err = s.proxiesOf(from, req.GetNamespace(), snap); err != nil {
			return nil, wire.Status(codes.NotFound, err)
		}
	}
	asked := wire.ToName(req.GetService())
	targets := targetsOf(asked, snap)
	sets := s.sets(func(proxy string, k report.SetKey) bool {
		return (of == nil || of[proxy]) && (matchesName(asked, k.Service) || targets[k.Service])
	})
	workloads := map[string][]model.Name{}
	proxies := s.disco.Proxies()
	for i := range proxies {
		workloads[proxies[i].Name] = proxies[i].Workloads
	}
	out := &pb.BalanceReply{}
	for i := range sets[:min(len(sets), maxShownSets)] {
		x := &pb.ProxyBalance{Proxy: sets[i].Proxy, Set: s.present(&sets[i]), Age: durationpb.New(s.opt.Now().Sub(sets[i].At))}
		for _, n := range workloads[sets[i].Proxy] {
			x.Workloads = append(x.Workloads, wire.Name(n))
		}
		out.Sets = append(out.Sets, x)
	}
	return out, nil
}

// matchesName reports whether a name is the one asked for; what is empty in that is any.
func matchesName(asked, n model.Name) bool {
	return (asked.Namespace == "" || asked.Namespace == n.Namespace) && (asked.Name == "" || asked.Name == n.Name)
}

// targetsOf gives the services that routes of a service lead to: callers name that, and proxies choose
// among the endpoints of these.
func targetsOf(asked model.Name, snap *snapshot.Snapshot) map[model.Name]bool {
	out := map[model.Name]bool{}
	if asked.Name == "" {
		return out
	}
	for n, svc := range snap.Services {
		if !matchesName(asked, n) {
			continue
		}
		for i := range svc.Routes {
			for j := range svc.Routes[i].Rules {
				for _, b := range svc.Routes[i].Rules[j].Backends {
					out[b.Service] = true
				}
			}
		}
	}
	return out
}

// sets gives what connected proxies told of their endpoint sets. What a stream claims to be of a
// proxy counts only if it comes from the very process that is connected under that name.
func (s *meshService) sets(choose func(proxy string, k report.SetKey) bool) []observe.ProxySet {
	connected := map[string]*discovery.Proxy{}
	proxies := s.disco.Proxies()
	for i := range proxies {
		if p := &proxies[i]; p.Connected && p.Instance != "" {
			connected[p.Name] = p
		}
	}
	return s.store.Sets(func(proxy, reporter string, k report.SetKey) bool {
		p := connected[proxy]
		return p != nil && strings.HasSuffix(reporter, reporterKey("", p.Instance)) && choose(proxy, k)
	})
}

// present encodes a set with the time that has passed since it was told.
func (s *meshService) present(set *observe.ProxySet) *pb.BalanceSet {
	out := wire.Set(&set.Set)
	passed := max(s.opt.Now().Sub(set.At).Milliseconds(), 0)
	for _, e := range out.GetEndpoints() {
		e.StateMs += passed
	}
	return out
}

// proxiesOf gives the proxies of the workloads that a name stands for.
func (s *meshService) proxiesOf(from, namespace string, snap *snapshot.Snapshot) (map[string]bool, error) {
	out := map[string]bool{}
	var known []string
	for _, w := range s.workloads(snap) {
		n := wire.ToName(w.GetName())
		known = append(known, n.String(), n.Name, w.GetLabels()[appLabel])
		if w.GetProxy() != "" && related(w, from, namespace) != unrelated {
			out[w.GetProxy()] = true
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	e := wcodes.New("W2402", fmt.Sprintf("no workload with a proxy is called %q", clipText(from)))
	if like := suggest.Closest(from, known); like != "" {
		e.Why = "closest name seen: " + like
	}
	e.Next = append(e.Next, "weft status -o wide")
	return nil, e
}
