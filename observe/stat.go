package observe

import (
	"cmp"
	"slices"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

// Group is what makes a row.
type Group uint8

// The groups, from the finest.
const (
	ByBackend Group = iota // source, service, route, backend, protocol
	ByRoute                // source, service, route, protocol
	ByEdge                 // source, service, protocol
	ByService              // service
)

// Query chooses series. The zero Query is all outbound traffic of the last minute by backend.
type Query struct {
	Window time.Duration // 0: one minute; at most Keep
	// Service and Source choose by namespace and by name; what is empty chooses all. Source is a
	// client's workload or its service account.
	Service, Source model.Name
	// Sources are client workloads that are chosen beside those that Source names.
	Sources map[model.Name]bool
	Group   Group
	Inbound bool // as counted by the servers' proxies

	// Account gives the service account of an identity, the zero Name if it has none. With it,
	// all workloads of an account are one row, whose Source is the account, unless Instances is
	// set: workloads come and go, accounts stay. Nil: the account of nobody is known.
	Account   func(identity string) model.Name
	Instances bool
	// Identities are those of known workloads, for series that were counted before the workload's
	// proxy had one.
	Identities map[model.Name]string
}

// Row is the traffic of one group.
type Row struct {
	report.Key
	report.Counts
	// MTLS is the share of requests over mTLS (of connections if there were no requests).
	MTLS float64
	// Local is the share of the same that went between two workloads of one proxy, in memory.
	Local float64
	// SuccessRate is 1 if there were no requests.
	SuccessRate float64
	RPS         float64
	// Shed is what the backend's proxies turned away to guard it, by code: of all requests of the
	// row's caller to the backend, whatever their route (of a row without a backend, to the
	// service), for the proxy that sheds knows neither route nor instance.
	Shed []report.Refusal

	tlsRequests, tlsOpened     uint64
	localRequests, localOpened uint64
}

// Quantile gives a latency quantile.
func (r *Row) Quantile(q float64) time.Duration {
	return time.Duration(report.Quantile(r.Latency, q) * float64(time.Microsecond))
}

// Mean gives the mean latency.
func (r *Row) Mean() time.Duration {
	if n := r.Requests(); n > 0 {
		return time.Duration(r.LatencySumMicros/n) * time.Microsecond
	}
	return 0
}

// Answer is the result of a Query.
type Answer struct {
	Rows     []Row // sorted by service, source, route, backend
	From, To time.Time
	Dropped  uint64
}

// Stat answers a query. The time covered begins at a window's border, and not before the store
// was made; rates are by that time.
func (s *Store) Stat(q Query) Answer {
	if q.Window <= 0 {
		q.Window = time.Minute
	}
	q.Window = min(q.Window, Keep)
	s.mu.Lock()
	defer s.mu.Unlock()
	to := s.now()
	from := to.Add(-q.Window)
	if begin := from.Truncate(Window); begin.Before(from) {
		from = begin // the whole of the oldest window counts
	}
	if from.Before(s.started) {
		from = s.started
	}
	q.Account = remember(q.Account)
	shed := shedding{}
	rows := map[report.Key]*Row{}
	row := func(k report.Key) *Row {
		g := q.group(k)
		r := rows[g]
		if r == nil {
			r = &Row{Key: g}
			rows[g] = r
		}
		return r
	}
	for _, w := range s.windows {
		if !w.begin.Add(Window).After(from) || w.begin.After(to) {
			continue
		}
		for k, c := range w.cells {
			k = q.identify(k)
			shed.add(k, c)
			if !q.chooses(k) {
				continue
			}
			r := row(k)
			r.Add(c)
			if k.TLS {
				r.tlsRequests += c.Requests()
				r.tlsOpened += c.Opened
			}
			if k.Local {
				r.localRequests += c.Requests()
				r.localOpened += c.Opened
			}
		}
	}
	for k, g := range s.active {
		if key := q.identify(k.key); q.chooses(key) && to.Sub(g.seen) < activeLife {
			row(key).Active += g.n
		}
	}
	out := Answer{From: from, To: to, Dropped: s.dropped, Rows: make([]Row, 0, len(rows))}
	for _, r := range rows {
		r.finish(to.Sub(from))
		r.Shed = shed.of(r)
		out.Rows = append(out.Rows, *r)
	}
	slices.SortFunc(out.Rows, func(a, b Row) int {
		return cmp.Or(compareNames(a.Service, b.Service), compareNames(a.Source, b.Source), cmp.Compare(a.SourceIdentity, b.SourceIdentity),
			cmp.Compare(a.Route, b.Route), compareNames(a.Backend, b.Backend))
	})
	return out
}

func (r *Row) finish(covered time.Duration) {
	r.SuccessRate = 1
	n := r.Requests()
	if n > 0 {
		r.SuccessRate = float64(r.Success) / float64(n)
		r.MTLS, r.Local = float64(r.tlsRequests)/float64(n), float64(r.localRequests)/float64(n)
	} else if r.Opened > 0 {
		r.MTLS, r.Local = float64(r.tlsOpened)/float64(r.Opened), float64(r.localOpened)/float64(r.Opened)
	}
	if sec := covered.Seconds(); sec >= 0.001 {
		r.RPS = float64(n) / sec
	}
}

// remember makes a function that asks f once for each identity: a window has thousands of series
// of few clients. The result is not safe for concurrent use.
func remember(f func(string) model.Name) func(string) model.Name {
	if f == nil {
		return func(string) model.Name { return model.Name{} }
	}
	known := map[string]model.Name{}
	return func(identity string) model.Name {
		n, there := known[identity]
		if !there {
			n = f(identity)
			known[identity] = n
		}
		return n
	}
}

// identify fills in the client's identity if it is missing.
func (q *Query) identify(k report.Key) report.Key {
	if k.SourceIdentity == "" && k.Direction == report.Outbound {
		k.SourceIdentity = q.Identities[k.Source]
	}
	return k
}

func (q *Query) chooses(k report.Key) bool {
	if (k.Direction == report.Inbound) != q.Inbound || !matches(q.Service, k.Service) {
		return false
	}
	return matches(q.Source, k.Source) || q.Sources[k.Source] || matches(q.Source, q.Account(k.SourceIdentity))
}

func matches(want, got model.Name) bool {
	return (want.Namespace == "" || want.Namespace == got.Namespace) && (want.Name == "" || want.Name == got.Name)
}

// group gives the part of a key that the rows are told apart by.
func (q *Query) group(k report.Key) report.Key {
	k.TLS, k.Local = false, false
	if account := q.Account(k.SourceIdentity); account != (model.Name{}) && !q.Instances {
		k.Source = account
	}
	switch q.Group {
	case ByService:
		return report.Key{Direction: k.Direction, Service: k.Service}
	case ByEdge:
		k.Route, k.Backend = "", model.Name{}
	case ByRoute:
		k.Backend = model.Name{}
	case ByBackend:
	}
	return k
}

func compareNames(a, b model.Name) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
