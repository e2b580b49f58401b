package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// runInfo says where and how a run was made; it is the first JSON line. Figures of two runs with
// different runInfo must not be compared.
type runInfo struct {
	Type     string            `json:"type"` // "run"
	Time     time.Time         `json:"time"`
	Machine  string            `json:"machine"`
	Cores    int               `json:"cores"`
	Kernel   string            `json:"kernel"`
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	Seconds  float64           `json:"seconds"` // of load in each measurement
}

// result is everything that was measured of one case, peers in the order of peerNames.
type result struct {
	c     benchCase
	peers []summary
}

// of gives the summary of a peer; ok is false if it was not measured.
func (r result) of(peer string) (summary, bool) {
	for _, s := range r.peers {
		if s.Peer == peer && s.Rounds > 0 {
			return s, true
		}
	}
	return summary{}, false
}

// against gives weft's figure divided by a peer's, or NaN.
func (r result) against(peer string, figure func(summary) float64) float64 {
	us, ok := r.of("weft")
	them, ok2 := r.of(peer)
	if !ok || !ok2 {
		return math.NaN()
	}
	return ratio(figure(us), figure(them))
}

func cpuOf(s summary) float64 { return s.CPUMicros }
func p99Of(s summary) float64 { return s.P99 }
func rpsOf(s summary) float64 { return s.RPS }

// busyNote is the share of the machine that others may use without a word about it.
const busyNote = 0.10

// writeTable prints one case.
func writeTable(w io.Writer, r result) error {
	rounds, busy := 0, 0.0
	for _, s := range r.peers {
		rounds = max(rounds, s.Rounds)
		busy = max(busy, s.OtherBusy)
	}
	if _, err := fmt.Fprintf(w, "\n%s   [%s, median of %d]\n", r.c.title(), r.c.id(), rounds); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if columns := r.c.spec().columns; len(columns) > 0 {
		writeColumns(tw, r, columns)
	} else {
		writeRequests(tw, r)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if busy > busyNote {
		_, err := fmt.Fprintf(w, "  note: others used up to %.0f %% of the machine meanwhile; take the latencies as rough\n", busy*100)
		return err
	}
	return nil
}

// writeRequests prints the figures that every kind of request has.
func writeRequests(tw io.Writer, r result) {
	per := r.c.spec().per
	_, _ = fmt.Fprintf(tw, "peer\tCPU µs/%[1]s\t±\tof it user\tmachine µs\t%[1]s/s\tp50 µs\tp99 µs\tp99.9 µs\tMB idle\tMB after\tfailed\tweft/peer: CPU\tp99\t%[1]s/s\t\n", per)
	for _, s := range r.peers {
		if s.Rounds == 0 {
			_, _ = fmt.Fprintf(tw, "%s\t%s\n", s.Peer, strings.Repeat("-\t", 14))
			continue
		}
		vs := func(f func(summary) float64) string {
			if s.Peer == "weft" {
				return ""
			}
			return figure(r.against(s.Peer, f), 2)
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%s\t%d\t%s\t%s\t%s\t\n", s.Peer,
			orDash(s.CPUMicros, 1), percent(s.Spread, s.CPUMicros), orDash(s.UserMicros, 1), orDash(s.MachineMicros, 1), s.RPS, s.P50, s.P99, s.P999,
			orDash(s.IdleRSS, 1), orDash(s.RSS, 1), s.Failed, vs(cpuOf), vs(p99Of), vs(rpsOf))
	}
}

// writeColumns prints the figures of a kind that has its own, then weft's divided by the peer's.
func writeColumns(tw io.Writer, r result, columns []column) {
	head, ratios := "peer\t", ""
	for _, c := range columns {
		head += c.title + "\t"
		if c.ratio && len(r.peers) > 1 {
			if ratios == "" {
				ratios = "weft/peer: "
			}
			ratios += c.title + "\t"
		}
	}
	_, _ = fmt.Fprintln(tw, head+ratios)
	for _, s := range r.peers {
		line := s.Peer + "\t"
		for _, c := range columns {
			line += figure(get(s.Quantities, c.name), c.decimals) + "\t"
		}
		for _, c := range columns {
			switch {
			case !c.ratio || len(r.peers) < 2:
			case s.Peer == "weft":
				line += "\t"
			default:
				line += figure(r.against(s.Peer, quantityOf(c.name)), 2) + "\t"
			}
		}
		_, _ = fmt.Fprintln(tw, line)
	}
}

// quantityOf gives a func that takes a figure of a kind from a summary.
func quantityOf(name string) func(summary) float64 {
	return func(s summary) float64 { return get(s.Quantities, name) }
}

// writeHeadline prints weft's ratios to its peers, one line a case. Below 1, weft needs less.
func writeHeadline(w io.Writer, rs []result) error {
	var compared []result // the others' tables say it
	for _, r := range rs {
		if s := r.c.spec(); len(s.columns) > 0 || len(s.variants) > 0 {
			continue
		}
		if _, ok := r.of("weft"); ok {
			compared = append(compared, r)
		}
	}
	if len(compared) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "\nweft / peer, of the same run (CPU and p99: less is better; req/s: more)\n"); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(tw, "case\tCPU/haproxy\tCPU/envoy\tp99/haproxy\tp99/envoy\treq/s/haproxy\treq/s/envoy\t")
	for _, r := range compared {
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.c.id(),
			figure(r.against("haproxy", cpuOf), 2), figure(r.against("envoy", cpuOf), 2),
			figure(r.against("haproxy", p99Of), 2), figure(r.against("envoy", p99Of), 2),
			figure(r.against("haproxy", rpsOf), 2), figure(r.against("envoy", rpsOf), 2))
	}
	return tw.Flush()
}

// quickRatios is what is kept of a case in the last line of -quick. Null: not measured.
type quickRatios struct {
	CPUvsEnvoy   *float64 `json:"cpu_vs_envoy"`
	CPUvsHAProxy *float64 `json:"cpu_vs_haproxy"`
	P99vsEnvoy   *float64 `json:"p99_vs_envoy"`
}

// quickLine is the last line of -quick. RSS is that of the larger of weft's two proxies when
// idle, in MB: after the first request, before the load.
type quickLine struct {
	C32 quickRatios `json:"c32"`
	C1  quickRatios `json:"c1"`
	RSS *float64    `json:"rss_mb"`
}

// writeQuick prints the JSON object that ends -quick, on one line.
func writeQuick(w io.Writer, rs []result) error {
	var q quickLine
	for _, r := range rs {
		at := &q.C32
		if r.c.conns == 1 {
			at = &q.C1
		}
		*at = quickRatios{
			CPUvsEnvoy:   rounded(r.against("envoy", cpuOf)),
			CPUvsHAProxy: rounded(r.against("haproxy", cpuOf)),
			P99vsEnvoy:   rounded(r.against("envoy", p99Of)),
		}
		if s, ok := r.of("weft"); ok && (q.RSS == nil || s.IdleRSS > *q.RSS) {
			q.RSS = rounded(s.IdleRSS)
		}
	}
	b, err := json.Marshal(q)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// rounded gives v to three decimals, or nil for NaN, which JSON does not have.
func rounded(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	v = math.Round(v*1000) / 1000
	return &v
}

// figure prints v, or a dash if there is none.
func figure(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// orDash prints a dash for zero: nothing is there that could have been measured.
func orDash(v float64, decimals int) string {
	if v == 0 {
		return "-"
	}
	return figure(v, decimals)
}

func percent(share, of float64) string {
	if of == 0 {
		return "-"
	}
	return strings.TrimSpace(fmt.Sprintf("%.0f %%", share*100))
}
