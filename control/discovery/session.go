package discovery

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/planted"
)

// Bounds of one proxy. They are above what an honest proxy asks for (4096 each), so that only a
// broken or hostile one meets them.
const (
	maxSubscriptions = 10000
	maxHeld          = 100000
	maxWorkloads     = 1000
	partSize         = 1 << 20 // bytes of resources in one message, unless one alone is larger
)

// session is one proxy's stream as a pure state: messages and snapshots go in, updates come out.
// Not safe for concurrent use.
type session struct {
	workloads []model.Name
	names     map[model.Name]struct{}
	addrs     map[netip.Addr]struct{}

	// told is the version of each resource that the proxy holds once it has taken everything sent.
	told        map[snapshot.Key]uint64
	absent      map[model.Name]struct{}
	absentAddrs map[netip.Addr]struct{}

	// acked is what the proxy said is in force. A resource that it rejected stays at its old value.
	acked    map[snapshot.Key]*pb.Resource
	rejected map[snapshot.Key]string
	problems []string

	sequence uint64
	flight   *flight // the update that is not answered yet
	greeted  bool    // the first update was sent
	inForce  uint64  // number of the snapshot that the proxy serves
}

// flight is an update on its way.
type flight struct {
	sequence uint64
	snapshot uint64
	changed  []*pb.Resource
	gone     []snapshot.Key
}

// newSession takes a proxy's introduction. Errors are coded W2107 or W2108.
func newSession(h *pb.Hello, cur *snapshot.Snapshot) (*session, error) {
	if h.GetProxy() == "" || len(h.GetProxy()) > 512 {
		return nil, invalid("the proxy's name has %d bytes, want 1 to 512", len(h.GetProxy()))
	}
	if len(h.GetWorkloads()) > maxWorkloads || len(h.GetHeld()) > maxHeld {
		return nil, limit("%d workloads and %d resources held", len(h.GetWorkloads()), len(h.GetHeld()))
	}
	s := &session{
		names: map[model.Name]struct{}{}, addrs: map[netip.Addr]struct{}{}, told: map[snapshot.Key]uint64{},
		absent: map[model.Name]struct{}{}, absentAddrs: map[netip.Addr]struct{}{},
		acked: map[snapshot.Key]*pb.Resource{}, rejected: map[snapshot.Key]string{},
	}
	for _, n := range h.GetWorkloads() {
		s.workloads = append(s.workloads, wire.ToName(n))
	}
	for _, held := range h.GetHeld() {
		k := snapshot.Key{Kind: held.GetKind(), Name: wire.ToName(held.GetName())}
		s.told[k] = held.GetVersion()
		if r := cur.Resource(k); r != nil && planted.On(planted.StaleAfterReconnect) {
			s.told[k] = r.GetVersion()
		}
		// What it holds in the present version is as good as acknowledged.
		if r := cur.Resource(k); r != nil && r.GetVersion() == held.GetVersion() {
			s.acked[k] = r
		}
	}
	return s, s.subscribe(h.GetSubscriptions())
}

func (s *session) subscribe(m *pb.Subscribe) error {
	for _, n := range m.GetServices() {
		if n.GetNamespace() == "" || n.GetName() == "" || len(n.GetNamespace()) > 253 || len(n.GetName()) > 253 {
			return invalid("a subscription to service %q", wire.ToName(n).String())
		}
		s.names[wire.ToName(n)] = struct{}{}
	}
	for _, b := range m.GetAddresses() {
		a, err := wire.ToAddr(b)
		if err != nil {
			return invalid("a subscription: %v", err)
		}
		s.addrs[a] = struct{}{}
	}
	if len(s.names) > maxSubscriptions || len(s.addrs) > maxSubscriptions {
		return limit("subscriptions to %d names and %d addresses, at most %d each", len(s.names), len(s.addrs), maxSubscriptions)
	}
	return nil
}

func (s *session) unsubscribe(m *pb.Unsubscribe) {
	for _, n := range m.GetServices() {
		delete(s.names, wire.ToName(n))
	}
	for _, b := range m.GetAddresses() {
		if a, err := wire.ToAddr(b); err == nil {
			delete(s.addrs, a)
		}
	}
}

// ack takes the answer to the update in flight. An answer to anything else is a broken proxy.
func (s *session) ack(a *pb.Ack) error {
	f := s.flight
	if f == nil || a.GetSequence() != f.sequence {
		return invalid("an acknowledgement of update %d, which is not outstanding", a.GetSequence())
	}
	bad := make(map[snapshot.Key]string, len(a.GetRejected()))
	for _, r := range a.GetRejected() {
		bad[snapshot.Key{Kind: r.GetKind(), Name: wire.ToName(r.GetName())}] = clip(r.GetReason(), 500)
	}
	for _, r := range f.changed {
		k := keyOf(r)
		if why, no := bad[k]; no {
			s.rejected[k] = why
			continue
		}
		s.acked[k] = r
		delete(s.rejected, k)
	}
	for _, k := range f.gone {
		delete(s.acked, k)
		delete(s.rejected, k)
	}
	s.problems = nil
	for _, p := range a.GetProblems()[:min(len(a.GetProblems()), 100)] {
		s.problems = append(s.problems, clip(p, 500))
	}
	s.inForce = f.snapshot
	s.flight = nil
	return nil
}

