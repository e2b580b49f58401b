package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// loadResult is what a load generator saw in one run.
type loadResult struct {
	requests int64
	failed   int64 // answers with a wrong status, broken connections, timeouts
	bytes    int64 // of the answers; with or without heads
	duration time.Duration
	p50      time.Duration
	p99      time.Duration
	p999     time.Duration
	cpu      time.Duration // of the load generator itself
	late     time.Duration // p99 of how late it sent what was due; only at a constant rate
	held     int64         // connections that were idle and answered afterwards; only of idle ones
}

// quantity is a figure that only some kinds have, with its unit.
type quantity struct {
	Name  string  `json:"name"` // a column of the kind
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

// sample is one measurement: one peer, one case, one round. Field names are those of the JSON
// lines; additions only.
type sample struct {
	Type  string `json:"type"` // "sample"
	Case  string `json:"case"`
	Peer  string `json:"peer"`
	Round int    `json:"round"`

	Requests int64   `json:"requests"`
	Failed   int64   `json:"failed"`
	Seconds  float64 `json:"seconds"`
	RPS      float64 `json:"rps"`

	CPUMicros  float64 `json:"cpu_us"`         // user and system time of all proxies together, per request
	UserMicros float64 `json:"cpu_user_us"`    // the user part, in ticks of /proc
	LoadMicros float64 `json:"load_cpu_us"`    // of the load generator, per request
	BackMicros float64 `json:"backend_cpu_us"` // of the backend, per request
	// MachineMicros is what the machine did that no process but the proxies accounts for, per
	// request: the proxies themselves, and the kernel's own threads and interrupts on their behalf.
	MachineMicros float64 `json:"machine_us"`
	P50           float64 `json:"p50_us"`
	P99           float64 `json:"p99_us"`
	P999          float64 `json:"p999_us"`

	IdleRSS []float64 `json:"idle_rss_mb,omitempty"` // each proxy before its first load, client side first
	RSS     []float64 `json:"rss_mb,omitempty"`      // each proxy after this load

	// OtherBusy is the share of the machine that processes other than ours used meanwhile, 0 to 1.
	// Above a few percent, trust ratios of medians only, and latency not at all.
	OtherBusy float64 `json:"other_busy"`

	Per        string     `json:"per,omitempty"` // what the figures "per request" are counted by
	Quantities []quantity `json:"figures,omitempty"`
}

// set adds a figure. The kind must have a column of that name.
func (s *sample) set(k kind, name string, value float64) {
	for _, c := range specs[k].columns {
		if c.name == name {
			s.Quantities = append(s.Quantities, quantity{name, c.unit, value})
		}
	}
}

// get gives a figure; NaN if it is not there.
func get(qs []quantity, name string) float64 {
	for _, q := range qs {
		if q.Name == name {
			return q.Value
		}
	}
	return math.NaN()
}

// summary is the median of each figure over the rounds of one peer in one case.
type summary struct {
	Type    string `json:"type"` // "summary"
	Case    string `json:"case"`
	Peer    string `json:"peer"`
	Rounds  int    `json:"rounds"`
	Proxies int    `json:"proxies"`

	RPS        float64 `json:"rps"`
	CPUMicros  float64 `json:"cpu_us"`
	UserMicros float64 `json:"cpu_user_us"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	P999       float64 `json:"p999_us"`
	IdleRSS    float64 `json:"idle_rss_mb"` // of the larger proxy
	RSS        float64 `json:"rss_mb"`      // of the larger proxy, after load
	SumRSS     float64 `json:"rss_sum_mb"`  // of all proxies, after load
	Spread     float64 `json:"cpu_spread"`  // half the interquartile range of CPUMicros, relative to it
	OtherBusy  float64 `json:"other_busy"`
	Failed     int64   `json:"failed"` // sum

	MachineMicros float64    `json:"machine_us"`
	Per           string     `json:"per,omitempty"`
	Quantities    []quantity `json:"figures,omitempty"`
}

// summarize takes the medians of samples of one peer in one case. Without samples it is zero.
func summarize(caseID, peer string, ss []sample) summary {
	out := summary{Type: "summary", Case: caseID, Peer: peer, Rounds: len(ss)}
	if len(ss) == 0 {
		return out
	}
	of := func(f func(sample) float64) float64 {
		v := make([]float64, len(ss))
		for i, s := range ss {
			v[i] = f(s)
		}
		return median(v)
	}
	cpu := make([]float64, len(ss))
	for i, s := range ss {
		cpu[i] = s.CPUMicros
		out.Failed += s.Failed
	}
	out.Proxies = len(ss[0].RSS)
	out.RPS = of(func(s sample) float64 { return s.RPS })
	out.CPUMicros = median(cpu)
	out.UserMicros = of(func(s sample) float64 { return s.UserMicros })
	out.P50 = of(func(s sample) float64 { return s.P50 })
	out.P99 = of(func(s sample) float64 { return s.P99 })
	out.P999 = of(func(s sample) float64 { return s.P999 })
	out.IdleRSS = of(func(s sample) float64 { return largest(s.IdleRSS) })
	out.RSS = of(func(s sample) float64 { return largest(s.RSS) })
	out.SumRSS = of(func(s sample) float64 { return sum(s.RSS) })
	out.OtherBusy = of(func(s sample) float64 { return s.OtherBusy })
	out.MachineMicros = of(func(s sample) float64 { return s.MachineMicros })
	out.Per = ss[0].Per
	for _, q := range ss[0].Quantities {
		q.Value = of(func(s sample) float64 { return get(s.Quantities, q.Name) })
		if !math.IsNaN(q.Value) {
			out.Quantities = append(out.Quantities, q)
		}
	}
	if out.CPUMicros > 0 {
		out.Spread = (quantile(cpu, 0.75) - quantile(cpu, 0.25)) / 2 / out.CPUMicros
	}
	return out
}

// relate fills in what a peer adds to direct, of the samples of one round: a difference is only
// worth something between neighbours in time.
func relate(c benchCase, round []sample) {
	if c.kind != kindRate {
		return
	}
	var base *sample
	for i := range round {
		if round[i].Peer == "direct" {
			base = &round[i]
		}
	}
	if base == nil {
		return
	}
	for i := range round {
		s := &round[i]
		if s == base {
			continue
		}
		s.set(c.kind, "added_p50_us", s.P50-base.P50)
		s.set(c.kind, "added_p99_us", s.P99-base.P99)
		s.set(c.kind, "added_p999_us", s.P999-base.P999)
	}
}

// ratio is a/b, or NaN when there is nothing to compare.
func ratio(a, b float64) float64 {
	if a <= 0 || b <= 0 || math.IsNaN(a) || math.IsNaN(b) {
		return math.NaN()
	}
	return a / b
}

// median of v; NaN if v is empty. v is not changed.
func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile by linear interpolation between the two nearest values; NaN if v is empty.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Clone(v)
	slices.Sort(s)
	at := q * float64(len(s)-1)
	lo := int(at)
	if lo+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[lo] + (at-float64(lo))*(s[lo+1]-s[lo])
}

// percentile of sorted values: the smallest value that at least a share q does not exceed.
func percentile[T cmp.Ordered](sorted []T, q float64) T {
	var zero T
	if len(sorted) == 0 {
		return zero
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func largest(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return slices.Max(v)
}

func sum(v []float64) float64 {
	var t float64
	for _, x := range v {
		t += x
	}
	return t
}
