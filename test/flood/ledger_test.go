//go:build linux

package flood

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ledger is what became of the requests of one kind of client. The zero value is empty. Safe for
// concurrent use.
type ledger struct {
	mu      sync.Mutex // guards what follows
	samples []sample
	failed  []string
	slow    []string
}

// sample is one answer.
type sample struct {
	due  time.Time
	took time.Duration
}

// note enters a request that was due then and is over now.
func (l *ledger) note(who string, due time.Time, err error) {
	took := time.Since(due)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.samples = append(l.samples, sample{due, took})
		return
	}
	text := fmt.Sprintf("%s: %v, %s after it was due", who, err, took.Round(time.Millisecond))
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, unix.EAGAIN) { // the latter from a socket with a timeout
		l.slow = append(l.slow, text)
	} else {
		l.failed = append(l.failed, text)
	}
}

// window gives the times of the requests that were due in an interval and are answered, sorted.
func (l *ledger) window(from, to time.Time) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []time.Duration
	for i := len(l.samples) - 1; i >= 0; i-- {
		if s := &l.samples[i]; !s.due.Before(from) && s.due.Before(to) {
			out = append(out, s.took)
		} else if s.due.Before(from.Add(-2 * answerIn)) {
			break
		}
	}
	slices.Sort(out)
	return out
}

// failures takes what failed since the last call, and what was given up because it took too long.
func (l *ledger) failures() (failed, slow []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed, slow = l.failed, l.slow
	l.failed, l.slow = nil, nil
	return failed, slow
}

// p99 of sorted times.
func p99(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*99/100)]
}
