package datapath

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
)

// load runs 32 clients, half of them posting, until stop is called; it reports what failed.
func load(t testing.TB, url string) (stop func() (ok int64)) {
	t.Helper()
	var wg sync.WaitGroup
	var good atomic.Int64
	quit := make(chan struct{})
	for i := range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			c := &http.Client{Transport: tr}
			body := strings.Repeat("x", i*i*8)
			for n := 0; ; n++ {
				select {
				case <-quit:
					return
				default:
				}
				var res *http.Response
				var err error
				if i%2 == 0 {
					res, err = c.Post(url, "", strings.NewReader(body))
				} else {
					res, err = c.Get(url)
				}
				if err != nil {
					t.Errorf("client %d, request %d: %v", i, n, err)
					return
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				want := "ok"
				if i%2 == 0 {
					want += body
				}
				if res.StatusCode != 200 || err != nil || string(b) != want {
					t.Errorf("client %d, request %d: %d, %d of %d bytes, %v %.300q", i, n, res.StatusCode, len(b), len(want), err, b)
					return
				}
				good.Add(1)
			}
		}()
	}
	return func() int64 { close(quit); wg.Wait(); return good.Load() }
}

func okApp(t testing.TB) string {
	return echoServer(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, "ok")
		w.Write(b)
	})
}

func TestTableChangesUnderLoadLoseNothing(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: okApp(t), loops: 2})
		x.addServer("cart-2", "cart", okApp(t))
		x.addServer("cart-3", "cart3", okApp(t))
		all := x.eps.Endpoints
		x.publish()
		stop := load(t, x.url("/"))
		for i := range 60 {
			x.setEndpoints(all[i%3:][:1]...)
			time.Sleep(2 * time.Millisecond) // paces the changes; nothing depends on it
			x.setEndpoints(all[i%3], all[(i+1)%3])
			time.Sleep(2 * time.Millisecond)
		}
		if n := stop(); n < 100 {
			t.Errorf("only %d requests were made", n)
		}
	})
}

// TestDrainingACalleeLosesNothing: one of two callees is told to stop while requests, some with
// bodies, are on their way. Its proxy ends, and no client notices.
func TestDrainingACalleeLosesNothing(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: okApp(t)})
		x.addServer("cart-2", "cart", okApp(t))
		x.publish()
		stop := load(t, x.url("/"))
		eventually(t, "both callees work", func() bool {
			c := x.server.counts(nil)
			return c.Requests() > 50
		})
		x.server.driver.Drain()
		select {
		case <-x.server.done:
		case <-time.After(8 * time.Second):
			t.Error("the callee's proxy did not end")
		}
		if n := stop(); n < 100 {
			t.Errorf("only %d requests were made", n)
		}
		if sum := x.client.counts(nil); sum.Failure != 0 {
			t.Errorf("%d failures were counted", sum.Failure)
		}
	})
}

// TestDrainingTheCallerFinishesWhatIsUnderWay: requests under way are answered, with
// Connection: close; idle connections close; the proxy ends soon after.
func TestDrainingTheCallerFinishesWhatIsUnderWay(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		began, release := make(chan struct{}, 1), make(chan struct{})
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				began <- struct{}{}
				<-release
			}
			io.WriteString(w, strings.Repeat("answer", 100_000))
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		idle, busy := dial(t, x.client.addr["cart"]), dial(t, x.client.addr["cart"])
		ib := bufio.NewReader(idle)
		io.WriteString(idle, "GET / HTTP/1.1\r\nHost: cart\r\n\r\n")
		readResponse(t, ib, "GET")
		io.WriteString(busy, "GET /wait HTTP/1.1\r\nHost: cart\r\n\r\n")
		<-began
		x.client.driver.Drain()
		if _, err := ib.ReadByte(); err != io.EOF {
			t.Errorf("the idle connection: %v, want its end", err)
		}
		close(release)
		res, body := readResponse(t, bufio.NewReader(busy), "GET")
		if len(body) != 600_000 || !res.Close {
			t.Errorf("%d bytes, close %v", len(body), res.Close)
		}
		select {
		case <-x.client.done:
		case <-time.After(8 * time.Second):
			t.Error("the caller's proxy did not end")
		}
	})
}

// TestADrainingTunnelEndsWithItsBytes: what is queued for a slow reader when the work is done is
// still delivered before the proxy ends.
func TestADrainingTunnelEndsWithItsBytes(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		app := tcpServer(t, func(c net.Conn) {
			io.CopyN(c, zeros{}, 3<<20)
		})
		x := newPair(t, pairOptions{driver: driver, app: app, protocol: model.ProtocolTCP})
		c := dial(t, x.client.addr["cart"])
		if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		x.client.driver.Drain()
		if n, err := io.Copy(io.Discard, c); err != nil || n != 3<<20-1000 {
			t.Errorf("%d bytes more, %v", n, err)
		}
	})
}

