package process

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weft-mesh/weft/proxy/config"
)

// shopServer is an application that tells who asked it, hashes what it is sent, sends as much as it
// is asked for, and upgrades to an echo. It speaks HTTP/1.1 and HTTP/2.
func shopServer(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s over %s", name, r.Header.Get("Weft-Client-Id"), r.Proto)
	})
	mux.HandleFunc("/hash", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, _ := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %x", n, h.Sum(nil))
	})
	mux.HandleFunc("/zeros", func(w http.ResponseWriter, _ *http.Request) { io.CopyN(w, zeros{}, bulk) })
	mux.HandleFunc("/chat", func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
		line, _ := rw.ReadString('\n')
		io.WriteString(c, "you said "+line)
	})
	srv := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return serveOn(t, srv.Serve, func() { srv.Close() })
}

const bulk = 20 << 20

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// serveOn serves on a free port until the test's end.
func serveOn(t *testing.T, serve func(net.Listener) error, stop func()) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); serve(ln) }()
	t.Cleanup(func() { stop(); <-done })
	return netip.MustParseAddrPort(ln.Addr().String())
}

// healthServer speaks gRPC.
func healthServer(t *testing.T) netip.AddrPort {
	srv := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
	return serveOn(t, srv.Serve, srv.Stop)
}

// echoServer sends back what it gets, in upper case, once its client has ended.
func echoServer(t *testing.T) netip.AddrPort {
	var all sync.WaitGroup
	var ln net.Listener
	return serveOn(t, func(l net.Listener) error {
		ln = l
		defer all.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			all.Go(func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				c.Write(bytes.ToUpper(b))
			})
		}
	}, func() { ln.Close() })
}

// nodeSettings are those of a proxy of four workloads in two namespaces.
func nodeSettings(t *testing.T, socket string) *config.Config {
	workload := func(ns, name, protocol string, app netip.AddrPort) config.Workload {
		return config.Workload{
			Name: name + "-1", Namespace: ns, Service: name, Link: "127.0.0.1:0",
			Ports: []config.Port{{Addr: app, Protocol: protocol}},
		}
	}
	web := config.Workload{Name: "web-1", Namespace: "shop", Service: "web", Outbound: config.Outbound{Proxy: "127.0.0.1:0"}}
	return &config.Config{
		Name: "node/a", Control: config.Control{Socket: socket}, Admin: filepath.Join(shortDir(t), "admin.sock"),
		Workloads: []config.Workload{
			web, workload("shop", "cart", "", shopServer(t, "cart-1")),
			workload("bank", "health", "grpc", healthServer(t)), workload("shop", "echo", "tcp", echoServer(t)),
		},
	}
}

// through gives a client whose requests go through a proxy's HTTP listener.
func through(t *testing.T, proxy string) *http.Client {
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// tunnel opens a CONNECT tunnel.
func tunnel(ctx context.Context, proxy, to string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", proxy)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil) // nothing follows before we speak
	if err != nil || res.StatusCode != 200 {
		c.Close()
		return nil, fmt.Errorf("CONNECT %s: %v, %w", to, res, err)
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

func body(t *testing.T, c *http.Client, address string) string {
	t.Helper()
	res, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWorkloadsOfOneProxyReachEachOtherByEveryProtocol(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		socket, _ := controlPlane(t)
		cfg := nodeSettings(t, socket)
		cfg.Driver = driver
		p := start(t, cfg)
		ready := p.ready()
		if ready.Error != "" || len(ready.Workloads) != 4 {
			t.Fatalf("%+v", ready)
		}
		proxy := ready.Workloads[0].Proxy
		c := through(t, proxy)

		t.Run("HTTP/1.1", func(t *testing.T) {
			if got := body(t, c, "http://cart/who"); got != "cart-1 for spiffe://weft.local/ns/shop/sa/web over HTTP/1.1" {
				t.Errorf("got %q", got)
			}
		})
		t.Run("bodies", func(t *testing.T) {
			res, err := c.Post("http://cart/hash", "", io.LimitReader(zeros{}, bulk))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			h := sha256.New()
			io.CopyN(h, zeros{}, bulk)
			if b, _ := io.ReadAll(res.Body); string(b) != fmt.Sprintf("%d %x", bulk, h.Sum(nil)) {
				t.Errorf("what was sent came as %q", b)
			}
			if got := body(t, c, "http://cart/zeros"); len(got) != bulk || strings.Trim(got, "\x00") != "" {
				t.Errorf("%d bytes came back", len(got))
			}
		})
		t.Run("HTTP/2", func(t *testing.T) {
			tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return tunnel(ctx, proxy, "cart:80")
			}}
			tr.Protocols.SetUnencryptedHTTP2(true)
			defer tr.CloseIdleConnections()
			if got := body(t, &http.Client{Transport: tr, Timeout: patience}, "http://cart/who"); !strings.HasSuffix(got, "/sa/web over HTTP/2.0") {
				t.Errorf("got %q", got)
			}
		})
		t.Run("gRPC", func(t *testing.T) {
			cc, err := grpc.NewClient("passthrough:///health.bank:80", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
				grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) { return tunnel(ctx, proxy, to) }))
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			h := grpc_health_v1.NewHealthClient(cc)
			if r, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("%v, %v", r, err)
			}
			if _, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "none"}); err == nil || !strings.Contains(err.Error(), "NotFound") {
				t.Errorf("an unknown service: %v, want the application's own answer", err)
			}
		})
		t.Run("an upgrade", func(t *testing.T) {
			conn, err := net.Dial("tcp", proxy)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			io.WriteString(conn, "GET http://cart/chat HTTP/1.1\r\nHost: cart\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
			r := bufio.NewReader(conn)
			if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 101 {
				t.Fatalf("%+v, %v", res, err)
			}
			io.WriteString(conn, "hello\n")
			if got, _ := io.ReadAll(r); string(got) != "you said hello\n" {
				t.Errorf("got %q", got)
			}
		})
		t.Run("TCP", func(t *testing.T) {
			conn, err := tunnel(t.Context(), proxy, "echo:80")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			text := bytes.Repeat([]byte("text "), 200_000)
			go func() {
				conn.Write(text)
				conn.(*net.TCPConn).CloseWrite()
			}()
			if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, bytes.ToUpper(text)) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
		_, page := get(t, "unix", cfg.Admin, "/metrics")
		if !strings.Contains(page, `tls="local"`) || strings.Contains(page, `tls="true"`) {
			t.Errorf("not all of it was local:\n%s", page)
		}
		_, state := get(t, "unix", cfg.Admin, "/state")
		for _, want := range []string{"/ns/shop/sa/web", "/ns/shop/sa/cart", "/ns/bank/sa/health", "/ns/shop/sa/echo"} {
			if !strings.Contains(state, want) {
				t.Errorf("/state does not tell of %s: %s", want, state)
			}
		}
	})
}

