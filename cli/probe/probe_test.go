package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// proxyFor serves one connection after the other with a script: what comes before the empty line
// is read, then the answer is written, and then the rest is done.
func proxyFor(t *testing.T, answer string, then func(c net.Conn, r *bufio.Reader)) (addr string, heads *[]string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heads = &[]string{}
	done := make(chan struct{})
	go func() { // ends when l is closed
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			head := ""
			for {
				line, err := r.ReadString('\n')
				head += line
				if err != nil || line == "\r\n" {
					break
				}
			}
			*heads = append(*heads, head)
			_, _ = io.WriteString(c, answer)
			if then != nil {
				then(c, r)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), heads
}

// untilClosed keeps the connection until the other side ends it.
func untilClosed(c net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }

func TestOnce(t *testing.T) {
	for _, c := range []struct {
		name, protocol, answer string
		then                   func(net.Conn, *bufio.Reader)
		head                   string // part of what the proxy must have got
		answered               bool
		says                   string // part of evidence, error or refusal
	}{
		{"an application's error is an answer", "http", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", nil,
			"OPTIONS http://cart.shop:80/x HTTP/1.1", true, "404 Not Found"},
		{"a refusal of the method is an answer", "http", "HTTP/1.1 501 Unsupported method ('OPTIONS')\r\nContent-Length: 0\r\n\r\n", nil,
			"OPTIONS", true, "501"},
		{"a proxy's own answer is none", "http", "HTTP/1.1 503 Service Unavailable\r\nProxy-Status: weft; error=destination_unavailable\r\nContent-Length: 0\r\n\r\n", nil,
			"OPTIONS", false, "destination_unavailable"},
		{"an undeclared port is asked as HTTP", "detect", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", nil, "OPTIONS", true, "200 OK"},
		{"a TCP server that speaks first is heard", "tcp", "HTTP/1.1 200 OK\r\n\r\n220 hello\r\n", untilClosed,
			"CONNECT cart.shop:80 HTTP/1.1", true, "220 hello"},
		{"a TCP server that waits is open", "tcp", "HTTP/1.1 200 OK\r\n\r\n", untilClosed, "CONNECT", true, "stayed so"},
		{"a TCP path that is cut at once is no answer", "tcp", "HTTP/1.1 200 OK\r\n\r\n", nil, "CONNECT", false, "closed at once"},
		{"a tunnel that is refused is told with the reason", "tcp", "HTTP/1.1 502 Bad Gateway\r\nProxy-Status: weft; error=connection_refused\r\nContent-Length: 0\r\n\r\n", nil,
			"CONNECT", false, "connection_refused"},
		{"gRPC goes through a tunnel too", "grpc", "HTTP/1.1 404 Not Found\r\nProxy-Status: weft; error=x\r\nContent-Length: 0\r\n\r\n", nil, "CONNECT cart.shop:80", false, "error=x"},
		{"nonsense is an error and not a panic", "http", "\x00\x01", nil, "OPTIONS", false, "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, heads := proxyFor(t, c.answer, c.then)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			a := Once(ctx, Target{Proxy: addr, Host: "cart.shop", Port: 80, Protocol: c.protocol, Path: "/x"}, 3)
			if a.Answered != c.answered || a.Seq != 3 {
				t.Errorf("attempt = %+v", a)
			}
			if (a.Error == "") != c.answered {
				t.Errorf("error = %q", a.Error)
			}
			if !strings.Contains(a.Evidence+a.Error+a.Refusal, c.says) {
				t.Errorf("%+v does not say %q", a, c.says)
			}
			if len(*heads) == 0 || !strings.Contains((*heads)[0], c.head) {
				t.Errorf("the proxy got %q, wanted %q", *heads, c.head)
			}
		})
	}
}

func TestAGRPCServersRefusalIsAnAnswer(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(415) })}
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(app) }() // ends by Close
	defer func() { _ = s.Close() }()
	addr, _ := proxyFor(t, "HTTP/1.1 200 OK\r\n\r\n", func(c net.Conn, r *bufio.Reader) {
		to, err := net.Dial("tcp", app.Addr().String())
		if err != nil {
			return
		}
		up := make(chan struct{})
		go func() { defer close(up); _, _ = io.Copy(to, r); _ = to.Close() }() // ends with either side
		_, _ = io.Copy(c, to)
		_ = c.Close()
		<-up
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	a := Once(ctx, Target{Proxy: addr, Host: "catalog.shop", Port: 80, Protocol: "grpc"}, 1)
	if !a.Answered || a.Status != 415 {
		t.Errorf("attempt = %+v", a)
	}
}

func TestSilenceEndsWithTheDeadline(t *testing.T) {
	for _, protocol := range []string{"http", "tcp", "grpc"} {
		addr, _ := proxyFor(t, "", untilClosed)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		a := Once(ctx, Target{Proxy: addr, Host: "cart.shop", Port: 80, Protocol: protocol}, 1)
		cancel()
		if a.Answered || !strings.Contains(a.Error, "no answer in time") {
			t.Errorf("%s: %s", protocol, fmt.Sprintf("%+v", a))
		}
	}
}
