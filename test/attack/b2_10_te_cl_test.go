//go:build linux

package attack

import "testing"

const (
	bothLengths = "RFC 9112 6.3: both fields \"ought to be handled as an error\"; 6.1: a server MAY reject"
	codingList  = "RFC 9112 6.1: Transfer-Encoding = #transfer-coding; chunked MUST be applied last, and once"
	unknownTE   = "RFC 9112 6.1: a server that does not understand a coding SHOULD answer 501; with chunked not last, MUST be 400 (6.3)"
	noFieldByte = "RFC 9110 5.5: field values hold no CTL but HTAB; CR, LF and NUL are invalid and dangerous"
)

// TestB2_10_TwoLengths: which of two lengths holds is never a question, since no message with two is taken.
func TestB2_10_TwoLengths(t *testing.T) {
	t.Parallel()
	attackH1(t, []vector{
		{name: "chunked is taken", send: chunked("5\r\nhello\r\n0\r\n\r\n"), want: accepted, body: "hello", rfc: "RFC 9112 7.1"},
		{name: "chunked in another case is taken", send: post("Transfer-Encoding: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"), want: accepted, body: "hello", rfc: "RFC 9112 7: names of codings are case-insensitive"},
		{name: "CL.TE, length first", send: post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), want: 400, rfc: bothLengths},
		{name: "TE.CL, coding first", send: post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+hidden), want: 400, rfc: bothLengths},
		{name: "CL.TE, length hides a request", send: post("Content-Length: 58\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), want: 400, rfc: bothLengths},
		{name: "CL 0 and chunked", send: post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), want: 400, rfc: bothLengths},
		{name: "TE.TE, twice the same", send: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), want: 400, rfc: codingList},
		{name: "TE.TE, identity first", send: post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), want: 400, rfc: codingList},
		{name: "TE.TE, cow last, length", send: post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n", "0\r\n\r\n"+hidden), want: 400, rfc: codingList},
		{name: "chunked twice in a list", send: post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), want: 400, rfc: codingList},
		{name: "xchunked", send: post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), want: 400, rfc: unknownTE},
		{name: "chunked, identity", send: post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), want: 400, rfc: codingList},
		{name: "identity, chunked", send: post("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9112 7: identity is no transfer coding any more"},
		{name: "identity with a length", send: post("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", "hello"), want: 400, rfc: bothLengths},
		{name: "gzip, chunked", send: post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), want: 501, rfc: unknownTE},
		{name: "trailing comma", send: post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"), want: 400, rfc: codingList},
		{name: "leading comma", send: post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), want: 400, rfc: codingList},
		{name: "parameter", send: post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9112 7.1: chunked has no parameters"},
		{name: "quoted", send: post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9112 7: a coding is a token"},
		{name: "empty", send: post("Transfer-Encoding:\r\n", "0\r\n\r\n"), want: 400, rfc: codingList},
		{name: "VT before", send: post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), want: 400, rfc: noFieldByte},
		{name: "FF behind", send: post("Transfer-Encoding: chunked\f\r\n", "0\r\n\r\n"), want: 400, rfc: noFieldByte},
		{name: "NUL behind", send: post("Transfer-Encoding: chunked\x00\r\n", "0\r\n\r\n"), want: 400, rfc: noFieldByte},
		{name: "NUL in the name", send: post("Transfer-Encoding\x00: chunked\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9110 5.1: a field name is a token"},
		{name: "obs-text behind", send: post("Transfer-Encoding: chunked\xff\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9112 7: a coding is a token"},
		{name: "spaces around", send: post("Transfer-Encoding:  chunked  \r\n", "5\r\nhello\r\n0\r\n\r\n"), want: accepted, body: "hello", rfc: "RFC 9112 5: OWS around a value is no part of it"},
		{name: "tab before", send: post("Transfer-Encoding:\tchunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), want: 400, rfc: "RFC 9112 5: OWS may be a tab; nginx does not think so"},
		{name: "obs-fold", send: post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9112 5.2: a server MUST reject obs-fold or replace it"},
		{name: "obs-fold of another field hides it", send: post("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "hello"), want: 400, rfc: "RFC 9112 5.2"},
		{name: "space before the colon", send: post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9112 5.1: a server MUST reject white space before the colon"},
		{name: "tab before the colon, length", send: post("Transfer-Encoding\t: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9112 5.1"},
		{name: "underscore", send: post("TRANSFER_ENCODING: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), want: 400, rfc: "a legal field of another name; applications that follow CGI take one for the other"},
		{name: "LF alone before it", send: post("X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9112 2.2: a recipient MAY take a single LF; we are strict"},
		{name: "in HTTP/1.0", send: "POST /{id} HTTP/1.0\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: 400, rfc: "RFC 9112 6.1: MUST treat the framing as faulty"},
		{name: "in HTTP/1.0 with keep-alive and a length", send: "POST /{id} HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, want: 400, rfc: "RFC 9112 6.1"},
		{name: "nominated by Connection", send: post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), want: 400, rfc: "RFC 9110 7.6.1: a sender MUST NOT name fields meant for all recipients"},
	})
}
