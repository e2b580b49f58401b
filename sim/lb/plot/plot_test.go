package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func sample() *Figure {
	return &Figure{
		Title: "A <title> & more", Notes: []string{"first", "second"}, Names: []string{"a", "b", "ours"}, Ours: "ours",
		Panels: []Panel{
			{Title: "curves", X: Axis{Title: "x"}, Y: Axis{Title: "y", Log: true}, Series: []Series{
				{Name: "a", X: []float64{0, 1, 2}, Y: []float64{1, 0, 100}, Dots: true},
				{Name: "ours", X: []float64{0, 1, 2}, Y: []float64{1, math.NaN(), 100}},
			}, Spans: []Span{{0.5, 1, "here"}}, Goals: []Goal{{50, "goal"}}},
			{Title: "bars", Bars: []Bar{{"a", 3, "3 %"}, {"ours", 0, "none"}}},
			{Title: "nothing", Series: []Series{{Name: "b"}}},
		},
	}
}

func draw(t *testing.T, f *Figure) string {
	t.Helper()
	var b bytes.Buffer
	if err := SVG(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAFigureIsWellFormedAndTheSameEachTime(t *testing.T) {
	s := draw(t, sample())
	for d := xml.NewDecoder(strings.NewReader(s)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if s != draw(t, sample()) {
		t.Error("the same figure was drawn differently")
	}
	for _, bad := range []string{"NaN", "Inf", "%!"} {
		if strings.Contains(s, bad) {
			t.Errorf("the drawing contains %s", bad)
		}
	}
}

func TestWhatCannotBeDrawnIsAGap(t *testing.T) {
	s := draw(t, sample())
	if n := strings.Count(s, `<circle`); n != 2 {
		t.Errorf("%d points are marked, want the 2 that are above 0", n)
	}
}

func TestANameHasOneColourEverywhereAndOursIsTheFirst(t *testing.T) {
	f := sample()
	if got := []string{f.class("a"), f.class("b"), f.class("ours")}; got[0] != "s1" || got[1] != "s2" || got[2] != "s0" {
		t.Errorf("classes %v", got)
	}
}

func TestTicksAreRoundAndCoverTheData(t *testing.T) {
	for _, c := range []struct {
		axis   Axis
		values []float64
		want   []float64
	}{
		{Axis{}, []float64{3, 9.5}, []float64{0, 2, 4, 6, 8, 10}},
		{Axis{Min: 60, Max: 180}, []float64{60, 180}, []float64{60, 80, 100, 120, 140, 160, 180}},
		{Axis{Log: true}, []float64{12, 180}, []float64{10, 20, 50, 100, 200}},
		{Axis{Log: true, Min: 0.001, Max: 50}, nil, []float64{0.001, 0.01, 0.1, 1, 10}},
	} {
		s := scaleOf(c.axis, c.values, 100)
		if len(s.ticks) != len(c.want) {
			t.Errorf("%+v of %v: ticks %v, want %v", c.axis, c.values, s.ticks, c.want)
			continue
		}
		for i, v := range s.ticks {
			if math.Abs(v-c.want[i]) > 1e-9*c.want[i] {
				t.Errorf("%+v of %v: ticks %v, want %v", c.axis, c.values, s.ticks, c.want)
				break
			}
		}
		for _, v := range c.values {
			if at := s.at(v); at < -1e-9 || at > 100+1e-9 {
				t.Errorf("%+v: %g is drawn at %g of 100", c.axis, v, at)
			}
		}
	}
}
