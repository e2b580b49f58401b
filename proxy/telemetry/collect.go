package telemetry

import (
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

// Collector turns the counters of a Registry into reports of what changed. One goroutine uses it.
type Collector struct {
	reg  *Registry
	last map[*Series]report.Counts
}

// NewCollector makes a Collector that starts from zero.
func NewCollector(r *Registry) *Collector {
	return &Collector{reg: r, last: map[*Series]report.Counts{}}
}

// Collect calls add for every key on which something happened since the last call. Series that
// have the same report.Key, those of two loops or of two ports, are one there: the active ones of
// a key are those of all.
func (c *Collector) Collect(add func(report.Series)) {
	type sum struct {
		report.Series
		changed bool
	}
	var keys []report.Key // in the order of their making
	sums := map[report.Key]*sum{}
	for _, sh := range c.reg.shards {
		for _, s := range sh.snapshot() {
			before, now := c.last[s], s.counts()
			c.last[s] = now
			k := s.Key.report()
			t := sums[k]
			if t == nil {
				t = &sum{Series: report.Series{Key: k}}
				sums[k] = t
				keys = append(keys, k)
			}
			d := since(before, now)
			active := t.Active + d.Active
			t.Add(&d)
			t.Active = active
			d.Active -= before.Active
			t.changed = t.changed || !d.Zero()
		}
	}
	for _, k := range keys {
		if t := sums[k]; t.changed {
			add(t.Series)
		}
	}
}

// report gives the key in the form of reports.
func (k Key) report() report.Key {
	r := report.Key{
		Direction: report.Direction(k.Direction), SourceIdentity: k.SourceIdentity, Source: k.Source,
		Service: k.Service, Route: k.Route, Backend: k.Backend, Protocol: k.Protocol.String(), TLS: k.TLS, Local: k.Local,
	}
	if r.Route == "" {
		r.Route = "default"
	}
	if r.Backend == (model.Name{}) {
		r.Backend = k.Service
	}
	return r
}

// counts reads the totals of a series. The loop may be writing: each number is right by itself
// and never goes back.
func (s *Series) counts() report.Counts {
	var c report.Counts
	c.Opened, c.Success, c.Failure = s.progress()
	c.Active = int64(c.Opened - min(c.Success+c.Failure, c.Opened))
	for i := range s.Classes {
		c.Status[i] = s.Classes[i].Load()
	}
	c.GRPCFailures = s.GRPCFailures.Load()
	c.BytesOut, c.BytesIn = s.Sent.Load(), s.Received.Load()
	for i := range s.Latency.buckets {
		if n := s.Latency.buckets[i].Load(); n > 0 {
			c.Latency = append(c.Latency, report.Bucket{Index: uint16(i), Count: n})
		}
	}
	c.LatencySumMicros = s.Latency.sum.Load()
	c.Retries, c.TriesFailed = s.Retries.Load(), s.TriesFailed.Load()
	c.HedgesWon = s.HedgesWon.Load() // before those of which they are a part
	c.Hedges = s.Hedges.Load()
	c.Refused = s.refusals.counts()
	return c
}

// progress reads what began and what ended as near to one moment as the loop permits. What began is
// read first and, if it changed meanwhile, again: the other way round, all that a busy loop began
// and ended while this goroutine had to wait for a processor would seem to be under way. What is
// left at the last try makes the active ones too few, never too many.
func (s *Series) progress() (opened, succeeded, failed uint64) {
	const tries = 4
	for range tries {
		opened = s.Opened.Load()
		succeeded, failed = s.Successes.Load(), s.Failures.Load()
		if s.Opened.Load() == opened {
			break
		}
	}
	return opened, succeeded, failed
}

// since subtracts earlier totals. Active is taken from the later ones.
func since(before, now report.Counts) report.Counts {
	d := now
	for i := range d.Status {
		d.Status[i] -= before.Status[i]
	}
	d.Success -= before.Success
	d.Failure -= before.Failure
	d.GRPCFailures -= before.GRPCFailures
	d.BytesIn -= before.BytesIn
	d.BytesOut -= before.BytesOut
	d.Opened -= before.Opened
	d.LatencySumMicros -= before.LatencySumMicros
	d.Retries -= before.Retries
	d.Hedges -= before.Hedges
	d.HedgesWon -= before.HedgesWon
	d.TriesFailed -= before.TriesFailed
	d.Refused = refusedSince(before.Refused, now.Refused)
	d.Latency = nil
	old := before.Latency
	for _, b := range now.Latency {
		for len(old) > 0 && old[0].Index < b.Index {
			old = old[1:]
		}
		if len(old) > 0 && old[0].Index == b.Index {
			b.Count -= old[0].Count
		}
		if b.Count > 0 {
			d.Latency = append(d.Latency, b)
		}
	}
	return d
}
