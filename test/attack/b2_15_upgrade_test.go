//go:build linux

package attack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const upgradeRule = "RFC 9110 7.8: a server MAY ignore Upgrade; the protocol changes behind a 101 only"

// upgradesInEnvoy: its default answers every request for an upgrade 403; weft carries WebSockets.
const upgradesInEnvoy = "Envoy's default permits no upgrades, whatever their framing"

// TestB2_15_Upgrades: h2c is never passed on, another protocol only as what it is.
func TestB2_15_Upgrades(t *testing.T) {
	t.Parallel()
	attackH1(t, []vector{
		{name: "h2c is an ordinary request", send: get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"), want: accepted, rfc: "RFC 9113 3.1: h2c is obsolete"},
		{name: "h2c with a body", send: post("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nContent-Length: 5\r\n", "hello"), want: accepted, body: "hello", rfc: "RFC 9113 3.1"},
		{name: "h2c in another case", send: get("Connection: UPGRADE\r\nUpgrade: H2C\r\n"), want: accepted, rfc: "RFC 9113 3.1"},
		{name: "a refused upgrade leaves the connection as it was", send: get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), want: accepted, alone: upgradesInEnvoy, rfc: upgradeRule},
		{name: "Upgrade without the option", send: get("Upgrade: websocket\r\n"), want: accepted, rfc: "RFC 9110 7.8: MUST be named by Connection"},
		{name: "Upgrade with a body is none", send: post("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", "hello"), want: accepted, body: "hello", alone: upgradesInEnvoy, rfc: upgradeRule},
		{name: "Upgrade to no token", send: get("Connection: Upgrade\r\nUpgrade: web socket\r\n"), want: 400, rfc: "RFC 9110 7.8: protocol-name = token"},
		{name: "CONNECT to a path", send: "CONNECT /{id} HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: "RFC 9112 3.2.3: authority-form"},
		{name: "CONNECT with a body", send: "CONNECT app:80 HTTP/1.1\r\nHost: app:80\r\nContent-Length: 5\r\n\r\nhello", want: 400, rfc: "RFC 9110 9.3.6: content has no meaning"},
		{name: "CONNECT of another Host", send: "CONNECT app:80 HTTP/1.1\r\nHost: other:80\r\n\r\n", want: 400, rfc: "RFC 9112 3.2: Host is the authority's"},
	})
}

// TestB2_15_H2CIsStripped: what the application gets of an attempt at h2c smuggling.
func TestB2_15_H2CIsStripped(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, nil)
	x := newPair(t, rec.addr(), "", "").warm()
	v := vector{send: get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"), want: accepted, rfc: "RFC 9113 3.1"}
	o := play(&v, x.h1, patience)
	o.check(t, &v, rec)
	for _, r := range rec.about(o.id) {
		if head := strings.ToLower(r.head); strings.Contains(head, "h2c") || strings.Contains(head, "settings") || strings.Contains(head, "upgrade") {
			t.Errorf("the application gets %q", r.head)
		}
	}
}

// switcher is an application that answers requests for an upgrade with what the path asks for.
func switcher(t *testing.T) *recorder {
	return newRecorder(t, func(r *received, a *appConn) bool {
		switch {
		case strings.HasPrefix(r.target, "/yes"):
			io.WriteString(a, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n") //nolint:errcheck // seen at the client
			io.Copy(a, a.br)                                                                                      //nolint:errcheck // an echo until the end
			a.done = true
		case strings.HasPrefix(r.target, "/slowyes"):
			time.Sleep(100 * time.Millisecond) // the application thinks; what arrives meanwhile is looked at
			early := a.br.Buffered() > 0
			_ = a.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := a.br.Peek(1); err == nil {
				early = true
			}
			_ = a.SetReadDeadline(time.Time{})
			fmt.Fprintf(a, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\nX-Early: %v\r\n\r\n", early) //nolint:errcheck // seen at the client
			io.Copy(a, a.br)                                                                                                         //nolint:errcheck // an echo until the end
			a.done = true
		case strings.HasPrefix(r.target, "/200"): // CVE-2024-23326: taken for an upgrade
			io.WriteString(a, "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: chat\r\nContent-Length: 2\r\n\r\nno") //nolint:errcheck // seen at the client
		case strings.HasPrefix(r.target, "/unasked"):
			io.WriteString(a, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n") //nolint:errcheck // seen at the client
		default:
			return false
		}
		return true
	})
}

const askChat = " HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"

// TestB2_15_NothingGoesUpBeforeThe101: bytes behind the head wait for the answer (CVE-2025-64763,
// Pingora CVE-2026-2833); a 101 makes them the new protocol's.
func TestB2_15_NothingGoesUpBeforeThe101(t *testing.T) {
	t.Parallel()
	rec := switcher(t)
	x := newPair(t, rec.addr(), "", "").warm()
	c := dial(t, x.h1)
	early := "GET /early/smuggled HTTP/1.1\r\nHost: app\r\n\r\n"
	io.WriteString(c, "GET /slowyes"+askChat+early)
	br := bufio.NewReader(c)
	a, err := readAnswer(c, br, "GET", patience)
	if err != nil || a.status != 101 || a.header.Get("X-Early") != "false" {
		t.Fatalf("status %d, bytes before it: %s, %v; want 101 and none", a.status, a.header.Get("X-Early"), err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	got := make([]byte, len(early))
	if _, err := io.ReadFull(br, got); err != nil || string(got) != early {
		t.Errorf("echo through the tunnel: %q, %v", got, err)
	}
	c.Close()
	if got := rec.about("early/smuggled"); len(got) > 0 {
		t.Errorf("the application took bytes of the tunnel for %s", &got[0])
	}
	if err := x.honestH1("/honest"); err != nil {
		t.Errorf("the next client: %v", err)
	}
}

// TestB2_15_RefusedUpgrade: after any other status the bytes behind the head are the next request,
// never the tunnel's, and the connections do not mix.
func TestB2_15_RefusedUpgrade(t *testing.T) {
	t.Parallel()
	rec := switcher(t)
	x := newPair(t, rec.addr(), "", "").warm()
	for i, path := range []string{"/200/", "/plain/"} {
		c := dial(t, x.h1)
		first, second := fmt.Sprintf("%s%d/a", path, i), fmt.Sprintf("/behind/%d", i)
		io.WriteString(c, "GET "+first+askChat+"GET "+second+" HTTP/1.1\r\nHost: app\r\n\r\n")
		br := bufio.NewReader(c)
		if a, err := readAnswer(c, br, "GET", patience); err != nil || a.status != 200 || a.header.Get("Upgrade") != "" {
			t.Errorf("%s: status %d, %v, %v; want an ordinary 200", path, a.status, a.header, err)
		}
		if a, err := readAnswer(c, br, "GET", patience); err == nil && a.body != "GET "+second || err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%s: then %d %q, %v; want the second answer or the end", path, a.status, a.body, err)
		}
		if err := x.honestH1("/honest"); err != nil {
			t.Errorf("%s: the next client: %v", path, err)
		}
	}
}

// TestB2_15_TunnelsNeverReturnToAPool: an upgraded connection serves nobody else (CVE-2026-73548).
func TestB2_15_TunnelsNeverReturnToAPool(t *testing.T) {
	t.Parallel()
	rec := switcher(t)
	x := newPair(t, rec.addr(), "", "").warm()
	for range 3 {
		c := dial(t, x.h1)
		io.WriteString(c, "GET /yes"+askChat)
		br := bufio.NewReader(c)
		if a, err := readAnswer(c, br, "GET", patience); err != nil || a.status != 101 {
			t.Fatalf("status %d, %v; want 101", a.status, err)
		}
		io.WriteString(c, "poison: GET / HTTP/1.1\r\n\r\n")
		c.Close()
		if err := x.honestH1("/honest"); err != nil {
			t.Errorf("the next client: %v", err)
		}
	}
	if got := rec.about("poison"); len(got) > 0 {
		t.Errorf("the application took bytes of a tunnel for %s", &got[0])
	}
}

// TestB2_15_UnaskedSwitch: a 101 that nobody asked for is a broken response, not a tunnel.
func TestB2_15_UnaskedSwitch(t *testing.T) {
	t.Parallel()
	rec := switcher(t)
	x := newPair(t, rec.addr(), "", "").warm()
	got := raw(t, x.h1, "GET /unasked HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.Contains(got, "W3307") {
		t.Errorf("the client gets %q, want 502 and W3307", cut(got))
	}
	if err := x.honestH1("/honest"); err != nil {
		t.Errorf("the next client: %v", err)
	}
}

// TestB2_15_Connect: for a client that knows the proxy, CONNECT opens a tunnel to a declared port
// and to nothing else; bytes behind its head reach the application as HTTP that is parsed like any.
func TestB2_15_Connect(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, nil)
	x := newPair(t, rec.addr(), "", "").warm()
	c := dial(t, x.proxy)
	inner := "GET /inner HTTP/1.1\r\nHost: " + x.service + "\r\n\r\n"
	fmt.Fprintf(c, "CONNECT %s:80 HTTP/1.1\r\nHost: %s:80\r\n\r\n%s", x.service, x.service, inner)
	br := bufio.NewReader(c)
	if res, err := http.ReadResponse(br, &http.Request{Method: "CONNECT"}); err != nil || res.StatusCode != 200 {
		t.Fatalf("CONNECT: %v, %v", res, err)
	}
	if a, err := readAnswer(c, br, "GET", patience); err != nil || a.body != "GET /inner" {
		t.Errorf("inside: %d %q, %v", a.status, a.body, err)
	}
	io.WriteString(c, "POST /inner/bad HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	if a, err := readAnswer(c, br, "POST", patience); err != nil || a.status != 400 {
		t.Errorf("two lengths inside the tunnel: %d, %v; want 400", a.status, err)
	}
	for _, target := range []string{x.service + ":22", x.proxy, "no-such-service:80"} { // not a port of it, ourselves, nobody
		got := raw(t, x.proxy, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n"+strings.Replace(inner, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		if strings.Contains(got, "GET /inner") {
			t.Errorf("CONNECT %s reached an application: %q", target, cut(got))
		}
	}
	if n := len(rec.about("/inner")); n != 1 {
		t.Errorf("%d requests reached the application, want 1", n)
	}
}
