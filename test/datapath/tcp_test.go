package datapath

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
)

func TestTheApplicationMayCloseItsDirectionFirst(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		got := make(chan string, 1)
		app := tcpServer(t, func(c net.Conn) {
			io.WriteString(c, "bye")
			c.(*net.TCPConn).CloseWrite()
			b, _ := io.ReadAll(c)
			got <- string(b)
		})
		x := newPair(t, pairOptions{driver: driver, app: app, protocol: model.ProtocolTCP})
		c := dial(t, x.client.addr["cart"])
		if b, err := io.ReadAll(c); err != nil || string(b) != "bye" {
			t.Fatalf("%q %v", b, err)
		}
		msg := strings.Repeat("still talking ", 10_000)
		io.WriteString(c, msg)
		c.CloseWrite()
		if b := <-got; b != msg {
			t.Errorf("the application read %d of %d bytes after its own end", len(b), len(msg))
		}
	})
}

// TestAnAnswerAfterBothEndsWaitsForASlowReader: the application answers a half-closed client with
// more than all buffers hold, and closes. Everything must arrive, however late it is read.
func TestAnAnswerAfterBothEndsWaitsForASlowReader(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		const size = 24 << 20
		closed := make(chan struct{})
		app := tcpServer(t, func(c net.Conn) {
			io.ReadAll(c)
			io.CopyN(c, zeros{}, size)
			c.Close()
			close(closed)
		})
		x := newPair(t, pairOptions{driver: driver, app: app, protocol: model.ProtocolTCP})
		// Without the second proxy: its link would take up the last bytes.
		x.setEndpoints(model.Endpoint{Port: 80, Addr: netip.MustParseAddrPort(app), Workload: model.Name{Namespace: "shop", Name: "cart-1"}})
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, "question")
		c.CloseWrite()
		n, buf := 0, make([]byte, 64<<10)
		for { // slower than the application: most of the time the proxy waits for us
			k, err := c.Read(buf)
			n += k
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			if n%(256<<10) < k {
				time.Sleep(2 * time.Millisecond) // slowness is what is tested
			}
		}
		if n != size {
			t.Errorf("%d of %d bytes", n, size)
		}
		<-closed
	})
}

func TestAResetReachesTheOtherEnd(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		began, ended := make(chan struct{}, 1), make(chan error, 1)
		app := tcpServer(t, func(c net.Conn) {
			b := make([]byte, 1)
			c.Read(b)
			if b[0] == 'r' { // the application resets
				c.(*net.TCPConn).SetLinger(0)
				return
			}
			began <- struct{}{}
			_, err := c.Read(b)
			ended <- err
		})
		x := newPair(t, pairOptions{driver: driver, app: app, protocol: model.ProtocolTCP})
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, "r")
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after a reset of the application the client read %v", err)
		}
		c = dial(t, x.client.addr["cart"])
		io.WriteString(c, "x")
		<-began
		c.SetLinger(0)
		c.Close()
		if err := <-ended; err == nil || err == io.EOF {
			t.Errorf("after a reset of the client the application read %v", err)
		}
		eventually(t, "no tunnel is left", func() bool { return x.client.counts(nil).Active == 0 && x.server.counts(nil).Active == 0 })
	})
}

// TestAResetWhileBytesWaitIsNoEnd: the kernel tells the error of a broken connection once. Who was
// told by a write that was waiting, and takes the rest for an end, cuts a message short and calls it
// whole.
func TestAResetWhileBytesWaitIsNoEnd(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		blocked := make(chan struct{})
		app := tcpServer(t, func(c net.Conn) {
			c.(*net.TCPConn).SetReadBuffer(16 << 10)
			io.ReadFull(c, make([]byte, 1))
			io.WriteString(c, "half an ans")
			<-blocked
			c.(*net.TCPConn).SetLinger(0)
		})
		x := newPair(t, pairOptions{driver: driver, app: app, protocol: model.ProtocolTCP})
		x.setEndpoints(model.Endpoint{Port: 80, Addr: netip.MustParseAddrPort(app), Workload: model.Name{Namespace: "shop", Name: "cart-1"}})
		c := dial(t, x.client.addr["cart"])
		c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := c.Write(make([]byte, 64<<20)); err == nil {
			t.Fatal("nothing waits")
		}
		close(blocked)
		if b, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) || string(b) != "half an ans" && len(b) > 0 {
			t.Errorf("after a reset of the application the client read %q and %v", b, err)
		}
	})
}

