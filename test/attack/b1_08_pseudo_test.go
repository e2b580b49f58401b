//go:build linux

package attack

import "testing"

const (
	pseudoRule = "RFC 9113 8.3: pseudo-header fields that are undefined, repeated, late or missing make a request malformed"
	fieldRule  = "RFC 9113 8.2.1: a field name has no upper-case letter, control or space, and no colon but a pseudo-field's first; a value has no NUL, CR, LF, nor outer white space"
	connRule   = "RFC 9113 8.2.2: connection-specific fields make a message malformed"
	pathRule   = "RFC 9113 8.3.1: :path starts with / (or is * for OPTIONS), and is not empty"
	hostRule   = "RFC 9113 8.3.1: MUST NOT treat a Host that differs as anything but malformed"
)

// TestB1_08_PseudoFields: a malformed head resets its stream and is never forwarded (CVE-2023-27491).
func TestB1_08_PseudoFields(t *testing.T) {
	t.Parallel()
	rows := []h2vector{
		{name: "plain", head: plain(), want: accepted, rfc: "RFC 9113 8.3.1"},
		{name: "host that agrees", head: plain("host", "app"), want: accepted, rfc: "RFC 9113 8.3.1: an intermediary MAY retain Host",
			alone: "nginx before 1.25 refuses what the RFC lets other proxies send"},
		{name: "host alone", head: append(change(":authority"), "host", "app"), want: accepted, rfc: "RFC 9113 8.3.1: a request converted from HTTP/1.1"},
		{name: "te: trailers", head: plain("te", "trailers"), want: accepted, rfc: "RFC 9113 8.2.2"},
		{name: "OPTIONS *", head: []string{":method", "OPTIONS", ":scheme", "http", ":authority", "app", ":path", "*", "x-id", "{id}"}, want: accepted, alone: "its target does not tell the row", rfc: pathRule},
		{name: "method twice", head: plain(":method", "GET"), want: reset, rfc: pseudoRule},
		{name: "path twice", head: plain(":path", "/{id}/smuggled"), want: reset, rfc: pseudoRule},
		{name: "authority twice", head: plain(":authority", "app"), want: reset, rfc: pseudoRule},
		{name: "scheme twice", head: plain(":scheme", "http"), want: reset, rfc: pseudoRule},
		{name: "pseudo-field behind a field", head: []string{":method", "GET", ":scheme", "http", "x", "y", ":authority", "app", ":path", "/{id}"}, want: reset, rfc: pseudoRule},
		{name: "unknown pseudo-field", head: plain(":x", "y"), want: reset, rfc: pseudoRule},
		{name: "status in a request", head: plain(":status", "200"), want: reset, rfc: pseudoRule},
		{name: "colon alone", head: plain(":", "y"), want: reset, rfc: pseudoRule},
		{name: "protocol without CONNECT", head: plain(":protocol", "websocket"), want: reset, rfc: "RFC 8441 4"},
		{name: "no method", head: change(":method"), want: reset, rfc: pseudoRule},
		{name: "no scheme", head: change(":scheme"), want: reset, rfc: pseudoRule},
		{name: "no path", head: append(change(":path"), "x", "{id}"), want: reset, rfc: pseudoRule},
		{name: "path empty", head: append(change(":path", ""), "x", "{id}"), want: reset, rfc: pathRule},
		{name: "path *", head: append(change(":path", "*"), "x", "{id}"), want: reset, rfc: pathRule},
		{name: "path without a slash", head: change(":path", "{id}"), want: reset, rfc: pathRule},
		{name: "path that is a URL", head: change(":path", "http://app/{id}"), want: reset, rfc: pathRule},
		{name: "path with a space", head: change(":path", "/{id} HTTP/1.1"), want: reset, rfc: "RFC 3986 2: not a character of a URI"},
		{name: "path with a fragment", head: change(":path", "/{id}#x"), want: reset, rfc: "RFC 9113 8.3.1: path and query"},
		{name: "authority empty", head: change(":authority", ""), want: reset, rfc: "RFC 9113 8.3.1"},
		{name: "authority with user information", head: change(":authority", "a@app"), want: reset, rfc: "RFC 9113 8.3.1: MUST NOT include userinfo"},
		{name: "authority with a comma", head: change(":authority", "app,b"), want: reset, rfc: "read as two hosts by some"},
		{name: "authority with a path", head: change(":authority", "app/x"), want: reset, rfc: "RFC 3986 3.2"},
		{name: "host that differs", head: plain("host", "other"), want: reset, rfc: hostRule},
		{name: "host twice", head: plain("host", "app", "host", "app"), want: reset, rfc: "RFC 9112 3.2"},
		{name: "scheme junk", head: change(":scheme", "http://x"), want: reset, rfc: "RFC 3986 3.1"},
		{name: "another scheme", head: change(":scheme", "ftp"), want: reset, rfc: "RFC 9113 8.3.1: we speak http"},
		{name: "scheme empty", head: change(":scheme", ""), want: reset, rfc: pseudoRule},
		{name: "method empty", head: change(":method", ""), want: reset, rfc: "RFC 9110 9.1: method = token"},
		{name: "upper-case name", head: plain("X", "y"), want: reset, rfc: fieldRule},
		{name: "upper-case letter within a name", head: plain("x-Y", "z"), want: reset, rfc: fieldRule},
		{name: "empty name", head: plain("", "y"), want: reset, rfc: fieldRule},
		{name: "CONNECT with a path", head: []string{":method", "CONNECT", ":scheme", "http", ":authority", "app:80", ":path", "/{id}"}, want: reset, rfc: "RFC 9113 8.5"},
		{name: "CONNECT without authority", head: []string{":method", "CONNECT", "x", "{id}"}, want: reset, rfc: "RFC 9113 8.5"},
		{name: "pseudo-field in trailers", head: plainPost(), data: []string{"x"}, trailers: []string{":path", "/{id}/smuggled"}, want: reset, rfc: "RFC 9113 8.1: no pseudo-fields in trailers"},
		{name: "upper-case name in trailers", head: plainPost(), data: []string{"x"}, trailers: []string{"X", "{id}"}, want: reset, rfc: fieldRule},
	}
	for _, f := range []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"} {
		value := map[string]string{"connection": "close", "keep-alive": "timeout=5", "proxy-connection": "close", "transfer-encoding": "chunked", "upgrade": "h2c"}[f]
		rows = append(rows, h2vector{name: f, head: plain(f, value), want: reset, rfc: connRule})
	}
	rows = append(rows,
		h2vector{name: "te: gzip", head: plain("te", "gzip"), want: reset, rfc: connRule},
		h2vector{name: "te: trailers, gzip", head: plain("te", "trailers, gzip"), want: reset, rfc: connRule},
		h2vector{name: "another expectation", head: plainPost("expect", "x"), data: []string{"x"}, want: 417, rfc: expectRule},
	)
	attackH2Vectors(t, rows)
}
