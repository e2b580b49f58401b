//go:build linux

package attack

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// headTime is how long weft waits for a head that has begun (docs/proxy.md); slack is for a busy machine.
const (
	headTime = 10 * time.Second
	slack    = 5 * time.Second
)

// slowClient is one row: a client that begins and never ends.
type slowClient struct {
	name  string
	link  bool
	begin string        // what it sends at once
	drip  string        // and then octet by octet, one every 100 ms
	ends  time.Duration // when its connection must have been closed at the latest; 0: it may stay
}

// slowEach is how many clients of each kind there are at once.
const slowEach = 50

// TestB2_18_Slow: clients that hold connections and give nothing. All kinds are there at once; heads
// and handshakes that do not end are cut off, and honest clients do not notice any of it. Many more of
// them, with honest latency measured, are in test/flood.
func TestB2_18_Slow(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, nil)
	x := newPair(t, rec.addr(), "", "").warm()
	rows := []slowClient{
		{name: "a head in drops", begin: "GET / HTTP/1.1\r\nHost: app\r\n", drip: times(1000, "X-A: b\r\n"), ends: headTime + slack},
		{name: "a head that stops", begin: "GET / HTTP/1.1\r\nHost: app\r\n", ends: headTime + slack},
		{name: "a request line that stops", begin: "GET", ends: headTime + slack},
		{name: "a second head that stops", begin: "GET /one HTTP/1.1\r\nHost: app\r\n\r\nGET /two HTTP/1.1\r\n", ends: headTime + slack},
		{name: "a preface in drops", begin: "PRI * HT", drip: "TP/2", ends: headTime + slack},
		{name: "a preface that stops", begin: "PRI * HTTP/2.0\r\n\r\n", ends: headTime + slack},
		{name: "a handshake that never begins", link: true, ends: headTime + slack},
		{name: "a handshake that stops", link: true, begin: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ends: headTime + slack},
		{name: "a handshake in drops", link: true, begin: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", drip: times(400, "x"), ends: headTime + slack},
		{name: "a body in drops", begin: "POST /body HTTP/1.1\r\nHost: app\r\nContent-Length: 1000\r\n\r\n", drip: times(1000, "x")},
		{name: "chunks in drops", begin: "POST /body HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n", drip: times(200, "1\r\nx\r\n")},
		{name: "nothing"},
		{name: "a connection that was used", begin: "GET /one HTTP/1.1\r\nHost: app\r\n\r\n"},
		{name: "HTTP/2 without a request", begin: preface + settings()},
	}
	before := [2]int{x.caller.rss(t), x.callee.rss(t)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	began := time.Now()
	ended := make([][]time.Duration, len(rows)) // 0: not yet
	var mu sync.Mutex                           // guards ended
	for i := range rows {
		row := &rows[i]
		ended[i] = make([]time.Duration, slowEach)
		for n := range slowEach {
			addr := x.h1
			if row.link {
				addr = x.link
			}
			c := dialFree(t, addr)
			wg.Go(func() {
				row.run(c, stop)
				mu.Lock()
				defer mu.Unlock()
				ended[i][n] = time.Since(began)
			})
		}
	}
	made := time.Now() // the last of them; on a busy machine that takes a while
	// Honest clients come all the while, each on a new connection.
	worst := time.Duration(0)
	for honest := 0; ; honest++ {
		at := time.Now()
		if err := x.honestH1(fmt.Sprintf("/honest%d", honest)); err != nil {
			t.Fatalf("an honest client after %s: %v", time.Since(began), err)
		}
		worst = max(worst, time.Since(at))
		mu.Lock()
		left := 0
		for i := range rows {
			for _, e := range ended[i] {
				if rows[i].ends > 0 && e == 0 {
					left++
				}
			}
		}
		mu.Unlock()
		if left == 0 {
			break
		}
		if time.Since(made) > headTime+slack {
			t.Errorf("%d connections that should have been closed are open after %s", left, time.Since(made))
			break
		}
		time.Sleep(20 * time.Millisecond) // a modest rate; latency is test/flood's business
	}
	if worst > 2*time.Second {
		t.Errorf("an honest request took %s", worst)
	}
	for i, p := range []*program{x.caller, x.callee} {
		if grown := p.rss(t) - before[i]; grown > maxGrowth {
			t.Errorf("%s grew by %d MiB with %d slow clients", p.name, grown>>20, len(rows)*slowEach)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range rows {
		t.Logf("%-28s %s", rows[i].name, rows[i].summary(ended[i]))
	}
	if got := rec.about("/two"); len(got) > 0 {
		t.Errorf("a head that never ended reached the application: %s", &got[0])
	}
}

// run is one client; it returns when its connection is closed, or at the end of the test.
func (row *slowClient) run(c net.Conn, stop <-chan struct{}) {
	over := make(chan struct{})
	go func() { // ends with the connection, which ends with the test at the latest
		defer close(over)
		_, _ = io.Copy(io.Discard, c)
	}()
	defer func() { c.Close(); <-over }()
	_, _ = io.WriteString(c, row.begin)
	drip := time.NewTicker(100 * time.Millisecond)
	defer drip.Stop()
	rest := strings.NewReader(row.drip)
	for {
		select {
		case <-over:
			return
		case <-stop:
			return
		case <-drip.C:
			if b, err := rest.ReadByte(); err == nil {
				_, _ = c.Write([]byte{b})
			}
		}
	}
}

// summary says when the clients of a row were cut off.
func (row *slowClient) summary(ended []time.Duration) string {
	n, last := 0, time.Duration(0)
	for _, e := range ended {
		if e > 0 {
			n++
			last = max(last, e)
		}
	}
	if n == 0 {
		return "stay"
	}
	return fmt.Sprintf("%d of %d cut off, the last after %s", n, len(ended), last.Round(100*time.Millisecond))
}
