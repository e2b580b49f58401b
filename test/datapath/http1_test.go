package datapath

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
)

// exchangeRaw sends bytes to an address and returns everything that comes back until the end.
func exchangeRaw(t testing.TB, addr, request string) string {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// readResponse reads one response and its body.
func readResponse(t testing.TB, br *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("reading a response: %v", err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading a body: %v", err)
	}
	return res, string(b)
}

func TestHTTP10ClientsAreServedAsTheyExpect(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("x-host", r.Host)
			io.WriteString(w, "one ")
			w.(http.Flusher).Flush() // so the application's response is chunked
			io.WriteString(w, "two")
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		got := exchangeRaw(t, x.client.addr["cart"], "GET / HTTP/1.0\r\nHost: cart\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "\r\n\r\none two") || strings.Contains(got, "chunked") {
			t.Errorf("with Host: %q", got)
		}
		got = exchangeRaw(t, x.client.addr["cart"], "GET / HTTP/1.0\r\n\r\n")
		if !strings.Contains(got, "x-host: cart.shop\r\n") {
			t.Errorf("without Host the application should see the service's name: %q", got)
		}
		got = exchangeRaw(t, x.client.addr["cart"], "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		if !strings.HasSuffix(got, "one two") {
			t.Errorf("keep-alive cannot be granted without a length, so the end must close: %q", got)
		}
	})
}

func TestHTTP10KeepAliveIsGrantedWhenTheLengthIsKnown(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		br := bufio.NewReader(c)
		for i := range 3 {
			fmt.Fprintf(c, "GET /%d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", i)
			res, body := readResponse(t, br, "GET")
			if body != fmt.Sprintf("/%d", i) || !strings.EqualFold(res.Header.Get("Connection"), "keep-alive") {
				t.Fatalf("%d: %q %v", i, body, res.Header)
			}
		}
	})
}

func TestResponsesWithoutBodyKeepTheConnectionInStep(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/204":
				w.WriteHeader(204)
			case "/304":
				w.Header().Set("ETag", `"x"`)
				w.WriteHeader(304)
			default:
				w.Header().Set("Content-Length", "5")
				io.WriteString(w, "hello")
			}
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		br := bufio.NewReader(c)
		for _, step := range []struct {
			method, path, body string
			status             int
		}{
			{"HEAD", "/a", "", 200}, {"GET", "/204", "", 204}, {"GET", "/304", "", 304}, {"GET", "/a", "hello", 200},
			{"HEAD", "/204", "", 204}, {"GET", "/a", "hello", 200},
		} {
			fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: cart\r\n\r\n", step.method, step.path)
			res, body := readResponse(t, br, step.method)
			if res.StatusCode != step.status || body != step.body {
				t.Fatalf("%s %s: %d %q", step.method, step.path, res.StatusCode, body)
			}
			if step.method == "HEAD" && step.path == "/a" && res.ContentLength != 5 {
				t.Errorf("HEAD lost the length: %d", res.ContentLength)
			}
		}
	})
}

func TestTrailersPassBothWays(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			b, _ := io.ReadAll(r.Body)
			w.Write(b)
			w.Header().Set("X-Sum", "got "+r.Trailer.Get("X-Check"))
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: cart\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n5\r\nhello\r\n0\r\nX-Check: 42\r\n\r\n")
		res, body := readResponse(t, bufio.NewReader(c), "POST")
		if body != "hello" || res.Trailer.Get("X-Sum") != "got 42" {
			t.Errorf("%q, trailers %v", body, res.Trailer)
		}
	})
}

func TestExpectContinueGoesToTheApplicationAndBack(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				w.WriteHeader(403)
				return
			}
			b, _ := io.ReadAll(r.Body) // net/http sends the 100 now
			w.Write(b)
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		br := bufio.NewReader(c)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		if line, err := br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("before the body: %q %v", line, err)
		}
		br.ReadString('\n')
		io.WriteString(c, "body")
		if res, body := readResponse(t, br, "POST"); res.StatusCode != 200 || body != "body" {
			t.Fatalf("%d %q", res.StatusCode, body)
		}
		// A final answer instead of the 100: the body never comes, so the connection must end.
		io.WriteString(c, "POST /no HTTP/1.1\r\nHost: cart\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		res, _ := readResponse(t, br, "POST")
		if res.StatusCode != 403 || !res.Close {
			t.Errorf("%d, close %v", res.StatusCode, res.Close)
		}
	})
}

