package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// result is one peer in one scenario.
type result struct {
	Scenario string `json:"scenario"`
	Peer     string `json:"peer"`
	Version  string `json:"version,omitempty"`
	Rate     int    `json:"rate"` // requests a second

	BeforeS int `json:"beforeS"` // seconds before the fault, with it, and after it
	DuringS int `json:"duringS"`
	AfterS  int `json:"afterS"`

	Seconds []sum `json:"seconds"`
	Before  sum   `json:"before"`
	First   sum   `json:"first"`  // the first second of the fault
	During  sum   `json:"during"` // the rest of it
	After   sum   `json:"after"`  // from two seconds after its end on

	// The last requests that failed: how long after the beginning of the fault, within it, and how
	// long after its end, they were due; 0: none failed.
	SettledMS   int64 `json:"settledMs"`
	RecoveredMS int64 `json:"recoveredMs"`
	// Load is how many requests the servers were given for each that was sent.
	Load float64 `json:"load"`
}

// settle is how long after its end a fault may still be felt.
const settle = 2 * time.Second

// resultOf sums up a run of a peer, in which the servers were given so many requests.
func resultOf(s scenario, peer, version string, rate int, t times, out []outcome, given uint64) result {
	end := t.before + t.during
	r := result{
		Scenario: s.name, Peer: peer, Version: version, Rate: rate,
		BeforeS: int(t.before / time.Second), DuringS: int(t.during / time.Second), AfterS: int(t.after / time.Second),
		Before: sumOf(out, 0, t.before), First: sumOf(out, t.before, t.before+time.Second), During: sumOf(out, t.before+time.Second, end),
		After:     sumOf(out, end+min(settle, t.after/2), t.total()),
		SettledMS: lastFailure(out, t.before, end).Milliseconds(), RecoveredMS: lastFailure(out, end, t.total()).Milliseconds(),
	}
	for at := time.Duration(0); at < t.total(); at += time.Second {
		r.Seconds = append(r.Seconds, sumOf(out, at, at+time.Second))
	}
	if len(out) > 0 {
		r.Load = float64(given) / float64(len(out))
	}
	return r
}

// writeTable writes the results of a scenario as a table of Markdown.
func writeTable(w io.Writer, s scenario, rs []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**: %s.\n\n", s.name, s.title)
	b.WriteString("| | success before | first second | rest of the fault | after | p99 before | during | after | last failure after its begin | after its end | load |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rs {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %.2f |\n", r.Peer,
			share(r.Before), share(r.First), share(r.During), share(r.After), millis(r.Before.P99MS), millis(r.During.P99MS), millis(r.After.P99MS),
			after(r.SettledMS), after(r.RecoveredMS), r.Load)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// share gives a success as per cent; 100 means that none failed.
func share(s sum) string {
	if s.Good == s.Sent {
		return "100 %"
	}
	return fmt.Sprintf("%.2f %%", float64(int(s.success()*10_000))/100)
}

// millis gives a latency; the time allowed means that one in a hundred failed at least.
func millis(ms float64) string {
	if ms >= float64(allowed/time.Millisecond) {
		return "failed"
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func after(ms int64) string {
	if ms == 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f s", float64(ms)/1000)
}

// The figures in a page stand between these lines.
const (
	figuresBegin = "<!-- figures: go run ./bench/faults -docs docs/reliability -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
)

// replaceFigures gives a page with other figures in it.
func replaceFigures(page, figures string) (string, error) {
	head, rest, ok := strings.Cut(page, figuresBegin)
	_, tail, ok2 := strings.Cut(rest, figuresEnd)
	if !ok || !ok2 {
		return "", fmt.Errorf("the page has no place for figures, between %q and %q", strings.TrimSpace(figuresBegin), strings.TrimSpace(figuresEnd))
	}
	return head + figuresBegin + "\n" + figures + figuresEnd + tail, nil
}
