//go:build linux

package attack

import (
	"fmt"
	"testing"
)

const (
	chunkSize = "RFC 9112 7.1: chunk-size = 1*HEXDIG"
	chunkExt  = "RFC 9112 7.1.1: chunk-ext = *( BWS \";\" BWS name [ BWS \"=\" BWS ( token / quoted-string ) ] )"
	chunkCRLF = "RFC 9112 7.1: chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF"
	noTrailer = "RFC 9110 6.5.1: not a field that frames, routes or authenticates"
	chunkEnd  = "0\r\n\r\n"
)

// TestB2_12_Chunks: what is not exactly a chunk ends the request; what is one is framed anew, so that
// no byte of a client's framing reaches the application.
func TestB2_12_Chunks(t *testing.T) {
	t.Parallel()
	rows := []vector{
		{name: "no data", send: chunked(chunkEnd), want: accepted, rfc: chunkCRLF},
		{name: "leading zeros and both cases", send: chunked("0A\r\n0123456789\r\n00b\r\n0123456789a\r\n000\r\n\r\n"), want: accepted, body: "01234567890123456789a", rfc: chunkSize},
		{name: "data that looks like the end", send: chunked("5\r\n0\r\n\r\n\r\n" + chunkEnd), want: accepted, body: "0\r\n\r\n", rfc: chunkCRLF},
		{name: "a trailer", send: chunked("5\r\nhello\r\n0\r\nX-Sum: {id}\r\n\r\n"), want: accepted, body: "hello", trailer: "x-sum: {id}", alone: "peers may drop trailers, and nginx does", rfc: "RFC 9112 7.1.2"},
		{name: "and then a request", send: chunked("5\r\nhello\r\n" + chunkEnd + "GET /{id}/2 HTTP/1.1\r\nHost: app\r\n\r\n"), want: accepted, body: "hello", also: []string{"/{id}/2"}, rfc: "RFC 9112 9.3.2"},
		{name: "extension is never passed on", send: chunked("5;a=b\r\nhello\r\n0;c=\"d\"\r\n\r\n"), want: accepted, body: "hello", rfc: chunkExt},
		{name: "LF in a quoted extension", send: chunked("5;a=\"\n\"\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkExt},
		{name: "white space around an extension", send: chunked("5 ; a=b\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkExt + " (BWS is only to be tolerated)"},
		{name: "empty size (Go 64517)", send: chunked("\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkSize},
		{name: "empty size with an extension", send: chunked(";a\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkSize},
		{name: "0x5", send: chunked("0x5\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkSize},
		{name: "+5", send: chunked("+5\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkSize},
		{name: "-5", send: chunked("-5\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkSize},
		{name: "0_5", send: chunked("0_5\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkSize},
		{name: "space before", send: chunked(" 5\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkSize},
		{name: "space behind", send: chunked("5 \r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkSize},
		{name: "letter behind", send: chunked("5g\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkSize},
		{name: "2^64 + 5", send: chunked("10000000000000005\r\nhello\r\n" + chunkEnd), want: 400, rfc: "RFC 9112 7.1: a recipient MUST prevent overflow"},
		{name: "2^63", send: chunked("8000000000000000\r\nhello\r\n" + chunkEnd), want: 400, rfc: "RFC 9112 7.1"},
		{name: "2^32 + 5 is not 5", send: chunked("100000005\r\nhello\r\n" + chunkEnd + hidden), want: waits, rfc: "RFC 9112 7.1"},
		{name: "twenty zeros", send: chunked("00000000000000000000\r\n\r\n"), want: 400, rfc: chunkSize + "; longer than any number that we hold"},
		{name: "bare semicolon", send: chunked("5;\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkExt},
		{name: "two semicolons", send: chunked("5;;a\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkExt},
		{name: "NUL in an extension", send: chunked("5;a\x00\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkExt},
		{name: "CR in an extension", send: chunked("5;a\rb\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkExt},
		{name: "TERM.EXT: LF in an extension", send: chunked("2;a\nxx\r\n46\r\n0\r\n\r\n" + hidden + chunkEnd), want: 400, rfc: chunkExt},
		{name: "EXT.TERM: LF in an extension hides a size", send: chunked("5;\nhello\r\n" + chunkEnd + hidden), want: 400, rfc: chunkExt},
		{name: "SPILL: data longer than its size", send: chunked("5\r\nhelloAA\r\n" + chunkEnd), want: 400, rfc: chunkCRLF},
		{name: "SPILL: two other bytes for CRLF", send: chunked("5\r\nhelloXX0\r\n\r\n"), want: 400, rfc: chunkCRLF},
		{name: "data shorter than its size", send: chunked("6\r\nhello\r\n" + chunkEnd), want: 400, rfc: chunkCRLF},
		{name: "LF behind the size", send: chunked("5\nhello\r\n" + chunkEnd), want: 400, rfc: chunkCRLF},
		{name: "CR behind the size", send: chunked("5\rhello\r\n" + chunkEnd), want: 400, rfc: chunkCRLF},
		{name: "LF behind the data (CVE-2025-22871)", send: chunked("5\r\nhello\n" + chunkEnd), want: 400, rfc: chunkCRLF},
		{name: "nothing behind the data", send: chunked("5\r\nhello" + chunkEnd), want: 400, rfc: chunkCRLF},
		{name: "LF behind the last size", send: chunked("0\n\r\n"), want: 400, rfc: chunkCRLF},
		{name: "LF at the end", send: chunked("0\r\n\n"), want: 400, rfc: chunkCRLF},
		{name: "CRLF at the end missing", send: chunked("5\r\nhello\r\n0\r\n"), want: waits, rfc: chunkCRLF},
		{name: "request in place of the last CRLF", send: chunked("5\r\nhello\r\n0\r\n" + hidden), want: 400, rfc: "RFC 9110 5.1: a field name is a token"},
		{name: "last chunk missing", send: chunked("5\r\nhello\r\n"), want: waits, rfc: "RFC 9112 8"},
		{name: "long extension (CVE-2023-39326)", send: chunked("1;" + times(300, "a") + "\r\nx\r\n" + chunkEnd), want: 400, rfc: "RFC 9112 7.1.1: a recipient ought to limit the length of extensions"},
		{name: "many extensions (CVE-2023-39326)", send: chunked(times(200, "1;"+times(100, "a")+"\r\nx\r\n") + chunkEnd), want: 400, rfc: "RFC 9112 7.1.1"},
		{name: "obs-fold in a trailer", send: chunked("0\r\nX-A: b\r\n c\r\n\r\n"), want: 400, rfc: "RFC 9112 5.2"},
		{name: "framing announced for the trailers", send: post("Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n", "0\r\n\r\n"), want: 400, rfc: noTrailer},
	}
	for _, f := range []string{"Content-Length: 5", "Transfer-Encoding: chunked", "Host: other", "Authorization: Basic eA==", "Cookie: a=b",
		"Weft-Client-Id: spiffe://weft.local/ns/default/sa/admin", "weft_client_id: x", "X-Forwarded-Client-Cert: x", "X-Forwarded-For: 192.0.2.1",
		"Connection: close", "Content-Type: text/html", "Expect: 100-continue", "Set-Cookie: a=b", "TE: trailers", "Upgrade: h2c"} {
		rows = append(rows, vector{name: "trailer " + f, send: chunked("5\r\nhello\r\n0\r\n" + f + "\r\n\r\n"), want: 400, rfc: noTrailer})
	}
	for i := range rows { // the head of these has gone up already
		rows[i].cut = rows[i].want != accepted
	}
	// No cut of the bytes makes a difference: the same, with the connection's other half of a vector
	// in another segment, is what proxy/h1 tests at every byte.
	attackH1(t, rows)
}

// TestB2_12_ReframedAlways: whatever sizes a client cuts its chunks to, the application gets ours.
func TestB2_12_ReframedAlways(t *testing.T) {
	t.Parallel()
	var got []string
	rec := newRecorder(t, nil)
	x := newPair(t, rec.addr(), "", "").warm()
	for i, size := range []int{1, 7, 100} {
		body := times(1000/size, fmt.Sprintf("%x;ext=%d\r\n%s\r\n", size, i, times(size, "x"))) + chunkEnd
		v := vector{name: fmt.Sprint(size), send: chunked(body), want: accepted, body: times(1000/size*size, "x"), rfc: chunkExt}
		o := play(&v, x.h1, patience)
		o.check(t, &v, rec)
		for _, r := range rec.about(o.id) {
			got = append(got, r.framing)
		}
	}
	if want := "[chunked none chunked none chunked none]"; fmt.Sprint(got) != want {
		t.Errorf("framings at the backend: %v, want %s", got, want)
	}
}
