package plot

import (
	"fmt"
	"math"
	"strings"
)

func (f *Figure) panel(c *canvas, at int) {
	p := &f.Panels[at]
	c.put(`<text class="name" x="0" y="14">%s</text>`, escape(p.Title))
	if p.Bars != nil {
		f.bars(c, p)
		return
	}
	x, y := scaleOf(p.X, p.values(true), plotW), scaleOf(p.Y, p.values(false), plotH)
	clip := fmt.Sprintf("clip%d", at)
	c.put(`<clipPath id="%s"><rect x="%d" y="%d" width="%d" height="%d"/></clipPath>`, clip, plotX, plotY-2, plotW+4, plotH+4)
	for _, s := range p.Spans {
		from, to := plotX+x.at(s.From), plotX+x.at(s.To)
		c.put(`<rect class="span" x="%.1f" y="%d" width="%.1f" height="%d"/><text class="soft" x="%.1f" y="%d">%s</text>`, from, plotY, to-from, plotH, from+5, plotY+13, escape(s.Label))
	}
	for _, v := range y.ticks {
		at := plotY + plotH - y.at(v)
		c.put(`<path class="grid" d="M%d %.1fh%d"/><text class="soft" x="%d" y="%.1f" text-anchor="end">%s</text>`, plotX, at, plotW, plotX-7, at+4, escape(y.format(v)))
	}
	for _, v := range x.ticks {
		at := plotX + x.at(v)
		c.put(`<path class="axis" d="M%.1f %dv4"/><text class="soft" x="%.1f" y="%d" text-anchor="middle">%s</text>`, at, plotY+plotH, at, plotY+plotH+17, escape(x.format(v)))
	}
	c.put(`<path class="axis" d="M%d %dh%d"/>`, plotX, plotY+plotH, plotW)
	c.put(`<text class="soft" x="%d" y="%d" text-anchor="middle">%s</text>`, plotX+plotW/2, plotY+plotH+35, escape(p.X.Title))
	c.put(`<text class="soft" transform="translate(11 %d) rotate(-90)" text-anchor="middle">%s</text>`, plotY+plotH/2, escape(p.Y.Title))
	for _, g := range p.Goals {
		at := plotY + plotH - y.at(g.Y)
		c.put(`<path class="goal" d="M%d %.1fh%d"/><text class="soft" x="%d" y="%.1f" text-anchor="end">%s</text>`, plotX, at, plotW, plotX+plotW-4, at-5, escape(g.Label))
	}
	c.put(`<g clip-path="url(#%s)">`, clip)
	for i := range p.Series {
		if p.Series[i].Name != f.Ours {
			f.curve(c, &p.Series[i], x, y)
		}
	}
	for i := range p.Series { // above the others
		if p.Series[i].Name == f.Ours {
			f.curve(c, &p.Series[i], x, y)
		}
	}
	c.put(`</g>`)
}

func (f *Figure) curve(c *canvas, s *Series, x, y scale) {
	var path, dots strings.Builder
	pen := "M"
	for i := range s.X {
		if !x.has(s.X[i]) || !y.has(s.Y[i]) {
			pen = "M"
			continue
		}
		px, py := plotX+x.at(s.X[i]), plotY+plotH-y.at(s.Y[i])
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, px, py)
		pen = "L"
		if s.Dots {
			fmt.Fprintf(&dots, `<circle class="dot" cx="%.1f" cy="%.1f" r="3.2"><title>%s: %s at %s</title></circle>`, px, py, escape(s.Name), escape(y.format(s.Y[i])), escape(x.format(s.X[i])))
		}
	}
	c.put(`<g class="%s"><path class="curve%s" d="%s"/>%s</g>`, f.class(s.Name), f.bold(s.Name), path.String(), dots.String())
}

// bars draws horizontal bars from zero.
func (f *Figure) bars(c *canvas, p *Panel) {
	label, most := 0, 0.0
	text := 0
	for _, b := range p.Bars {
		label, text, most = max(label, textW(b.Name)), max(text, textW(b.Text)), max(most, b.Value)
	}
	left := min(label, cellW/2) + 8
	room := float64(cellW - left - text - 10)
	for i, b := range p.Bars {
		y := plotY + i*barRow
		w := 0.0
		if most > 0 && b.Value > 0 {
			w = max(b.Value/most*room, 1)
		}
		c.put(`<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+12, escape(b.Name))
		c.put(`<g class="%s"><rect class="bar" x="%d" y="%d" width="%.1f" height="%d" rx="2"/></g><text x="%.1f" y="%d">%s</text>`, f.class(b.Name), left, y, w, barH, float64(left)+w+6, y+12, escape(b.Text))
	}
}

// values are all coordinates of one direction.
func (p *Panel) values(horizontal bool) []float64 {
	var out []float64
	for _, s := range p.Series {
		if horizontal {
			out = append(out, s.X...)
		} else {
			out = append(out, s.Y...)
		}
	}
	if !horizontal {
		for _, g := range p.Goals {
			out = append(out, g.Y)
		}
	}
	return out
}

// scale maps values to units of the plot.
type scale struct {
	low, high float64 // their logarithms if log
	log       bool
	length    float64
	ticks     []float64
	format    func(float64) string
}

func (s scale) has(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) && (!s.log || v > 0) }

func (s scale) at(v float64) float64 {
	if s.log {
		v = math.Log10(v)
	}
	return (v - s.low) / (s.high - s.low) * s.length
}

func scaleOf(a Axis, values []float64, length float64) scale {
	s := scale{log: a.Log, length: length, format: a.Format}
	if s.format == nil {
		s.format = short
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if s.has(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	if low > high {
		low, high = 1, 10
	}
	if a.Min != 0 || a.Max != 0 {
		low, high = a.Min, a.Max
	} else if !a.Log {
		low = min(low, 0)
	}
	if high <= low {
		high = low + 1
	}
	if a.Log {
		s.logTicks(low, high, a.Min != 0 || a.Max != 0)
		return s
	}
	step := niceStep((high - low) / 6)
	if a.Min == 0 && a.Max == 0 {
		high = math.Ceil(high/step-1e-9) * step
	}
	s.low, s.high = low, high
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		s.ticks = append(s.ticks, i*step)
	}
	return s
}

// short writes a number as short as it can be.
func short(v float64) string {
	if v == 0 { // -0 too
		return "0"
	}
	return fmt.Sprintf("%.4g", v)
}

// logTicks marks 1, 2 and 5 of each decade, or only 1 where there are many decades.
func (s *scale) logTicks(low, high float64, fixed bool) {
	steps := []float64{1, 2, 5}
	if math.Log10(high/low) > 3 {
		steps = []float64{1}
	}
	var all []float64
	for d := math.Floor(math.Log10(low)) - 1; d <= math.Ceil(math.Log10(high))+1; d++ {
		for _, m := range steps {
			all = append(all, m*math.Pow(10, d))
		}
	}
	if !fixed { // to the next tick on both sides
		below, above := all[0], all[len(all)-1]
		for _, v := range all {
			if v <= low*1.0001 {
				below = v
			}
			if v >= high*0.9999 {
				above = v
				break
			}
		}
		low, high = below, above
	}
	s.low, s.high = math.Log10(low), math.Log10(high)
	for _, v := range all {
		if v >= low*0.999 && v <= high*1.001 {
			s.ticks = append(s.ticks, v)
		}
	}
}

// niceStep rounds up to 1, 2 or 5 of a power of ten.
func niceStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	switch m := v / p; {
	case m <= 1:
		return p
	case m <= 2:
		return 2 * p
	case m <= 5:
		return 5 * p
	}
	return 10 * p
}
