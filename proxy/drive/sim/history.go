package sim

import (
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// history folds everything that happens into one number, and tells it if somebody listens.
type history struct {
	sum    uint64
	events int
	out    io.Writer
	brief  bool // tells notes and logs only
}

const (
	offset64 = 14695981039346656037 // FNV-1a
	prime64  = 1099511628211
)

func newHistory(out io.Writer) history { return history{sum: offset64, out: out} }

func hashText(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * prime64
	}
	return h
}

func hashNumber(h, v uint64) uint64 { return (h^v)*prime64 ^ h>>29 }

// socket notes what happened to a connection's end.
func (h *history) socket(now time.Duration, what string, s *Socket, p []byte) {
	h.events++
	sum := hashNumber(h.sum, uint64(now))
	sum = hashText(sum, what)
	sum = hashText(sum, s.name)
	h.sum = hashNumber(sum, uint64(len(p))<<32|uint64(crc32.ChecksumIEEE(p)))
	if h.out == nil || h.brief {
		return
	}
	fmt.Fprintf(h.out, "%15s %-9s %s", now, what, s.name)
	if len(p) > 0 {
		fmt.Fprintf(h.out, " %d %.60q", len(p), p)
	}
	fmt.Fprintln(h.out)
}

// note adds a line.
func (h *history) note(now time.Duration, line string) {
	h.events++
	h.sum = hashText(hashNumber(h.sum, uint64(now)), line)
	if h.out != nil {
		fmt.Fprintf(h.out, "%15s -- %s\n", now, line)
	}
}
