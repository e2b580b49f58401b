package join

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

const (
	maxLine  = 8 << 10 // of a proxy's log; longer ones are cut into several
	tailSize = 20      // lines kept for messages
)

// lines passes a proxy's log on, line by line with a prefix, and keeps the last ones for the
// message in case that it dies. Control characters are made visible, for what peers send may
// end in a log. Safe for concurrent use.
type lines struct {
	prefix string
	out    io.Writer

	mu   sync.Mutex // guards what follows
	part []byte
	tail []string
}

// Write implements io.Writer. It never fails: a proxy must not die of a terminal that is gone.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i >= 0 {
			l.add(p[:i])
			l.flush()
			p = p[i+1:]
			continue
		}
		l.add(p)
		p = nil
	}
	return n, nil
}

// add appends to the current line. The caller holds mu.
func (l *lines) add(p []byte) {
	for len(l.part)+len(p) > maxLine {
		take := maxLine - len(l.part)
		l.part = append(l.part, p[:take]...)
		p = p[take:]
		l.flush()
	}
	l.part = append(l.part, p...)
}

// flush passes the current line on. The caller holds mu.
func (l *lines) flush() {
	text := strings.Map(visible, strings.TrimSuffix(string(l.part), "\r"))
	l.part = l.part[:0]
	_, _ = io.WriteString(l.out, l.prefix+text+"\n")
	if len(l.tail) == tailSize {
		l.tail = append(l.tail[:0], l.tail[1:]...)
	}
	l.tail = append(l.tail, text)
}

// visible replaces what could command a terminal.
func visible(r rune) rune {
	if r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0) {
		return '�'
	}
	return r
}

// last gives the last line that was written, or an empty string.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.flush()
	}
	for i := len(l.tail) - 1; i >= 0; i-- {
		if s := strings.TrimSpace(l.tail[i]); s != "" {
			return s
		}
	}
	return ""
}

// locked makes a writer that is not a file fit for the application and the proxy at once.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
