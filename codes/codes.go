// Package codes is the catalogue of everything weft can complain about.
//
// Each code is a letter W and four digits. W1 configuration, W2 control plane and identity, W3
// data path, W4 command line and joining processes. An entry is the single source for the error
// text's defaults, for `weft explain-code` and for the pages in docs/codes. The files w1.go to
// w4.go register entries; nothing else does.
package codes

import (
	"fmt"
	"sort"
	"strings"
)

// Entry is what is known of a code before it happens.
type Entry struct {
	Code  string // "W1203"
	Title string // one line, no full stop
	Means string // what it means and what weft does meanwhile
	Fix   string // what a person does about it; commands on lines of their own, indented by four spaces
}

var catalogue = map[string]Entry{}

// register adds entries; a code given twice is a programming error and panics at start.
func register(entries ...Entry) {
	for _, e := range entries {
		if _, twice := catalogue[e.Code]; twice {
			panic("codes: " + e.Code + " registered twice")
		}
		catalogue[e.Code] = e
	}
}

// Lookup returns the entry of a code.
func Lookup(code string) (Entry, bool) {
	e, ok := catalogue[strings.ToUpper(code)]
	return e, ok
}

// All returns the catalogue sorted by code.
func All() []Entry {
	out := make([]Entry, 0, len(catalogue))
	for _, e := range catalogue {
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Code < out[j].Code })
	return out
}

// Error is a failure told to a person: what, why, where, next.
type Error struct {
	Code  string   `json:"code"`
	What  string   `json:"what"`            // names the object; one line
	Why   string   `json:"why,omitempty"`   // the observed value
	Where string   `json:"where,omitempty"` // file:line or address
	Next  []string `json:"next,omitempty"`  // runnable commands, or short advice
	Err   error    `json:"-"`               // cause, shown only with -v
}

// New makes an Error. The code must be in the catalogue.
func New(code, what string) *Error { return &Error{Code: code, What: what} }

// Error gives one line: "W1203: what: why (where)".
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Code, e.What)
	if e.Why != "" {
		b.WriteString(": " + e.Why)
	}
	if e.Where != "" {
		b.WriteString(" (" + e.Where + ")")
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Text gives the form for terminals, several lines, as in docs/errors.md.
func (e *Error) Text() string {
	var b strings.Builder
	level := "error"
	if IsWarning(e.Code) {
		level = "warning"
	}
	fmt.Fprintf(&b, "%s %s: %s\n", level, e.Code, e.What)
	if e.Why != "" {
		fmt.Fprintf(&b, "  why   %s\n", e.Why)
	}
	if e.Where != "" {
		fmt.Fprintf(&b, "  where %s\n", e.Where)
	}
	label := "next "
	for _, n := range e.Next {
		fmt.Fprintf(&b, "  %s %s\n", label, n)
		label = "     "
	}
	fmt.Fprintf(&b, "  %s weft explain-code %s\n", label, e.Code)
	return b.String()
}