func TestASlowHeadIsGivenUp(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: okApp(t), protocol: model.ProtocolHTTP, limits: core.Limits{HeadTimeout: 100 * time.Millisecond}})
		for i, first := range []string{"GET / HT", "GET / HTTP/1.1\r\nHost: ca", "GET / HTTP/1.1\r\nHost: cart\r\n\r\nGET /2 HTTP/1.1\r\nHo"} {
			c := dial(t, x.client.addr["cart"])
			io.WriteString(c, first)
			done := make(chan struct{})
			go func() { // a byte now and then does not help
				defer close(done)
				for {
					if _, err := io.WriteString(c, "x"); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			}()
			start := time.Now()
			io.Copy(io.Discard, c)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%d: closed after %s", i, took)
			}
			c.Close()
			<-done
		}
		if n := x.client.refusals("W3010"); n != 3 {
			t.Errorf("%d slow heads were counted, want 3", n)
		}
	})
}

func TestConnectionsBeyondTheLimitAreRefused(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: okApp(t), protocol: model.ProtocolHTTP, limits: core.Limits{MaxConns: 6}, callee: &core.Limits{}})
		for range 6 {
			dial(t, x.client.addr["cart"])
		}
		eventually(t, "six are there", func() bool { return x.client.conns() == 6 })
		c := dial(t, x.client.addr["cart"])
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the seventh was answered")
		}
		eventually(t, "the refusal is counted", func() bool { return x.client.refusals("W3011") == 1 })
	})
}

// TestCountersEqualWhatWasSent compares both ends with the ledger of the client.
func TestCountersEqualWhatWasSent(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			var code int
			fmt.Sscanf(r.URL.Path, "/%d", &code)
			w.WriteHeader(code)
			w.Write(b)
			w.Write(b)
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := httpClient(t, "")
		var sent uint64
		codes := []int{200, 200, 201, 301, 404, 404, 404, 500, 503}
		for i, code := range codes {
			body := strings.Repeat("b", i*5000)
			res, err := c.Post(x.url(fmt.Sprintf("/%d", code)), "", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			sent += uint64(len(body))
		}
		for name, p := range map[string]*proxy{"caller": x.client, "callee": x.server} {
			sum := p.counts(nil)
			eventually(t, name+" has counted all", func() bool { sum = p.counts(nil); return sum.Requests() == 9 && sum.Active == 0 })
			if sum.Success != 7 || sum.Failure != 2 || sum.Opened != 9 || sum.Status != [6]uint64{0, 0, 3, 1, 3, 2} {
				t.Errorf("%s: %+v", name, sum)
			}
			if sum.BytesOut != sent || sum.BytesIn != 2*sent {
				t.Errorf("%s: %d bytes out of %d, %d in of %d", name, sum.BytesOut, sent, sum.BytesIn, 2*sent)
			}
		}
	})
}

// TestADrainingProxySaysGoAwayAndFinishesItsStreams: an application that speaks HTTP/2 is told to
// open no more streams, the one under way is answered, and then the connection ends.
func TestADrainingProxySaysGoAwayAndFinishesItsStreams(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		began, release := make(chan struct{}, 1), make(chan struct{})
		e := &echoService{md: make(chan metadata.MD)}
		app := grpcServer(t, e)
		x := newPair(t, pairOptions{driver: driver, app: app, protocol: model.ProtocolGRPC})
		go func() { began <- struct{}{}; <-release; <-e.md }()
		<-began
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, http2.ClientPreface)
		fr := http2.NewFramer(c, bufio.NewReader(c))
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		fr.WriteSettings()
		var block strings.Builder
		enc := hpack.NewEncoder(&block)
		for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/test.Echo/Call"}, {":authority", "cart"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
			enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true})
		fr.WriteData(1, true, make([]byte, 5)) // an empty message
		eventually(t, "the call is under way", func() bool { return x.server.counts(nil).Active == 1 })
		x.client.driver.Drain()
		var goAway, status bool
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				if !errors.Is(err, io.EOF) || !goAway || !status {
					t.Errorf("%v, GOAWAY %v, answered %v", err, goAway, status)
				}
				return
			}
			switch f := f.(type) {
			case *http2.PingFrame:
				if !f.IsAck() {
					fr.WritePing(true, f.Data)
				}
			case *http2.GoAwayFrame:
				if !goAway {
					close(release) // only now is the call answered
				}
				goAway = true
			case *http2.MetaHeadersFrame:
				status = status || f.StreamEnded() && strings.Contains(fmt.Sprint(f.Fields), "grpc-status")
			}
		}
	})
}
