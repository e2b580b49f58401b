package ratelimit

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// Set is the rate limits of one port, in the order of the policy. Safe for concurrent use.
type Set struct {
	limits    []*limit
	wantsPath bool
}

// limit is one rate limit.
type limit struct {
	model model.RateLimit
	rate  rate
	when  *decide.Condition

	mu   sync.Mutex // guards what follows; a leaf
	full time.Duration
	keys table
}

// New compiles limits. seed is random and secret. Limits that are the same as in prev, which may be nil,
// keep their buckets. What cannot be compiled is left out and said.
func New(list []model.RateLimit, seed uint64, prev *Set) (*Set, []error) {
	s := &Set{}
	var problems []error
	for i := range list {
		m := &list[i]
		if l := prev.find(m); l != nil {
			s.add(l)
			continue
		}
		when, err := decide.CompileCondition(m.Headers, m.Path)
		if err != nil {
			problems = append(problems, fmt.Errorf("rate limit %s: %w", m.Name, err))
			continue
		}
		l := &limit{model: *m, rate: rateOf(m.Rate, m.Burst), when: when}
		l.keys.seed = seed ^ uint64(i)*0x9e3779b97f4a7c15
		s.add(l)
	}
	return s, problems
}

func (s *Set) add(l *limit) {
	s.limits = append(s.limits, l)
	s.wantsPath = s.wantsPath || l.when.WantsPath()
}

func (s *Set) find(m *model.RateLimit) *limit {
	if s == nil {
		return nil
	}
	for _, l := range s.limits {
		if same(&l.model, m) {
			return l
		}
	}
	return nil
}

// same reports whether two limits are the same in all that is written of them.
func same(a, b *model.RateLimit) bool {
	return a.Name == b.Name && slices.Equal(a.Headers, b.Headers) && equal(a.Path, b.Path) &&
		a.By == b.By && a.Header == b.Header && a.Rate == b.Rate && a.Burst == b.Burst && equal(a.Global, b.Global)
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// Empty reports whether there is no limit.
func (s *Set) Empty() bool { return s == nil || len(s.limits) == 0 }

// WantsPath reports whether Request.Path is looked at.
func (s *Set) WantsPath() bool { return s.wantsPath }

// Request is what limits look at. Slices are borrowed for the call.
type Request struct {
	Caller string // verified identity
	Host   []byte
	Path   []byte // canonical, without query
	Fields []message.Field
	Query  *decide.Query // scratch
}

// Refusal says which limit a request is above.
type Refusal struct {
	Limit *model.RateLimit
	Wait  time.Duration // until there is a token again
}

// Seconds is Wait for header fields: rounded up, at least 1.
func (r *Refusal) Seconds() int { return int(max(math.Ceil(r.Wait.Seconds()), 1)) }

// Take takes a token of every limit that is this proxy's and that the request falls under. It stops at
// the first that has none; those taken before stay taken.
func (s *Set) Take(now time.Duration, r *Request) (Refusal, bool) {
	for _, l := range s.limits {
		if l.model.Global != nil || !l.when.Holds(r.Query, r.Host, r.Path, r.Fields) {
			continue
		}
		if wait := l.take(now, r); wait > 0 {
			return Refusal{&l.model, wait}, false
		}
	}
	return Refusal{}, true
}

// take takes a token or says how long to wait for one.
func (l *limit) take(now time.Duration, r *Request) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &l.full
	switch l.model.By {
	case model.LimitIdentity:
		b = l.keys.at(now, []byte(r.Caller))
	case model.LimitHeader:
		v := message.Get(r.Fields, l.model.Header)
		if v == nil {
			return 0 // it has none of the values that are counted
		}
		b = l.keys.at(now, v)
	}
	*b, wait = l.rate.take(now, *b)
	return wait
}

// Global calls ask for each limit that a service keeps and that the request falls under, with the value
// that it is counted by; "" if all are counted together.
func (s *Set) Global(r *Request, ask func(l *model.RateLimit, value string)) {
	for _, l := range s.limits {
		if l.model.Global == nil || !l.when.Holds(r.Query, r.Host, r.Path, r.Fields) {
			continue
		}
		switch l.model.By {
		case model.LimitIdentity:
			ask(&l.model, r.Caller)
		case model.LimitHeader:
			if v := message.Get(r.Fields, l.model.Header); v != nil {
				ask(&l.model, string(v))
			}
		default:
			ask(&l.model, "")
		}
	}
}

// HasGlobal reports whether a service is to be asked at all.
func (s *Set) HasGlobal() bool {
	for _, l := range s.limits {
		if l.model.Global != nil {
			return true
		}
	}
	return false
}