func TestEarlyAnswerToAnUploadIsReadAndTheConnectionIsNotReused(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := tcpServer(t, func(c net.Conn) {
			br := bufio.NewReader(c)
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
			io.Copy(io.Discard, br)
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		go func() { // never ends by itself: the answer must not wait for it
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 1000000000\r\n\r\n")
			chunk := make([]byte, 32<<10)
			for {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}()
		br := bufio.NewReader(c)
		res, body := readResponse(t, br, "POST")
		if res.StatusCode != 413 || body != "big" || !res.Close {
			t.Errorf("%d %q close %v", res.StatusCode, body, res.Close)
		}
		if _, err := br.ReadByte(); err == nil {
			t.Error("more came on a connection that should have ended")
		}
	})
}

func TestPipelinedRequestsWithBodiesStayApart(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %d %.10s", r.URL.Path, len(b), b)
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		var b strings.Builder
		var want []string
		for i, size := range []int{0, 10, 20_000, 100_000, 1, 300_000} {
			body := strings.Repeat(string(rune('a'+i)), size)
			if i%2 == 0 {
				fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: cart\r\nContent-Length: %d\r\n\r\n%s", i, size, body)
			} else {
				fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: cart\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", i, size, body)
			}
			want = append(want, fmt.Sprintf("/%d %d %.10s", i, size, body))
		}
		c := dial(t, x.client.addr["cart"])
		go func() {
			io.WriteString(c, b.String())
			c.CloseWrite() // what was sent wholly is still answered
		}()
		br := bufio.NewReader(c)
		for _, w := range want {
			if _, got := readResponse(t, br, "POST"); got != w {
				t.Fatalf("got %q, want %q", got, w)
			}
		}
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("after the last: %v", err)
		}
	})
}

func TestAClientThatGoesAwayCancelsItsRequest(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		began, ended := make(chan struct{}, 1), make(chan struct{}, 1)
		app := echoServer(t, func(_ http.ResponseWriter, r *http.Request) {
			began <- struct{}{}
			<-r.Context().Done()
			ended <- struct{}{}
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: cart\r\n\r\n")
		<-began
		c.SetLinger(0)
		c.Close()
		<-ended
		eventually(t, "nothing is under way at the caller's", func() bool { return x.client.counts(nil).Active == 0 })
		eventually(t, "nothing is under way at the callee's", func() bool { return x.server.counts(nil).Active == 0 })
	})
}

func TestAnApplicationThatDiesMidBodyIsSeenByTheClient(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		for name, head := range map[string]string{
			"length":  "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
			"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		} {
			app := tcpServer(t, func(c net.Conn) {
				http.ReadRequest(bufio.NewReader(c))
				io.WriteString(c, head)
			})
			x := newPair(t, pairOptions{driver: driver, app: app})
			res, err := httpClient(t, "").Get(x.url("/"))
			if err != nil {
				t.Fatal(name, err)
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err == nil || string(b) != "half" {
				t.Errorf("%s: %q, %v: the truncation is invisible or too much was lost", name, b, err)
			}
		}
	})
}

