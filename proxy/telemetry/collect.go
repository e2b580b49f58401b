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

// Collect calls add for every series on which something happened since the last call.
func (c *Collector) Collect(add func(report.Series)) {
	for _, sh := range c.reg.shards {
		for _, s := range sh.snapshot() {
			now := s.counts()
			d := since(c.last[s], now)
			if d.Zero() && c.last[s].Active == now.Active {
				continue
			}
			c.last[s] = now
			add(report.Series{Key: s.Key.report(), Counts: d})
		}
	}
}

// report gives the key in the form of reports.
func (k Key) report() report.Key {
	r := report.Key{
		Direction: report.Direction(k.Direction), SourceIdentity: k.SourceIdentity, Source: k.Source,
		Service: k.Service, Route: k.Route, Backend: k.Backend, Protocol: k.Protocol.String(), TLS: k.TLS,
	}
	if r.Route == "" {
		r.Route = "default"
	}
	if r.Backend == (model.Name{}) {
		r.Backend = k.Service
	}
	return r
}

// counts reads the totals of a series. The loop may be writing: each number is right by itself.
func (s *Series) counts() report.Counts {
	var c report.Counts
	closed := s.Closed.Load()
	c.Opened = s.Opened.Load()
	c.Active = int64(c.Opened - min(closed, c.Opened))
	for i := range s.Classes {
		c.Status[i] = s.Classes[i].Load()
	}
	c.Failure = min(s.Failures.Load(), closed)
	c.Success = closed - c.Failure
	c.GRPCFailures = s.GRPCFailures.Load()
	c.BytesOut, c.BytesIn = s.Sent.Load(), s.Received.Load()
	for i := range s.Latency.buckets {
		if n := s.Latency.buckets[i].Load(); n > 0 {
			c.Latency = append(c.Latency, report.Bucket{Index: uint16(i), Count: n})
		}
	}
	c.LatencySumMicros = s.Latency.sum.Load()
	return c
}

// since subtracts earlier totals. Active is taken from the later ones.
func since(before, now report.Counts) report.Counts {
	d := now
	for i := range d.Status {
		d.Status[i] -= before.Status[i]
	}
	d.Success -= min(before.Success, d.Success)
	d.Failure -= before.Failure
	d.GRPCFailures -= before.GRPCFailures
	d.BytesIn -= before.BytesIn
	d.BytesOut -= before.BytesOut
	d.Opened -= before.Opened
	d.LatencySumMicros -= before.LatencySumMicros
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
