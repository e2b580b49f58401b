//go:build linux

package attack

import "testing"

const (
	onlyDigits = "RFC 9110 8.6: Content-Length = 1*DIGIT; RFC 9112 6.3: an invalid value is an unrecoverable error"
	manyValues = "RFC 9110 8.6: a list of equal values MAY be refused or folded; different ones MUST be refused"
)

// TestB2_11_ContentLength: one plain decimal number, or nothing.
func TestB2_11_ContentLength(t *testing.T) {
	t.Parallel()
	length := func(v, body string) string { return post("Content-Length:"+v+"\r\n", body) }
	attackH1(t, []vector{
		{name: "5", send: length(" 5", "hello"), want: accepted, body: "hello", rfc: onlyDigits},
		{name: "0", send: length(" 0", ""), want: accepted, rfc: onlyDigits},
		{name: "5 in spaces", send: length("  5  ", "hello"), want: accepted, body: "hello", rfc: "RFC 9112 5: OWS around a value is no part of it"},
		{name: "5 in tabs", send: length("\t 5 \t", "hello"), want: 400, rfc: "RFC 9112 5: OWS may be a tab; nginx does not think so"},
		{name: "5 and then a request", send: length(" 5", "hello"+"GET /{id}/2 HTTP/1.1\r\nHost: app\r\n\r\n"), want: accepted, body: "hello", also: []string{"/{id}/2"}, rfc: "RFC 9112 9.3.2: pipelining"},
		{name: "+5", send: length(" +5", "hello"), want: 400, rfc: onlyDigits},
		{name: "-0", send: length(" -0", hidden), want: 400, rfc: onlyDigits},
		{name: "-1", send: length(" -1", ""), want: 400, rfc: onlyDigits},
		{name: "00", send: length(" 00", ""), want: 400, rfc: "legal (1*DIGIT), but read as octal by some"},
		{name: "0x10", send: length(" 0x10", "0123456789abcdef"), want: 400, rfc: onlyDigits},
		{name: "010, octal to some", send: length(" 010", "0123456789"), want: 400, rfc: "legal (1*DIGIT), but read as octal by some"},
		{name: "1_0", send: length(" 1_0", "0123456789"), want: 400, rfc: onlyDigits},
		{name: "5,5", send: length(" 5,5", "hello"), want: 400, rfc: manyValues},
		{name: "5, 5", send: length(" 5, 5", "hello"), want: 400, rfc: manyValues},
		{name: "5,6", send: length(" 5,6", "hello!"), want: 400, rfc: manyValues},
		{name: "5,", send: length(" 5,", "hello"), want: 400, rfc: manyValues},
		{name: "two equal fields", send: post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), want: 400, rfc: manyValues},
		{name: "two different fields", send: post("Content-Length: 5\r\ncontent-length: 0\r\n", hidden), want: 400, rfc: manyValues},
		{name: "empty (Go 61679)", send: length("", ""), want: 400, rfc: onlyDigits},
		{name: "white space alone", send: length(" \t", ""), want: 400, rfc: onlyDigits},
		{name: "white space inside", send: length(" 1 0", "0123456789"), want: 400, rfc: onlyDigits},
		{name: "2^63", send: length(" 9223372036854775808", ""), want: 400, rfc: "RFC 9110 8.6: a recipient MUST anticipate large numerals and prevent overflow"},
		{name: "2^64 + 5", send: length(" 18446744073709551621", "hello"), want: 400, rfc: "RFC 9110 8.6"},
		{name: "2^32 + 5 is not 5", send: length(" 4294967301", "hello"+hidden), want: waits, cut: true, rfc: "RFC 9110 8.6"},
		{name: "5.0", send: length(" 5.0", "hello"), want: 400, rfc: onlyDigits},
		{name: "5e0", send: length(" 5e0", "hello"), want: 400, rfc: onlyDigits},
		{name: "Arabic digit", send: length(" \xd9\xa5", "hello"), want: 400, rfc: onlyDigits},
		{name: "5 and NUL", send: length(" 5\x00", "hello"), want: 400, rfc: noFieldByte},
		{name: "quoted", send: length(" \"5\"", "hello"), want: 400, rfc: onlyDigits},
		{name: "bytes=5", send: length(" bytes=5", "hello"), want: 400, rfc: onlyDigits},
		{name: "underscore in the name", send: post("Content_Length: 5\r\n", "hello"), want: 400, rfc: "a legal field of another name; applications that follow CGI take one for the other"},
		{name: "space before the colon", send: post("Content-Length : 5\r\n", "hello"), want: 400, rfc: "RFC 9112 5.1"},
		{name: "longer than the body", send: length(" 10", "hello"), want: waits, cut: true, rfc: "RFC 9112 8: an incomplete request"},
		{name: "HTTP/1.0 with a length", send: "POST /{id} HTTP/1.0\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello", want: accepted, body: "hello", ends: true, rfc: "RFC 9112 9.3: HTTP/1.0 does not persist unless asked for"},
	})
}