func TestBodiesUntilCloseArriveWhole(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		body := strings.Repeat("0123456789", 30_000)
		app := tcpServer(t, func(c net.Conn) {
			http.ReadRequest(bufio.NewReader(c))
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"+body)
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		for range 3 {
			res, err := httpClient(t, "").Get(x.url("/"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || string(b) != body {
				t.Fatalf("%d of %d bytes, %v", len(b), len(body), err)
			}
		}
	})
}

// countingServer is an application that counts its connections.
func countingServer(t testing.TB, h http.HandlerFunc) (addr string, conns *atomic.Int64) {
	t.Helper()
	conns = new(atomic.Int64)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ConnState: func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return ln.Addr().String(), conns
}

func TestConnectionsToTheApplicationAreReused(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app, conns := countingServer(t, func(w http.ResponseWriter, r *http.Request) { b, _ := io.ReadAll(r.Body); w.Write(b) })
		// The protocol is declared, or a slow client would be taken for one that waits for its server.
		x := newPair(t, pairOptions{driver: driver, app: app, protocol: model.ProtocolHTTP})
		for i := range 40 { // a client connection each, one application connection for all
			body := strings.Repeat("x", i*100)
			tr := &http.Transport{DisableKeepAlives: true}
			res, err := (&http.Client{Transport: tr}).Post(x.url("/"), "text/plain", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if string(got) != body {
				t.Fatalf("%d: %d bytes, %v", i, len(got), err)
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("40 requests in a row used %d connections to the application, want 1", n)
		}
	})
}

// TestAStaleConnectionIsRetriedOnlyIfHarmless: an application that closes its idle connection at
// the very moment of the next request is nobody's fault; a GET is sent again, a POST is not.
func TestAStaleConnectionIsRetriedOnlyIfHarmless(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		var mu sync.Mutex
		n := map[string]int{}
		app := tcpServer(t, func(c net.Conn) {
			br := bufio.NewReader(c)
			for first := true; ; first = false {
				req, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				io.Copy(io.Discard, req.Body)
				if !first {
					return // the race: the request is read, and the connection closed without an answer
				}
				mu.Lock()
				n[req.Method]++
				mu.Unlock()
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		do := func(method string) int {
			c := dial(t, x.client.addr["cart"])
			fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: cart\r\nContent-Length: 0\r\n\r\n", method)
			res, _ := readResponse(t, bufio.NewReader(c), method)
			return res.StatusCode
		}
		if s := do("GET"); s != 200 {
			t.Fatal(s)
		}
		if s := do("GET"); s != 200 {
			t.Errorf("a GET on a stale connection: %d, want a silent retry", s)
		}
		if s := do("POST"); s != 502 {
			t.Errorf("a POST on a stale connection: %d, want 502: it may have been processed", s)
		}
		if s := do("POST"); s != 200 {
			t.Errorf("the next POST: %d", s)
		}
	})
}

func TestIdentityCannotBeForged(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		seen := make(chan http.Header, 1)
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			h := r.Header.Clone()
			for k, v := range r.Trailer {
				h["Trailer-"+k] = v
			}
			seen <- h
			w.Header().Set("weft-code", "W3304") // an application is no proxy
			w.Header().Set("Weft_Code", "W3304")
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		for _, name := range []string{"weft-client-id", "Weft-Client-Id", "WEFT-CLIENT-ID", "weft_client_id", "Weft_Client_ID", "weft-to", "weft-proto", "WEFT-anything"} {
			c := dial(t, x.client.addr["cart"])
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: cart\r\n"+name+": spiffe://evil/ns/a/sa/b\r\n\r\n")
			res, _ := readResponse(t, bufio.NewReader(c), "GET")
			if res.Header.Get("weft-code") != "" || res.Header.Get("weft_code") != "" {
				t.Errorf("the application's weft-code reached the client: %v", res.Header)
			}
			h := <-seen
			if got := h["Weft-Client-Id"]; len(got) != 1 || got[0] != idOf("web") {
				t.Errorf("%s: the application saw client %q", name, got)
			}
			for k, v := range h {
				if strings.Contains(strings.Join(v, ""), "evil") || strings.HasPrefix(strings.ToLower(k), "weft-to") || strings.HasPrefix(strings.ToLower(k), "weft-proto") {
					t.Errorf("%s: the application saw %s: %q", name, k, v)
				}
			}
			c.Close()
		}
		for what, req := range map[string]string{
			"nominated in Connection": "GET / HTTP/1.1\r\nHost: cart\r\nConnection: weft-client-id\r\n\r\n",
			"in trailers":             "POST / HTTP/1.1\r\nHost: cart\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nweft-client-id: x\r\n\r\n",
		} {
			c := dial(t, x.client.addr["cart"])
			io.WriteString(c, req)
			if res, _ := readResponse(t, bufio.NewReader(c), "GET"); res.StatusCode != 400 {
				t.Errorf("%s: status %d, want 400", what, res.StatusCode)
			}
		}
	})
}

func TestHopByHopFieldsStayOnTheirHop(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("x-seen", fmt.Sprint(r.Header))
			w.Header().Set("Keep-Alive", "timeout=5")
			w.Header().Set("X-Private", "secret")
			w.Header().Set("Connection", "x-private")
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: cart\r\nConnection: keep-alive, x-mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: Basic xyz\r\nProxy-Connection: keep-alive\r\nX-Kept: yes\r\n\r\n")
		res, _ := readResponse(t, bufio.NewReader(c), "GET")
		seen := res.Header.Get("x-seen")
		for _, bad := range []string{"X-Mine", "Keep-Alive", "Proxy-"} {
			if strings.Contains(seen, bad) {
				t.Errorf("the application saw %s: %s", bad, seen)
			}
		}
		if !strings.Contains(seen, "X-Kept") {
			t.Errorf("X-Kept was lost: %s", seen)
		}
		if res.Header.Get("X-Private") != "" || res.Header.Get("Keep-Alive") != "" {
			t.Errorf("the client saw %v", res.Header)
		}
	})
}

