package agent

import (
	"net/netip"
	"slices"
	"sync"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/planted"
)

// maxSubscriptions bounds each of names and addresses. A caller that makes up names must not
// grow the proxy: absent names give way first.
const maxSubscriptions = 4096

// subscriptions is what the data path has asked for. Loops add to it, the discovery stream's
// goroutine takes from it.
type subscriptions struct {
	mu    sync.Mutex // guards what follows; a leaf, held for map operations only
	names subSet[model.Name]
	addrs subSet[netip.Addr]

	wake chan struct{} // has room for one: something is to be sent
}

// subSet is the wanted keys of one kind. The value tells whether the key is absent in the mesh.
type subSet[K comparable] struct {
	wanted       map[K]bool
	added, ended []K // since the last take; bounded by what wanted may hold
}

func (s *subscriptions) init() {
	s.names.wanted = make(map[model.Name]bool)
	s.addrs.wanted = make(map[netip.Addr]bool)
	s.wake = make(chan struct{}, 1)
}

func (s *subscriptions) add(n model.Name) bool     { return addTo(s, &s.names, n) }
func (s *subscriptions) addAddr(a netip.Addr) bool { return addTo(s, &s.addrs, a) }

func addTo[K comparable](s *subscriptions, set *subSet[K], k K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := set.wanted[k]; there {
		return true
	}
	if len(set.wanted) >= maxSubscriptions && !set.evict() {
		return false
	}
	set.wanted[k] = false
	set.added = append(set.added, k)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// evict drops one absent key. Which one is left to the map's order.
func (s *subSet[K]) evict() bool {
	for k, absent := range s.wanted {
		if absent {
			delete(s.wanted, k)
			s.ended = append(s.ended, k)
			return true
		}
	}
	return false
}

// mark records which keys are absent.
func (s *subSet[K]) mark(absent func(K) bool) {
	for k := range s.wanted {
		s.wanted[k] = absent(k)
	}
}

// markAbsent is called after each update with what the view knows to be absent.
func (s *subscriptions) markAbsent(v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names.mark(func(n model.Name) bool { return v.absent[n] })
	s.addrs.mark(func(a netip.Addr) bool { return v.absentAddrs[a] })
}

// all gives everything wanted, for the first message of a stream, and forgets what was to be
// sent.
func (s *subscriptions) all() *pb.Subscribe {
	s.mu.Lock()
	defer s.mu.Unlock()
	if planted.On(planted.ForgetSubscriptions) {
		return &pb.Subscribe{Services: encodeNames(s.names.added)}
	}
	s.names.added, s.names.ended, s.addrs.added, s.addrs.ended = nil, nil, nil, nil
	return s.wantedLocked()
}

// list gives everything wanted.
func (s *subscriptions) list() *pb.Subscribe {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wantedLocked()
}

func (s *subscriptions) wantedLocked() *pb.Subscribe {
	out := &pb.Subscribe{}
	for n := range s.names.wanted {
		out.Services = append(out.Services, wire.Name(n))
	}
	for a := range s.addrs.wanted {
		out.Addresses = append(out.Addresses, a.AsSlice())
	}
	return out
}

// take gives what changed since the last take; either may be nil. A key that came and went, or
// went and came, is told as what it is now.
func (s *subscriptions) take() (*pb.Subscribe, *pb.Unsubscribe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, endedNames := s.names.take()
	addrs, endedAddrs := s.addrs.take()
	var add *pb.Subscribe
	if len(names)+len(addrs) > 0 {
		add = &pb.Subscribe{Services: encodeNames(names), Addresses: encodeAddrs(addrs)}
	}
	var end *pb.Unsubscribe
	if len(endedNames)+len(endedAddrs) > 0 {
		end = &pb.Unsubscribe{Services: encodeNames(endedNames), Addresses: encodeAddrs(endedAddrs)}
	}
	return add, end
}

func (s *subSet[K]) take() (added, ended []K) {
	wanted := func(k K) bool { _, ok := s.wanted[k]; return ok }
	added = slices.DeleteFunc(s.added, func(k K) bool { return !wanted(k) })
	ended = slices.DeleteFunc(s.ended, wanted)
	s.added, s.ended = nil, nil
	return added, ended
}

func encodeNames(names []model.Name) []*pb.Name {
	out := make([]*pb.Name, len(names))
	for i, n := range names {
		out[i] = wire.Name(n)
	}
	return out
}

func encodeAddrs(addrs []netip.Addr) [][]byte {
	out := make([][]byte, len(addrs))
	for i, a := range addrs {
		out[i] = wire.Addr(a)
	}
	return out
}
