//go:build linux

package attack

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// bigBody is the size of large answers, hugeBody more than kernels keep of a connection.
const (
	bigBody  = 10 << 20
	hugeBody = 100 << 20
)

// bigBackend answers /big and /huge as fast as it is let, and counts what it could write. Its own
// kernel buffers are small, so that this tells what the proxies took.
func bigBackend(t *testing.T, written *atomic.Int64) *recorder {
	piece := times(16<<10, "x")
	return newRecorder(t, func(r *received, a *appConn) bool {
		size := bigBody
		switch {
		case strings.HasPrefix(r.target, "/huge"):
			size = hugeBody
		case !strings.HasPrefix(r.target, "/big"):
			return false
		}
		if c, ok := a.Conn.(interface{ SetWriteBuffer(int) error }); ok {
			_ = c.SetWriteBuffer(64 << 10)
		}
		if _, err := fmt.Fprintf(a, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size); err != nil {
			a.done = true
		}
		for n := 0; n < size && !a.done; n += len(piece) {
			if _, err := io.WriteString(a, piece); err != nil {
				a.done = true
				break
			}
			written.Add(int64(len(piece)))
		}
		return true
	})
}

// still waits until a count does not move any more, and gives it.
func still(t *testing.T, what string, count func() int64) (last int64) {
	t.Helper()
	quiet := 0
	last = -1
	eventually(t, what+" stands still", func() bool {
		if n := count(); n != last {
			last, quiet = n, 0
		} else {
			quiet++
		}
		return quiet >= 40 // polls of 5 ms
	})
	return last
}

// TestB1_06_ZeroWindow: 100 streams of 10 MiB whose client takes nothing (CVE-2019-9511, 9517,
// CVE-2020-12604). What the proxies hold is bounded, and the application stops being read.
func TestB1_06_ZeroWindow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		first string // SETTINGS
		then  string
	}{
		{"windows of 0", settings(setting(setWindow, 0)), ""},
		{"no window of the connection", settings(setting(setWindow, 1<<24)), ""},
		{"windows of 1", settings(setting(setWindow, 1)), ""},
		{"windows taken back", settings(setting(setWindow, 1<<20)), settings(setting(setWindow, 0))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var written atomic.Int64
			rec := bigBackend(t, &written)
			x := newPair(t, rec.addr(), "", "").warm()
			rss := x.callee.rss(t)
			const streams = 100
			h := newH2(t, x.dialLink(t), tc.first)
			h.mute.Store(true)
			h.barrier()
			var open []uint32
			for i := range streams {
				open = append(open, h.open(":method", "GET", ":scheme", "http", ":authority", "app", ":path", fmt.Sprintf("/big%d", i), "weft-to", rec.addr()))
			}
			_ = h.write(tc.then)
			took := still(t, "what the application could write", written.Load)
			if most := int64(streams * (1 << 20)); took > most {
				t.Errorf("the application could write %d MiB of %d, want at most %d: nobody reads", took>>20, streams*bigBody>>20, most>>20)
			}
			if grown := x.callee.rss(t) - rss; grown > maxGrowth {
				t.Errorf("the proxy grew by %d MiB", grown>>20)
			}
			if err := x.honestH1("/honest"); err != nil {
				t.Errorf("an honest client: %v", err)
			}
			// It still works: most give up, windows open for some, and everything comes.
			const kept = 2
			for _, id := range open[kept:] {
				_ = h.write(rst(id, codeCancel))
			}
			h.mute.Store(false)
			_ = h.write(windowUpdate(0, 1<<28))
			for _, id := range open[:kept] {
				_ = h.write(windowUpdate(id, 1<<24))
				if s := h.result(id, patience); s.bytes != bigBody || !s.ended {
					t.Errorf("stream %d: %d bytes, ended %v", id, s.bytes, s.ended)
				}
			}
		})
	}
}

