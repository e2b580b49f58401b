package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// goal is a figure that weft is to reach.
type goal struct {
	figure string // what it is, in words
	unit   string // "ratio": weft's divided by the peer's, in the same run
	limit  float64
	atMost bool // or at least
	of     func(results) float64
}

// results are all cases of a run.
type results []result

// versus gives a figure of weft divided by that of a peer, in a case.
func versus(id, peer string, f func(summary) float64) func(results) float64 {
	return func(rs results) float64 {
		for _, r := range rs {
			if r.c.id() == id {
				return r.against(peer, f)
			}
		}
		return math.NaN()
	}
}

// own gives weft's own figure in a case.
func own(id string, f func(summary) float64) func(results) float64 {
	return func(rs results) float64 {
		for _, r := range rs {
			if s, ok := r.of("weft"); ok && r.c.id() == id {
				return f(s)
			}
		}
		return math.NaN()
	}
}

func p50Of(s summary) float64 { return s.P50 }

// goals are what this stage of the work is to reach. All protections are on in these runs.
var goals = []goal{
	{"two hops, mTLS, HTTP/1.1, small, 32 connections: CPU/request vs HAProxy", "ratio", 0.85, true, versus("two/h1/small/32", "haproxy", cpuOf)},
	{"the same vs Envoy", "ratio", 0.38, true, versus("two/h1/small/32", "envoy", cpuOf)},
	{"the same at 1 connection: CPU/request vs HAProxy", "ratio", 0.75, true, versus("two/h1/small/1", "haproxy", cpuOf)},
	{"the same at 1 connection: p50 vs HAProxy", "ratio", 0.90, true, versus("two/h1/small/1", "haproxy", p50Of)},
	{"the same at 256 connections: CPU/request vs HAProxy", "ratio", 0.85, true, versus("two/h1/small/256", "haproxy", cpuOf)},
	{"the same at 256 connections: requests/s vs Envoy", "ratio", 2.2, false, versus("two/h1/small/256", "envoy", rpsOf)},
	{"the same at 256 connections: p99 vs Envoy", "ratio", 0.5, true, versus("two/h1/small/256", "envoy", p99Of)},
	{"gRPC unary through two hops, 32 streams: CPU/request vs Envoy", "ratio", 0.45, true, versus("two/grpc/small/32", "envoy", cpuOf)},
	{"one hop, plain HTTP, 32 connections: CPU/request vs HAProxy", "ratio", 1.0, true, versus("one/h1/small/32", "haproxy", cpuOf)},
	{"TCP through two hops, download: CPU/GiB vs Envoy", "ratio", 0.8, true, versus("two/tcp/down/1", "envoy", quantityOf("cpu_s_per_gib"))},
	{"TCP through two hops, upload: CPU/GiB vs Envoy", "ratio", 0.8, true, versus("two/tcp/up/1", "envoy", quantityOf("cpu_s_per_gib"))},
	{"TCP through one hop, plain, download: CPU/GiB vs HAProxy", "ratio", 1.0, true, versus("one/tcp/down/1", "haproxy", quantityOf("cpu_s_per_gib"))},
	{"the same with the work of the kernel's own threads: machine/GiB vs HAProxy", "ratio", 1.0, true, versus("one/tcp/down/1", "haproxy", quantityOf("machine_s_per_gib"))},
	{"2,000 requests/s: p99.9 added by two hops vs Envoy", "ratio", 0.6, true, versus("two/h1/rate/2000", "envoy", quantityOf("added_p999_us"))},
	{"small requests beside a 1 GiB upload: added p99", "ms", 1, true, own("two/h1/beside-up/1000", millis("beside_added_p99_us"))},
	{"small requests beside a 1 GiB download: added p99", "ms", 1, true, own("two/h1/beside-down/1000", millis("beside_added_p99_us"))},
	{"RSS of one idle proxy", "MB", 10, true, own("none/none/start/20", quantityOf("rss_mb"))},
	{"RSS of a proxy at 1,000 active connections", "MB", 30, true, own("two/h1/active/1000", quantityOf("rss_active_mb"))},
	{"an idle HTTP/1.1 connection", "KiB", 2, true, own("two/h1/idle/10000", quantityOf("idle_conn_kib"))},
	{"an idle link", "KiB", 16, true, own("two/link/idle/1000", quantityOf("idle_conn_kib"))},
	{"decision at 10,000 routes vs at 1", "ratio", 2, true, own("none/none/decide/10000", quantityOf("routes_10000_vs_1"))},
	{"allocations of a decision", "allocations", 0, true, own("none/none/decide/10000", quantityOf("allocs"))},
	{"weft-proxy on disk", "MB", 20, true, own("none/none/start/20", quantityOf("binary_mb"))},
	{"start to ready", "ms", 50, true, own("none/none/start/20", quantityOf("ready_ms"))},
}

func millis(name string) func(summary) float64 {
	return func(s summary) float64 { return get(s.Quantities, name) / 1e3 }
}

// goalLine is a goal and what was measured, as a line of JSON. Measured is null, and met is false,
// if its case was not.
type goalLine struct {
	Type     string   `json:"type"` // "goal"
	Goal     string   `json:"goal"`
	Unit     string   `json:"unit"`
	Limit    float64  `json:"limit"`
	AtMost   bool     `json:"at_most"` // or at least
	Measured *float64 `json:"measured"`
	Met      bool     `json:"met"`
}

// reached compares the goals with a run.
func reached(rs results) []goalLine {
	out := make([]goalLine, len(goals))
	for i, g := range goals {
		v := g.of(rs)
		out[i] = goalLine{Type: "goal", Goal: g.figure, Unit: g.unit, Limit: g.limit, AtMost: g.atMost, Measured: rounded(v),
			Met: g.atMost && v <= g.limit || !g.atMost && v >= g.limit} // never so with NaN
	}
	return out
}

// busiest gives the largest share of the machine that others used in a case.
func busiest(rs results) float64 {
	var most float64
	for _, r := range rs {
		for _, s := range r.peers {
			most = max(most, s.OtherBusy)
		}
	}
	return most
}

// writeGoals prints the table of the goals of which something was measured; busy is the share of
// the machine that others used, which is told if it is much.
func writeGoals(w io.Writer, lines []goalLine, busy float64) error {
	var measured []goalLine
	for _, l := range lines {
		if l.Measured != nil {
			measured = append(measured, l)
		}
	}
	if len(measured) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "\nfigure\tgoal\tmeasured\t")
	for _, l := range measured {
		sign, unit, note := "<=", " "+l.Unit, ""
		if !l.AtMost {
			sign = ">="
		}
		if l.Unit == "ratio" || l.Unit == "allocations" {
			unit = ""
		}
		if !l.Met {
			note = "missed"
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s %g%s\t%s%s\t%s\n", l.Goal, sign, l.Limit, unit, figure(*l.Measured, 2), unit, note)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	var err error
	if left := len(lines) - len(measured); left > 0 {
		_, err = fmt.Fprintf(w, "(%d more were not measured)\n", left)
	}
	if busy > busyNote {
		_, e := fmt.Fprintf(w, "note: others used up to %.0f %% of the machine: no latency here is a result\n", busy*100)
		err = errors.Join(err, e)
	}
	return err
}
