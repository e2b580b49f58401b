package detect

import (
	"bytes"
	"strings"
	"testing"
)

// opening is the first bytes of a protocol and what they are taken for.
type opening struct {
	name  string
	bytes string
	want  Verdict
}

var openings = []opening{
	{"HTTP/1.1", "GET / HTTP/1.1\r\n", HTTP1},
	{"HTTP/1.0", "GET /a?b HTTP/1.0\r\n", HTTP1},
	{"a target and no more yet", "POST /a", HTTP1},
	{"every method: HEAD", "HEAD /", HTTP1},
	{"every method: PUT", "PUT /", HTTP1},
	{"every method: DELETE", "DELETE /", HTTP1},
	{"every method: OPTIONS", "OPTIONS /", HTTP1},
	{"every method: TRACE", "TRACE /", HTTP1},
	{"every method: PATCH", "PATCH /", HTTP1},
	{"a proxy's request", "GET http://cart/ HTTP/1.1\r\n", HTTP1},
	{"a proxy's request, scheme in capitals", "GET HTTPS://cart/ HTTP/1.1\r\n", HTTP1},
	{"a tunnel's request", "CONNECT cart:80 HTTP/1.1\r\n", HTTP1},
	{"OPTIONS for the server itself", "OPTIONS * HTTP/1.1\r\n", HTTP1},
	{"a method of WebDAV", "PROPFIND /dav HTTP/1.1\r\n", HTTP1},
	{"a method that nobody knows", "x-Purge! /cache HTTP/1.1\r\n", HTTP1},
	{"a bare line feed", "BREW /pot HTTP/1.1\n", HTTP1},
	{"an empty line before", "\r\nGET / HTTP/1.1\r\n", HTTP1},
	{"a method in small letters", "get / HTTP/1.1\r\n", HTTP1},

	{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP2},
	{"HTTP/2 with frames", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", HTTP2},
	{"nearly HTTP/2", "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", Opaque},
	{"an empty line before HTTP/2", "\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Opaque},
	{"another version of HTTP", "GOAT / HTTP/3.0\r\n", Opaque},
	{"a version that is no number", "GOAT / HTTP/1.x\r\n", Opaque},
	{"a version with more digits", "GOAT / HTTP/1.10\r\n", Opaque},

	{"TLS 1.0 record", "\x16\x03\x01\x02\x00\x01", TLS},
	{"TLS 1.3 record", "\x16\x03\x03\x02\x00\x01", TLS},
	{"SSL 3.0", "\x16\x03\x00", TLS},
	{"a handshake byte and something else", "\x16\x02\x01", Opaque},
	{"a version of TLS that is not there", "\x16\x03\x05", Opaque},
	{"SSL 2.0", "\x80\x2e\x01\x03\x01", Opaque},

	{"Redis, inline", "GET key\r\n", Opaque},
	{"Redis, inline, a key like a scheme", "GET http\r\n", Opaque},
	{"Redis, inline, without argument", "PING\r\n", Opaque},
	{"Redis, inline, three words", "SET key value\r\n", Opaque},
	{"Redis protocol", "*1\r\n$4\r\nPING\r\n", Opaque},
	{"memcached", "get key\r\n", Opaque},
	{"memcached, binary", "\x80\x00\x00\x00", Opaque},
	{"SMTP", "EHLO mail.example\r\n", Opaque},
	{"POP3", "USER me\r\n", Opaque},
	{"IMAP", "a1 CAPABILITY\r\n", Opaque},
	{"FTP", "USER anonymous\r\n", Opaque},
	{"SSH", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Opaque},
	{"PostgreSQL", "\x00\x00\x00\x08\x04\xd2\x16\x2f", Opaque},
	{"MySQL's answer to a greeting", "\x20\x00\x00\x01\x85\xa6\x03\x00", Opaque},
	{"MongoDB", "\x3f\x00\x00\x00\x01\x00\x00\x00", Opaque},
	{"Kafka", "\x00\x00\x00\x14\x00\x12\x00\x00", Opaque},
	{"AMQP", "AMQP\x00\x00\x09\x01", Opaque},
	{"MQTT", "\x10\x0c\x00\x04MQTT", Opaque},
	{"NATS", "CONNECT {\"verbose\":false}\r\n", Opaque},
	{"PROXY protocol", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Opaque},
	{"STOMP", "CONNECT\naccept-version:1.2\n\n\x00", Opaque},
	{"bytes that begin like words", "ABC \x00\x01\x02", Opaque},
	{"a token that is too long for a method", strings.Repeat("A", 33), Opaque},
	{"two empty lines", "\r\n\r\n", Opaque},
	{"a carriage return alone", "\rGET /", Opaque},
	{"a line feed alone", "\n", Opaque},
	{"a space", " GET / HTTP/1.1\r\n", Opaque},
}

func TestProtocolsAreToldByTheirFirstBytes(t *testing.T) {
	for _, o := range openings {
		if got := Sniff([]byte(o.bytes)); got != o.want {
			t.Errorf("%s: %q is taken for %s, want %s", o.name, o.bytes, got, o.want)
		}
	}
}

// Bytes arrive in any pieces: a shorter piece must never be judged otherwise than the whole.
func TestAtEverySplitTheVerdictIsTheSameOrMoreIsNeeded(t *testing.T) {
	for _, o := range openings {
		decided := false
		for i := 0; i <= len(o.bytes); i++ {
			got := Sniff([]byte(o.bytes[:i]))
			switch {
			case got == o.want:
				decided = true
			case got != NeedMore:
				t.Errorf("%s: after %q it is %s, at last %s", o.name, o.bytes[:i], got, o.want)
			case decided:
				t.Errorf("%s: after %q more is needed although it was decided before", o.name, o.bytes[:i])
			}
		}
	}
}

func TestHowEarlyADecisionIsMade(t *testing.T) {
	for _, c := range []struct {
		bytes string
		need  int // bytes
	}{
		{"GET / HTTP/1.1\r\n", 5},
		{"GET key\r\n", 5},
		{"\x16\x03\x01\x02", 3},
		{"\x16\x02\x01\x02", 2},
		{"\x00\x00\x00\x08", 1},
		{"EHLO mail.example\r\n", 19},
		{"AMQP\x00\x00\x09\x01", 5},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24},
	} {
		n := 0
		for n <= len(c.bytes) && Sniff([]byte(c.bytes[:n])) == NeedMore {
			n++
		}
		if n != c.need {
			t.Errorf("%q is decided after %d bytes, want %d", c.bytes, n, c.need)
		}
	}
}

func TestNothingNeedsMoreThanTheBound(t *testing.T) {
	for _, start := range []string{"BREW /", "\r\nBREW /", "CONNECT ", "OPTIONS *", "\r\nCONNECT "} {
		p := append([]byte(start), bytes.Repeat([]byte("x"), 2*MaxSniff)...)
		if got := Sniff(p[:MaxSniff-1]); got != NeedMore {
			t.Errorf("%q… one byte below the bound: %s", start, got)
		}
		for _, n := range []int{MaxSniff, MaxSniff + 1, 2 * MaxSniff} {
			if got := Sniff(p[:n]); got != Opaque {
				t.Errorf("%q… of %d bytes: %s, want opaque", start, n, got)
			}
		}
		// A line that ends beyond the bound does not change the verdict any more.
		if got := Sniff(append(p, " HTTP/1.1\r\n"...)); got != Opaque {
			t.Errorf("%q… with its end beyond the bound: %s", start, got)
		}
	}
}

func TestVerdictsHaveNames(t *testing.T) {
	for v, want := range map[Verdict]string{NeedMore: "need more", HTTP1: "http/1", HTTP2: "http/2", TLS: "tls", Opaque: "opaque"} {
		if v.String() != want {
			t.Errorf("%d is %q", v, v)
		}
	}
}

func FuzzSniff(f *testing.F) {
	for _, o := range openings {
		f.Add([]byte(o.bytes), []byte(" HTTP/1.1\r\n"))
		f.Add([]byte(o.bytes[:len(o.bytes)/2]), []byte(o.bytes[len(o.bytes)/2:]))
	}
	f.Add([]byte("BREW /"), bytes.Repeat([]byte("x"), MaxSniff))
	f.Fuzz(func(t *testing.T, p, more []byte) {
		before := bytes.Clone(p)
		v := Sniff(p)
		if !bytes.Equal(p, before) {
			t.Fatal("the input was changed")
		}
		if v == NeedMore && len(p) >= MaxSniff {
			t.Fatalf("%d bytes are not enough", len(p))
		}
		if after := Sniff(append(before, more...)); v != NeedMore && after != v {
			t.Fatalf("%q is %s, with %q after it %s", p, v, more, after)
		}
	})
}
