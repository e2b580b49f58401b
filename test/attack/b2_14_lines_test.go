//go:build linux

package attack

import "testing"

const (
	lineLF    = "RFC 9112 2.2: a recipient MAY take a single LF for CRLF; we are strict"
	lineCR    = "RFC 9112 2.2: a bare CR is invalid or MUST be replaced by SP"
	nameToken = "RFC 9110 5.1: field-name = token"
	startLine = "RFC 9112 3: request-line = method SP request-target SP HTTP-version"
)

// TestB2_14_Lines: strict grammar of lines, names and values; what is refused is answered 400 and ends the connection.
func TestB2_14_Lines(t *testing.T) {
	t.Parallel()
	attackH1(t, []vector{
		{name: "plain", send: get("X: y\r\n"), want: accepted, rfc: startLine},
		{name: "obs-text in a value", send: get("X: caf\xc3\xa9 \xff\r\n"), want: accepted, rfc: "RFC 9110 5.5: obs-text is to be treated as opaque data"},
		{name: "empty value", send: get("X:\r\n"), want: accepted, rfc: "RFC 9110 5.5: field-value = *field-content"},
		{name: "all characters of a token", send: get("!#$%&'*+-.^`|~0aZ: y\r\n"), want: accepted, rfc: nameToken},
		{name: "one empty line before", send: "\r\n" + get(""), want: accepted, rfc: "RFC 9112 2.2: SHOULD ignore at least one empty line"},
		{name: "two empty lines before", send: "\r\n\r\n" + get(""), want: 400, rfc: "RFC 9112 2.2: SHOULD ignore at least one; no more are needed"},
		{name: "LF before", send: "\n" + get(""), want: 400, rfc: lineLF},
		{name: "CR before", send: "\r" + get(""), want: 400, rfc: lineCR},
		{name: "space before", send: " " + get(""), want: 400, rfc: startLine},
		{name: "LF behind the request line", send: "GET /{id} HTTP/1.1\nHost: app\r\n\r\n", want: 400, rfc: lineLF},
		{name: "LF behind a field", send: get("X: y\n"), want: 400, rfc: lineLF},
		{name: "LF for the empty line", send: "GET /{id} HTTP/1.1\r\nHost: app\r\n\n", want: 400, rfc: lineLF},
		{name: "LF everywhere", send: "GET /{id} HTTP/1.1\nHost: app\n\n", want: 400, rfc: lineLF},
		{name: "LF hides a field", send: get("X: y\nContent-Length: 5\r\n"), want: 400, rfc: lineLF},
		{name: "CR in a value", send: get("X: y\rZ: 1\r\n"), want: 400, rfc: lineCR},
		{name: "CR CR LF", send: get("X: y\r\r\n"), want: 400, rfc: lineCR},
		{name: "CR for the empty line", send: get("\rX: y\r\n"), want: 400, rfc: lineCR},
		{name: "CR in the request line", send: "GET /{id}\r HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: lineCR},
		{name: "line without a colon", send: get("X\r\n"), want: 400, rfc: nameToken},
		{name: "line without a colon that looks like a request", send: get("GET /{id}/smuggled HTTP/1.1\r\n"), want: 400, rfc: nameToken},
		{name: "empty name", send: get(": y\r\n"), want: 400, rfc: nameToken},
		{name: "colon alone", send: get(":\r\n"), want: 400, rfc: nameToken},
		{name: "space in a name", send: get("X Y: z\r\n"), want: 400, rfc: nameToken},
		{name: "space behind a name", send: get("X : z\r\n"), want: 400, rfc: "RFC 9112 5.1: MUST be rejected"},
		{name: "NUL in a name", send: get("X\x00Y: z\r\n"), want: 400, rfc: nameToken},
		{name: "obs-text in a name", send: get("X\xe9: z\r\n"), want: 400, rfc: nameToken},
		{name: "at sign in a name", send: get("X@Y: z\r\n"), want: 400, rfc: nameToken},
		{name: "parenthesis in a name", send: get("X(Y): z\r\n"), want: 400, rfc: nameToken},
		{name: "NUL in a value", send: get("X: a\x00b\r\n"), want: 400, rfc: noFieldByte},
		{name: "BEL in a value", send: get("X: a\x07b\r\n"), want: 400, rfc: noFieldByte},
		{name: "DEL in a value", send: get("X: a\x7fb\r\n"), want: 400, rfc: noFieldByte},
		{name: "white space before the first field", send: "GET /{id} HTTP/1.1\r\n X: y\r\nHost: app\r\n\r\n", want: 400, rfc: "RFC 9112 2.2: MUST be rejected, or the lines dropped"},
		{name: "line of white space", send: get(" \r\nX: y\r\n"), want: 400, rfc: "RFC 9112 5.2"},
		{name: "obs-fold", send: get("X: y\r\n z\r\n"), want: 400, rfc: "RFC 9112 5.2: a server MUST reject or replace"},
		{name: "two spaces behind the method", send: "GET  /{id} HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: startLine},
		{name: "two spaces before the version", send: "GET /{id}  HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: startLine},
		{name: "space in the target", send: "GET /{id} /b HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: startLine},
		{name: "space behind the version", send: "GET /{id} HTTP/1.1 \r\nHost: app\r\n\r\n", want: 400, rfc: startLine},
		{name: "tab for a space", send: "GET\t/{id} HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: startLine, alone: "weft tunnels what is no HTTP; the port is declared as HTTP here"},
		{name: "NUL in the target", send: "GET /{id}\x00 HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: "RFC 3986 2: not a character of a URI"},
		{name: "obs-text in the target", send: "GET /{id}/\xc3\xa9 HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: "RFC 3986 2: not a character of a URI"},
		{name: "fragment in the target", send: "GET /{id}#b HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: "RFC 9112 3.2: a request target has no fragment"},
		{name: "no token for a method", send: "G@T /{id} HTTP/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: "RFC 9110 9.1: method = token"},
		{name: "HTTP/0.9", send: "GET /{id}\r\n\r\n", want: 400, rfc: startLine},
		{name: "HTTP/1.2", send: "GET /{id} HTTP/1.2\r\nHost: app\r\n\r\n", want: 505, rfc: "RFC 9112 2.3: MAY be taken as 1.1; there is no 1.2"},
		{name: "HTTP/2.0", send: "GET /{id} HTTP/2.0\r\nHost: app\r\n\r\n", want: 505, rfc: "RFC 9110 15.6.6"},
		{name: "HTTP/1.10", send: "GET /{id} HTTP/1.10\r\nHost: app\r\n\r\n", want: 400, rfc: "RFC 9112 2.3: one digit each"},
		{name: "http/1.1 in small letters", send: "GET /{id} http/1.1\r\nHost: app\r\n\r\n", want: 400, rfc: "RFC 9112 2.3: case-sensitive"},
		{name: "HTTP-1.1", send: "GET /{id} HTTP-1.1\r\nHost: app\r\n\r\n", want: 400, rfc: "RFC 9112 2.3"},
		{name: "no Host", send: "GET /{id} HTTP/1.1\r\n\r\n", want: 400, rfc: "RFC 9112 3.2: MUST be answered 400"},
		{name: "two Hosts", send: get("Host: app\r\n"), want: 400, rfc: "RFC 9112 3.2: MUST be answered 400"},
		{name: "Host with user information", send: "GET /{id} HTTP/1.1\r\nHost: a@app\r\n\r\n", want: 400, rfc: "RFC 9112 3.2: invalid Host MUST be answered 400"},
		{name: "Host with a path", send: "GET /{id} HTTP/1.1\r\nHost: app/b\r\n\r\n", want: 400, rfc: "RFC 9112 3.2"},
		{name: "Host with a comma", send: "GET /{id} HTTP/1.1\r\nHost: app,b\r\n\r\n", want: 400, rfc: "legal in RFC 3986, but read as two hosts by some"},
		{name: "Host in absolute-form differs", send: "GET http://app/{id} HTTP/1.1\r\nHost: other\r\n\r\n", want: 400, rfc: "RFC 9112 3.2.2: the target holds; we refuse what others may route by Host"},
	})
}
