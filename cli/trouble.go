package cli

import (
	"bytes"
	"io"
	"sync"
)

// onlyTrouble passes on whole lines of a log, but for those that say that all is well: a command
// run in the mesh should look as it does without. mu guards buf.
type onlyTrouble struct {
	to io.Writer

	mu  sync.Mutex
	buf []byte
}

// quiet are the marks of lines that are left out, as log/slog writes them.
var quiet = [][]byte{[]byte("level=DEBUG"), []byte("level=INFO")}

// maxLogLine bounds a line; a longer one is passed on in pieces.
const maxLogLine = 64 << 10

// Write implements io.Writer.
func (w *onlyTrouble) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	for len(w.buf) > 0 {
		end := bytes.IndexByte(w.buf, '\n') + 1
		if end == 0 {
			if len(w.buf) < maxLogLine {
				break
			}
			end = len(w.buf)
		}
		line := w.buf[:end]
		w.buf = w.buf[end:]
		if bytes.Contains(line, quiet[0]) || bytes.Contains(line, quiet[1]) {
			continue
		}
		if _, err := w.to.Write(line); err != nil {
			return len(b), err
		}
	}
	return len(b), nil
}
