// Package snapshot is the compiled mesh at one moment, ready to be sent: every resource is
// encoded once for all proxies, and reused from snapshot to snapshot as long as it does not
// change. Snapshots are immutable. It does no I/O.
package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/control/compile"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

// Key names a resource.
type Key struct {
	Kind pb.Kind
	Name model.Name
}

// Compare orders keys by kind, namespace and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Kind, o.Kind), cmp.Compare(k.Name.Namespace, o.Name.Namespace), cmp.Compare(k.Name.Name, o.Name.Name))
}

// Snapshot is the mesh at one moment.
type Snapshot struct {
	*compile.Snapshot
	// Number counts snapshots whose contents differ, within one run of the control plane.
	Number uint64
	Time   time.Time
	Bundle *identity.Bundle
	// Generation is that of the registry that this snapshot contains.
	Generation uint64

	resources map[Key]*pb.Resource
	byIP      map[netip.Addr]model.Name
	// backends lists the services that a service's routes lead to, itself excluded.
	backends map[model.Name][]model.Name
}

// Build makes the snapshot after prev (nil for the first). If nothing differs the number stays.
func Build(prev *Snapshot, c *compile.Snapshot, b *identity.Bundle, generation uint64, now time.Time) (*Snapshot, error) {
	s := &Snapshot{
		Snapshot: c, Bundle: b, Generation: generation, Time: now,
		resources: make(map[Key]*pb.Resource, 2*len(c.Services)+len(c.Workloads)+1),
		byIP:      map[netip.Addr]model.Name{}, backends: map[model.Name][]model.Name{},
	}
	if prev == nil {
		prev = &Snapshot{Snapshot: &compile.Snapshot{}}
	}
	for _, n := range sorted(c.Services) {
		svc := c.Services[n]
		if err := put(s, prev, Key{pb.Kind_KIND_SERVICE, n}, svc == prev.Services[n], svc, wire.Service); err != nil {
			return nil, err
		}
		eps := c.Endpoints[n]
		same := eps != nil && eps == prev.Endpoints[n]
		if eps == nil {
			eps = &model.Endpoints{Service: n}
		}
		if err := put(s, prev, Key{pb.Kind_KIND_ENDPOINTS, n}, same, eps, wire.Endpoints); err != nil {
			return nil, err
		}
		for _, ip := range svc.IPs {
			if _, taken := s.byIP[ip.Unmap()]; !taken {
				s.byIP[ip.Unmap()] = n
			}
		}
		if l := leadsTo(svc); len(l) > 0 {
			s.backends[n] = l
		}
	}
	for n, w := range c.Workloads {
		if err := put(s, prev, Key{pb.Kind_KIND_WORKLOAD, n}, w == prev.Workloads[n], w, wire.Workload); err != nil {
			return nil, err
		}
	}
	bundle := func(b *identity.Bundle) *pb.Bundle { return &pb.Bundle{TrustDomain: b.TrustDomain, Roots: b.DER()} }
	if err := put(s, prev, Key{Kind: pb.Kind_KIND_BUNDLE}, b == prev.Bundle, b, bundle); err != nil {
		return nil, err
	}
	s.Number = prev.Number + 1
	if s.equal(prev) {
		s.Number, s.Time = prev.Number, prev.Time
	}
	return s, nil
}

// put encodes a resource, or takes it over from prev.
func put[V any, M proto.Message](s, prev *Snapshot, k Key, same bool, v *V, encode func(*V) M) error {
	old := prev.resources[k]
	if same && old != nil {
		s.resources[k] = old
		return nil
	}
	body, err := wire.Marshal(encode(v))
	if err != nil {
		return fmt.Errorf("encoding %s %s: %w", k.Kind, k.Name, err)
	}
	version := wire.Version(body)
	if old != nil && old.GetVersion() == version {
		s.resources[k] = old
		return nil
	}
	s.resources[k] = &pb.Resource{Kind: k.Kind, Name: wire.Name(k.Name), Version: version, Body: body}
	return nil
}

func (s *Snapshot) equal(o *Snapshot) bool {
	if len(s.resources) != len(o.resources) {
		return false
	}
	for k, r := range s.resources {
		if o.resources[k] != r { // equal contents share the pointer
			return false
		}
	}
	return true
}

// Resource gives a resource, or nil. It must not be changed.
func (s *Snapshot) Resource(k Key) *pb.Resource { return s.resources[k] }

// ServiceByIP gives the service that has a virtual address.
func (s *Snapshot) ServiceByIP(ip netip.Addr) (model.Name, bool) {
	n, ok := s.byIP[ip.Unmap()]
	return n, ok
}

// Closure adds to wanted, for each of names, the service and everything that its routes lead to,
// directly or not. Names that do not exist go to absent.
func (s *Snapshot) Closure(names []model.Name, wanted map[Key]struct{}, absent map[model.Name]struct{}) {
	todo := slices.Clone(names)
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		k := Key{pb.Kind_KIND_SERVICE, n}
		if _, done := wanted[k]; done {
			continue
		}
		if s.resources[k] == nil {
			absent[n] = struct{}{}
			continue
		}
		wanted[k] = struct{}{}
		wanted[Key{pb.Kind_KIND_ENDPOINTS, n}] = struct{}{}
		todo = append(todo, s.backends[n]...)
	}
}

// leadsTo lists the services that a service's routes send or mirror to, or compare answers with,
// sorted, once each.
func leadsTo(s *model.Service) []model.Name {
	seen := map[model.Name]bool{}
	var filters func([]model.Filter)
	backend := func(b *model.Backend) {
		if b.Invalid == "" && b.Service != s.Name && b.Service.Name != "" {
			seen[b.Service] = true
		}
		filters(b.Filters)
	}
	filters = func(fs []model.Filter) {
		for i := range fs {
			if fs[i].Mirror != nil {
				backend(&fs[i].Mirror.Backend)
			}
		}
	}
	calls := func(c *model.Calls) {
		if c.Compare != nil {
			backend(&c.Compare.Baseline)
		}
	}
	for i := range s.Ports {
		if p := s.Ports[i].Policy; p != nil {
			calls(&p.Calls)
		}
	}
	for i := range s.Routes {
		for j := range s.Routes[i].Rules {
			r := &s.Routes[i].Rules[j]
			filters(r.Filters)
			if r.Calls != nil {
				calls(r.Calls)
			}
			for k := range r.Backends {
				backend(&r.Backends[k])
			}
		}
	}
	return sorted(seen)
}

func sorted[V any](m map[model.Name]V) []model.Name {
	out := make([]model.Name, 0, len(m))
	for n := range m {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b model.Name) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// All gives every resource. The resources must not be changed.
func (s *Snapshot) All() map[Key]*pb.Resource { return maps.Clone(s.resources) }
