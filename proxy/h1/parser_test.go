package h1

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestLimitsAreExact(t *testing.T) {
	head := func(n int) string { // a head of n bytes
		const h = "GET / HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n"
		return strings.Replace(h, "x: ", "x: "+strings.Repeat("y", n-len(h)), 1)
	}
	for _, c := range []struct {
		name string
		wire string
		l    Limits
		ok   bool
	}{
		{"a head of 64 KiB", head(64 << 10), Limits{}, true},
		{"a head of 64 KiB and a byte", head(64<<10 + 1), Limits{}, false},
		{"128 fields", get(strings.Repeat("a:\r\n", 127)), Limits{}, true},
		{"129 fields", get(strings.Repeat("a:\r\n", 128)), Limits{}, false},
		{"a request line of 20 bytes", "GET /1234 HTTP/1.1\r\nhost: a\r\n\r\n", Limits{LineBytes: 20}, true},
		{"a request line of 21 bytes", "GET /12345 HTTP/1.1\r\nhost: a\r\n\r\n", Limits{LineBytes: 20}, false},
		{"a chunk line of 256 bytes", chunked("1;" + strings.Repeat("a", 254) + "\r\nx\r\n0\r\n\r\n"), Limits{}, true},
		{"a chunk line of 257 bytes", chunked("1;" + strings.Repeat("a", 255) + "\r\nx\r\n0\r\n\r\n"), Limits{}, false},
		{"trailers of 20 bytes", chunked("0\r\na: 1234567890123\r\n\r\n"), Limits{TrailerBytes: 20}, true},
		{"trailers of 21 bytes", chunked("0\r\na: 12345678901234\r\n\r\n"), Limits{TrailerBytes: 20}, false},
		{"a body of 10 bytes", post("content-length: 10\r\n", "0123456789"), Limits{BodyBytes: 10}, true},
		{"chunks of 10 bytes", chunked("5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), Limits{BodyBytes: 10}, true},
		{"chunks of 11 bytes", chunked("5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n"), Limits{BodyBytes: 10}, false},
		{"extensions of 4 bytes", chunked("1;a\r\nx\r\n1;a\r\nx\r\n0\r\n\r\n"), Limits{ExtensionBytes: 4}, true},
		{"extensions of 5 bytes", chunked("1;a\r\nx\r\n1;ab\r\nx\r\n0\r\n\r\n"), Limits{ExtensionBytes: 4}, false},
		{"the largest length", post("content-length: 9223372036854775807\r\n", ""), Limits{}, false}, // cut off, but not refused as a number
	} {
		t.Run(c.name, func(t *testing.T) {
			e, _ := refusal(t, NewRequestParser(c.l), c.wire)
			if (e == nil) != c.ok {
				t.Errorf("got %v", e)
			}
			if c.name == "the largest length" && e.Code != CodeTruncated {
				t.Errorf("got %v", e)
			}
		})
	}
}

// A server that learns of a bad line only at the end of the head can be held up with it.
func TestABadLineIsToldBeforeTheHeadIsComplete(t *testing.T) {
	x := NewRequestParser(Limits{})
	wire := []byte("GET / HTTP/1.1\r\nhost: a\r\nbad line\r\n")
	for i := range wire {
		_, _, err := x.Feed(wire[:i+1])
		if last := i == len(wire)-1; (err != nil) != last {
			t.Fatalf("after %d of %d bytes: %v", i+1, len(wire), err)
		}
	}
}

func TestThePeersCloseEndsOnlyWhatItMayEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		x    *Parser
		wire string
		ev   Event
		code string
	}{
		{"before anything", NewRequestParser(Limits{}), "", NeedMore, ""},
		{"within a request line", NewRequestParser(Limits{}), "G", NeedMore, CodeTruncated},
		{"behind a request that was not told over", NewRequestParser(Limits{}), "GET / HTTP/1.1\r\nhost: a\r\n\r\n", End, ""},
		{"within a body", NewRequestParser(Limits{}), post("content-length: 2\r\n", "x"), NeedMore, CodeTruncated},
		{"within a chunk size", NewRequestParser(Limits{}), chunked("5"), NeedMore, CodeTruncated},
		{"within trailers", NewRequestParser(Limits{}), chunked("0\r\na: b\r\n"), NeedMore, CodeTruncated},
		{"before a response", NewResponseParser(Limits{}), "", NeedMore, ""},
		{"within a body until close", NewResponseParser(Limits{}), "HTTP/1.1 200 OK\r\n\r\nx", End, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := []byte(c.wire)
			for {
				n, ev, err := c.x.Feed(p)
				if err != nil {
					t.Fatal(err)
				}
				if p = p[n:]; ev == NeedMore || len(p) == 0 {
					break
				}
			}
			ev, err := c.x.EOF()
			if got, _ := err.(*Error); ev != c.ev || (got == nil) != (c.code == "") || got != nil && got.Code != c.code {
				t.Errorf("got %v, %v", ev, err)
			}
		})
	}
}

func TestNextDoesNothingWithinAMessage(t *testing.T) {
	x := NewRequestParser(Limits{})
	wire := []byte(post("content-length: 28\r\n", "GET / HTTP/1.1\r\nhost: b\r\n\r\n"))
	n, ev, err := x.Feed(wire)
	x.Next() // a mistake: the body looks like a request
	if _, ev2, _ := x.Feed(wire[n:]); ev != Head || err != nil || ev2 != Data {
		t.Fatalf("the body was taken for %v", ev2)
	}
	if x.Remaining() != 1 {
		t.Errorf("%d bytes remain", x.Remaining())
	}
}

