//go:build linux

package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// TestPythonAndCurlMeetThroughMTLS: the first five minutes of a developer. What crosses between
// the two proxies is recorded, and must be TLS in which the page cannot be read.
func TestPythonAndCurlMeetThroughMTLS(t *testing.T) {
	need(t, "python3", "curl")
	t.Parallel()
	w := newWorld(t, nil)
	if err := os.WriteFile(filepath.Join(w.dir, "tmp", "page.html"), []byte("the page of Python"), 0o600); err != nil {
		t.Fatal(err)
	}
	wire := newWiretap(t)
	port := strconv.Itoa(freePort(t))
	w.run("front", append(wire.flags(), "--port", port), "python3", "-u", "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", filepath.Join(w.dir, "tmp"))
	me := w.call("me")
	me.until(me.client(), "http://front/page.html")

	out, _ := w.ask(0, "run", "--name", "visitor", "--", "curl", "-sS", "--fail", "http://front/page.html")
	if out != "the page of Python" {
		t.Errorf("curl got %q", out)
	}
	w.onlyMTLS("front")
	wire.onlyTLS("the page of Python", "/page.html")

	// The same by the names that a service has in a cluster, and a file that is not there.
	for _, tc := range []struct {
		url  string
		want int
	}{{"http://front.default/page.html", 200}, {"http://front.default.svc.cluster.local/page.html", 200}, {"http://front/none", 404}} {
		if code, body := get(me.client(), tc.url); code != tc.want {
			t.Errorf("%s: %d %q, want %d", tc.url, code, body, tc.want)
		}
	}
}

