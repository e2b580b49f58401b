package sim

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// tellLog puts what a proxy logs into the story.
type tellLog struct {
	n   *Network
	who string
}

// Enabled implements slog.Handler.
func (*tellLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l *tellLog) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	fmt.Fprintf(l.n.history.out, "%15s %s logs: %s%s\n", l.n.now, l.who, r.Message, b.String())
	return nil
}

// WithAttrs implements slog.Handler.
func (l *tellLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *tellLog) WithGroup(string) slog.Handler { return l }
