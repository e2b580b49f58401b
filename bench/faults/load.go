package main

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// outcome is one request: when in the run it was due, and how long after that moment it was answered
// well; 0: it was not, in the time allowed.
type outcome struct{ at, took time.Duration }

// load makes requests at a constant rate for some time from start on, each at the moment at which
// it is due, whatever became of the others. What a request waits for a connection, or for this
// program, is part of how long it took. do makes one and reports whether it was answered well.
func load(ctx context.Context, start time.Time, rate int, lasts time.Duration, do func(ctx context.Context) bool) []outcome {
	gap := time.Second / time.Duration(rate)
	out := make([]outcome, lasts/gap)
	made := len(out)
	var all sync.WaitGroup
	for i := range out {
		at := time.Duration(i) * gap
		due := start.Add(at)
		if !rest(ctx, time.Until(due)) {
			made = i
			break
		}
		out[i].at = at
		all.Go(func() {
			one, cancel := context.WithDeadline(ctx, due.Add(allowed))
			defer cancel()
			if do(one) {
				if took := time.Since(due); took <= allowed {
					out[i].took = max(took, 1)
				}
			}
		})
	}
	all.Wait()
	return out[:made]
}

// get makes a request of an HTTP client to url that is well if it is answered 200 to the end.
func get(client *http.Client, url string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK
	}
}

// sum is what came of the requests that were due within some time.
type sum struct {
	Sent  int     `json:"sent"`
	Good  int     `json:"good"`
	P99MS float64 `json:"p99Ms"` // of all; what failed counts as the time allowed
}

// success is the share of good ones; 1 if there were none.
func (s sum) success() float64 {
	if s.Sent == 0 {
		return 1
	}
	return float64(s.Good) / float64(s.Sent)
}

// sumOf sums up the requests that were due from one moment to before another.
func sumOf(out []outcome, from, to time.Duration) sum {
	var s sum
	var took []time.Duration
	for _, o := range out {
		if o.at < from || o.at >= to {
			continue
		}
		s.Sent++
		if o.took > 0 {
			s.Good++
		} else {
			o.took = allowed
		}
		took = append(took, o.took)
	}
	s.P99MS = float64(quantile(took, 0.99)) / float64(time.Millisecond)
	return s
}

// lastFailure gives how long after a moment the last request was due that failed; 0: none did.
func lastFailure(out []outcome, from, to time.Duration) time.Duration {
	var last time.Duration
	for _, o := range out {
		if o.took == 0 && o.at >= from && o.at < to {
			last = max(last, o.at-from)
		}
	}
	return last
}

// quantile gives the value below which the share q of all lies; it sorts. 0 for none.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(int(q*float64(len(d))), len(d)-1)]
}
