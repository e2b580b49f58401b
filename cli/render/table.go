package render

import (
	"strings"
	"unicode/utf8"
)

// Style says how cells are marked. The zero value is plain text without escapes.
type Style struct {
	ANSI bool // the terminal understands colors and the user did not refuse them
}

// Tone is the meaning of a cell. Meaning is never in the color alone: callers also say it in
// words or with a mark.
type Tone uint8

// The tones.
const (
	Plain Tone = iota
	Good
	Warn
	Bad
	Dim
	Strong
)

// escapes are the plain 16 colors, which every terminal scheme keeps readable.
var escapes = map[Tone]string{Good: "\x1b[32m", Warn: "\x1b[33m", Bad: "\x1b[31m", Dim: "\x1b[2m", Strong: "\x1b[1m"}

// Paint marks text with a tone, or returns it as it is for a terminal without colors.
func (s Style) Paint(t Tone, text string) string {
	e := escapes[t]
	if !s.ANSI || e == "" || text == "" {
		return text
	}
	return e + text + "\x1b[0m"
}

// Cell is one field of a table.
type Cell struct {
	Text string
	Tone Tone
}

// Text makes a plain cell.
func Text(s string) Cell { return Cell{Text: s} }

// Toned makes a cell with a meaning.
func Toned(t Tone, s string) Cell { return Cell{Text: s, Tone: t} }

// Texts makes plain cells.
func Texts(ss ...string) []Cell {
	out := make([]Cell, len(ss))
	for i, s := range ss {
		out[i] = Cell{Text: s}
	}
	return out
}

// Table collects blocks of aligned rows and lines of text between them. Columns are aligned
// within a block; Header or Line begins a new one.
type Table struct {
	style Style
	out   strings.Builder
	rows  [][]Cell
	right []bool
}

// gap is what separates two columns.
const gap = "   "

// Header begins a block with column titles. A title that begins with ">" is set to the right,
// as numbers want to be. Without any title the block has no title row.
func (t *Table) Header(titles ...string) {
	t.flush()
	t.right = make([]bool, len(titles))
	row, titled := make([]Cell, len(titles)), false
	for i, title := range titles {
		if strings.HasPrefix(title, ">") {
			t.right[i] = true
			title = title[1:]
		}
		row[i] = Cell{Text: title, Tone: Dim}
		titled = titled || title != ""
	}
	if titled {
		t.rows = append(t.rows, row)
	}
}

// Row adds a row to the block.
func (t *Table) Row(cells ...Cell) { t.rows = append(t.rows, cells) }

// Line ends the block and adds a line as it is.
func (t *Table) Line(s string) {
	t.flush()
	t.out.WriteString(strings.TrimRight(s, " ") + "\n")
}

// Paint is Style.Paint for lines.
func (t *Table) Paint(tone Tone, s string) string { return t.style.Paint(tone, s) }

// String ends the block and gives everything.
func (t *Table) String() string {
	t.flush()
	return t.out.String()
}

func (t *Table) flush() {
	var width []int
	for _, r := range t.rows {
		for i, c := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(c.Text))
		}
	}
	for _, r := range t.rows {
		var line strings.Builder
		for i, c := range r {
			if i > 0 {
				line.WriteString(gap)
			}
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.Text))
			painted := t.style.Paint(c.Tone, c.Text)
			if i < len(t.right) && t.right[i] {
				line.WriteString(pad + painted)
			} else if i == len(r)-1 {
				line.WriteString(painted)
			} else {
				line.WriteString(painted + pad)
			}
		}
		t.out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	t.rows, t.right = nil, nil
}
