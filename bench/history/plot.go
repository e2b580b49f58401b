package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"regexp"
	"strings"
)

// maxShown is how many releases are drawn: the newest.
const maxShown = 24

// peers are those that weft is compared with.
var peers = []struct{ name, title string }{{"haproxy", "HAProxy"}, {"envoy", "Envoy"}}

// panels are the central cases. Goals are the ratios to reach, by peer.
var panels = []struct {
	id, title string
	goals     map[string]float64
}{
	{"two/h1/small/1", "Two hops, HTTP/1.1, 1 connection", map[string]float64{"haproxy": 0.75}},
	{"two/h1/small/32", "Two hops, HTTP/1.1, 32 connections", map[string]float64{"haproxy": 0.85, "envoy": 0.38}},
	{"two/h1/small/256", "Two hops, HTTP/1.1, 256 connections", map[string]float64{"haproxy": 0.85}},
	{"two/grpc/small/32", "Two hops, gRPC, 32 streams", map[string]float64{"envoy": 0.45}},
	{"two/tcp/64k/32", "Two hops, TCP, 64 KiB, 32 connections", map[string]float64{"envoy": 0.80}},
	{"one/h1/small/32", "One hop, HTTP/1.1, 32 connections", map[string]float64{"haproxy": 1.00}},
}

// Sizes, in the plot's own units.
const (
	margin  = 28
	columns = 3
	cellW   = 352
	cellH   = 236
	top     = 106 // title, explanation and legend
	gap     = 20  // between panels
	plotX   = 34  // of a panel: room for the axis
	plotY   = 34  // and for its title
	plotW   = cellW - plotX - 92
	plotH   = cellH - plotY - 34
	labelW  = 74 // room for one label of a release
)

// style has the colours for light and for dark pages: the plot follows the reader's. Those of the
// peers differ in lightness too, and are told apart by the colour-blind (Okabe and Ito).
const style = `
svg { --page: #ffffff; --ink: #1f2328; --soft: #59636e; --grid: #e7eaee; --parity: #8c959f; --haproxy: #0072b2; --envoy: #c25700; }
@media (prefers-color-scheme: dark) {
svg { --page: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #21262d; --parity: #656c76; --haproxy: #56b4e9; --envoy: #f0a13a; }
}
text { fill: var(--ink); font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-size: 12px; }
.page { fill: var(--page); }
.title { font-size: 18px; font-weight: 600; }
.name { font-size: 13px; font-weight: 600; }
.soft { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--grid); stroke-width: 1; }
.parity { stroke: var(--parity); stroke-width: 1; }
.haproxy { --peer: var(--haproxy); }
.envoy { --peer: var(--envoy); }
.line { fill: none; stroke: var(--peer); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.goal { stroke: var(--peer); stroke-width: 1.2; stroke-dasharray: 2 4; opacity: 0.8; }
.dot { fill: var(--peer); stroke: var(--page); stroke-width: 1.5; }
.last { fill: var(--peer); font-weight: 600; paint-order: stroke; stroke: var(--page); stroke-width: 5px; stroke-linejoin: round; }
`

// canvas collects the plot; writing to it does not fail.
type canvas struct{ *bytes.Buffer }

func (c canvas) put(format string, a ...any) { _, _ = fmt.Fprintf(c.Buffer, format+"\n", a...) }

// plot draws, for each central case, what weft's processor time per request is of that of each peer,
// a point for each release, oldest first.
func plot(b *bytes.Buffer, all []Release) {
	c := canvas{b}
	shown := all[max(0, len(all)-maxShown):]
	rows := (len(panels) + columns - 1) / columns
	width := 2*margin + columns*cellW + (columns-1)*gap
	height := top + rows*cellH + (rows-1)*gap + margin
	c.put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="what">`, width, height, width, height)
	c.put(`<title id="what">weft's processor time per request as a ratio to HAProxy's and Envoy's, by release</title>`)
	c.put(`<style>%s</style>`, style)
	c.put(`<rect class="page" width="%d" height="%d" rx="6"/>`, width, height)
	c.put(`<text class="title" x="%d" y="40">CPU time per request, weft / peer</text>`, margin)
	newest := &all[len(all)-1]
	c.put(`<text class="soft" x="%d" y="62">A point for each release, of one run with all peers: below 1, weft needs less. Newest: %s, %s, on %s.</text>`, margin,
		escape(newest.Version), newest.Time.Format("2 January 2006"), escape(newest.Machine.String()))
	legend(c, newest)
	for i := range panels {
		x, y := margin+i%columns*(cellW+gap), top+i/columns*(cellH+gap)
		c.put(`<g transform="translate(%d %d)">`, x, y)
		panel(c, i, shown)
		c.put(`</g>`)
	}
	c.put(`</svg>`)
}

// String gives the machine in words.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, Linux %s", m.CPU, m.Cores, m.Kernel)
}

func legend(c canvas, newest *Release) {
	x := margin
	for _, p := range peers {
		label := p.title
		if v := number.FindString(newest.Software[p.name]); v != "" {
			label += " " + v
		}
		c.put(`<g class="%s"><path class="line" d="M%d 82h22"/><circle class="dot" cx="%d" cy="82" r="4"/></g><text x="%d" y="86">%s</text>`, p.name, x, x+11, x+30, escape(label))
		x += 56 + 7*len(label)
	}
	c.put(`<path class="parity" stroke-dasharray="2 4" d="M%d 82h22"/><text x="%d" y="86">goal, in the peer's colour</text>`, x, x+30)
}

