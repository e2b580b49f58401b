package agent

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"google.golang.org/protobuf/proto"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/planted"
)

// view is what the proxy holds of the mesh, resource by resource. It is a pure value with one
// owner, the discovery goroutine.
type view struct {
	trustDomain string
	epoch       string
	snapshot    uint64

	resources map[key]*held
	// The values of resources, decoded; pointers stay while a resource does not change, so that
	// tables are compiled incrementally.
	services  map[model.Name]*model.Service
	endpoints map[model.Name]*model.Endpoints
	workloads map[model.Name]*model.Workload // of this proxy

	absent      map[model.Name]bool
	absentAddrs map[netip.Addr]bool
}

// key names a resource.
type key struct {
	kind pb.Kind
	name model.Name
}

// held is a resource as it came.
type held struct {
	version uint64
	body    []byte
	bundle  *identity.Bundle // of a bundle
}

// errMeshChanged says that the control plane is now that of another mesh: what is held does not
// count any more.
var errMeshChanged = errors.New("the control plane belongs to another trust domain than before")

func newView() *view {
	return &view{
		resources: map[key]*held{}, services: map[model.Name]*model.Service{}, endpoints: map[model.Name]*model.Endpoints{},
		workloads: map[model.Name]*model.Workload{},
		absent:    map[model.Name]bool{}, absentAddrs: map[netip.Addr]bool{},
	}
}

// apply takes one step, all of its parts. Resources that cannot be used are left as they were
// and returned. first tells that it is the first step of a stream, which tells all absences anew.
func (v *view) apply(parts []*pb.Update, first bool) (rejected []*pb.Rejection, err error) {
	last := parts[len(parts)-1]
	if v.trustDomain != "" && last.GetTrustDomain() != v.trustDomain {
		return nil, fmt.Errorf("%w: %q, before %q", errMeshChanged, last.GetTrustDomain(), v.trustDomain)
	}
	v.trustDomain, v.epoch, v.snapshot = last.GetTrustDomain(), last.GetEpoch(), last.GetSnapshot()
	if first {
		clear(v.absent)
		clear(v.absentAddrs)
	}
	for _, u := range parts {
		// Removals first: a name may be removed as absent and come back in a later part.
		for _, k := range u.GetRemoved() {
			v.remove(key{k.GetKind(), wire.ToName(k.GetName())})
		}
		for _, n := range u.GetAbsent() {
			name := wire.ToName(n)
			v.remove(key{pb.Kind_KIND_SERVICE, name})
			v.remove(key{pb.Kind_KIND_ENDPOINTS, name})
			v.absent[name] = true
		}
		for _, b := range u.GetAbsentAddresses() {
			if a, err := wire.ToAddr(b); err == nil {
				v.absentAddrs[a] = true
			}
		}
		for _, r := range u.GetChanged() {
			if err := v.put(r); err != nil {
				rejected = append(rejected, &pb.Rejection{Kind: r.GetKind(), Name: r.GetName(), Reason: err.Error()})
			}
		}
	}
	return rejected, nil
}

func (v *view) remove(k key) {
	if planted.On(planted.RemovedStays) {
		return
	}
	delete(v.resources, k)
	switch k.kind {
	case pb.Kind_KIND_SERVICE:
		delete(v.services, k.name)
		delete(v.absent, k.name)
	case pb.Kind_KIND_ENDPOINTS:
		delete(v.endpoints, k.name)
	case pb.Kind_KIND_WORKLOAD:
		delete(v.workloads, k.name)
	}
}

// put decodes a resource and, if that works, takes it.
func (v *view) put(r *pb.Resource) error {
	k := key{r.GetKind(), wire.ToName(r.GetName())}
	h := &held{version: r.GetVersion(), body: r.GetBody()}
	if wire.Version(h.body) != h.version {
		return errors.New("its contents do not match its version")
	}
	switch k.kind {
	case pb.Kind_KIND_SERVICE:
		s, err := decode(h.body, &pb.Service{}, wire.ToService)
		if err != nil {
			return err
		}
		wire.KeepPolicies(v.services[k.name], s)
		v.services[k.name] = s
		delete(v.absent, k.name)
		for _, a := range s.IPs {
			delete(v.absentAddrs, a)
		}
	case pb.Kind_KIND_ENDPOINTS:
		e, err := decode(h.body, &pb.Endpoints{}, wire.ToEndpoints)
		if err != nil {
			return err
		}
		v.endpoints[k.name] = e
	case pb.Kind_KIND_WORKLOAD:
		w, err := decode(h.body, &pb.Workload{}, wire.ToWorkload)
		if err != nil {
			return err
		}
		v.workloads[k.name] = w
	case pb.Kind_KIND_BUNDLE:
		b, err := decode(h.body, &pb.Bundle{}, func(b *pb.Bundle) (*identity.Bundle, error) {
			return identity.NewBundle(b.GetTrustDomain(), b.GetRoots())
		})
		if err != nil {
			return err
		}
		if b.TrustDomain != v.trustDomain {
			return fmt.Errorf("roots of %q in a view of %q", b.TrustDomain, v.trustDomain)
		}
		h.bundle = b
	default:
		return fmt.Errorf("kind %d is not known to this proxy", k.kind)
	}
	v.resources[k] = h
	return nil
}

func decode[M proto.Message, V any](body []byte, m M, to func(M) (V, error)) (V, error) {
	if err := proto.Unmarshal(body, m); err != nil {
		var zero V
		return zero, fmt.Errorf("not a %T: %w", m, err)
	}
	return to(m)
}

// bundle gives the roots, or nil if none came.
func (v *view) bundle() *identity.Bundle {
	if h := v.resources[key{kind: pb.Kind_KIND_BUNDLE}]; h != nil {
		return h.bundle
	}
	return nil
}

// decideView gives the input of the compiler. The maps are copies, as the view goes on changing.
func (v *view) decideView() *decide.View {
	return &decide.View{
		TrustDomain: v.trustDomain, Services: maps.Clone(v.services), Endpoints: maps.Clone(v.endpoints), Absent: maps.Clone(v.absent),
	}
}

// holds lists what is held, for the first message of a stream.
func (v *view) holds() []*pb.Held {
	out := make([]*pb.Held, 0, len(v.resources)+len(v.absent))
	for k, h := range v.resources {
		out = append(out, &pb.Held{Kind: k.kind, Name: wire.Name(k.name), Version: h.version})
	}
	return out
}

// save gives the view as it is kept on disk.
func (v *view) save() *pb.SavedView {
	out := &pb.SavedView{TrustDomain: v.trustDomain, Epoch: v.epoch, Snapshot: v.snapshot}
	for k, h := range v.resources {
		out.Resources = append(out.Resources, &pb.Resource{Kind: k.kind, Name: wire.Name(k.name), Version: h.version, Body: h.body})
	}
	for n := range v.absent {
		out.Absent = append(out.Absent, wire.Name(n))
	}
	return out
}

// load fills an empty view from disk. What cannot be used is an error, and the view is useless.
func (v *view) load(s *pb.SavedView) error {
	v.trustDomain, v.epoch, v.snapshot = s.GetTrustDomain(), s.GetEpoch(), s.GetSnapshot()
	for _, r := range s.GetResources() {
		if err := v.put(r); err != nil {
			return fmt.Errorf("%s %s: %w", r.GetKind(), wire.ToName(r.GetName()), err)
		}
	}
	for _, n := range s.GetAbsent() {
		v.absent[wire.ToName(n)] = true
	}
	return nil
}
