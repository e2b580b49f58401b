package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// Sizes of a plot, in its own units.
const (
	plotWidth  = 640
	plotLeft   = 56
	plotRight  = 16
	panelTop   = 70
	panelHigh  = 130
	panelGap   = 34
	plotHeight = panelTop + 2*panelHigh + panelGap + 36
)

// colors of the peers: distinct also in grey and to the colour-blind (Okabe-Ito).
var colors = map[string]string{"haproxy": "#56B4E9", "envoy": "#E69F00", "weft": "#009E73"}

// panel is one of the two: success above, latency below.
type panel struct {
	title string
	top   float64
	of    func(sum) float64 // from 0, the bottom, to 1
	ticks []tick
}

type tick struct {
	at   float64
	text string
}

// panels are success on a scale on which 99.9 % is not 100 %, and p99 on a logarithmic one.
func panels() []panel {
	loss := func(l float64) float64 { // 100 % is 1, each nine a fifth less, all lost 0
		const nines = 4.0
		if l <= 0 {
			return 1
		}
		return max(0, min(-math.Log10(l)/(nines+1), nines/(nines+1)))
	}
	ms := func(v float64) float64 { return max(0, min(math.Log10(max(v, 1))/3, 1)) } // 1 ms to 1 s
	return []panel{
		{"success a second", panelTop, func(s sum) float64 { return loss(1 - s.success()) },
			[]tick{{1, "100 %"}, {loss(0.001), "99.9 %"}, {loss(0.01), "99 %"}, {loss(0.1), "90 %"}, {0, "0"}}},
		{"p99 a second", panelTop + panelHigh + panelGap, func(s sum) float64 { return ms(s.P99MS) },
			[]tick{{1, "failed"}, {ms(100), "100 ms"}, {ms(10), "10 ms"}, {0, "1 ms"}}},
	}
}

// writeSVG draws the results of a scenario, second by second; the fault is shaded.
func writeSVG(w io.Writer, s scenario, rs []result) error {
	b := bufio.NewWriter(w)
	p := func(format string, a ...any) { _, _ = fmt.Fprintf(b, format, a...) } // b keeps the first error for Flush
	p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", plotWidth, plotHeight, plotWidth, plotHeight)
	p("<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", escapeXML(s.title))
	p(`<text x="16" y="22" font-size="14" font-weight="bold">%s</text>`+"\n", escapeXML(s.title))
	x := 16
	for _, r := range rs {
		p(`<rect x="%d" y="34" width="12" height="4" fill="%s"/><text x="%d" y="41">%s</text>`+"\n", x, colors[r.Peer], x+16, escapeXML(r.Peer))
		x += 84
	}
	if len(rs) == 0 {
		p("</svg>\n")
		return b.Flush()
	}
	first := rs[0]
	seconds := first.BeforeS + first.DuringS + first.AfterS
	at := func(sec float64) float64 {
		return plotLeft + sec/float64(max(seconds, 1))*(plotWidth-plotLeft-plotRight)
	}
	for _, pan := range panels() {
		y := func(v float64) float64 { return pan.top + (1-v)*panelHigh }
		p(`<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="#f2f2f2"/>`+"\n", at(float64(first.BeforeS)), pan.top, at(float64(first.BeforeS+first.DuringS))-at(float64(first.BeforeS)), panelHigh)
		p(`<text x="%d" y="%.1f" font-weight="bold">%s</text>`+"\n", plotLeft, pan.top-6, pan.title)
		for _, t := range pan.ticks {
			p(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#555555">%s</text>`+"\n",
				plotLeft, y(t.at), plotWidth-plotRight, y(t.at), plotLeft-4, y(t.at)+4, t.text)
		}
		for _, r := range rs {
			var points []string
			for i, one := range r.Seconds {
				points = append(points, fmt.Sprintf("%.1f,%.1f", at(float64(i)+0.5), y(pan.of(one))))
			}
			p(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colors[r.Peer])
		}
	}
	for sec := 0; sec <= seconds; sec += max(1, seconds/10) {
		p(`<text x="%.1f" y="%d" text-anchor="middle" fill="#555555">%d</text>`+"\n", at(float64(sec)), plotHeight-18, sec)
	}
	p(`<text x="%d" y="%d" text-anchor="end" fill="#555555">seconds; the fault is shaded; %d requests a second</text>`+"\n", plotWidth-plotRight, plotHeight-4, first.Rate)
	p("</svg>\n")
	return b.Flush()
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
