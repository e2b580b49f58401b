package observe

import (
	"sync"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

// Sizes.
const (
	Window = 10 * time.Second
	Keep   = 30 * time.Minute

	maxSeries    = 10000    // in one window
	maxBytes     = 48 << 20 // of all windows, as estimated by cellBytes
	maxReporters = 20000

	bucketBytes = 16  // of one histogram bucket
	codeBytes   = 48  // of one code of refusals
	cellBytes   = 400 // of a series in a window, without its buckets: key, counters, map
	activeLife  = 3 * Window
)

// Other is the name under which series are counted when there is no room for their own.
const Other = "other"

// Store is the intake and the memory of reports. Safe for concurrent use.
type Store struct {
	now                 func() time.Time
	maxSeries, maxBytes int

	mu        sync.Mutex // guards what follows
	started   time.Time
	windows   []*window // oldest first
	bytes     int
	dropped   uint64
	reporters map[string]*reporter
	active    map[activeKey]gauge

	told        map[string]*told // by instance
	rows        int              // endpoints in told
	maxRows     int
	setsDropped uint64
}

// window is the traffic of ten seconds.
type window struct {
	begin time.Time
	cells map[report.Key]*report.Counts
	bytes int
}

// reporter is the last batch taken from one process, so that one that comes twice counts once.
type reporter struct {
	sequence uint64
	seen     time.Time
}

// activeKey names a gauge: connections that are open at one proxy.
type activeKey struct {
	reporter string
	key      report.Key
}

type gauge struct {
	n    int64
	seen time.Time
}

// New makes an empty store.
func New(now func() time.Time) *Store {
	return &Store{
		now: now, maxSeries: maxSeries, maxBytes: maxBytes, started: now(), reporters: map[string]*reporter{}, active: map[activeKey]gauge{},
		told: map[string]*told{}, maxRows: maxRows,
	}
}

// Add counts one batch. instance tells one process of a proxy from another, sequence counts its
// batches from 1; one that was counted before is left out, and taken is false.
func (s *Store) Add(instance string, sequence uint64, series []report.Series) (taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	r := s.reporters[instance]
	switch {
	case r == nil:
		s.forgetReporters(now)
		r = &reporter{}
		s.reporters[instance] = r
	case sequence <= r.sequence:
		return false
	}
	r.sequence, r.seen = sequence, now
	w := s.window(now)
	for i := range series {
		s.count(w, instance, &series[i], now)
	}
	s.shrink(now)
	return true
}

// window gives the window of now, which may be new.
func (s *Store) window(now time.Time) *window {
	begin := now.Truncate(Window)
	if n := len(s.windows); n > 0 && !s.windows[n-1].begin.Before(begin) {
		return s.windows[n-1] // also if the clock went back
	}
	w := &window{begin: begin, cells: map[report.Key]*report.Counts{}}
	s.windows = append(s.windows, w)
	return w
}

func (s *Store) count(w *window, instance string, one *report.Series, now time.Time) {
	k := one.Key
	c := w.cells[k]
	if c == nil && len(w.cells) >= s.maxSeries {
		k = report.Key{Direction: k.Direction, Source: model.Name{Name: Other}, Service: model.Name{Name: Other}, Route: Other, Backend: model.Name{Name: Other}, Protocol: k.Protocol, TLS: k.TLS, Local: k.Local}
		c = w.cells[k]
		s.dropped++
	}
	if c == nil {
		c = &report.Counts{}
		w.cells[k] = c
		w.bytes += cellBytes
		s.bytes += cellBytes
	}
	buckets, refused := len(c.Latency), len(c.Refused)
	c.Add(&one.Counts)
	c.Active = 0 // kept as a gauge of its own, since several proxies may have the same key
	grown := (len(c.Latency)-buckets)*bucketBytes + (len(c.Refused)-refused)*codeBytes
	w.bytes += grown
	s.bytes += grown

	ak := activeKey{instance, one.Key}
	if one.Active == 0 {
		delete(s.active, ak)
	} else if _, there := s.active[ak]; there || len(s.active) < s.maxSeries {
		s.active[ak] = gauge{one.Active, now}
	}
}

// shrink drops windows that are too old, and the oldest while there are too many bytes.
func (s *Store) shrink(now time.Time) {
	old := now.Add(-Keep)
	n := 0
	for n < len(s.windows)-1 && (s.windows[n].begin.Before(old) || s.bytes > s.maxBytes) {
		s.bytes -= s.windows[n].bytes
		s.windows[n] = nil
		n++
	}
	s.windows = s.windows[n:]
}

// forgetReporters makes room for a new one.
func (s *Store) forgetReporters(now time.Time) {
	if len(s.reporters) < maxReporters {
		return
	}
	var oldest string
	for id, r := range s.reporters {
		if now.Sub(r.seen) > Keep {
			delete(s.reporters, id)
		} else if oldest == "" || r.seen.Before(s.reporters[oldest].seen) {
			oldest = id
		}
	}
	if len(s.reporters) >= maxReporters {
		delete(s.reporters, oldest)
	}
}

// Gone forgets the open connections and the endpoint sets of a process that has ended.
func (s *Store) Gone(instance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.active {
		if k.reporter == instance {
			delete(s.active, k)
		}
	}
	s.forgetSets(instance)
}

// Dropped is how many series were counted under Other since the start.
func (s *Store) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}