// TestATunnelOutOfTheMeshIsByteExact: small pieces, then bulk, then small pieces again, both ways at
// once; all of it is counted.
func TestATunnelOutOfTheMeshIsByteExact(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		app := tcpServer(t, func(c net.Conn) {
			io.Copy(c, onlyReader{c})
			c.(*net.TCPConn).CloseWrite()
		})
		x := newPair(t, pairOptions{driver: driver, app: app, protocol: model.ProtocolTCP})
		x.setEndpoints(model.Endpoint{Port: 80, Addr: netip.MustParseAddrPort(app), Workload: model.Name{Namespace: "shop", Name: "cart-1"}})
		total := 0
		for seed := range uint64(12) {
			rng := rand.New(rand.NewPCG(seed, 17))
			var say []byte
			sizes := make([]int, 60)
			for i := range sizes {
				sizes[i] = 1 + rng.IntN(300)
				if i/20 == 1 { // the middle third is bulk
					sizes[i] = 1 + rng.IntN(400<<10)
				}
				for range (sizes[i] + 7) / 8 {
					say = binary.NativeEndian.AppendUint64(say, rng.Uint64())
				}
			}
			c := dial(t, x.client.addr["cart"])
			go func() {
				for p, i := say, 0; len(p) > 0; i++ {
					n := len(p)
					if i < len(sizes) {
						n = min(n, sizes[i])
					}
					c.Write(p[:n])
					p = p[n:]
				}
				c.CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, say) {
				t.Errorf("seed %d: %d of %d bytes came back, %v", seed, len(got), len(say), err)
			}
			total += len(say)
		}
		eventually(t, "the tunnels have ended", func() bool { return x.client.counts(nil).Active == 0 })
		if n := x.client.counts(nil); n.BytesOut != uint64(total) || n.BytesIn != uint64(total) {
			t.Errorf("counted %d and %d bytes, sent and got back %d", n.BytesOut, n.BytesIn, total)
		}
	})
}

// onlyReader hides what io.Copy would use instead of reading and writing.
type onlyReader struct{ io.Reader }

func TestATunnelToNowhereIsResetAtOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: freeAddr(t), protocol: model.ProtocolTCP})
		for _, why := range []string{"refused", "no endpoint"} {
			c, err := net.Dial("tcp", x.client.addr["cart"])
			if err == nil {
				c.SetDeadline(time.Now().Add(10 * time.Second))
				_, err = c.Read(make([]byte, 1))
				c.Close()
			}
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: %v, want a reset", why, err)
			}
			x.setEndpoints()
		}
	})
}

func TestAServerThatSpeaksFirstIsLearned(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := tcpServer(t, func(c net.Conn) {
			io.WriteString(c, "220 ready\r\n")
			io.Copy(c, c)
		})
		x := newPair(t, pairOptions{driver: driver, app: app, limits: core.Limits{HeadTimeout: time.Hour}})
		for i := range 4 {
			start := time.Now()
			c := dial(t, x.client.addr["cart"])
			if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "220 ready\r\n" {
				t.Fatalf("%d: %q %v", i, line, err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%d: the banner took %s", i, took)
			}
			c.Close()
		}
	})
}

// TestASilentClientOfHTTPIsNotTakenForATunnel: connections kept in stock wait longer than a
// server-first protocol is given; an application that closes its end, even with a 408, does not
// turn the port into an opaque one.
func TestASilentClientOfHTTPIsNotTakenForATunnel(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		gaveUp := make(chan struct{}, 16)
		app := tcpServer(t, func(c net.Conn) {
			c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			req, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
				c.Close()
				gaveUp <- struct{}{}
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(req.URL.Path), req.URL.Path)
		})
		x := newPair(t, pairOptions{driver: driver, app: app})
		c := dial(t, x.client.addr["cart"])
		<-gaveUp
		io.WriteString(c, "GET /late HTTP/1.1\r\nHost: cart\r\n\r\n")
		if res, body := readResponse(t, bufio.NewReader(c), "GET"); res.StatusCode != 200 || body != "/late" {
			t.Errorf("%d %q", res.StatusCode, body)
		}
		if n := x.client.counts(outbound).Status[2]; n != 1 {
			t.Errorf("%d requests were counted as HTTP, want 1", n)
		}
	})
}

// tlsApp is an application with TLS of its own.
func tlsApp(t testing.TB, name string) (addr string, pool *tls.Config) {
	t.Helper()
	s := newTLSPair(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{s}}
	return tcpServer(t, func(c net.Conn) {
		tc := tls.Server(c, cfg)
		if tc.Handshake() != nil {
			return
		}
		b := make([]byte, 100)
		n, _ := tc.Read(b)
		fmt.Fprintf(tc, "%s got %s", name, b[:n])
		tc.CloseWrite()
	}), &tls.Config{InsecureSkipVerify: true}
}