// TestB1_06_SlowReader: the same through both proxies, from an HTTP/1 client that never reads.
func TestB1_06_SlowReader(t *testing.T) {
	t.Parallel()
	var written atomic.Int64
	rec := bigBackend(t, &written)
	x := newPair(t, rec.addr(), "", "").warm()
	before := [2]int{x.caller.rss(t), x.callee.rss(t)}
	const clients = 20
	for i := range clients {
		c := dialFree(t, x.h1)
		if s, ok := c.(interface{ SetReadBuffer(int) error }); ok {
			_ = s.SetReadBuffer(64 << 10)
		}
		fmt.Fprintf(c, "GET /huge%d HTTP/1.1\r\nHost: app\r\n\r\n", i)
	}
	took := still(t, "what the application could write", written.Load)
	if most := int64(clients * hugeBody / 4); took > most {
		t.Errorf("the application could write %d MiB, want at most %d: nobody reads", took>>20, most>>20)
	}
	for i, p := range []*program{x.caller, x.callee} {
		if grown := p.rss(t) - before[i]; grown > maxGrowth {
			t.Errorf("%s grew by %d MiB", p.name, grown>>20)
		}
	}
	if err := x.honestH1("/honest"); err != nil {
		t.Errorf("an honest client: %v", err)
	}
}

// TestB1_06_Flapping: INITIAL_WINDOW_SIZE up and down while many streams wait for it
// (CVE-2026-78669), and windows that open by an octet at a time.
func TestB1_06_Flapping(t *testing.T) {
	t.Parallel()
	var written atomic.Int64
	rec := bigBackend(t, &written)
	x := newPair(t, rec.addr(), "", "").warm()
	wait := func(h *h2conn, streams int) {
		for i := range streams {
			h.open(":method", "GET", ":scheme", "http", ":authority", "app", ":path", fmt.Sprintf("/big%d", i), "weft-to", rec.addr())
		}
		still(t, "what the application could write", written.Load)
	}
	for _, fl := range []struct {
		name  string
		round func(i int) string
	}{
		{"SETTINGS between 0 and 1", func(i int) string { return settings(setting(setWindow, uint32(i%2))) }},
		{"SETTINGS between 0 and much", func(i int) string { return settings(setting(setWindow, uint32(i%2)<<20)) }},
		{"WINDOW_UPDATE of 1", func(int) string { return windowUpdate(0, 1) + windowUpdate(1, 1) }},
	} {
		t.Run(fl.name, func(t *testing.T) {
			rss, cpu, began := x.callee.rss(t), x.callee.cpu(t), time.Now()
			h := newH2(t, x.dialLink(t), settings(setting(setWindow, 0)))
			h.mute.Store(true)
			h.barrier()
			wait(h, 100)
			const rounds = 20000
			sent := 0
			var batch strings.Builder
			for ; sent < rounds; sent++ {
				batch.WriteString(fl.round(sent))
				if batch.Len() >= 4<<10 {
					if h.write(batch.String()) != nil {
						break
					}
					batch.Reset()
				}
			}
			if sent == rounds && h.barrier() {
				if took := time.Since(began); float64(sent) > took.Seconds()*5000 {
					t.Errorf("%d rounds in %s, and the connection goes on", sent, took)
				}
				h.close()
			} else if code, why, err := h.end(patience); err != nil || code != codeCalm {
				t.Errorf("after %d rounds: code %d %q, %v; want ENHANCE_YOUR_CALM", sent, code, why, err)
			}
			if grown := x.callee.rss(t) - rss; grown > maxGrowth {
				t.Errorf("the proxy grew by %d MiB", grown>>20)
			}
			if used := x.callee.cpu(t) - cpu; used > maxCPU {
				t.Errorf("the proxy spent %s on it", used)
			}
			if err := x.honestH1("/honest"); err != nil {
				t.Errorf("an honest client: %v", err)
			}
		})
	}
}
