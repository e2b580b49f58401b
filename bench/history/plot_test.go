package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// made gives n releases whose ratios fall and rise, with gaps.
func made(n int) []Release {
	var out []Release
	for i := range n {
		r := Release{Version: fmt.Sprintf("v0.%d.0", i+1), Time: time.Date(2026, time.Month(1+i%12), 10, 0, 0, 0, 0, time.UTC),
			Machine:  Machine{"AMD EPYC <&>", 2, "6.18"},
			Software: map[string]string{"haproxy": "HAProxy version 2.6.12-1 2023/12/16", "envoy": "envoy  version: abc/1.40.0/Clean"}}
		for k, p := range panels {
			if k == 4 && i == 2 || k == 5 && i < 3 {
				continue
			}
			ratios := map[string]Figures{"haproxy": {"cpu_us": 0.95 - 0.05*float64((i+k)%5)}, "envoy": {"cpu_us": 0.42 - 0.04*float64(i%7) + 0.12*float64(k)}}
			if k == 3 {
				ratios["envoy"]["cpu_us"] = 0.4
				delete(ratios, "haproxy")
			}
			if k == 2 && i == 0 {
				ratios["envoy"]["cpu_us"] = 4.4
			}
			r.Cases = append(r.Cases, Case{Case: p.id, Ratios: ratios})
		}
		out = append(out, r)
	}
	return out
}

func TestThePlotIsWhatItWas(t *testing.T) {
	var b bytes.Buffer
	plot(&b, made(7))
	golden(t, "plot.svg", b.Bytes())
}

func TestThePlotIsWellFormedHoweverManyReleasesThereAre(t *testing.T) {
	for _, n := range []int{1, 2, 5, 24, 100} {
		var b bytes.Buffer
		plot(&b, made(n))
		for d := xml.NewDecoder(&b); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%d releases: %v", n, err)
			}
		}
	}
}

func TestThePlotShowsTheNewestReleases(t *testing.T) {
	var b bytes.Buffer
	plot(&b, made(100))
	for version, want := range map[string]bool{"v0.100.0": true, "v0.77.0 ": true, "v0.76.0 ": false} {
		if got := strings.Contains(b.String(), ">"+version); got != want {
			t.Errorf("%s shown: %v", version, got)
		}
	}
}

func TestACaseThatWasNotMeasuredSaysSo(t *testing.T) {
	var b bytes.Buffer
	plot(&b, []Release{{Version: "v1"}})
	if got := strings.Count(b.String(), "not measured"); got != len(panels) {
		t.Errorf("said of %d panels of %d", got, len(panels))
	}
}

func TestTheAxisHoldsEveryFigure(t *testing.T) {
	for _, most := range []float64{0, 0.1, 1.25, 1.26, 2, 2.1, 4.4, 19, 1234} {
		s := scaleFor(most)
		if steps := s.most / s.step; s.most < most || steps < 2 || steps > 12 {
			t.Errorf("up to %v: axis to %v in steps of %v", most, s.most, s.step)
		}
	}
}
