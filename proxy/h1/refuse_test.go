package h1

import (
	"strings"
	"testing"
)

// get is a request with more field lines; post has a body framed by them.
func get(fields string) string {
	return "GET / HTTP/1.1\r\nhost: a\r\n" + fields + "\r\n"
}

func post(fields, body string) string {
	return "POST / HTTP/1.1\r\nhost: a\r\n" + fields + "\r\n" + body
}

func chunked(body string) string { return post("transfer-encoding: chunked\r\n", body) }

type refused struct {
	name    string
	wire    string
	status  int
	code    string
	limits  Limits
	upgrade bool
}

// The numbers in the names group the cases: 10 transfer-encoding, 11 content-length, 12 chunks, 13 expectations
// and bodies, 14 lines, names and values, 15 upgrades, 16 Connection, 17 responses, 19 sizes, 22 hosts.
var refusedRequests = []refused{
	// 10: which of two lengths holds.
	{name: "10 both lengths, TE last", wire: post("content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeFraming},
	{name: "10 both lengths, TE first", wire: post("transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"), status: 400, code: CodeFraming},
	{name: "10 both lengths, zero", wire: post("transfer-encoding: chunked\r\ncontent-length: 0\r\n", "0\r\n\r\n"), status: 400, code: CodeFraming},
	{name: "10 two TE", wire: post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 two TE, one of them identity", wire: post("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 chunked twice", wire: post("transfer-encoding: chunked, chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 xchunked", wire: post("transfer-encoding: xchunked\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 chunked, identity", wire: post("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 identity", wire: post("transfer-encoding: identity\r\n", ""), status: 400, code: CodeTransferEncoding},
	{name: "10 trailing comma", wire: post("transfer-encoding: chunked,\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 leading comma", wire: post("transfer-encoding: ,chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 quoted", wire: post("transfer-encoding: \"chunked\"\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 parameter", wire: post("transfer-encoding: chunked;q=1\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 empty", wire: post("transfer-encoding:\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 obs-text behind chunked", wire: post("transfer-encoding: chunked\xa0\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 VT before chunked", wire: post("transfer-encoding: \vchunked\r\n", "0\r\n\r\n"), status: 400, code: CodeFieldValue},
	{name: "10 FF behind chunked", wire: post("transfer-encoding: chunked\f\r\n", "0\r\n\r\n"), status: 400, code: CodeFieldValue},
	{name: "10 NUL behind chunked", wire: post("transfer-encoding: chunked\x00\r\n", "0\r\n\r\n"), status: 400, code: CodeFieldValue},
	{name: "10 tab before chunked", wire: post("transfer-encoding:\tchunked\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 tab behind chunked", wire: post("transfer-encoding: chunked \t \r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 obs-fold", wire: post("transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeTransferEncoding},
	{name: "10 obs-fold of a harmless field", wire: post("x: y\r\n\ttransfer-encoding: chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeFolding},
	{name: "10 space before the colon", wire: post("transfer-encoding : chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeFieldName},
	{name: "10 tab before the colon", wire: post("transfer-encoding\t: chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeFieldName},
	{name: "10 underscore", wire: post("TRANSFER_ENCODING: chunked\r\n", "0\r\n\r\n"), status: 400, code: CodeFieldName},
	{name: "10 TE in HTTP/1.0", wire: "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", status: 400, code: CodeFraming},
	{name: "10 a known coding is not implemented", wire: post("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"), status: 501, code: CodeTransferEncoding},
	{name: "10 a known coding alone", wire: post("transfer-encoding: deflate\r\n", ""), status: 501, code: CodeTransferEncoding},

	// 11: lengths that two readers may take for two numbers.
	{name: "11 plus", wire: post("content-length: +5\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 minus zero", wire: post("content-length: -0\r\n", ""), status: 400, code: CodeContentLength},
	{name: "11 minus", wire: post("content-length: -1\r\n", ""), status: 400, code: CodeContentLength},
	{name: "11 two zeros", wire: post("content-length: 00\r\n", ""), status: 400, code: CodeContentLength},
	{name: "11 hexadecimal", wire: post("content-length: 0x10\r\n", "0123456789abcdef"), status: 400, code: CodeContentLength},
	{name: "11 octal look", wire: post("content-length: 010\r\n", "0123456789"), status: 400, code: CodeContentLength},
	{name: "11 underscore", wire: post("content-length: 1_0\r\n", "0123456789"), status: 400, code: CodeContentLength},
	{name: "11 list of equals", wire: post("content-length: 5,5\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 list", wire: post("content-length: 5, 6\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 two equal fields", wire: post("content-length: 5\r\ncontent-length: 5\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 two fields", wire: post("content-length: 5\r\nContent-Length: 6\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 tab before", wire: post("content-length: \t5\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 tab behind", wire: post("content-length: 5\t\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 empty", wire: post("content-length:\r\n", ""), status: 400, code: CodeContentLength},
	{name: "11 space inside", wire: post("content-length: 1 0\r\n", "0123456789"), status: 400, code: CodeContentLength},
	{name: "11 2^63", wire: post("content-length: 9223372036854775808\r\n", ""), status: 400, code: CodeContentLength},
	{name: "11 2^64+5", wire: post("content-length: 18446744073709551621\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 other digits", wire: post("content-length: \xd9\xa5\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 fraction", wire: post("content-length: 5.0\r\n", "hello"), status: 400, code: CodeContentLength},
	{name: "11 alias", wire: post("Content_Length: 5\r\n", "hello"), status: 400, code: CodeFieldName},
	{name: "11 above the limit", wire: post("content-length: 11\r\n", "hello"), status: 413, code: CodeTooLarge, limits: Limits{BodyBytes: 10}},

	// 12: chunks.
	{name: "12 empty size", wire: chunked("\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 0x", wire: chunked("0x5\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 plus", wire: chunked("+5\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 minus", wire: chunked("-5\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 underscore", wire: chunked("0_5\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 space before the size", wire: chunked(" 5\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 space behind the size", wire: chunked("5 \r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 overflow to a small number", wire: chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 2^63", wire: chunked("8000000000000000\r\nhello"), status: 400, code: CodeChunk},
	{name: "12 endless zeros", wire: chunked("00000000000000000\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 bare semicolon", wire: chunked("5;\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 two semicolons", wire: chunked("5;;a\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 space before an extension", wire: chunked("5 ;a\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 extension without a value", wire: chunked("5;a=\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 NUL in an extension", wire: chunked("5;a\x00\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 CR in an extension", wire: chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 LF in an extension", wire: chunked("5;a\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 LF in a quoted extension", wire: chunked("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 CRLF in a quoted extension", wire: chunked("5;a=\"\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 escaped LF in a quoted extension", wire: chunked("5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 text behind a quoted extension", wire: chunked("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 LF behind the size", wire: chunked("5\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 LF behind the data", wire: chunked("5\r\nhello\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 LF behind the last chunk", wire: chunked("0\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 LF at the end", wire: chunked("0\r\n\n"), status: 400, code: CodeLineEnd},
	{name: "12 CR alone at the end", wire: chunked("0\r\n\rx\r\n"), status: 400, code: CodeLineEnd},
	{name: "12 data longer than its size", wire: chunked("4\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 data shorter than its size", wire: chunked("6\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 two other bytes behind the data", wire: chunked("5\r\nhelloXX0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 another byte for CR behind the data", wire: chunked("5\r\nhelloX\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 another byte for LF behind the data", wire: chunked("5\r\nhello\rX0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 another byte for LF behind the size", wire: chunked("5\rXhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 CR behind the size alone", wire: chunked("5\rhello\r\n0\r\n\r\n"), status: 400, code: CodeChunk},
	{name: "12 final CRLF missing", wire: chunked("5\r\nhello\r\n0\r\n"), status: 400, code: CodeTruncated},
	{name: "12 last chunk missing", wire: chunked("5\r\nhello\r\n"), status: 400, code: CodeTruncated},
	{name: "12 next request in place of the final CRLF", wire: chunked("0\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"), status: 400, code: CodeFieldName},
	{name: "12 long extension", wire: chunked("5;" + strings.Repeat("a", 300) + "\r\nhello\r\n0\r\n\r\n"), status: 400, code: CodeTooLarge},
	{name: "12 many extensions", wire: chunked(strings.Repeat("1;aaaaaaaaa\r\nx\r\n", 11) + "0\r\n\r\n"), status: 400, code: CodeTooLarge, limits: Limits{ExtensionBytes: 100}},
	{name: "12 body above the limit", wire: chunked("5\r\nhello\r\n6\r\nhello!\r\n0\r\n\r\n"), status: 413, code: CodeTooLarge, limits: Limits{BodyBytes: 10}},
	{name: "12 content-length in trailers", wire: chunked("0\r\ncontent-length: 5\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 transfer-encoding in trailers", wire: chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 host in trailers", wire: chunked("0\r\nhost: b\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 authorization in trailers", wire: chunked("0\r\nauthorization: x\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 cookie in trailers", wire: chunked("0\r\ncookie: x\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 our identity in trailers", wire: chunked("0\r\nWeft-Client-Id: x\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 our identity in trailers, other spelling", wire: chunked("0\r\nweft_client_id: x\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 another's identity in trailers", wire: chunked("0\r\nx-forwarded-client-cert: x\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 connection in trailers", wire: chunked("0\r\nconnection: close\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 content-type in trailers", wire: chunked("0\r\ncontent-type: a/b\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 a framing field announced for the trailers", wire: post("transfer-encoding: chunked\r\ntrailer: a, Content-Length\r\n", "0\r\n\r\n"), status: 400, code: CodeTrailer},
	{name: "12 obs-fold in trailers", wire: chunked("0\r\na: b\r\n c\r\n\r\n"), status: 400, code: CodeFolding},

	// 13: expectations and bodies where none can be.
	{name: "13 unknown expectation", wire: post("expect: 200-ok\r\ncontent-length: 1\r\n", "x"), status: 417, code: CodeExpect},
	{name: "13 obfuscated expectation", wire: post("expect: 100-continue, x\r\ncontent-length: 1\r\n", "x"), status: 417, code: CodeExpect},
	{name: "13 expectation with a tail", wire: post("expect: y 100-continue\r\ncontent-length: 1\r\n", "x"), status: 417, code: CodeExpect},
	{name: "13 two expectations", wire: post("expect: 100-continue\r\nexpect: 100-continue\r\ncontent-length: 1\r\n", "x"), status: 417, code: CodeExpect},
	{name: "13 empty expectation", wire: post("expect:\r\ncontent-length: 1\r\n", "x"), status: 417, code: CodeExpect},
	{name: "13 CONNECT with a length", wire: "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\ncontent-length: 1\r\n\r\nx", status: 400, code: CodeFraming},
	{name: "13 CONNECT with chunks", wire: "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", status: 400, code: CodeFraming},
	{name: "13 TRACE with a body", wire: "TRACE / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx", status: 400, code: CodeFraming},
	{name: "13 body cut off", wire: post("content-length: 10\r\n", "hello"), status: 400, code: CodeTruncated},
	{name: "13 head cut off", wire: "GET / HTTP/1.1\r\nhost: a\r\n", status: 400, code: CodeTruncated},

	// 14: lines, names, values.
	{name: "14 LF behind the request line", wire: "GET / HTTP/1.1\nhost: a\r\n\r\n", status: 400, code: CodeLineEnd},
	{name: "14 LF behind a field", wire: get("x: y\nz: 1\r\n"), status: 400, code: CodeLineEnd},
	{name: "14 LF for the empty line", wire: "GET / HTTP/1.1\r\nhost: a\r\n\n", status: 400, code: CodeLineEnd},
	{name: "14 CR in a value", wire: get("x: y\rz: 1\r\n"), status: 400, code: CodeLineEnd},
	{name: "14 CR CR LF", wire: get("x: y\r\r\n"), status: 400, code: CodeLineEnd},
	{name: "14 CR for the empty line", wire: get("\rx"), status: 400, code: CodeLineEnd},
	{name: "14 CR in the request line", wire: "GET /\r HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "14 two empty lines before a request", wire: "\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 LF before a request", wire: "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeLineEnd},
	{name: "14 space before a request", wire: " GET / HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 white space before the first field", wire: "GET / HTTP/1.1\r\n x: y\r\nhost: a\r\n\r\n", status: 400, code: CodeFolding},
	{name: "14 line of white space", wire: get(" \r\nx: y\r\n"), status: 400, code: CodeFolding},
	{name: "14 no colon", wire: get("x\r\n"), status: 400, code: CodeFieldName},
	{name: "14 no colon, LF", wire: get("x\n\r\n"), status: 400, code: CodeLineEnd},
	{name: "14 empty name", wire: get(": y\r\n"), status: 400, code: CodeFieldName},
	{name: "14 space in a name", wire: get("x y: z\r\n"), status: 400, code: CodeFieldName},
	{name: "14 NUL in a name", wire: get("x\x00: z\r\n"), status: 400, code: CodeFieldName},
	{name: "14 obs-text in a name", wire: get("x\xe9: z\r\n"), status: 400, code: CodeFieldName},
	{name: "14 parenthesis in a name", wire: get("x(y): z\r\n"), status: 400, code: CodeFieldName},
	{name: "14 NUL in a value", wire: get("x: a\x00b\r\n"), status: 400, code: CodeFieldValue},
	{name: "14 DEL in a value", wire: get("x: a\x7fb\r\n"), status: 400, code: CodeFieldValue},
	{name: "14 ESC in a long value", wire: get("x: " + strings.Repeat("é", 20) + "\x1b\r\n"), status: 400, code: CodeFieldValue},
	{name: "14 a bad line that never ends", wire: "GET / HTTP/1.1\r\nho st", status: 400, code: CodeTruncated},
	{name: "14 two spaces behind the method", wire: "GET  / HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 two spaces before the version", wire: "GET /  HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 space in the target", wire: "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 space behind the version", wire: "GET / HTTP/1.1 \r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 tab for a space", wire: "GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 NUL in the target", wire: "GET /\x00 HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "14 obs-text in the target", wire: "GET /\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "14 fragment in the target", wire: "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "14 no token for a method", wire: "G@T / HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 endless method", wire: strings.Repeat("A", 33) + " / HTTP/1.1\r\nhost: a\r\n\r\n", status: 501, code: CodeMethod},
	{name: "14 HTTP/0.9", wire: "GET /\r\n", status: 400, code: CodeStartLine},
	{name: "14 HTTP/2.0", wire: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: 505, code: CodeVersion},
	{name: "14 HTTP/1.2", wire: "GET / HTTP/1.2\r\nhost: a\r\n\r\n", status: 505, code: CodeVersion},
	{name: "14 HTTP/0.9 by number", wire: "GET / HTTP/0.9\r\nhost: a\r\n\r\n", status: 505, code: CodeVersion},
	{name: "14 HTTP/1.10", wire: "GET / HTTP/1.10\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 http in small letters", wire: "GET / http/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},
	{name: "14 another protocol", wire: "GET / ICY/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeStartLine},

	// 16: Connection.
	{name: "16 nominates host", wire: get("connection: close, Host\r\n"), status: 400, code: CodeConnection},
	{name: "16 nominates authorization", wire: get("authorization: x\r\nconnection: Authorization\r\n"), status: 400, code: CodeConnection},
	{name: "16 nominates cookie", wire: get("connection: cookie\r\n"), status: 400, code: CodeConnection},
	{name: "16 nominates content-length", wire: post("content-length: 5\r\nconnection: content-length\r\n", "hello"), status: 400, code: CodeConnection},
	{name: "16 nominates transfer-encoding", wire: post("transfer-encoding: chunked\r\nconnection: transfer-encoding\r\n", "0\r\n\r\n"), status: 400, code: CodeConnection},
	{name: "16 nominates x-forwarded-for", wire: get("connection: X-Forwarded-For\r\n"), status: 400, code: CodeConnection},
	{name: "16 nominates x-forwarded-client-cert", wire: get("connection: close, x-forwarded-client-cert\r\n"), status: 400, code: CodeConnection},
	{name: "16 nominates our identity", wire: get("connection: weft-client-id\r\n"), status: 400, code: CodeConnection},
	{name: "16 nominates content-type", wire: get("connection: content-type\r\n"), status: 400, code: CodeConnection},
	{name: "16 nominates cache-control", wire: get("connection: cache-control\r\n"), status: 400, code: CodeConnection},
	{name: "16 option is no token", wire: get("connection: a b\r\n"), status: 400, code: CodeConnection},
	{name: "16 endless options", wire: get("connection: " + strings.Repeat("a,", 33) + "\r\n"), status: 431, code: CodeTooLarge},
	{name: "16 upgrade to no token", wire: get("connection: upgrade\r\nupgrade: a b\r\n"), status: 400, code: CodeUpgrade},

	// 19: sizes.
	{name: "19 long target", wire: "GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nhost: a\r\n\r\n", status: 414, code: CodeTooLarge},
	{name: "19 short limit of the target", wire: "GET /aaaaaaaaaa HTTP/1.1\r\nhost: a\r\n\r\n", status: 414, code: CodeTooLarge, limits: Limits{LineBytes: 20}},
	{name: "19 many fields", wire: get(strings.Repeat("a:\r\n", 128)), status: 431, code: CodeTooLarge},
	{name: "19 many dropped fields", wire: get(strings.Repeat("keep-alive:\r\n", 128)), status: 431, code: CodeTooLarge},
	{name: "19 one large field", wire: get("a: " + strings.Repeat("b", 1<<20) + "\r\n"), status: 431, code: CodeTooLarge},
	{name: "19 head above a short limit", wire: get("a: 123456789012345678901234567890\r\n"), status: 431, code: CodeTooLarge, limits: Limits{HeadBytes: 50}},
	{name: "19 endless field name", wire: "GET / HTTP/1.1\r\n" + strings.Repeat("a", 1<<17), status: 431, code: CodeTooLarge},
	{name: "19 many trailers", wire: chunked("0\r\n" + strings.Repeat("a:\r\n", 129) + "\r\n"), status: 431, code: CodeTooLarge},
	{name: "19 large trailers", wire: chunked("0\r\na: 123456789012345678901234567890\r\n\r\n"), status: 431, code: CodeTooLarge, limits: Limits{TrailerBytes: 30}},

	// 22: whose request it is.
	{name: "22 no Host", wire: "GET / HTTP/1.1\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 two Hosts", wire: get("host: a\r\n"), status: 400, code: CodeHost},
	{name: "22 two Hosts in HTTP/1.0", wire: "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 empty Host", wire: "GET / HTTP/1.1\r\nhost:\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 comma", wire: "GET / HTTP/1.1\r\nhost: a,b\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 user information", wire: "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 path in Host", wire: "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 space in Host", wire: "GET / HTTP/1.1\r\nhost: a b\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 percent in Host", wire: "GET / HTTP/1.1\r\nhost: a%2fb\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 empty port", wire: "GET / HTTP/1.1\r\nhost: a:\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 large port", wire: "GET / HTTP/1.1\r\nhost: a:65536\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 port of letters", wire: "GET / HTTP/1.1\r\nhost: a:http\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 two ports", wire: "GET / HTTP/1.1\r\nhost: a:1:2\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 IPv6 zone", wire: "GET / HTTP/1.1\r\nhost: [fe80::1%25eth0]\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 open bracket", wire: "GET / HTTP/1.1\r\nhost: [::1\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 text behind the bracket", wire: "GET / HTTP/1.1\r\nhost: [::1]a\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 no address in brackets", wire: "GET / HTTP/1.1\r\nhost: [a]\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 target and Host differ", wire: "GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 target and Host differ in the port", wire: "GET http://a/ HTTP/1.1\r\nhost: a:81\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 the default port is the scheme's", wire: "GET https://a/ HTTP/1.1\r\nhost: a:80\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 user information in the target", wire: "GET http://u:p@a/ HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "22 empty host in the target", wire: "GET http:/// HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "22 scheme alone", wire: "GET http:// HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "22 another scheme", wire: "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "22 target without a slash", wire: "GET a HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "22 asterisk with GET", wire: "GET * HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "22 asterisk and more", wire: "OPTIONS ** HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "22 CONNECT to a path", wire: "CONNECT / HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "22 CONNECT without a port", wire: "CONNECT a HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
	{name: "22 CONNECT and Host differ", wire: "CONNECT a:1 HTTP/1.1\r\nhost: a:2\r\n\r\n", status: 400, code: CodeHost},
	{name: "22 authority-form with GET", wire: "GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n", status: 400, code: CodeTarget},
}

var refusedResponses = []refused{
	{name: "17 two equal lengths", wire: "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello", code: CodeContentLength},
	{name: "17 two lengths", wire: "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", code: CodeContentLength},
	{name: "17 length list", wire: "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello", code: CodeContentLength},
	{name: "17 both lengths", wire: "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", code: CodeFraming},
	{name: "17 chunked in HTTP/1.0", wire: "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", code: CodeFraming},
	{name: "17 another coding", wire: "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", code: CodeTransferEncoding},
	{name: "17 204 with a body", wire: "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", code: CodeFraming},
	{name: "17 204 with chunks", wire: "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", code: CodeFraming},
	{name: "17 100 with a body", wire: "HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nhello", code: CodeFraming},
	{name: "17 storm of 1xx", wire: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 17), code: CodeInterim},
	{name: "17 1xx in HTTP/1.0", wire: "HTTP/1.0 100 Continue\r\n\r\n", code: CodeVersion},
	{name: "17 body longer than its length", wire: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello\r\n", code: CodeStartLine},
	{name: "17 body behind 304", wire: "HTTP/1.1 304 Not Modified\r\n\r\nhello\r\n", code: CodeStartLine},
	{name: "17 body cut off", wire: "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", code: CodeTruncated},
	{name: "17 chunked body cut off", wire: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", code: CodeTruncated},
	{name: "17 chunk without a size", wire: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n", code: CodeChunk},
	{name: "17 obs-fold", wire: "HTTP/1.1 200 OK\r\nx: y\r\n z\r\ncontent-length: 0\r\n\r\n", code: CodeFolding},
	{name: "17 LF for CRLF", wire: "HTTP/1.1 200 OK\ncontent-length: 0\n\n", code: CodeLineEnd},
	{name: "17 empty line before a response", wire: "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", code: CodeStartLine},
	{name: "17 HTTP/2.0", wire: "HTTP/2.0 200 OK\r\n\r\n", code: CodeVersion},
	{name: "17 no version", wire: "ICY 200 OK\r\n\r\n", code: CodeStartLine},
	{name: "17 short status", wire: "HTTP/1.1 20 OK\r\n\r\n", code: CodeStartLine},
	{name: "17 long status", wire: "HTTP/1.1 2000 OK\r\n\r\n", code: CodeStartLine},
	{name: "17 status below 100", wire: "HTTP/1.1 099 OK\r\n\r\n", code: CodeStartLine},
	{name: "17 status of letters", wire: "HTTP/1.1 abc OK\r\n\r\n", code: CodeStartLine},
	{name: "17 control byte in the reason", wire: "HTTP/1.1 200 O\x01K\r\n\r\n", code: CodeStartLine},
	{name: "17 nominates set-cookie", wire: "HTTP/1.1 200 OK\r\nconnection: set-cookie\r\n\r\n", code: CodeConnection},
	{name: "17 large head", wire: "HTTP/1.1 200 OK\r\na: 1234567890123456789012345678901\r\n\r\n", code: CodeTooLarge, limits: Limits{HeadBytes: 40}},
	{name: "17 body above the limit", wire: "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n", code: CodeTooLarge, limits: Limits{BodyBytes: 10}},
	{name: "15 101 that nobody asked for", wire: "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", code: CodeUpgrade},
	{name: "15 101 to nothing", wire: "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n", code: CodeUpgrade, upgrade: true},
	{name: "15 101 to h2c", wire: "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", code: CodeUpgrade, upgrade: true},
	{name: "15 101 without the connection option", wire: "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n", code: CodeUpgrade, upgrade: true},
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	for _, c := range refusedRequests {
		t.Run(c.name, func(t *testing.T) { expectRefusal(t, NewRequestParser(c.limits), c) })
	}
}

func TestMalformedResponsesAreRefused(t *testing.T) {
	for _, c := range refusedResponses {
		t.Run(c.name, func(t *testing.T) {
			c.status = 502
			x := NewResponseParser(c.limits)
			x.ExpectResponseTo([]byte("GET"), c.upgrade)
			expectRefusal(t, x, c)
		})
	}
}

func expectRefusal(t *testing.T, x *Parser, c refused) {
	t.Helper()
	e, got := refusal(t, x, c.wire)
	switch {
	case e == nil:
		t.Fatalf("%q was %s", c.wire, got)
	case e.Status != c.status || e.Code != c.code:
		t.Fatalf("%q gave %d %s, want %d %s", c.wire, e.Status, e, c.status, c.code)
	case e.Reason == "" || len(e.Reason) > 400 || strings.ContainsAny(e.Reason, "\r\n\x00"):
		t.Fatalf("reason %q cannot be shown", e.Reason)
	}
}
