package datapath

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/weft-mesh/weft/model"
)

func echoServer(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func httpClient(t testing.TB, proxy string) *http.Client {
	tr := &http.Transport{}
	if proxy != "" {
		u := &url.URL{Scheme: "http", Host: proxy}
		tr.Proxy = http.ProxyURL(u)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func TestARequestCrossesBothProxiesOverMTLS(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("x-seen-client", r.Header.Get("weft-client-id"))
			w.Header().Set("x-seen-host", r.Host)
			b, _ := io.ReadAll(r.Body)
			io.WriteString(w, r.Method+" "+r.URL.String()+" "+string(b))
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := httpClient(t, "")
		for i := range 50 {
			req, _ := http.NewRequest("POST", x.url("/items?a=b"), strings.NewReader("body"))
			req.Header.Set("weft-client-id", "spiffe://evil/ns/a/sa/b")
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(i, err)
			}
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || string(b) != "POST /items?a=b body" {
				t.Fatalf("%d: status %d, body %q, %v", i, res.StatusCode, b, res.Header)
			}
			if got := res.Header.Get("x-seen-client"); got != idOf("web") {
				t.Fatalf("application saw client %q", got)
			}
		}
	})
}

func TestMeshNamesWorkThroughHTTPProxy(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := httpClient(t, x.client.addr["proxy"])
		for _, name := range []string{"cart", "cart.shop", "cart.shop.svc.cluster.local", "CART.shop"} {
			res, err := c.Get("http://" + name + "/")
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || !strings.EqualFold(string(b), name) {
				t.Errorf("%s: %d %q", name, res.StatusCode, b)
			}
		}
		res, err := c.Get("http://nosuch/")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 502 || !strings.Contains(string(b), "W3301") || res.Header.Get("proxy-status") == "" {
			t.Errorf("unknown service: %d %q %v", res.StatusCode, b, res.Header)
		}
	})
}

func TestBodiesArriveWholeBothWays(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) { b, _ := io.ReadAll(r.Body); w.Write(b) })
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := httpClient(t, "")
		for _, size := range []int{0, 1, 1000, 16384, 70_000, 1 << 20, 9 << 20} {
			body := make([]byte, size)
			rand.Read(body)
			for _, chunked := range []bool{false, true} {
				var r io.Reader = bytes.NewReader(body)
				if chunked {
					r = struct{ io.Reader }{r}
				}
				res, err := c.Post(x.url("/"), "application/octet-stream", r)
				if err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || !bytes.Equal(got, body) {
					t.Fatalf("%d bytes, chunked %v: got %d bytes, %v %.200s", size, chunked, len(got), err, got)
				}
			}
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) { b, _ := io.ReadAll(r.Body); w.Write(b) })
		x := newPair(t, pairOptions{driver: driver, app: app, loops: 2})
		tr := &http.Transport{MaxIdleConnsPerHost: 100}
		defer tr.CloseIdleConnections()
		c := &http.Client{Transport: tr}
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				body := bytes.Repeat([]byte{byte('a' + i%26)}, 10+i*500)
				for range 30 {
					res, err := c.Post(x.url("/"), "text/plain", bytes.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					got, err := io.ReadAll(res.Body)
					res.Body.Close()
					if err != nil || !bytes.Equal(got, body) {
						t.Errorf("status %d, %d of %d bytes, %v", res.StatusCode, len(got), len(body), err)
						return
					}
				}
			}()
		}
		wg.Wait()
	})
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: cart\r\n\r\nGET /2 HTTP/1.1\r\nHost: cart\r\n\r\nGET /3 HTTP/1.1\r\nHost: cart\r\nConnection: close\r\n\r\n")
		br := bufio.NewReader(c)
		for _, want := range []string{"/1", "/2", "/3"} {
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(want, err)
			}
			b, _ := io.ReadAll(res.Body)
			if string(b) != want {
				t.Fatalf("got %q, want %q", b, want)
			}
		}
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("after Connection: close: %v", err)
		}
	})
}

