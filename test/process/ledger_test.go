//go:build linux

package process

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// get makes one request and gives the status code and the body, or code 0 and the error's text.
func get(c *http.Client, target string) (code int, body string) {
	code, body, _ = getHeader(c, target)
	return code, body
}

func getHeader(c *http.Client, target string) (code int, body string, h http.Header) {
	resp, err := c.Get(target)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, err.Error(), resp.Header
	}
	return resp.StatusCode, string(b), resp.Header
}

// entry is one request of a ledger.
type entry struct {
	begin, end time.Time
	code       int // 0: no response
	body       string
}

func (e *entry) ok() bool { return e.code == http.StatusOK }

// load calls a URL from several workers, one request after the other each, and writes every
// request down.
type load struct {
	workers int
	stop    chan struct{}
	wg      sync.WaitGroup

	mu      sync.Mutex // guards entries
	entries []entry
}

// pause of each worker between two requests: the load shall be steady, not all that the machine
// can do, which others use too.
const pause = 2 * time.Millisecond

// startLoad begins; end it with finish.
func (c *caller) startLoad(workers int, target string) *load {
	l := &load{workers: workers, stop: make(chan struct{})}
	client := c.client()
	client.Timeout = 10 * time.Second
	for range workers {
		l.wg.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				e := entry{begin: time.Now()}
				e.code, e.body = get(client, target)
				e.end = time.Now()
				l.mu.Lock()
				l.entries = append(l.entries, e)
				l.mu.Unlock()
				select {
				case <-l.stop:
					return
				case <-tick.C:
				}
			}
		})
	}
	return l
}

// seen counts requests that began after a time and satisfy f.
func (l *load) seen(after time.Time, f func(*entry) bool) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.entries {
		if e := &l.entries[i]; e.begin.After(after) && f(e) {
			n++
		}
	}
	return n
}

// await waits until n more requests, from now on, succeeded.
func (l *load) await(c *caller, n int) {
	c.t.Helper()
	now := time.Now()
	eventually(c.t, fmt.Sprintf("%d more requests succeed", n), func() bool { return l.seen(now, (*entry).ok) >= n })
}

// finish ends the load and gives the ledger.
func (l *load) finish() []entry {
	close(l.stop)
	l.wg.Wait()
	return l.entries
}

// failures lists what did not succeed.
func failures(all []entry) (out []entry) {
	for i := range all {
		if !all[i].ok() {
			out = append(out, all[i])
		}
	}
	return out
}

// show tells of failures, relative to a moment.
func show(fails []entry, at time.Time) string {
	s := ""
	for i := range fails {
		if i == 5 {
			return s + "…"
		}
		f := &fails[i]
		s += fmt.Sprintf("\n  %d %.160q, begun %s, ended %s after the moment", f.code, f.body, f.begin.Sub(at).Round(time.Millisecond), f.end.Sub(at).Round(time.Millisecond))
	}
	return s
}
