package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/weft-mesh/weft/codes"
)

// The exit codes; the same for all verbs. They are part of the interface: scripts branch on them.
const (
	ExitOK          = 0   // done, yes, healthy
	ExitFailed      = 1   // it failed
	ExitUsage       = 2   // wrong usage
	ExitFindings    = 3   // it ran, and the answer is problems, denied or differences
	ExitUnreachable = 4   // the control plane cannot be reached
	ExitTimeout     = 5   // timed out waiting
	ExitForbidden   = 6   // not permitted
	ExitPartly      = 7   // partly applied
	ExitInterrupted = 130 // interrupted by the user
)

// exitTexts describes the codes in help and documentation.
var exitTexts = map[int]string{
	ExitOK:          "done, yes, healthy",
	ExitFailed:      "it failed",
	ExitUsage:       "wrong usage",
	ExitFindings:    "it ran, and the answer is problems, denied or differences",
	ExitUnreachable: "the control plane cannot be reached",
	ExitTimeout:     "timed out waiting",
	ExitForbidden:   "not permitted",
	ExitPartly:      "partly applied",
	ExitInterrupted: "interrupted",
}

// exitOf is the exit code of each coded error that is not simply a failure.
var exitOf = map[string]int{
	"W4001": ExitUsage,
	"W4011": ExitUsage,
	"W4012": ExitUsage,
	"W4101": ExitUsage,
	"W4102": ExitUsage,
	"W4103": ExitUsage,
	"W2201": ExitUnreachable,
	"W4002": ExitUnreachable,
	"W4003": ExitTimeout,
	"W2102": ExitForbidden,
	"W2103": ExitForbidden,
	"W2104": ExitForbidden,
	"W2105": ExitForbidden,
	"W4004": ExitForbidden,
	"W4020": ExitFailed,
	"W4021": ExitFindings,
	"W4030": ExitFindings,
}

// exitError carries an exit code out of a verb. With a nil err nothing more is printed: the
// verb's output was the answer (findings), or the application that it ran had the last word.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return "exit"
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// findings ends a verb whose answer, already printed, is "problems".
func findings() error { return &exitError{code: ExitFindings} }

// usage makes the error for wrong use of a verb.
func usage(why string, next ...string) error {
	e := codes.New("W4001", "this command cannot be run as written")
	e.Why, e.Next = why, next
	return &exitError{code: ExitUsage, err: e}
}

// exitCode maps the outcome of a verb to the process's exit code.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return ExitOK
	}
	var ex *exitError
	if errors.As(err, &ex) {
		return ex.code
	}
	if ctx.Err() != nil && (errors.Is(context.Cause(ctx), errInterrupted) || errors.Is(context.Cause(ctx), errTerminated)) {
		return ExitInterrupted
	}
	var coded *codes.Error
	if errors.As(err, &coded) {
		if c, ok := exitOf[coded.Code]; ok {
			return c
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ExitTimeout
	}
	return ExitFailed
}

// errInterrupted is the cause of a context that ended by a signal from the user.
var errInterrupted = errors.New("interrupted")

// errTerminated is the cause of a context that ended by SIGTERM: a supervisor's ordinary stop.
var errTerminated = errors.New("terminated")

// asCoded gives every error that reaches a person the coded form.
func asCoded(err error) *codes.Error {
	var coded *codes.Error
	if errors.As(err, &coded) {
		return coded
	}
	e := codes.New("W4005", "the command failed")
	if errors.Is(err, context.DeadlineExceeded) {
		e = codes.New("W4003", "the command took too long")
		e.Next = []string{"repeat it with a longer --timeout"}
	}
	e.Why, e.Err = strings.TrimSpace(err.Error()), err
	return e
}
