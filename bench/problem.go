package main

import (
	"fmt"
	"strings"
)

// Exit codes, the same as those of the weft command where they mean the same.
const (
	exitDone        = 0   // measured
	exitFailed      = 1   // something broke on the way
	exitUsage       = 2   // wrong flags
	exitIncomplete  = 3   // it ran, but not everything asked for could be measured
	exitInterrupted = 130 // Ctrl-C
)

// problem is a failure told to a person: what, why (the observed value), next (what to do).
type problem struct {
	what, why string
	next      []string
	err       error
}

// Error gives one line.
func (p *problem) Error() string {
	if p.why == "" {
		return p.what
	}
	return p.what + ": " + p.why
}

// Unwrap gives the cause, if any.
func (p *problem) Unwrap() error { return p.err }

// text gives the form for terminals, several lines.
func (p *problem) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bench: %s\n", p.what)
	if p.why != "" {
		fmt.Fprintf(&b, "  why   %s\n", p.why)
	}
	label := "next "
	for _, n := range p.next {
		fmt.Fprintf(&b, "  %s %s\n", label, n)
		label = "     "
	}
	return b.String()
}