func TestASlowClientGetsItsWholeResponse(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		body := bytes.Repeat([]byte("slow"), 1<<19)
		app := echoServer(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: cart\r\nConnection: close\r\n\r\n")
		br := bufio.NewReader(c)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for size := 1; err == nil; size = 1 + size*7%4000 { // in odd pieces
			var n int
			n, err = res.Body.Read(make([]byte, size))
			got += n
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if got != len(body) {
			t.Errorf("%d of %d bytes", got, len(body))
		}
	})
}

// TestAStalledReaderHoldsUpNobodyElse: one client reads nothing of a large response, another
// sends a large upload that its application does not read; small requests over the same link go on.
func TestAStalledReaderHoldsUpNobodyElse(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		release := make(chan struct{})
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/large":
				chunk := make([]byte, 64<<10)
				for range 4096 {
					if _, err := w.Write(chunk); err != nil {
						return
					}
				}
			case "/unread":
				<-release
			}
			io.WriteString(w, "small")
		})
		defer close(release)
		x := newPair(t, pairOptions{driver: driver, app: app})
		stalled := dial(t, x.client.addr["cart"])
		stalled.SetReadBuffer(4 << 10)
		io.WriteString(stalled, "GET /large HTTP/1.1\r\nHost: cart\r\n\r\n")
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		up := httpClient(t, "")
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Add(1)
		go func() {
			defer wg.Done()
			req, _ := http.NewRequestWithContext(ctx, "POST", x.url("/unread"), io.LimitReader(zeros{}, 1<<30))
			if res, err := up.Do(req); err == nil {
				res.Body.Close()
			}
		}()
		c := httpClient(t, "")
		for i := range 200 {
			res, err := c.Get(x.url("/small"))
			if err != nil {
				t.Fatal(i, err)
			}
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if string(b) != "small" {
				t.Fatalf("%d: %q", i, b)
			}
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestARequestToTheProxyItselfIsALoop(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(http.ResponseWriter, *http.Request) {})
		x := newPair(t, pairOptions{driver: driver, app: app, limits: core.Limits{}})
		_, port, _ := net.SplitHostPort(x.client.addr["proxy"])
		for _, host := range []string{x.client.addr["proxy"], x.client.addr["cart"], "localhost:" + port} {
			got := exchangeRaw(t, x.client.addr["proxy"], "GET http://"+host+"/ HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 508 ") || !strings.Contains(got, "W3004") {
				t.Errorf("%s: %.200q", host, got)
			}
			c := dial(t, x.client.addr["proxy"])
			fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", host, host)
			line, _ := bufio.NewReader(c).ReadString('\n')
			if strings.HasPrefix(host, "127.") && !strings.HasPrefix(line, "HTTP/1.1 508 ") {
				t.Errorf("CONNECT %s: %q", host, line)
			}
		}
	})
}
