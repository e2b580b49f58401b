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
	svgCell   = 440 // width of a panel
	svgLabel  = 92  // room for a peer's name
	svgBar    = 14  // height of a bar
	svgStep   = 18  // from bar to bar
	svgHead   = 40  // title and headings of a panel
	svgTop    = 76  // title and legend of the plot
	svgMargin = 16
	svgCols   = 3
)

// svgColor gives each peer its colour: distinct also in grey and to the colour-blind (Okabe-Ito).
var svgColor = map[string]string{"direct": "#999999", "haproxy": "#56B4E9", "envoy": "#E69F00", "weft": "#009E73"}

// colorOf gives the colour of a peer; the variants of weft have weft's.
func colorOf(peer string) string {
	name, _, _ := strings.Cut(peer, "-")
	return svgColor[name]
}

// heading is the title of a panel: the name of the case where that for people is longer than fits.
func heading(c benchCase) string {
	const fits = 72
	if t := c.title(); len(t) <= fits {
		return t
	}
	return c.id()
}

// axis is one of the two halves of a panel.
type axis struct {
	title    string
	of       func(summary) float64
	decimals int
}

// axes gives what is drawn of a case: CPU time and p99, or up to two figures of its kind.
func axes(c benchCase) []axis {
	spec := c.spec()
	if len(spec.columns) == 0 {
		return []axis{{"CPU µs per " + spec.per, cpuOf, 1}, {"p99 µs", p99Of, 0}}
	}
	var out []axis
	for _, c := range spec.columns {
		if c.plot && len(out) < 2 {
			title := c.title
			if !strings.Contains(title, c.unit) {
				title += ", " + c.unit
			}
			out = append(out, axis{title, quantityOf(c.name), c.decimals})
		}
	}
	return out
}

// writeSVG draws a panel for each case: CPU time per request on the left, p99 on the right, or what
// its kind has instead; a bar for each peer, the figure beside it. The scale is that of the panel;
// it begins at zero.
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
	p(`<title>What weft and its peers need</title>` + "\n")
	p(`<rect width="100%%" height="100%%" fill="#ffffff"/>` + "\n")
	p(`<text x="%d" y="26" font-size="16" font-weight="bold">CPU time (all proxies together) and latency, or what else is measured: shorter is better</text>`+"\n", svgMargin)
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
	p(`<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", x, y+14, escapeXML(heading(r.c)))
	for n, axis := range axes(r.c) {
		left := x + svgLabel + n*half
		p(`<text x="%d" y="%d" fill="#555555">%s</text>`+"\n", left, y+30, escapeXML(axis.title))
		var most float64
		for _, s := range r.peers {
			if v := axis.of(s); v > most { // NaN is not
				most = v
			}
		}
		for i, s := range r.peers {
			svgBarOf(p, s.Peer, axis.of(s), most, left, y+svgHead+i*svgStep, half-50, axis.decimals)
		}
	}
	for i, s := range r.peers {
		p(`<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", x+svgLabel-6, y+svgHead+i*svgStep+svgBar-3, s.Peer)
	}
}

// svgBarOf draws one bar with its figure; zero, less and nothing are drawn as a dash.
func svgBarOf(p func(string, ...any), peer string, v, most float64, x, y, room, decimals int) {
	if !(v > 0) || most <= 0 { // NaN too
		p(`<text x="%d" y="%d" fill="#555555">–</text>`+"\n", x, y+svgBar-3)
		return
	}
	w := v / most * float64(room)
	p(`<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
		x, y, w, svgBar, colorOf(peer), float64(x)+w+4, y+svgBar-3, figure(v, decimals))
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
