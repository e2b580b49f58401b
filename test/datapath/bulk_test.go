package datapath

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

// heapPeak watches the heap and the memory taken from the system while f runs.
func heapPeak(f func()) (grew uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapInuse
	quit, peak := make(chan struct{}), make(chan uint64, 1)
	go func() {
		var top uint64
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-quit:
				tick.Stop()
				peak <- top
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				top = max(top, m.HeapInuse)
			}
		}
	}()
	f()
	close(quit)
	if top := <-peak; top > before {
		return top - before
	}
	return 0
}

const (
	gibibyte = 1 << 30
	mayGrow  = 64 << 20
)

// TestAGibibyteInEachDirectionNeedsLittleMemory moves a large body through both proxies, for
// HTTP/1.1 and for opaque TCP.
func TestAGibibyteInEachDirectionNeedsLittleMemory(t *testing.T) {
	size := int64(gibibyte)
	if testing.Short() || raceEnabled {
		size >>= 4
	}
	t.Run("HTTP/1.1", func(t *testing.T) {
		app := tcpServer(t, func(c net.Conn) {
			br := bufio.NewReaderSize(c, 64<<10)
			for {
				req, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				n, _ := io.Copy(io.Discard, req.Body)
				if req.Method == "GET" {
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
					writeZeros(c, size)
					continue
				}
				s := fmt.Sprint(n)
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
			}
		})
		x := newPair(t, pairOptions{driver: drivers[0], app: app})
		grew := heapPeak(func() {
			c := dial(t, x.client.addr["cart"])
			c.SetDeadline(time.Now().Add(2 * time.Minute))
			br := bufio.NewReaderSize(c, 64<<10)
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: %d\r\n\r\n", size)
			start := time.Now()
			writeZeros(c, size)
			if _, body := readResponse(t, br, "POST"); body != fmt.Sprint(size) {
				t.Errorf("the application read %s of %d bytes", body, size)
			}
			up := time.Since(start)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: cart\r\n\r\n")
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
				t.Errorf("the client read %d of %d bytes, %v", n, size, err)
			}
			t.Logf("up %s, down %s", up, time.Since(start)-up)
		})
		checkGrowth(t, grew)
	})
	t.Run("TCP", func(t *testing.T) {
		app := tcpServer(t, func(c net.Conn) {
			n, _ := io.Copy(io.Discard, c)
			writeZeros(c, n)
		})
		x := newPair(t, pairOptions{driver: drivers[0], app: app, protocol: model.ProtocolTCP})
		grew := heapPeak(func() {
			c := dial(t, x.client.addr["cart"])
			c.SetDeadline(time.Now().Add(2 * time.Minute))
			writeZeros(c, size)
			c.CloseWrite()
			if n, err := io.Copy(io.Discard, c); n != size || err != nil {
				t.Errorf("%d of %d bytes came back, %v", n, size, err)
			}
		})
		checkGrowth(t, grew)
	})
}

func checkGrowth(t *testing.T, grew uint64) {
	t.Helper()
	t.Logf("heap grew by %d KiB", grew>>10)
	if raceEnabled {
		return // the detector's own memory counts as well
	}
	if grew > mayGrow {
		t.Errorf("the heap grew by %d MiB, may by %d", grew>>20, mayGrow>>20)
	}
}

func writeZeros(w io.Writer, n int64) {
	buf := make([]byte, 256<<10)
	for n > 0 {
		k, err := w.Write(buf[:min(n, int64(len(buf)))])
		n -= int64(k)
		if err != nil {
			return
		}
	}
}

// TestManyStalledReadersNeedBoundedMemory: forty clients ask for endless bodies and read nothing.
func TestManyStalledReadersNeedBoundedMemory(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/endless" {
				buf := make([]byte, 64<<10)
				for {
					if _, err := w.Write(buf); err != nil {
						return
					}
				}
			}
			io.WriteString(w, "small")
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		grew := heapPeak(func() {
			var wg sync.WaitGroup
			for range 40 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					c := dial(t, x.client.addr["cart"])
					io.WriteString(c, "GET /endless HTTP/1.1\r\nHost: cart\r\n\r\n")
					c.Read(make([]byte, 1))
				}()
			}
			wg.Wait()
			c := httpClient(t, "")
			for range 300 {
				res, err := c.Get(x.url("/small"))
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
		// Per stream at most: a window of 256 KiB in each proxy and what a socket has not taken.
		checkGrowth(t, grew)
	})
}
