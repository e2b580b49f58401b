//go:build linux

package attack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

const (
	expectRule = "RFC 9110 10.1.1: an expectation other than 100-continue MAY be answered 417"
	anyBody    = "RFC 9110 9.3: content of a GET, HEAD or OPTIONS has no defined meaning, but it is framed like any"
)

// TestB2_13_BodiesAndExpectations: a body that nobody expects is framed all the same, and an
// expectation that is not understood is not passed on (0.CL, CL.0; Kettle, "HTTP/1.1 must die").
func TestB2_13_BodiesAndExpectations(t *testing.T) {
	t.Parallel()
	attackH1(t, []vector{
		{name: "GET with a body", send: get("Content-Length: 5\r\n") + "hello", want: accepted, body: "hello", rfc: anyBody},
		{name: "GET with chunks", send: get("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n" + chunkEnd, want: accepted, body: "hello", rfc: anyBody},
		{name: "GET with a body that looks like a request", send: get("Content-Length: 51\r\n") + "GET /admin HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n"[:51], want: accepted, body: "GET /admin HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n"[:51], rfc: anyBody},
		{name: "HEAD with a body", send: "HEAD /{id} HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello", want: accepted, body: "hello", rfc: anyBody},
		{name: "OPTIONS with a body", send: "OPTIONS /{id} HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello", want: accepted, body: "hello", rfc: anyBody},
		{name: "DELETE with chunks", send: "DELETE /{id} HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + chunkEnd, want: accepted, body: "hello", rfc: anyBody},
		{name: "TRACE with a body", send: "TRACE /{id} HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello", want: 400, rfc: "RFC 9110 9.3.8: MUST NOT send content"},
		{name: "POST without a length", send: post("", ""), want: accepted, rfc: "RFC 9112 6.3: no body"},
		{name: "POST without a length and with bytes", send: post("", "hello"), want: accepted, alone: "the bytes become the method of the next request", behind: "hello",
			rfc: "RFC 9112 6.3: no body; what follows is the next request"},
		{name: "Expect with a body that comes at once", send: post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"), want: accepted, body: "hello", rfc: "RFC 9110 10.1.1"},
		{name: "Expect in another case", send: post("Expect: 100-CONTINUE\r\nContent-Length: 5\r\n", "hello"), want: accepted, body: "hello", rfc: "RFC 9110 10.1.1: case-insensitive"},
		{name: "Expect without a body", send: get("Expect: 100-continue\r\n"), want: accepted, rfc: "RFC 9110 10.1.1: MAY be ignored"},
		{name: "Expect in HTTP/1.0", send: "POST /{id} HTTP/1.0\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", want: accepted, body: "hello", ends: true, rfc: "RFC 9110 10.1.1: MUST be ignored"},
		{name: "another expectation", send: post("Expect: 200-ok\r\nContent-Length: 5\r\n", "hello"), want: 417, rfc: expectRule},
		{name: "a list of expectations", send: post("Expect: 100-continue, x\r\nContent-Length: 5\r\n", "hello"), want: 417, rfc: expectRule},
		{name: "a prefix", send: post("Expect: y 100-continue\r\nContent-Length: 5\r\n", "hello"), want: 417, rfc: expectRule},
		{name: "a parameter", send: post("Expect: 100-continue;q=1\r\nContent-Length: 5\r\n", "hello"), want: 417, rfc: expectRule},
		{name: "two fields", send: post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", "hello"), want: 417, rfc: expectRule},
		{name: "empty", send: post("Expect:\r\nContent-Length: 5\r\n", "hello"), want: 417, rfc: expectRule},
		{name: "folded", send: post("Expect:\r\n 100-continue\r\nContent-Length: 5\r\n", "hello"), want: 400, rfc: "RFC 9112 5.2"},
		{name: "space before the colon", send: post("Expect : 100-continue\r\nContent-Length: 5\r\n", "hello"), want: 400, rfc: "RFC 9112 5.1"},
	})
}

// TestB2_13_EarlyResponse: an application answers before it has read the request. Neither connection
// is used again: what of the body is still to come could be taken for a request.
func TestB2_13_EarlyResponse(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, func(r *received, a *appConn) bool {
		if !strings.HasPrefix(r.target, "/early") {
			return false
		}
		io.WriteString(a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly") //nolint:errcheck // seen at the client
		return true                                                            // and reads on: if a body comes, it is taken for a request
	})
	x := newPair(t, rec.addr(), "", "").warm()
	for i, head := range []string{
		"POST /early%d HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n",
		"POST /early%d HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
		"GET /early%d HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n",
	} {
		smuggled := fmt.Sprintf("GET /early%d/smuggled HTTP/1.1\r\nHost: app\r\n\r\n", i)
		c := dial(t, x.h1)
		fmt.Fprintf(c, head, i, len(smuggled))
		br := bufio.NewReader(c)
		a, err := readAnswer(c, br, "POST", patience)
		if err != nil || a.status != 200 || a.body != "early" {
			t.Errorf("%q: status %d %q, %v; want the early answer", head, a.status, a.body, err)
		}
		io.WriteString(c, smuggled) //nolint:errcheck // it may be closed already
		if b, err := readAnswer(c, br, "GET", patience); !errors.Is(err, io.EOF) {
			t.Errorf("%q: behind the early answer came %d %q, %v; want the end", head, b.status, b.body, err)
		}
		if err := x.honestH1(fmt.Sprintf("/honest%d", i)); err != nil {
			t.Errorf("%q: the next client: %v", head, err)
		}
		for _, r := range rec.about(fmt.Sprintf("early%d", i)) {
			if r.target != fmt.Sprintf("/early%d", i) || r.malformed != "" {
				t.Errorf("%q: the application took the body for a request: %s", head, &r)
			}
		}
	}
}

// TestB2_13_ContinueRefused: the application answers an expectation with a final status; the client,
// as the RFC lets it, sends its body or the next request. Neither is taken for the other (CVE-2024-24791).
func TestB2_13_ContinueRefused(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, func(r *received, a *appConn) bool {
		if !strings.HasPrefix(r.target, "/no") {
			return false
		}
		io.WriteString(a, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno") //nolint:errcheck // seen at the client
		return true
	})
	x := newPair(t, rec.addr(), "", "").warm()
	for range 3 { // more than once, on the same pool
		c := dial(t, x.h1)
		io.WriteString(c, "PUT /no HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n")
		br := bufio.NewReader(c)
		if a, err := readAnswer(c, br, "PUT", patience); err != nil || a.status != 403 || !a.close {
			t.Errorf("status %d, close %v, %v; want 403 and the end", a.status, a.close, err)
		}
		io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n") //nolint:errcheck // it may be closed already
		if a, err := readAnswer(c, br, "GET", patience); !errors.Is(err, io.EOF) {
			t.Errorf("behind it came %d %q, %v; want the end", a.status, a.body, err)
		}
		if err := x.honestH1("/honest"); err != nil {
			t.Errorf("the next client: %v", err)
		}
	}
	if got := rec.about("smuggled"); len(got) > 0 {
		t.Errorf("the application got %s", &got[0])
	}
}