// drainOne asks a proxy to drain one of its workloads.
func drainOne(t *testing.T, socket, workload string) int {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	res, err := (&http.Client{Transport: tr, Timeout: patience}).Post("http://proxy/drain?workload="+workload, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestOneWorkloadOfAProxyCanLeaveWhileTheOthersServe(t *testing.T) {
	socket, _ := controlPlane(t)
	elsewhere := settings(socket)
	elsewhere.Name = "shop/cart-2"
	elsewhere.Workloads = []config.Workload{{
		Name: "cart-2", Namespace: "shop", Service: "cart", Link: "127.0.0.1:0", Ports: []config.Port{{Addr: shopServer(t, "cart-2")}},
	}}
	if r := start(t, elsewhere).ready(); r.Error != "" {
		t.Fatal(r.Error)
	}
	cfg := nodeSettings(t, socket)
	p := start(t, cfg)
	ready := p.ready()
	if ready.Error != "" {
		t.Fatal(ready.Error)
	}
	c := through(t, ready.Workloads[0].Proxy)
	seen := map[string]int{}
	ask := func(n int) {
		t.Helper()
		for range n {
			got := body(t, c, "http://cart/who")
			who, rest, _ := strings.Cut(got, " ")
			if !strings.Contains(rest, "/sa/web") {
				t.Fatalf("got %q", got)
			}
			seen[who]++
		}
	}
	for limit := time.Now().Add(patience); (seen["cart-1"] == 0 || seen["cart-2"] == 0) && time.Now().Before(limit); {
		ask(10)
	}
	if seen["cart-1"] == 0 || seen["cart-2"] == 0 {
		t.Fatalf("before: %v, want both", seen)
	}
	if status := drainOne(t, cfg.Admin, "shop/tea-1"); status != 404 {
		t.Errorf("a workload that is not there: %d", status)
	}
	if status := drainOne(t, cfg.Admin, "shop/cart-1"); status != 200 {
		t.Fatalf("draining: %d", status)
	}
	clear(seen)
	ask(50)
	if seen["cart-1"] > 0 || seen["cart-2"] != 50 {
		t.Errorf("after: %v, want cart-2 only", seen)
	}
	conn, err := tunnel(t.Context(), ready.Workloads[0].Proxy, "echo:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "still here")
	conn.(*net.TCPConn).CloseWrite()
	if got, _ := io.ReadAll(conn); string(got) != "STILL HERE" {
		t.Errorf("its neighbour answers %q", got)
	}
}

// The supervisor hands each workload's identity over; the view on disk is one.
func TestANodesProxyRestartedWithoutControlPlaneServesAsBefore(t *testing.T) {
	socket, stopControl := controlPlane(t)
	cfg := nodeSettings(t, socket)
	cfg.StateDir = t.TempDir()
	cfg.Workloads = cfg.Workloads[:2]
	p := start(t, cfg)
	ready := p.ready()
	if ready.Error != "" {
		t.Fatal(ready.Error)
	}
	want := body(t, through(t, ready.Workloads[0].Proxy), "http://cart/who")
	for i, account := range []string{"web", "cart"} {
		r, w := pipe(t)
		if _, err := w.Write(handover(t, socket, account)); err != nil {
			t.Fatal(err)
		}
		w.Close()
		cfg.Workloads[i].IdentityFD = handOver(t, r)
	}
	p.stop()
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	stopControl()
	cfg.Workloads[1].Link = ready.Workloads[1].Link // as whoever restarts it asks for
	q := start(t, cfg)
	again := q.ready()
	if again.Error != "" {
		t.Fatal(again.Error)
	}
	if got := body(t, through(t, again.Workloads[0].Proxy), "http://cart/who"); got != want {
		t.Errorf("got %q, before %q", got, want)
	}
	if _, page := get(t, "unix", cfg.Admin, "/metrics"); !strings.Contains(page, `tls="local"`) {
		t.Errorf("it was not local:\n%s", page)
	}
}
