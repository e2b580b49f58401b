package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Sizes of the plot, in its own units.
const (
	svgCell   = 400 // width of a panel
	svgLabel  = 64  // room for a peer's name
	svgBar    = 14  // height of a bar
	svgStep   = 18  // from bar to bar
	svgHead   = 40  // title and headings of a panel
	svgTop    = 76  // title and legend of the plot
	svgMargin = 16
	svgCols   = 3
)

// svgColor gives each peer its colour: distinct also in grey and to the colour-blind (Okabe-Ito).
var svgColor = map[string]string{"direct": "#999999", "haproxy": "#56B4E9", "envoy": "#E69F00", "weft": "#009E73"}

// writeSVG draws a panel for each case: CPU time per request on the left, p99 on the right, a bar
// for each peer, the figure beside it. The scale is that of the panel; it begins at zero.
func writeSVG(w io.Writer, info runInfo, rs []result) error {
	b := bufio.NewWriter(w)
	bars := 1
	for _, r := range rs {
		bars = max(bars, len(r.peers))
	}
	cols := min(svgCols, max(len(rs), 1))
	rows := (len(rs) + cols - 1) / cols
	cell := svgHead + bars*svgStep + 12
	width, height := cols*svgCell+2*svgMargin, svgTop+rows*cell+svgMargin
	p := func(format string, a ...any) { _, _ = fmt.Fprintf(b, format, a...) } // b keeps the first error for Flush
	p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", width, height, width, height)
	p(`<title>CPU time per request and p99 latency, weft and its peers</title>` + "\n")
	p(`<rect width="100%%" height="100%%" fill="#ffffff"/>` + "\n")
	p(`<text x="%d" y="26" font-size="16" font-weight="bold">CPU time per request (all proxies together) and p99 latency, in µs: shorter is better</text>`+"\n", svgMargin)
	p(`<text x="%d" y="44" fill="#555555">%s</text>`+"\n", svgMargin, escapeXML(fmt.Sprintf("%s, %d cores, Linux %s, %s; medians of up to %d rounds",
		info.Machine, info.Cores, info.Kernel, info.Time.UTC().Format("2006-01-02"), info.Rounds)))
	x := svgMargin
	for _, n := range peerNames {
		p(`<rect x="%d" y="54" width="12" height="12" fill="%s"/><text x="%d" y="64">%s</text>`+"\n", x, svgColor[n], x+16, n)
		x += 84
	}
	for i, r := range rs {
		svgPanel(p, r, svgMargin+i%cols*svgCell, svgTop+i/cols*cell)
	}
	p("</svg>\n")
	return b.Flush()
}

func svgPanel(p func(string, ...any), r result, x, y int) {
	const half = (svgCell - svgLabel - svgMargin) / 2
	p(`<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", x, y+14, escapeXML(r.c.title()))
	p(`<text x="%d" y="%d" fill="#555555">CPU µs per request</text><text x="%d" y="%d" fill="#555555">p99 µs</text>`+"\n",
		x+svgLabel, y+30, x+svgLabel+half, y+30)
	var maxCPU, maxP99 float64
	for _, s := range r.peers {
		maxCPU, maxP99 = max(maxCPU, s.CPUMicros), max(maxP99, s.P99)
	}
	for i, s := range r.peers {
		top := y + svgHead + i*svgStep
		p(`<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", x+svgLabel-6, top+svgBar-3, s.Peer)
		svgBarOf(p, s.Peer, s.CPUMicros, maxCPU, x+svgLabel, top, half-50, 1)
		svgBarOf(p, s.Peer, s.P99, maxP99, x+svgLabel+half, top, half-50, 0)
	}
}

// svgBarOf draws one bar with its figure; zero is drawn as a dash.
func svgBarOf(p func(string, ...any), peer string, v, most float64, x, y, room, decimals int) {
	if v <= 0 || most <= 0 {
		p(`<text x="%d" y="%d" fill="#555555">–</text>`+"\n", x, y+svgBar-3)
		return
	}
	w := v / most * float64(room)
	p(`<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
		x, y, w, svgBar, svgColor[peer], float64(x)+w+4, y+svgBar-3, figure(v, decimals))
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