func TestMalformedIsAnswered400AndNeverForwarded(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		var mu sync.Mutex
		var seen []string
		app := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen = append(seen, r.URL.Path)
			mu.Unlock()
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		for name, raw := range map[string]string{
			"both framings":  "POST /bad HTTP/1.1\r\nHost: cart\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"two hosts":      "GET /bad HTTP/1.1\r\nHost: cart\r\nHost: other\r\n\r\n",
			"escaped slash":  "GET /bad%2f..%2fsecret HTTP/1.1\r\nHost: cart\r\n\r\n",
			"space in name":  "GET /bad HTTP/1.1\r\nHost : cart\r\n\r\n",
			"bare line feed": "GET /bad HTTP/1.1\nHost: cart\n\n",
			"plus length":    "POST /bad HTTP/1.1\r\nHost: cart\r\nContent-Length: +3\r\n\r\nabc",
		} {
			c := dial(t, x.client.addr["cart"])
			io.WriteString(c, raw)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if res.StatusCode != 400 {
				t.Errorf("%s: status %d", name, res.StatusCode)
			}
			c.Close()
		}
		mu.Lock()
		defer mu.Unlock()
		if len(seen) > 0 {
			t.Errorf("the application saw %q", seen)
		}
	})
}

func TestWebSocketUpgradeCarriesBytesBothWays(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := tcpServer(t, func(c net.Conn) {
			br := bufio.NewReader(c)
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Sec-Websocket-Key") != "abc" {
				io.WriteString(c, "HTTP/1.1 400 no\r\nContent-Length: 0\r\n\r\n")
				return
			}
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: xyz\r\n\r\nhello")
			io.Copy(c, br)
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: cart\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\n\r\n")
		br := bufio.NewReader(c)
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != 101 || res.Header.Get("Sec-Websocket-Accept") != "xyz" {
			t.Fatalf("%v %v", res, err)
		}
		buf := make([]byte, 5)
		io.ReadFull(br, buf)
		if string(buf) != "hello" {
			t.Fatalf("first bytes %q", buf)
		}
		for _, msg := range []string{"ping", strings.Repeat("x", 100_000)} {
			go io.WriteString(c, msg)
			got := make([]byte, len(msg))
			if _, err := io.ReadFull(br, got); err != nil || string(got) != msg {
				t.Fatalf("echo of %d bytes: %v", len(msg), err)
			}
		}
		c.CloseWrite()
		if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
			t.Errorf("after closing: %q %v", rest, err)
		}
	})
}

func TestServerSpeaksFirstIsNotDelayed(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := tcpServer(t, func(c net.Conn) {
			io.WriteString(c, "220 ready\r\n")
			io.Copy(c, c)
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		for range 3 {
			c := dial(t, x.client.addr["cart"])
			br := bufio.NewReader(c)
			if line, err := br.ReadString('\n'); err != nil || line != "220 ready\r\n" {
				t.Fatalf("%q %v", line, err)
			}
			io.WriteString(c, "EHLO\r\n")
			if line, err := br.ReadString('\n'); err != nil || line != "EHLO\r\n" {
				t.Fatalf("%q %v", line, err)
			}
			c.Close()
		}
	})
}

func TestHalfCloseReachesTheOtherEnd(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := tcpServer(t, func(c net.Conn) {
			b, _ := io.ReadAll(c) // until the client's FIN
			c.Write(bytes.ToUpper(b))
		})
		x := newPair(t, pairOptions{driver: driver, app: app, protocol: model.ProtocolTCP})
		c := dial(t, x.client.addr["cart"])
		msg := strings.Repeat("half-close ", 20_000)
		io.WriteString(c, msg)
		c.CloseWrite()
		got, err := io.ReadAll(c)
		if err != nil || string(got) != strings.ToUpper(msg) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}
