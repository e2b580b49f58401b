//go:build linux

package process

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines keeps what a process writes and lets tests wait for a line. The zero value is ready.
type lines struct {
	mu      sync.Mutex // guards what follows
	text    bytes.Buffer
	changed chan struct{} // closed and replaced at each write
}

// maxKept bounds what is kept of one process.
const maxKept = 8 << 20

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() < maxKept {
		l.text.Write(b)
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return len(b), nil
}

// String gives all that was written.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// find gives the first whole line with all parts after the first `skip` such lines.
func (l *lines) find(skip int, parts ...string) (string, bool) {
	text := l.String()
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		fits := true
		for _, p := range parts {
			fits = fits && strings.Contains(line, p)
		}
		if !fits {
			continue
		}
		if skip == 0 {
			return strings.TrimSuffix(line, "\n"), true
		}
		skip--
	}
	return "", false
}

// count counts whole lines with all parts.
func (l *lines) count(parts ...string) int {
	for n := 0; ; n++ {
		if _, ok := l.find(n, parts...); !ok {
			return n
		}
	}
}

// await waits for the line that find finds, until the process ends.
func (l *lines) await(t testing.TB, ended <-chan struct{}, skip int, parts ...string) string {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		l.mu.Lock()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		if line, ok := l.find(skip, parts...); ok {
			return line
		}
		select {
		case <-changed:
		case <-ended:
			if line, ok := l.find(skip, parts...); ok {
				return line
			}
			t.Fatalf("the process ended without saying %q:\n%s", parts, l.String())
		case <-limit.C:
			t.Fatalf("nothing was said of %q in %s:\n%s", parts, patience, l.String())
		}
	}
}

// field gives the value of a key in a line of log/slog's text format.
func field(line, key string) string {
	_, rest, found := strings.Cut(line, " "+key+"=")
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, " ")
	return strings.Trim(value, `"`)
}
