// Package plot draws figures of several panels as SVG: curves over a linear or logarithmic axis, and
// bars with their figures beside them. A figure follows the reader's choice of light or dark, its
// colours differ in lightness too, and it needs no script and no font of its own. The same figure
// gives the same bytes.
package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Figure is a whole drawing.
type Figure struct {
	Title string
	Notes []string // lines below the title
	// Names are those of all series in all panels, in the order of the legend; each has one colour
	// everywhere. Ours, if one of them, is drawn bolder.
	Names  []string
	Ours   string
	Panels []Panel
	// Columns is how many panels stand side by side; 0: two.
	Columns int
}

// Panel is one diagram: curves, or bars if Bars is not nil.
type Panel struct {
	Title  string
	X, Y   Axis
	Series []Series
	Spans  []Span
	Goals  []Goal
	Bars   []Bar
	Unit   string // of the bars
}

// Axis is one direction of a diagram.
type Axis struct {
	Title string
	Log   bool
	// Min and Max bound it; both 0: what the data need, from zero if not Log.
	Min, Max float64
	// Format writes a tick; nil: as short as it can be.
	Format func(float64) string
}

// Series is a curve. Points that are not drawable (NaN, or not above 0 on a logarithmic axis) are
// gaps.
type Series struct {
	Name string
	X, Y []float64
	Dots bool // mark the points
}

// Span is a shaded part of the horizontal axis.
type Span struct {
	From, To float64
	Label    string
}

// Goal is a horizontal line.
type Goal struct {
	Y     float64
	Label string
}

// Bar is one value. Text is written beside it.
type Bar struct {
	Name  string
	Value float64
	Text  string
}

// Sizes, in the plot's own units.
const (
	margin = 28
	cellW  = 470
	cellH  = 292
	gapX   = 26
	gapY   = 26
	plotX  = 58 // of a panel: room for the axis
	plotY  = 30 // and for its title
	plotW  = cellW - plotX - 14
	plotH  = cellH - plotY - 46
	line   = 18 // of text
	barH   = 15
	barRow = 23
)

// palette has a colour for each name, for light and for dark pages (after Okabe and Ito: told apart
// by the colour-blind). The first is ours.
var palette = [...]struct{ light, dark string }{
	{"#00795a", "#3ed6a5"}, {"#c25700", "#f0a13a"}, {"#0072b2", "#56b4e9"}, {"#8748b5", "#c9a2f5"},
	{"#b3246f", "#f48bc3"}, {"#6a737d", "#a3adb8"}, {"#8a6d00", "#e3cf57"}, {"#6b3a1e", "#d9a37a"},
}

func style() string {
	var light, dark, classes strings.Builder
	for i, c := range palette {
		fmt.Fprintf(&light, " --s%d: %s;", i, c.light)
		fmt.Fprintf(&dark, " --s%d: %s;", i, c.dark)
		fmt.Fprintf(&classes, ".s%d { --c: var(--s%d); }\n", i, i)
	}
	return `
svg { --page: #ffffff; --ink: #1f2328; --soft: #59636e; --grid: #e7eaee; --axis: #8c959f; --span: #8c959f;` + light.String() + ` }
@media (prefers-color-scheme: dark) {
svg { --page: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #21262d; --axis: #656c76; --span: #656c76;` + dark.String() + ` }
}
text { fill: var(--ink); font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-size: 12px; }
.page { fill: var(--page); }
.title { font-size: 18px; font-weight: 600; }
.name { font-size: 13px; font-weight: 600; }
.soft { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--grid); stroke-width: 1; }
.axis { stroke: var(--axis); stroke-width: 1; }
.goal { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 4; }
.span { fill: var(--span); opacity: 0.14; }
.curve { fill: none; stroke: var(--c); stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round; }
.ours { stroke-width: 3; }
.dot { fill: var(--c); stroke: var(--page); stroke-width: 1; }
.bar { fill: var(--c); }
` + classes.String()
}

// canvas collects the drawing; writing to it does not fail.
type canvas struct{ bytes.Buffer }

func (c *canvas) put(format string, a ...any) { _, _ = fmt.Fprintf(&c.Buffer, format+"\n", a...) }

// SVG draws a figure.
func SVG(w io.Writer, f *Figure) error {
	c := &canvas{}
	columns := f.Columns
	if columns == 0 {
		columns = 2
	}
	columns = max(min(columns, len(f.Panels)), 1)
	width := 2*margin + columns*cellW + (columns-1)*gapX
	rows := legendRows(f, width-2*margin)
	top := 52 + line*len(f.Notes) + 22*len(rows) + 8
	heights := rowHeights(f.Panels, columns)
	height := top + margin
	for _, h := range heights {
		height += h + gapY
	}
	height -= gapY
	c.put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="what">`, width, height, width, height)
	c.put(`<title id="what">%s</title>`, escape(f.Title))
	c.put(`<style>%s</style>`, style())
	c.put(`<rect class="page" width="%d" height="%d" rx="6"/>`, width, height)
	c.put(`<text class="title" x="%d" y="38">%s</text>`, margin, escape(f.Title))
	for i, n := range f.Notes {
		c.put(`<text class="soft" x="%d" y="%d">%s</text>`, margin, 58+line*i, escape(n))
	}
	legend(c, f, rows, 52+line*len(f.Notes)+10)
	y := top
	for r, h := range heights {
		for i := r * columns; i < min((r+1)*columns, len(f.Panels)); i++ {
			c.put(`<g transform="translate(%d %d)">`, margin+i%columns*(cellW+gapX), y)
			f.panel(c, i)
			c.put(`</g>`)
		}
		y += h + gapY
	}
	c.put(`</svg>`)
	_, err := w.Write(c.Bytes())
	return err
}

func rowHeights(panels []Panel, columns int) []int {
	var out []int
	for i := 0; i < len(panels); i += columns {
		h := 0
		for _, p := range panels[i:min(i+columns, len(panels))] {
			if p.Bars != nil {
				h = max(h, plotY+barRow*len(p.Bars)+6)
			} else {
				h = max(h, cellH)
			}
		}
		out = append(out, h)
	}
	return out
}

// textW is about how wide a text is at 12 px.
func textW(s string) int { return 7 * len([]rune(s)) }

// legendRows breaks the names into rows that fit.
func legendRows(f *Figure, room int) [][]int {
	var rows [][]int
	used := 0
	for i, n := range f.Names {
		w := 30 + textW(n) + 22
		if len(rows) == 0 || used+w > room {
			rows, used = append(rows, nil), 0
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], i)
		used += w
	}
	return rows
}

func legend(c *canvas, f *Figure, rows [][]int, y int) {
	for _, row := range rows {
		x := margin
		for _, i := range row {
			n := f.Names[i]
			c.put(`<g class="%s"><path class="curve%s" d="M%d %dh22"/></g><text x="%d" y="%d">%s</text>`, f.class(n), f.bold(n), x, y, x+30, y+4, escape(n))
			x += 30 + textW(n) + 22
		}
		y += 22
	}
}

// class gives the colour of a name: ours the first of the palette, the others the rest in turn.
func (f *Figure) class(name string) string {
	if name == f.Ours {
		return "s0"
	}
	at := 0
	for _, n := range f.Names {
		if n == f.Ours {
			continue
		}
		at++
		if n == name {
			break
		}
	}
	return fmt.Sprintf("s%d", 1+(at-1)%(len(palette)-1))
}

func (f *Figure) bold(name string) string {
	if name == f.Ours {
		return " ours"
	}
	return ""
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
