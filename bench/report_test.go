package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestMedianAndQuantiles(t *testing.T) {
	for _, tc := range []struct {
		v    []float64
		q    float64
		want float64
	}{{[]float64{3, 1, 2}, 0.5, 2}, {[]float64{4, 1, 2, 3}, 0.5, 2.5}, {[]float64{7}, 0.75, 7}, {[]float64{1, 2, 3, 4, 5}, 0.25, 2}, {[]float64{1, 2}, 1, 2}} {
		if got := quantile(tc.v, tc.q); got != tc.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", tc.v, tc.q, got, tc.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is a number")
	}
	v := []float64{3, 1, 2}
	median(v)
	if v[0] != 3 {
		t.Error("median sorts what belongs to the caller")
	}
}

func TestPercentileIsAValueThatWasSeen(t *testing.T) {
	v := make([]int, 1000)
	for i := range v {
		v[i] = i + 1
	}
	for q, want := range map[float64]int{0: 1, 0.5: 500, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := percentile(v, q); got != want {
			t.Errorf("percentile(%v) = %d, want %d", q, got, want)
		}
	}
	if percentile([]int(nil), 0.5) != 0 {
		t.Error("nothing has a percentile")
	}
}

func TestARatioNeedsBothSides(t *testing.T) {
	if r := ratio(10, 40); r != 0.25 {
		t.Errorf("10/40 = %v", r)
	}
	for _, ab := range [][2]float64{{0, 1}, {1, 0}, {math.NaN(), 1}, {1, math.NaN()}} {
		if r := ratio(ab[0], ab[1]); !math.IsNaN(r) {
			t.Errorf("ratio(%v, %v) = %v, want none", ab[0], ab[1], r)
		}
	}
}

func samplesOf(cpu ...float64) []sample {
	var out []sample
	for i, c := range cpu {
		out = append(out, sample{Round: i, CPUMicros: c, RPS: 1000 / c, P50: 10 * c, P99: 100 * c, P999: 200 * c, IdleRSS: []float64{9, 11}, RSS: []float64{12, 14}, Failed: 1})
	}
	return out
}

func exampleResults() []result {
	var out []result
	for i, c := range quickCases() {
		k := float64(1 + i)
		out = append(out, result{c: c, peers: []summary{
			summarize(c.id(), "haproxy", samplesOf(20*k, 22*k, 21*k)),
			summarize(c.id(), "envoy", samplesOf(40*k, 44*k, 42*k)),
			summarize(c.id(), "weft", samplesOf(20*k, 20.5*k, 21*k, 1000)),
		}})
	}
	return out
}

func TestASummaryIsMadeOfMedians(t *testing.T) {
	s := summarize("two/h1/small/32", "weft", samplesOf(20, 1000, 21))
	if s.CPUMicros != 21 || s.P99 != 2100 || s.Rounds != 3 || s.Proxies != 2 {
		t.Errorf("%+v", s)
	}
	if s.IdleRSS != 11 || s.RSS != 14 || s.SumRSS != 26 {
		t.Errorf("memory: idle %v, after %v, sum %v; want the larger proxy's 11 and 14, and 26", s.IdleRSS, s.RSS, s.SumRSS)
	}
	if s.Failed != 3 {
		t.Errorf("%d failed, want the sum, 3: a failure must not vanish in a median", s.Failed)
	}
	if s := summarize("c", "p", nil); s.Rounds != 0 || s.CPUMicros != 0 {
		t.Errorf("without samples: %+v", s)
	}
}

func TestQuickEndsWithOneJSONObject(t *testing.T) {
	var b bytes.Buffer
	if err := writeQuick(&b, exampleResults()); err != nil {
		t.Fatal(err)
	}
	const want = `{"c32":{"cpu_vs_envoy":0.494,"cpu_vs_haproxy":0.988,"p99_vs_envoy":0.494},"c1":{"cpu_vs_envoy":0.494,"cpu_vs_haproxy":0.988,"p99_vs_envoy":0.494},"rss_mb":11}` + "\n"
	if b.String() != want {
		t.Errorf("have %swant %s", b.String(), want)
	}
}

func TestQuickSaysNullForWhatWasNotMeasured(t *testing.T) {
	rs := exampleResults()
	rs[0].peers = rs[0].peers[:2] // no weft
	var b bytes.Buffer
	if err := writeQuick(&b, rs[:1]); err != nil {
		t.Fatal(err)
	}
	const want = `{"c32":{"cpu_vs_envoy":null,"cpu_vs_haproxy":null,"p99_vs_envoy":null},"c1":{"cpu_vs_envoy":null,"cpu_vs_haproxy":null,"p99_vs_envoy":null},"rss_mb":null}` + "\n"
	if b.String() != want {
		t.Errorf("have %swant %s", b.String(), want)
	}
}

func TestTheTableShowsRatiosAndGaps(t *testing.T) {
	r := exampleResults()[0]
	r.peers = append(r.peers, summarize(r.c.id(), "direct", nil))
	r.peers[0].OtherBusy = 0.4
	var b bytes.Buffer
	if err := writeTable(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"two hops, mTLS, HTTP/1.1, 65 B, 32 connections", "median of 4", "0.49", "0.99", "40 % of the machine"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := writeHeadline(&b, exampleResults()); err != nil || !strings.Contains(b.String(), "two/h1/small/1") {
		t.Errorf("headline: %v\n%s", err, b.String())
	}
}

func TestThereIsNoHeadlineWithoutWeft(t *testing.T) {
	rs := exampleResults()[:1]
	rs[0].peers = rs[0].peers[:2]
	var b bytes.Buffer
	if err := writeHeadline(&b, rs); err != nil || b.Len() > 0 {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestJSONLinesHaveStableNames(t *testing.T) {
	b, err := json.Marshal(samplesOf(20)[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{`"type"`, `"case"`, `"peer"`, `"round"`, `"requests"`, `"cpu_us"`, `"p999_us"`, `"idle_rss_mb"`, `"rss_mb"`, `"other_busy"`} {
		if !bytes.Contains(b, []byte(k)) {
			t.Errorf("no %s in %s", k, b)
		}
	}
}

func TestThePlotIsWellFormedAndShowsEveryFigure(t *testing.T) {
	var b bytes.Buffer
	if err := writeSVG(&b, runInfo{Machine: `<"CPU" & co>`, Cores: 2, Rounds: 5}, exampleResults()); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(b.Bytes()))
	texts := map[string]bool{}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if c, ok := tok.(xml.CharData); ok {
			texts[string(c)] = true
		}
	}
	for _, want := range []string{"21.0", "42.0", "20.8", "4200", quickCases()[1].title()} {
		if !texts[want] {
			t.Errorf("%q is not in the plot", want)
		}
	}
	if err := writeSVG(io.Discard, runInfo{}, nil); err != nil {
		t.Errorf("without results: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAFullDiskIsNotSilent(t *testing.T) {
	if err := writeSVG(brokenWriter{}, runInfo{}, exampleResults()); err == nil {
		t.Error("the plot was lost without an error")
	}
	if err := writeQuick(brokenWriter{}, exampleResults()); err == nil {
		t.Error("the result was lost without an error")
	}
}