// TestNginxIsMeshed: keep-alive, a large file, a range, HEAD and a redirect by a server that many run.
func TestNginxIsMeshed(t *testing.T) {
	need(t, "nginx")
	t.Parallel()
	w := newWorld(t, nil)
	port := strconv.Itoa(freePort(t))
	root := filepath.Join(w.dir, "tmp")
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	if err := os.WriteFile(filepath.Join(root, "big"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(`daemon off; pid %[1]s/nginx.pid; error_log stderr warn; worker_processes 1;
%[3]s
events {}
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen 127.0.0.1:%[2]s; root %[1]s; location = /old { return 301 /new; } }
}
`, root, port, asRoot("user root;"))
	file := filepath.Join(w.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run("shop", []string{"--port", port + ":http"}, "nginx", "-e", "stderr", "-c", file)
	me := w.call("me")
	c := me.client()
	me.until(c, "http://shop/big")

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			resp, err := c.Get("http://shop/big")
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close() //nolint:errcheck // it was read
			if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(b, big) {
				t.Errorf("16 MiB arrived as %d bytes, %v", len(b), err)
			}
		})
	}
	wg.Wait()
	for _, tc := range []struct {
		method, path, rang string
		code               int
		header, value      string
		body               int
	}{
		{"HEAD", "/big", "", 200, "Content-Length", strconv.Itoa(len(big)), 0},
		{"GET", "/big", "bytes=16-31", 206, "Content-Range", fmt.Sprintf("bytes 16-31/%d", len(big)), 16},
		{"GET", "/old", "", 301, "Content-Type", "text/html", -1},
		{"GET", "/missing", "", 404, "Content-Type", "text/html", -1},
	} {
		req, err := http.NewRequestWithContext(within(t, patience), tc.method, "http://shop"+tc.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if tc.rang != "" {
			req.Header.Set("Range", tc.rang)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", tc.method, tc.path, err)
			continue
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != tc.code || !strings.HasPrefix(resp.Header.Get(tc.header), tc.value) || tc.body >= 0 && len(b) != tc.body {
			t.Errorf("%s %s: %d, %s: %q, %d bytes, %v", tc.method, tc.path, resp.StatusCode, tc.header, resp.Header.Get(tc.header), len(b), err)
		}
	}
	w.onlyMTLS("shop")
}

func asRoot(directive string) string {
	if os.Geteuid() == 0 {
		return directive
	}
	return ""
}

// TestRedisIsMeshed: with the protocol declared and, for a client that speaks first, without.
func TestRedisIsMeshed(t *testing.T) {
	need(t, "redis-server", "redis-cli")
	t.Parallel()
	w := newWorld(t, nil)
	for _, tc := range []struct{ name, protocol string }{{"redis", ":tcp"}, {"guessed", ""}} {
		port := strconv.Itoa(freePort(t))
		wire := newWiretap(t)
		m := w.run(tc.name, append(wire.flags(), "--port", port+tc.protocol), "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", filepath.Join(w.dir, "tmp"))
		m.out.await(t, m.done, 0, "Ready to accept connections")
		me := w.call("me-" + tc.name)
		host, p, err := net.SplitHostPort(me.addr(tc.name))
		if err != nil {
			t.Fatal(err)
		}
		cli := func(args ...string) string {
			t.Helper()
			out, err := exec.CommandContext(within(t, patience), "redis-cli", append([]string{"-h", host, "-p", p}, args...)...).CombinedOutput()
			if err != nil {
				t.Errorf("redis-cli %v: %v", args, err)
			}
			return strings.TrimSpace(string(out))
		}
		for _, step := range []struct {
			args []string
			want string
		}{
			{[]string{"PING"}, "PONG"},
			{[]string{"SET", "plain", "visible-value"}, "OK"},
			{[]string{"GET", "plain"}, "visible-value"},
			{[]string{"-r", "200", "INCR", "n"}, ""},
			{[]string{"GET", "n"}, "200"},
		} {
			if got := cli(step.args...); step.want != "" && got != step.want {
				t.Errorf("%s: redis-cli %v says %q, want %q", tc.name, step.args, got, step.want)
			}
		}
		w.onlyMTLS(tc.name)
		wire.onlyTLS("visible-value", "PING")
	}
	// The same by a foreign client that is itself run in the mesh, as the README says.
	out, _ := w.ask(0, "run", "--name", "visitor", "--", "sh", "-c", `redis-cli -h "${WEFT_REDIS_ADDR%:*}" -p "${WEFT_REDIS_ADDR##*:}" GET plain`)
	if strings.TrimSpace(out) != "visible-value" {
		t.Errorf("redis-cli in the mesh got %q", out)
	}
}

// TestServersThatSpeakFirstAreNotKeptWaiting: nothing says what is spoken on the port, and the
// client waits for the server's word.
func TestServersThatSpeakFirstAreNotKeptWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.serve("declared", "greeter", []string{"--port", ":tcp"})
	w.serve("guessed", "greeter", nil)
	me := w.call("me")
	for _, name := range []string{"declared", "guessed"} {
		c, err := net.Dial("tcp", me.addr(name))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // it was read to its end
		deadline, _ := within(t, patience).Deadline()
		_ = c.SetDeadline(deadline)
		greeting := make([]byte, len("220 mail.example ESMTP\r\n"))
		if _, err := io.ReadFull(c, greeting); err != nil || !strings.HasPrefix(string(greeting), "220 ") {
			t.Errorf("%s: greeting %q, %v", name, greeting, err)
			continue
		}
		if _, err := io.WriteString(c, "HELO me\r\n"); err != nil {
			t.Error(err)
		}
		if answer, err := io.ReadAll(c); err != nil || string(answer) != "250 heard HELO me\r\n" {
			t.Errorf("%s: answer %q, %v", name, answer, err)
		}
		w.onlyMTLS(name)
	}
}

// TestGRPCGoIsMeshed: a unary call, a long stream in both directions, and an error, whose status
// travels in trailers.
func TestGRPCGoIsMeshed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.serve("interop", "grpc", []string{"--port", ":grpc"})
	me := w.call("me")
	conn, err := grpc.NewClient("passthrough:///"+me.addr("interop"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the calls are over
	c, ctx := testpb.NewTestServiceClient(conn), within(t, patience)

	r, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 314159, Payload: &testpb.Payload{Body: make([]byte, 271828)}}, grpc.WaitForReady(true))
	if err != nil || len(r.GetPayload().GetBody()) != 314159 {
		t.Fatalf("unary call: %d bytes, %v", len(r.GetPayload().GetBody()), err)
	}
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int32{31415, 9, 2653, 58979, 0, 1} { // each answer before the next question
		if err := s.Send(&testpb.StreamingOutputCallRequest{
			ResponseParameters: []*testpb.ResponseParameters{{Size: size}, {Size: size}}, Payload: &testpb.Payload{Body: make([]byte, size)},
		}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if m, err := s.Recv(); err != nil || len(m.GetPayload().GetBody()) != int(size) {
				t.Fatalf("stream: %d bytes, want %d, %v", len(m.GetPayload().GetBody()), size, err)
			}
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := s.Recv(); err != io.EOF { //nolint:errorlint // Recv promises io.EOF itself
		t.Errorf("the stream ends with %v, want the server's end", err)
	}
	if _, err := c.EmptyCall(ctx, &testpb.Empty{}); err == nil || !strings.Contains(err.Error(), "Unimplemented") {
		t.Errorf("a method that is not there gives %v, want Unimplemented", err)
	}
	w.onlyMTLS("interop")
}

// TestWebSocketsAreMeshed: by the service's own address and, as browsers do, by the HTTP proxy.
func TestWebSocketsAreMeshed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.serve("chat", "websocket", nil)
	me := w.call("me")
	for _, tc := range []struct {
		url    string
		client *http.Client
	}{{"ws://" + me.addr("chat") + "/ws", nil}, {"ws://chat/ws", me.client()}} {
		var o websocket.DialOptions
		if tc.client != nil {
			tc.client.Timeout = 0 // the context bounds it; the library forbids both
			o.HTTPClient = tc.client
		}
		ctx := within(t, patience)
		c, _, err := websocket.Dial(ctx, tc.url, &o) //nolint:bodyclose // the library says that it must not be
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
			continue
		}
		c.SetReadLimit(1 << 20)
		for _, size := range []int{0, 1, 125, 126, 65536, 200000} {
			if err := echo(ctx, c, bytes.Repeat([]byte("w"), size)); err != nil {
				t.Errorf("%s: %d bytes: %v", tc.url, size, err)
			}
		}
		if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
			t.Errorf("%s: closing: %v", tc.url, err)
		}
	}
	w.onlyMTLS("chat")
}

func echo(ctx context.Context, c *websocket.Conn, message []byte) error {
	if err := c.Write(ctx, websocket.MessageBinary, message); err != nil {
		return err
	}
	_, got, err := c.Read(ctx)
	if err == nil && !bytes.Equal(got, message) {
		err = fmt.Errorf("the echo has %d bytes", len(got))
	}
	return err
}
