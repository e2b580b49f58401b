//go:build linux

package interop

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestWebSocketServersMayEndTheConnectionFirst: after the Close frames it is the server that ends
// the TCP connection and the client that waits for it (RFC 6455, 7.1.1), so the end must arrive
// though the other direction is open, and that direction must live on. The suite's client does not
// wait.
func TestWebSocketServersMayEndTheConnectionFirst(t *testing.T) {
	t.Parallel()
	addr, late := closingServer(t)
	c, err := net.Dial("tcp", startMesh(t, "closing", addr, "http").Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: closing\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answer %s, want 101", res.Status)
	}
	if rest, err := io.ReadAll(br); err != nil || string(rest) != "last words" {
		t.Fatalf("until the server's end came %q, %v", rest, err)
	}
	if _, err := io.WriteString(c, "an answer"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-late:
		if got != "an answer" {
			t.Errorf("after its end the server got %q, want what the client sent", got)
		}
	case <-time.After(patience):
		t.Errorf("after its end the server got nothing in %s", patience)
	}
}

// closingServer takes one upgrade, sends a little, ends its direction, and tells what came after.
func closingServer(t testing.TB) (addr string, late <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got, done := make(chan string, 1), make(chan struct{})
	go func() { // ends with the listener, and with the deadline of the one connection
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if c.SetDeadline(time.Now().Add(patience)) != nil {
			return
		}
		br := bufio.NewReader(c)
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nlast words"); err != nil {
			return
		}
		if c.(*net.TCPConn).CloseWrite() != nil {
			return
		}
		rest, _ := io.ReadAll(br)
		got <- string(rest)
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String(), got
}
