// Package report holds what proxies tell of the traffic that they carried, as plain values: the
// key of a series, its counters, and the layout of the latency histogram. The data path fills it
// in, proxy/agent carries it, observe keeps it. It is pure.
package report

import (
	"math/bits"
	"slices"

	"github.com/weft-mesh/weft/model"
)

// Direction tells which side of a link counted.
type Direction uint8

// Outbound series are counted by the client's proxy, Inbound by the server's.
const (
	Outbound Direction = iota
	Inbound
)

// String gives "outbound" or "inbound".
func (d Direction) String() string {
	if d == Inbound {
		return "inbound"
	}
	return "outbound"
}

// Key tells one series from another. It is comparable.
type Key struct {
	Direction      Direction
	SourceIdentity string     // SPIFFE ID of the client; empty if it has none
	Source         model.Name // client workload; empty if not known
	Service        model.Name
	Route          string     // "HTTPRoute shop/cart rule 0", or "default" when no route applied
	Backend        model.Name // service that the route chose
	Protocol       string     // as in model.Protocol.String
	TLS            bool       // over mTLS
	Local          bool       // between two workloads of one proxy: nothing left its process; TLS is false
}

// Counts is what happened on a series since the last report. All are deltas, except Active.
type Counts struct {
	Status           [6]uint64 // finished requests by class: [0] no status (reset, timeout), [1] 1xx … [5] 5xx
	GRPCFailures     uint64    // responses whose grpc-status was not 0
	Success, Failure uint64    // of requests, or of connections for opaque protocols
	Latency          []Bucket  // ascending by Index
	LatencySumMicros uint64
	BytesIn          uint64 // from the server to the client
	BytesOut         uint64 // from the client to the server
	Opened           uint64 // connections
	Active           int64  // connections open at present; not a delta

	// Of the tries that requests were made of: those after the first, second ones beside a slow
	// first, those of them whose answer came first, and tries that failed, the last of a request
	// included.
	Retries, Hedges, HedgesWon, TriesFailed uint64
	// Refused is what the proxy that counts answered itself instead of carrying it, by code.
	Refused []Refusal // ascending by Code, at most MaxRefusals
}

// Series is one series with its counts.
type Series struct {
	Key
	Counts
}

// Requests is how many requests (or opaque connections) finished.
func (c *Counts) Requests() uint64 { return c.Success + c.Failure }

// Zero reports whether nothing was counted.
func (c *Counts) Zero() bool {
	return c.Requests() == 0 && c.BytesIn == 0 && c.BytesOut == 0 && c.Opened == 0 && c.Active == 0 &&
		c.GRPCFailures == 0 && len(c.Latency) == 0 && c.Status == [6]uint64{} &&
		c.Retries == 0 && c.Hedges == 0 && c.HedgesWon == 0 && c.TriesFailed == 0 && len(c.Refused) == 0
}

// Add folds a later report into c. Active is taken from the later one.
func (c *Counts) Add(later *Counts) {
	for i, v := range later.Status {
		c.Status[i] += v
	}
	c.GRPCFailures += later.GRPCFailures
	c.Success += later.Success
	c.Failure += later.Failure
	c.LatencySumMicros += later.LatencySumMicros
	c.BytesIn += later.BytesIn
	c.BytesOut += later.BytesOut
	c.Opened += later.Opened
	c.Active = later.Active
	c.Latency = MergeBuckets(c.Latency, later.Latency)
	c.Retries += later.Retries
	c.Hedges += later.Hedges
	c.HedgesWon += later.HedgesWon
	c.TriesFailed += later.TriesFailed
	c.Refused = MergeRefusals(c.Refused, later.Refused)
}

// Bucket is one non-empty bucket of a latency histogram.
type Bucket struct {
	Index uint16
	Count uint64
}

// The histogram of microseconds: 8 buckets to each power of two, so that a bucket is at most
// 12.5 % wide; values below 8 µs have a bucket each.
const (
	subBits = 3
	// NumBuckets is the number of buckets that exist; an Index is below it.
	NumBuckets = (64-subBits)*(1<<subBits) + (1 << subBits)
)

// BucketOf gives the bucket of a latency in microseconds.
func BucketOf(micros uint64) uint16 {
	if micros < 1<<subBits {
		return uint16(micros)
	}
	e := bits.Len64(micros)
	sub := micros >> (e - 1 - subBits) & (1<<subBits - 1)
	return uint16(uint64(e-subBits)<<subBits + sub)
}

// BucketBounds gives the smallest value of a bucket and the smallest of the next, in
// microseconds. The last bucket's upper bound is the largest uint64.
func BucketBounds(index uint16) (lo, hi uint64) {
	if index < 1<<subBits {
		return uint64(index), uint64(index) + 1
	}
	e := int(index>>subBits) + subBits
	sub := uint64(index & (1<<subBits - 1))
	width := uint64(1) << (e - 1 - subBits)
	lo = 1<<(e-1) + sub*width
	if hi = lo + width; hi < lo {
		hi = ^uint64(0)
	}
	return lo, hi
}

// MergeBuckets adds b into a; both ascend. The result may share memory with a, never with b.
func MergeBuckets(a, b []Bucket) []Bucket {
	if len(b) == 0 {
		return a
	}
	if len(a) == 0 {
		return slices.Clone(b)
	}
	out := make([]Bucket, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Index < b[0].Index:
			out, a = append(out, a[0]), a[1:]
		case a[0].Index > b[0].Index:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, Bucket{a[0].Index, a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// Quantile estimates the q-quantile (0 to 1) in microseconds, placing a bucket's values evenly
// in it. It is 0 if nothing was counted.
func Quantile(buckets []Bucket, q float64) float64 {
	var total uint64
	for _, b := range buckets {
		total += b.Count
	}
	if total == 0 {
		return 0
	}
	rank := q * float64(total)
	var below float64
	for _, b := range buckets {
		n := float64(b.Count)
		if n == 0 {
			continue
		}
		if below+n >= rank {
			lo, hi := BucketBounds(b.Index)
			return float64(lo) + (float64(hi)-float64(lo))*max(rank-below, 0)/n
		}
		below += n
	}
	_, hi := BucketBounds(buckets[len(buckets)-1].Index)
	return float64(hi)
}
