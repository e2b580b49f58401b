package rig

import (
	"fmt"
	"strings"
)

// Problem is a failure told to a person: what, why (the observed value), next (what to do).
type Problem struct {
	What, Why string
	Next      []string
	Err       error // the cause, if any
}

// Error gives one line.
func (p *Problem) Error() string {
	if p.Why == "" {
		return p.What
	}
	return p.What + ": " + p.Why
}

// Unwrap gives the cause, if any.
func (p *Problem) Unwrap() error { return p.Err }

// Text gives the form for terminals, several lines, the first after the name of the program.
func (p *Problem) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bench: %s\n", p.What)
	if p.Why != "" {
		fmt.Fprintf(&b, "  why   %s\n", p.Why)
	}
	label := "next "
	for _, n := range p.Next {
		fmt.Fprintf(&b, "  %s %s\n", label, n)
		label = "     "
	}
	return b.String()
}

// Excerpt gives the end of what a program wrote, on one line, for messages.
func Excerpt(out []byte) string {
	s := strings.Join(strings.Fields(string(out)), " ")
	if len(s) > 400 {
		s = "… " + s[len(s)-400:]
	}
	if s == "" {
		return "it said nothing"
	}
	return s
}
