// Package telemetry counts what the data path does. Each event loop owns a Shard and writes it
// without locks; the admin page and the reporter read all shards. The number of series is
// bounded: what comes after the bound is counted under "other", so that hostile hosts cannot
// grow memory (CVE-2025-43915).
package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-mesh/weft/model"
)

// Direction tells at which end of an edge a request was counted.
type Direction uint8

// The directions.
const (
	Outbound Direction = iota // at the caller's proxy
	Inbound                   // at the callee's proxy
)

// String gives "outbound" or "inbound".
func (d Direction) String() string {
	if d == Inbound {
		return "inbound"
	}
	return "outbound"
}

// Key names a series: one edge, one route, one backend.
type Key struct {
	Direction      Direction
	Source         model.Name // the calling workload; empty at the inbound end, where only its identity is known
	SourceIdentity string     // SPIFFE ID
	Service        model.Name // what was called; Name "other" beyond the bound
	Port           uint16
	Route          string // "HTTPRoute shop/cart rule 0", or "" for the service's default
	Backend        model.Name
	Protocol       model.Protocol
	TLS            bool // the hop between the proxies was mutually authenticated
	Local          bool // there was none: both workloads are behind one proxy, nothing left its process
}

// Series is the counters of one key. The owning loop writes, anybody reads.
type Series struct {
	Key     Key
	Classes [6]atomic.Uint64 // responses by status/100; index 0: no response at all
	// Failures counts 5xx, streams without a response and failed gRPC calls (status 2, 4, 8, 13, 14, 15).
	Failures     atomic.Uint64
	Successes    atomic.Uint64 // what ended otherwise; counted, since a difference of two counters can go back
	GRPCFailures atomic.Uint64 // any grpc-status but 0
	Latency      Histogram     // request head to response end (TCP: length of the connection)
	Sent         atomic.Uint64 // body bytes towards the service
	Received     atomic.Uint64 // body bytes from it
	Opened       atomic.Uint64 // requests or connections started; those that did not end are active

	// Of the tries that requests were made of. A request that succeeded at its second try is one
	// success, and one failed try.
	Retries     atomic.Uint64 // tries after the first, without hedges
	Hedges      atomic.Uint64 // second tries beside a first that was slow
	HedgesWon   atomic.Uint64 // those whose answer came first
	TriesFailed atomic.Uint64 // tries that failed, the last of a request included

	refusals refusals
}

// Retried counts a try after the first.
func (s *Series) Retried() { add(&s.Retries, 1) }

// Hedged counts a hedge.
func (s *Series) Hedged() { add(&s.Hedges, 1) }

// HedgeWon counts a hedge whose answer came first.
func (s *Series) HedgeWon() { add(&s.HedgesWon, 1) }

// TryFailed counts a try that failed.
func (s *Series) TryFailed() { add(&s.TriesFailed, 1) }

// Start counts a request or connection that begins.
func (s *Series) Start() { add(&s.Opened, 1) }

// End counts how it went. status 0 means that there was no response.
func (s *Series) End(status int, failed, grpcFailed bool, took time.Duration, sent, received uint64) {
	class := status / 100
	if class < 0 || class > 5 {
		class = 0
	}
	add(&s.Classes[class], 1)
	if grpcFailed {
		add(&s.GRPCFailures, 1)
	}
	s.Latency.Observe(took)
	add(&s.Sent, sent)
	add(&s.Received, received)
	if failed {
		add(&s.Failures, 1)
	} else {
		add(&s.Successes, 1)
	}
}

// MaxSeries bounds the series of one shard. Beyond it there is one more for each direction.
const MaxSeries = 1000

// Shard is the series of one loop. The zero value is ready.
type Shard struct {
	mu       sync.Mutex // held by the loop while it adds to series or refusals, by others while they read them
	series   []*Series
	refusals map[string]*atomic.Uint64 // by code
	index    map[Key]*Series           // the loop's alone

	Accepted, ClosedConns atomic.Uint64 // connections
}

// Get returns the series of a key, making it if needed. Owning loop only.
func (s *Shard) Get(k Key) *Series {
	if v := s.index[k]; v != nil {
		return v
	}
	if len(s.index) >= MaxSeries {
		k = Key{Direction: k.Direction, Service: model.Name{Name: "other"}}
		if v := s.index[k]; v != nil {
			return v
		}
	}
	v := &Series{Key: k}
	if s.index == nil {
		s.index = map[Key]*Series{}
	}
	s.index[k] = v
	s.mu.Lock()
	s.series = append(s.series, v)
	s.mu.Unlock()
	return v
}

// Refused counts a request or connection that the proxy refused, by code of the catalogue. Owning
// loop only.
func (s *Shard) Refused(code string) {
	c := s.refusals[code]
	if c == nil {
		c = new(atomic.Uint64)
		s.mu.Lock()
		if s.refusals == nil {
			s.refusals = map[string]*atomic.Uint64{}
		}
		s.refusals[code] = c
		s.mu.Unlock()
	}
	add(c, 1)
}

// Registry is all shards of a process.
type Registry struct{ shards []*Shard }

// NewRegistry makes n shards.
func NewRegistry(n int) *Registry {
	r := &Registry{}
	for range n {
		r.shards = append(r.shards, &Shard{})
	}
	return r
}

// Shards is the number of shards.
func (r *Registry) Shards() int { return len(r.shards) }

// Shard returns shard i, for loop i.
func (r *Registry) Shard(i int) *Shard { return r.shards[i] }

// Conn counts an accepted connection, or with opened false its end. Owning loop only.
func (s *Shard) Conn(opened bool) {
	if opened {
		add(&s.Accepted, 1)
	} else {
		add(&s.ClosedConns, 1)
	}
}

// snapshot copies the list of series of a shard.
func (s *Shard) snapshot() []*Series {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.series[:len(s.series):len(s.series)]
}