func TestNextMayTakeTheEndOfABodilessMessageAsRead(t *testing.T) {
	x := NewRequestParser(Limits{})
	wire := []byte(get("") + get(""))
	n, _, _ := x.Feed(wire)
	x.Next()
	if _, ev, err := x.Feed(wire[n:]); ev != Head || err != nil {
		t.Fatalf("got %v, %v", ev, err)
	}
}

func TestAfterEndNothingIsTakenUntilNext(t *testing.T) {
	var x Parser // the zero value reads requests
	wire := []byte(get(""))
	n, _, _ := x.Feed(wire)
	if x.Idle() {
		t.Error("idle within a message")
	}
	for range 3 {
		if n, ev, err := x.Feed(wire[:n]); n != 0 || ev != End || err != nil {
			t.Fatalf("got %d, %v, %v", n, ev, err)
		}
	}
	x.Next()
	if !x.Idle() {
		t.Error("not idle between messages")
	}
	if _, ev, err := x.Feed(wire); ev != Head || err != nil {
		t.Fatalf("got %v, %v", ev, err)
	}
}

func TestResetForgetsEverything(t *testing.T) {
	x := NewResponseParser(Limits{HeadBytes: 40})
	x.ExpectResponseTo([]byte("HEAD"), true)
	if e, _ := refusal(t, x, "nonsense\r\n"); e == nil {
		t.Fatal("nonsense passed")
	}
	x.ResetResponse(Limits{})
	const wire = "HTTP/1.1 200 OK\r\nx: 0123456789012345678901234567890\r\ncontent-length: 1\r\n\r\ny"
	if got := transcript(t, x, []byte(wire)); !strings.Contains(got, `body "y"`) {
		t.Errorf("got %s", got)
	}
	x.ResetRequest(Limits{})
	if e, _ := refusal(t, x, get("")); e != nil {
		t.Error(e)
	}
}

func TestAParserIsReusableOnlyWhenItRemembersNothing(t *testing.T) {
	for _, tc := range []struct {
		name, wire string
		want       bool
	}{
		{"nothing", "", true},
		{"a whole request", get(""), true},
		{"an empty line", "\r\n", false},
		{"half a head", "GET / HT", false},
		{"half a body", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx", false},
	} {
		x := NewRequestParser(Limits{})
		transcript(t, x, []byte(tc.wire))
		x.Next()
		if got := x.Reusable(); got != tc.want {
			t.Errorf("after %s: %v", tc.name, got)
		}
	}
	x := NewResponseParser(Limits{})
	x.ExpectResponseTo([]byte("HEAD"), false)
	if x.Reusable() {
		t.Error("a parser that expects the response to HEAD may not answer for another request")
	}
}

func TestTheHeadStaysGoodWhileTheBodyIsRead(t *testing.T) {
	x := NewRequestParser(Limits{})
	wire := []byte("POST http://a?q HTTP/1.1\r\nhost: a\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n1\r\nz\r\n0\r\nX: t\r\n\r\n")
	for p := wire; ; {
		n, ev, err := x.Feed(p)
		if err != nil {
			t.Fatal(err)
		}
		if p = p[n:]; ev == End {
			break
		}
	}
	got := fmt.Sprintf("%s %s %s=%s %s=%s", x.Request.Method, x.Request.Path, x.Request.Fields[0].Name, x.Request.Fields[0].Value, x.Trailers[0].Name, x.Trailers[0].Value)
	if got != "POST /?q x=y x=t" {
		t.Errorf("got %s", got)
	}
	if cap(x.Request.Fields)-len(x.Request.Fields) < spareFields {
		t.Error("no room to add fields")
	}
}

// scanText looks at eight bytes at a time; this is what it should find.
func TestTextIsScannedLikeByteByByte(t *testing.T) {
	slow := func(p []byte, i int) (int, bool) {
		obs := false
		for ; i < len(p); i++ {
			switch c := p[i]; {
			case c >= 0x80:
				obs = true
			case c == '\t':
			case c < 0x20 || c == 0x7f:
				return i, obs
			}
		}
		return i, obs
	}
	for c := range 256 { // each byte at each place of a word
		for at := range 17 {
			p := bytes.Repeat([]byte("a"), 17)
			p[at] = byte(c)
			compareScan(t, p, 0, slow)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		p := make([]byte, r.IntN(40))
		for i := range p {
			p[i] = "ab \t\x7e\x7f\x80\xff\x1f\x20\r\n\x00"[r.IntN(13)]
			if r.IntN(4) > 0 {
				p[i] = 'x'
			}
		}
		compareScan(t, p, r.IntN(len(p)+1), slow)
	}
}

func compareScan(t *testing.T, p []byte, i int, slow func([]byte, int) (int, bool)) {
	t.Helper()
	end, obs := scanText(p, i)
	wantEnd, wantObs := slow(p, i)
	if end != wantEnd || obs != wantObs {
		t.Fatalf("%q from %d: got %d %v, want %d %v", p, i, end, obs, wantEnd, wantObs)
	}
}

func TestReservedNamesAreKnownInBothSpellings(t *testing.T) {
	for name, want := range map[string]bool{
		"weft-id": true, "weft_id": true, "weft": false, "weft-": true, "weftid": false, "x-weft-id": false,
		"weft-priority": false, "weft-timeout": false, "weft_priority": true, "weft_timeout": true,
		"weft-timeouts": true, "weft-attempt": true, "weft-attempts": true,
	} {
		if Reserved([]byte(name)) != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
}
