package agent

import (
	"slices"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model/wire"
)

// maxBatchSets bounds the sets of one message: some 100 KB if each is full.
const maxBatchSets = 32

// outSets keeps the last state of each endpoint set, since the control plane forgets a proxy's
// with its stream, and which of them wait to be sent. The zero value is empty. It belongs to an
// outbox, whose mutex guards it.
type outSets struct {
	last   map[report.SetKey]report.Set
	unsent map[report.SetKey]bool
}

// waiting is how many sets wait to be sent.
func (s *outSets) waiting() int { return len(s.unsent) }

// add takes in sets; one without endpoints ends what was said of it. There are at most
// report.MaxSets; what is beyond is left out.
func (s *outSets) add(sets []report.Set) {
	if s.last == nil {
		s.last, s.unsent = map[report.SetKey]report.Set{}, map[report.SetKey]bool{}
	}
	for _, one := range sets {
		if _, there := s.last[one.SetKey]; !there && (len(s.last) >= report.MaxSets || len(one.Endpoints) == 0) {
			continue
		}
		s.last[one.SetKey] = one
		s.unsent[one.SetKey] = true
	}
}

// next gives sets to send, which do not wait any more.
func (s *outSets) next() []*pb.BalanceSet {
	var keys []report.SetKey
	for k := range s.unsent {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, report.SetKey.Compare)
	var out []*pb.BalanceSet
	for _, k := range keys[:min(len(keys), maxBatchSets)] {
		one := s.last[k]
		out = append(out, wire.Set(&one))
		delete(s.unsent, k)
		if len(one.Endpoints) == 0 {
			delete(s.last, k)
		}
	}
	return out
}

// anew makes all sets wait again.
func (s *outSets) anew() {
	for k := range s.last {
		s.unsent[k] = true
	}
}

// addSets takes in sets that changed.
func (o *outbox) addSets(sets []report.Set) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sets.add(sets)
}

// anew makes what belongs to a stream be sent again, at the start of a new one.
func (o *outbox) anew() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sets.anew()
}
