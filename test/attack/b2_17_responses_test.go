//go:build linux

package attack

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// badResponse is one row: what an application sends, and what its client must get.
type badResponse struct {
	name   string
	method string // default GET
	send   string
	ends   bool   // the application closes behind it
	late   string // it sends this some time later, unasked
	rfc    string

	want  int    // status at the client
	body  string // complete, if want is not a failure
	cut   bool   // the body breaks off, and the client can tell
	keep  bool   // the connection may be used for the next request
	again bool   // the request may be sent again, once
}

const ok = "HTTP/1.1 200 OK\r\n"

var badResponses = []badResponse{
	{name: "plain", send: ok + "Content-Length: 5\r\n\r\nhello", want: 200, body: "hello", keep: true, rfc: "RFC 9112 6"},
	{name: "chunked with extensions", send: ok + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", want: 200, body: "hello", keep: true, rfc: chunkExt},
	{name: "until close", send: ok + "\r\nhello", ends: true, want: 200, body: "hello", rfc: "RFC 9112 6.3"},
	{name: "some 1xx", send: times(10, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") + ok + "Content-Length: 5\r\n\r\nhello", want: 200, body: "hello", keep: true, rfc: "RFC 9110 15.2"},
	{name: "two equal lengths", send: ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: manyValues},
	{name: "two lengths", send: ok + "Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello", want: 502, rfc: manyValues},
	{name: "a list of lengths", send: ok + "Content-Length: 5, 5\r\n\r\nhello", want: 502, rfc: manyValues},
	{name: "length +5", send: ok + "Content-Length: +5\r\n\r\nhello", want: 502, rfc: onlyDigits},
	{name: "both lengths", send: ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: 502, rfc: bothLengths},
	{name: "two codings", send: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: 502, rfc: codingList},
	{name: "unknown coding", send: ok + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", want: 502, rfc: unknownTE},
	{name: "coding in HTTP/1.0", send: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: 502, rfc: "RFC 9112 6.1"},
	{name: "storm of 1xx", send: times(1000, "HTTP/1.1 100 Continue\r\n\r\n") + ok + "Content-Length: 5\r\n\r\nhello", want: 502, rfc: "RFC 9110 15.2: any number; we take 16"},
	{name: "1xx with a body", send: "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + ok + "Content-Length: 0\r\n\r\n", want: 502, rfc: "RFC 9110 15.2: no content"},
	{name: "204 with a length", send: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: "RFC 9110 8.6: MUST NOT"},
	{name: "204 with chunks", send: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: 502, rfc: "RFC 9112 6.1: MUST NOT"},
	{name: "204 with bytes behind", send: "HTTP/1.1 204 No Content\r\n\r\nhello", want: 204, rfc: "RFC 9112 6.3: no body"},
	{name: "304 with bytes behind", send: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", want: 304, rfc: "RFC 9112 6.3: no body"},
	{name: "HEAD with a body", method: "HEAD", send: ok + "Content-Length: 5\r\n\r\nhello", want: 200, rfc: "RFC 9112 6.3: no body"},
	{name: "HEAD with chunks", method: "HEAD", send: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: 200, rfc: "RFC 9112 6.3: no body"},
	{name: "body longer than its length", send: ok + "Content-Length: 5\r\n\r\nhello, world", want: 200, body: "hello", rfc: "RFC 9112 6.3: the rest is no part of it"},
	{name: "another response behind", send: ok + "Content-Length: 5\r\n\r\nhello" + ok + "Content-Length: 6\r\n\r\npoison", want: 200, body: "hello", rfc: "RFC 9112 9.2: MUST NOT be taken for the next request's"},
	{name: "another response behind chunks", send: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + ok + "Content-Length: 6\r\n\r\npoison", want: 200, body: "hello", rfc: "RFC 9112 9.2"},
	{name: "another response some time later", send: ok + "Content-Length: 5\r\n\r\nhello", late: ok + "Content-Length: 6\r\n\r\npoison", want: 200, body: "hello", rfc: "RFC 9112 9.2"},
	{name: "a byte some time later", send: ok + "Content-Length: 5\r\n\r\nhello", late: "\n", want: 200, body: "hello", rfc: "RFC 9112 9.2"},
	{name: "body shorter than its length", send: ok + "Content-Length: 50\r\n\r\nhello", ends: true, want: 200, cut: true, rfc: "RFC 9112 8: incomplete"},
	{name: "chunks without an end", send: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ends: true, want: 200, cut: true, rfc: "RFC 9112 8: incomplete"},
	{name: "chunk of a bad size", send: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", want: 200, cut: true, rfc: chunkSize},
	{name: "chunk longer than its size", send: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello!!\r\n0\r\n\r\n", want: 200, cut: true, rfc: chunkCRLF},
	{name: "chunk that ends in LF", send: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", want: 200, cut: true, rfc: chunkCRLF},
	{name: "length among the trailers", send: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", want: 200, cut: true, rfc: noTrailer},
	{name: "LF for CRLF", send: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", want: 502, rfc: lineLF},
	{name: "obs-fold", send: ok + "X: y\r\n z\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: "RFC 9112 5.2: MAY be replaced"},
	{name: "space before the colon", send: ok + "Content-Length : 5\r\n\r\nhello", want: 502, rfc: "RFC 9112 5.1: to be removed by a proxy; we are strict"},
	{name: "line without a colon", send: ok + "X\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: nameToken},
	{name: "NUL in a value", send: ok + "X: a\x00b\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: noFieldByte},
	{name: "CR in a value", send: ok + "X: a\rSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: lineCR},
	{name: "status of two digits", send: "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: "RFC 9112 4"},
	{name: "status of four digits", send: "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: "RFC 9112 4"},
	{name: "status 099", send: "HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: "RFC 9110 15"},
	{name: "another version", send: "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: "RFC 9112 2.3"},
	{name: "no HTTP", send: "220 mail.example ESMTP\r\n", want: 502, rfc: "RFC 9112 4"},
	{name: "nothing", ends: true, want: 502, again: true, rfc: "RFC 9110 9.2.2: idempotent requests MAY be sent again when a reused connection just ends"},
	{name: "half a head", send: ok + "Content-Len", ends: true, want: 502, rfc: "RFC 9112 8"},
	{name: "many fields", send: ok + times(1000, "a: b\r\n") + "Content-Length: 5\r\n\r\nhello", want: 502, rfc: "RFC 9110 5.4"},
	{name: "a large field", send: ok + "a: " + times(200000, "b") + "\r\nContent-Length: 5\r\n\r\nhello", want: 502, rfc: "RFC 9110 5.4"},
	{name: "a head that never ends", send: ok + "a: " + times(200000, "b"), want: 502, rfc: "RFC 9110 5.4"},
	{name: "many trailers", send: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + times(1000, "a: b\r\n") + "\r\n", want: 200, cut: true, rfc: "RFC 9110 5.4"},
}

// responder is an application that answers /rN with row N.
func responder(t *testing.T, rows []badResponse) *recorder {
	return newRecorder(t, func(r *received, a *appConn) bool {
		var n int
		if _, err := fmt.Sscanf(r.target, "/r%d/", &n); err != nil {
			return false
		}
		row := &rows[n]
		io.WriteString(a, row.send) //nolint:errcheck // seen at the client
		if row.late != "" {
			time.Sleep(30 * time.Millisecond) // the proxy has put the connection away by then
			io.WriteString(a, row.late)       //nolint:errcheck // it may be closed already
		}
		a.done = row.ends
		return true
	})
}

// TestB2_17_Responses: an application cannot make its client, or the next one, read what it should not.
func TestB2_17_Responses(t *testing.T) {
	t.Parallel()
	rec := responder(t, badResponses)
	x := newPair(t, rec.addr(), "", "").warm()
	link := newH2(t, x.dialLink(t), settings())
	for i := range badResponses {
		row := &badResponses[i]
		method := row.method
		if method == "" {
			method = "GET"
		}
		t.Run(row.name, func(t *testing.T) {
			if row.rfc == "" {
				t.Error("the row does not say what the RFC says")
			}
			if row.want == 502 || row.cut {
				seed(t, "h1", "FuzzResponsesAgainstNetHTTP", bytesArg(row.send), fmt.Sprintf("bool(%v)", method == "HEAD"))
			}
			path := fmt.Sprintf("/r%d/h1", i)
			row.checkH1(t, x, rec, method, path)
			row.checkConn(t, rec, path)
			if err := x.honestH1("/next" + path); err != nil {
				t.Errorf("the next client: %v", err)
			}
			path = fmt.Sprintf("/r%d/h2", i)
			row.checkH2(t, link, method, path, rec.addr())
			row.checkConn(t, rec, path)
			if err := x.honestH1("/next" + path); err != nil {
				t.Errorf("the next client: %v", err)
			}
		})
	}
}

func (row *badResponse) checkH1(t *testing.T, x *pair, rec *recorder, method, path string) {
	t.Helper()
	c := dial(t, x.h1)
	defer c.Close()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: app\r\n\r\n", method, path)
	br := bufio.NewReader(c)
	a, err := readAnswer(c, br, method, patience)
	switch {
	case err != nil || a.status != row.want:
		t.Errorf("status %d, %v; want %d\n%s", a.status, err, row.want, row.rfc)
		return
	case row.want == 502:
		if code := a.header.Get("weft-code"); code != "W3307" && code != "W3306" {
			t.Errorf("code %q, want W3307 or W3306: %v", code, a.header)
		}
	case a.short != row.cut || !row.cut && a.body != row.body:
		t.Errorf("body %q, broken off: %v; want %q, %v\n%s", a.body, a.short, row.body, row.cut, row.rfc)
	}
	if strings.Contains(a.body, "poison") {
		t.Errorf("the client got %q", a.body)
	}
	if row.cut || a.close {
		if !ended(c, patience) {
			t.Error("the client's connection goes on")
		}
		return
	}
	if row.late != "" { // before that nobody can know
		row.checkConn(t, rec, path)
	}
	fmt.Fprintf(c, "GET /same%s HTTP/1.1\r\nHost: app\r\n\r\n", path)
	if a, err := readAnswer(c, br, "GET", patience); err != nil || a.body != "GET /same"+path {
		t.Errorf("then on the same connection %d %q, %v", a.status, a.body, err)
	}
}

func (row *badResponse) checkH2(t *testing.T, h *h2conn, method, path, to string) {
	t.Helper()
	s := h.result(h.open(":method", method, ":scheme", "http", ":authority", "app", ":path", path, "weft-to", to), patience)
	switch {
	case row.want == 502 && s.status == "502" || row.cut && s.reset && s.code != codeNone && !s.ended:
	case row.want != 502 && !row.cut && s.status == fmt.Sprint(row.want) && s.ended && s.body == row.body:
	default:
		t.Errorf("over HTTP/2: %s; want %d %q, broken off: %v\n%s", &s, row.want, row.body, row.cut, row.rfc)
	}
}

// checkConn holds the proxy to not using a connection again that it cannot trust.
func (row *badResponse) checkConn(t *testing.T, rec *recorder, path string) {
	t.Helper()
	got := slices.DeleteFunc(rec.about(path), func(r received) bool { return r.target != path })
	if len(got) != 1 && (!row.again || len(got) != 2) {
		t.Errorf("%s reached the application %d times", path, len(got))
		return
	}
	for _, r := range got {
		if row.keep {
			continue
		}
		eventually(t, "the connection to the application is closed", func() bool { return rec.ended(r.conn) })
		if on := rec.on(r.conn); on[len(on)-1] != path {
			t.Errorf("the connection was used again: %q", on)
		}
	}
}

// TestB2_17_ApplicationsDoNotSpeakForProxies: what only proxies say is taken off an application's response.
func TestB2_17_ApplicationsDoNotSpeakForProxies(t *testing.T) {
	t.Parallel()
	rec := responder(t, []badResponse{{send: ok + "Weft-Code: W9999\r\nweft_code: W9999\r\nWeft-Client-Id: x\r\nWeft-Declined: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-Stay: 1\r\nContent-Length: 2\r\n\r\nok"}})
	x := newPair(t, rec.addr(), "", "").warm()
	got := strings.ToLower(raw(t, x.h1, "GET /r0/x HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"))
	for _, no := range []string{"w9999", "weft-", "weft_", "x-hop", "keep-alive"} {
		if strings.Contains(got, no) {
			t.Errorf("the client got %q of the application: %q", no, got)
		}
	}
	if !strings.Contains(got, "x-stay: 1\r\n") {
		t.Errorf("an honest field was lost: %q", got)
	}
}
