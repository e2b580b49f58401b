//go:build linux

package flood

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// TestAServerThatDoesNotAnswerIsSlow: windows without an answer must not look fast.
func TestAServerThatDoesNotAnswerIsSlow(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // connections are made by the kernel; nobody reads
	if err != nil {
		t.Fatal(err)
	}
	h := &honest{addr: ln.Addr().String(), workers: 2, every: 10 * time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { h.run(ctx) })
	from := time.Now()
	time.Sleep(300 * time.Millisecond) // a window of measurement
	seen := h.window(from, time.Now())
	cancel()
	ln.Close() // which resets what waits
	wg.Wait()
	if len(seen) < 40 || p99(seen) < 200*time.Millisecond {
		t.Errorf("%d requests, p99 %s: want about 60 of up to 300 ms", len(seen), p99(seen))
	}
}
