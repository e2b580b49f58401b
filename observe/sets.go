package observe

import (
	"cmp"
	"slices"
	"time"

	"github.com/weft-mesh/weft/api/report"
)

// maxRows bounds the endpoints that all proxies together tell of; a row takes some 200 bytes.
const maxRows = 200_000

// told is what one process of a proxy told of its endpoint sets, the last of each.
type told struct {
	proxy string
	sets  map[report.SetKey]toldSet
}

type toldSet struct {
	report.Set
	at time.Time
}

// ProxySet is a set as the process of a proxy last told it.
type ProxySet struct {
	report.Set        // Since reaches up to At
	Proxy      string // as it calls itself
	Reporter   string // the instance that was given to AddSets
	At         time.Time
}

// AddSets takes what a process of a proxy tells of its endpoint sets; each replaces what it told
// of it before, and one without endpoints ends it. They are the store's from then on. What there
// is no room for is left out and counted.
func (s *Store) AddSets(instance, proxy string, sets []report.Set) {
	if len(sets) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.told[instance]
	if t == nil {
		t = &told{proxy: proxy, sets: map[report.SetKey]toldSet{}}
		s.told[instance] = t
	}
	now := s.now()
	for i := range sets {
		one := sets[i]
		old, there := t.sets[one.SetKey]
		s.rows -= len(old.Endpoints)
		delete(t.sets, one.SetKey)
		switch {
		case len(one.Endpoints) == 0:
		case s.rows+len(one.Endpoints) > s.maxRows || !there && len(t.sets) >= report.MaxSets:
			s.setsDropped++
		default:
			t.sets[one.SetKey] = toldSet{one, now}
			s.rows += len(one.Endpoints)
		}
	}
}

// forgetSets forgets what a process told.
func (s *Store) forgetSets(instance string) {
	if t := s.told[instance]; t != nil {
		for _, one := range t.sets {
			s.rows -= len(one.Endpoints)
		}
		delete(s.told, instance)
	}
}

// Sets gives the sets that a function chooses, ascending by key, proxy and instance. The function
// must not call the store. Endpoints of the result must not be changed.
func (s *Store) Sets(choose func(proxy, instance string, k report.SetKey) bool) []ProxySet {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []ProxySet
	for instance, t := range s.told {
		for k, one := range t.sets {
			if choose(t.proxy, instance, k) {
				out = append(out, ProxySet{one.Set, t.proxy, instance, one.at})
			}
		}
	}
	slices.SortFunc(out, func(a, b ProxySet) int {
		return cmp.Or(a.Compare(b.SetKey), cmp.Compare(a.Proxy, b.Proxy), cmp.Compare(a.Reporter, b.Reporter))
	})
	return out
}