func TestTLSOfTheApplicationIsPassedThroughByName(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		a, _ := tlsApp(t, "a")
		b, _ := tlsApp(t, "b")
		other := model.Name{Namespace: "shop", Name: "other"}
		route := model.Route{
			Kind: model.RouteTLS, Name: model.Name{Namespace: "shop", Name: "by-name"}, Hostnames: []string{"b.example"},
			Rules: []model.Rule{{Backends: []model.Backend{{Service: other, Port: 80, Weight: 1}}}},
		}
		rest := model.Route{
			Kind: model.RouteTLS, Name: model.Name{Namespace: "shop", Name: "rest"}, Hostnames: []string{"a.example"},
			Rules: []model.Rule{{Backends: []model.Backend{{Service: shopCart, Port: 80, Weight: 1}}}},
		}
		for _, protocol := range []model.Protocol{model.ProtocolTLS, model.ProtocolDetect} {
			x := newPair(t, pairOptions{driver: driver, app: a, protocol: protocol, routes: []model.Route{route, rest}})
			s := x.startServer("other-1", "other", b, core.Limits{})
			x.extra = []*model.Service{{Name: other, Ports: []model.Port{{Port: 80, Protocol: protocol}}}}
			x.extraEps = []*model.Endpoints{{Service: other, Endpoints: []model.Endpoint{endpointOf("other-1", "other", b, s)}}}
			x.publish()
			for sni, want := range map[string]string{"a.example": "a got hi", "b.example": "b got hi"} {
				c := tls.Client(dial(t, x.client.addr["cart"]), &tls.Config{ServerName: sni, InsecureSkipVerify: true})
				io.WriteString(c, "hi")
				got, err := io.ReadAll(c)
				if err != nil || string(got) != want {
					t.Errorf("%s, %s: %q %v", protocol, sni, got, err)
				}
			}
		}
	})
}

func TestATCPRouteChoosesTheBackend(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		a := tcpServer(t, func(c net.Conn) { io.WriteString(c, "a") })
		b := tcpServer(t, func(c net.Conn) { io.WriteString(c, "b") })
		other := model.Name{Namespace: "shop", Name: "other"}
		x := newPair(t, pairOptions{driver: driver, app: a, protocol: model.ProtocolTCP, routes: []model.Route{{
			Kind: model.RouteTCP, Name: model.Name{Namespace: "shop", Name: "tcp"},
			Rules: []model.Rule{{Backends: []model.Backend{{Service: other, Port: 80, Weight: 1}}}},
		}}})
		// The backend is not in the mesh: plain TCP to it.
		x.extra = []*model.Service{{Name: other, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolTCP}}}}
		ep := model.Endpoint{Port: 80, Addr: netip.MustParseAddrPort(b), Workload: model.Name{Namespace: "shop", Name: "other-1"}}
		x.extraEps = []*model.Endpoints{{Service: other, Endpoints: []model.Endpoint{ep}}}
		x.publish()
		got, err := io.ReadAll(dial(t, x.client.addr["cart"]))
		if err != nil || string(got) != "b" {
			t.Errorf("%q %v", got, err)
		}
	})
}

func TestCONNECTCarriesWhateverIsInside(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		app := tcpServer(t, func(c net.Conn) {
			br := bufio.NewReader(c)
			if first, _ := br.Peek(4); bytes.Equal(first, []byte("GET ")) {
				http.ReadRequest(br)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhttp")
				return
			}
			io.Copy(c, br)
		})
		outside := tcpServer(t, func(c net.Conn) { io.WriteString(c, "outside") })
		x := newPair(t, pairOptions{driver: driver, app: app})
		connect := func(to, first string) (*net.TCPConn, *bufio.Reader) {
			c := dial(t, x.client.addr["proxy"])
			fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n%s", to, to, first) // the client does not wait
			br := bufio.NewReader(c)
			if line, _ := br.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 200 ") {
				t.Fatalf("%s: %q", to, line)
			}
			br.ReadString('\n')
			return c, br
		}
		_, br := connect("cart:80", "GET / HTTP/1.1\r\nHost: cart\r\n\r\n")
		if _, body := readResponse(t, br, "GET"); body != "http" {
			t.Errorf("HTTP inside: %q", body)
		}
		c, br := connect("cart.shop:80", "\x00\x01opaque")
		c.CloseWrite()
		if b, err := io.ReadAll(br); err != nil || string(b) != "\x00\x01opaque" {
			t.Errorf("opaque bytes inside: %q %v", b, err)
		}
		_, br = connect(outside, "")
		if b, err := io.ReadAll(br); err != nil || string(b) != "outside" {
			t.Errorf("outside the mesh: %q %v", b, err)
		}
	})
}