// number is the first thing in a text that looks like a version.
var number = regexp.MustCompile(`[0-9]+\.[0-9]+(\.[0-9]+)?`)

// scale is the axis of a panel: from 0 to most, with a line at each step.
type scale struct{ most, step float64 }

func scaleFor(most float64) scale {
	switch {
	case most <= 1.25:
		return scale{1.25, 0.25}
	case most <= 2:
		return scale{2, 0.5}
	}
	step := math.Pow(10, math.Floor(math.Log10(most/2)))
	for most > 5*step {
		step *= 2
	}
	return scale{math.Ceil(most/step) * step, step}
}

func (s scale) y(v float64) float64 { return plotY + plotH - v/s.most*plotH }

// panel draws one case.
func panel(c canvas, at int, shown []Release) {
	p := &panels[at]
	most := 0.0
	for i := range shown {
		for _, peer := range peers {
			v, _ := shown[i].ratio(p.id, peer.name, "cpu_us")
			most = max(most, v, p.goals[peer.name])
		}
	}
	s := scaleFor(most)
	c.put(`<text class="name" x="0" y="14">%s</text>`, escape(p.title))
	for i := 0; float64(i)*s.step <= s.most+1e-9; i++ {
		v := float64(i) * s.step
		class := "grid"
		if v == 1 {
			class = "parity"
		}
		c.put(`<path class="%s" d="M%d %.1fh%d"/><text class="soft" x="%d" y="%.1f" text-anchor="end">%s</text>`, class, plotX, s.y(v), plotW, plotX-6, s.y(v)+4, trim(v))
	}
	releases(c, shown)
	ends := map[string]float64{} // where the labels of the newest points would be
	for _, peer := range peers {
		if g := p.goals[peer.name]; g > 0 {
			c.put(`<g class="%s"><path class="goal" d="M%d %.1fh%d"/></g>`, peer.name, plotX, s.y(g), plotW)
		}
		if y, ok := curve(c, s, p.id, peer.name, peer.title, shown); ok {
			ends[peer.name] = y
		}
	}
	if len(ends) == 0 {
		c.put(`<text class="soft" x="%d" y="%d" text-anchor="middle">not measured</text>`, plotX+plotW/2, plotY+plotH/2)
	}
	newestLabels(c, p.id, shown, ends)
}

// xOf is where the i-th of n releases is drawn.
func xOf(i, n int) float64 {
	const pad = 14.0
	if n == 1 {
		return plotX + plotW/2
	}
	return plotX + pad + float64(i)*(plotW-2*pad)/float64(n-1)
}

// releases writes as many names below the axis as there is room for, the newest always.
func releases(c canvas, shown []Release) {
	n := len(shown)
	every := 1
	for (n-1)/every+1 > plotW/labelW {
		every++
	}
	for i := n - 1; i >= 0; i -= every {
		name := shown[i].Version
		if len(name) > 12 {
			name = name[:11] + "…"
		}
		c.put(`<text class="soft" x="%.1f" y="%d" text-anchor="middle">%s</text>`, xOf(i, n), plotY+plotH+18, escape(name))
	}
}

// curve draws the points of one peer, and lines between those of neighbouring releases. It gives the
// height of the newest release's point, if that has one.
func curve(c canvas, s scale, id, peer, title string, shown []Release) (newest float64, ok bool) {
	var path, dots strings.Builder
	pen := "M"
	for i := range shown {
		r := &shown[i]
		v, measured := r.ratio(id, peer, "cpu_us")
		if !measured {
			pen = "M"
			continue
		}
		x, y := xOf(i, len(shown)), s.y(v)
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, x, y)
		fmt.Fprintf(&dots, `<circle class="dot" cx="%.1f" cy="%.1f" r="4"><title>%s (%s): %.2f of %s</title></circle>`, x, y, escape(r.Version), r.Time.Format("2006-01-02"), v, title)
		pen = "L"
		newest, ok = y, i == len(shown)-1
	}
	if path.Len() > 0 {
		c.put(`<g class="%s"><path class="line" d="%s"/>%s</g>`, peer, path.String(), dots.String())
	}
	return newest, ok
}

// newestLabels writes name and figure beside the newest points, apart from each other.
func newestLabels(c canvas, id string, shown []Release, ends map[string]float64) {
	const apart = 15.0
	a, b := peers[0].name, peers[1].name
	if ya, ok := ends[a]; ok {
		if yb, ok := ends[b]; ok && math.Abs(ya-yb) < apart {
			middle := (ya + yb) / 2
			up := apart / 2
			if ya > yb {
				up = -up
			}
			ends[a], ends[b] = middle-up, middle+up
		}
	}
	n := len(shown)
	for _, p := range peers {
		y, ok := ends[p.name]
		if !ok {
			continue
		}
		v, _ := shown[n-1].ratio(id, p.name, "cpu_us")
		c.put(`<g class="%s"><text class="last" x="%.1f" y="%.1f">%s %.2f</text></g>`, p.name, xOf(n-1, n)+10, y+4, p.title, v)
	}
}

// trim prints a number of the axis.
func trim(v float64) string { return fmt.Sprintf("%.4g", v) }

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