// step gives the messages of the next update, or nil if one is unanswered or there is nothing to
// say. The first update is sent even if it is empty, as it tells the proxy that it is current.
func (s *session) step(cur *snapshot.Snapshot, epoch string) []*pb.Update {
	if s.flight != nil {
		return nil
	}
	wanted, absent, absentAddrs := s.want(cur)

	f := &flight{sequence: s.sequence + 1, snapshot: cur.Number}
	var removed []*pb.Key
	var gone []*pb.Name
	for n := range absent {
		if _, known := s.absent[n]; !known {
			gone = append(gone, wire.Name(n))
		}
	}
	for k := range s.told {
		if _, still := wanted[k]; still {
			continue
		}
		f.gone = append(f.gone, k)
		if _, isAbsent := absent[k.Name]; isAbsent && (k.Kind == pb.Kind_KIND_SERVICE || k.Kind == pb.Kind_KIND_ENDPOINTS) {
			continue // the absence says it
		}
		removed = append(removed, &pb.Key{Kind: k.Kind, Name: wire.Name(k.Name)})
	}
	for n := range s.absent {
		_, present := wanted[snapshot.Key{Kind: pb.Kind_KIND_SERVICE, Name: n}]
		if _, still := absent[n]; !still && !present {
			removed = append(removed, &pb.Key{Kind: pb.Kind_KIND_SERVICE, Name: wire.Name(n)})
		}
	}
	for k := range wanted {
		if r := cur.Resource(k); s.told[k] != r.GetVersion() {
			f.changed = append(f.changed, r)
		}
	}
	var goneAddrs [][]byte
	for a := range absentAddrs {
		if _, known := s.absentAddrs[a]; !known {
			goneAddrs = append(goneAddrs, wire.Addr(a))
		}
	}
	s.absent, s.absentAddrs = absent, absentAddrs
	if s.greeted && len(f.changed)+len(removed)+len(gone)+len(goneAddrs) == 0 {
		s.inForce = cur.Number
		return nil
	}

	s.greeted, s.sequence, s.flight = true, f.sequence, f
	for _, k := range f.gone {
		delete(s.told, k)
	}
	slices.SortFunc(f.changed, func(a, b *pb.Resource) int { return keyOf(a).Compare(keyOf(b)) })
	for _, r := range f.changed {
		s.told[keyOf(r)] = r.GetVersion()
	}
	parts := split(f.changed)
	parts[0].Removed, parts[0].Absent, parts[0].AbsentAddresses = removed, gone, goneAddrs
	for i, u := range parts {
		u.Sequence, u.Snapshot, u.Epoch, u.TrustDomain = f.sequence, cur.Number, epoch, cur.Bundle.TrustDomain
		u.More = i < len(parts)-1
	}
	return parts
}

// want gives what the proxy shall hold, and what it asked for that does not exist.
func (s *session) want(cur *snapshot.Snapshot) (wanted map[snapshot.Key]struct{}, absent map[model.Name]struct{}, absentAddrs map[netip.Addr]struct{}) {
	wanted = map[snapshot.Key]struct{}{{Kind: pb.Kind_KIND_BUNDLE}: {}}
	absent, absentAddrs = map[model.Name]struct{}{}, map[netip.Addr]struct{}{}
	for _, n := range s.workloads {
		if k := (snapshot.Key{Kind: pb.Kind_KIND_WORKLOAD, Name: n}); cur.Resource(k) != nil {
			wanted[k] = struct{}{}
		}
	}
	names := make([]model.Name, 0, len(s.names)+len(s.addrs))
	for n := range s.names {
		names = append(names, n)
	}
	for a := range s.addrs {
		if n, ok := cur.ServiceByIP(a); ok {
			names = append(names, n)
		} else {
			absentAddrs[a] = struct{}{}
		}
	}
	cur.Closure(names, wanted, absent)
	return wanted, absent, absentAddrs
}

// split spreads resources over messages of about partSize; there is at least one.
func split(rs []*pb.Resource) []*pb.Update {
	parts := []*pb.Update{{}}
	size := 0
	for _, r := range rs {
		n := len(r.GetBody()) + 64
		if size > 0 && size+n > partSize {
			parts, size = append(parts, &pb.Update{}), 0
		}
		last := parts[len(parts)-1]
		last.Changed, size = append(last.Changed, r), size+n
	}
	return parts
}

// view gives the resources that are in force at the proxy.
func (s *session) view() map[snapshot.Key]*pb.Resource { return maps.Clone(s.acked) }

func keyOf(r *pb.Resource) snapshot.Key {
	return snapshot.Key{Kind: r.GetKind(), Name: wire.ToName(r.GetName())}
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

func invalid(format string, args ...any) error {
	e := codes.New("W2107", "a proxy's message is not valid")
	e.Why = fmt.Sprintf(format, args...)
	return e
}

func limit(format string, args ...any) error {
	e := codes.New("W2108", "a proxy asks for more than the control plane gives")
	e.Why = fmt.Sprintf(format, args...)
	return e
}
