//go:build linux

package attack

import "testing"

const lengthRule = "RFC 9113 8.1.1: a content-length that is not the sum of the DATA makes a message malformed"

// TestB1_09_Downgrade: what is legal in frames and would be something else in HTTP/1.1 is refused
// before a byte of it goes up.
func TestB1_09_Downgrade(t *testing.T) {
	t.Parallel()
	const inner = "GET /{id}/smuggled HTTP/1.1\r\nHost: app\r\n\r\n"
	attackH2Vectors(t, []h2vector{
		{name: "a body without a length", head: plainPost(), data: []string{"hello"}, want: accepted, rfc: "RFC 9113 8.1"},
		{name: "a body of two frames with its length", head: plainPost("content-length", "5"), data: []string{"he", "llo"}, want: accepted, rfc: lengthRule},
		{name: "a body that looks like a request", head: plainPost(), data: []string{"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: app\r\n\r\n"}, want: accepted, rfc: "RFC 9113 8.1: framed anew"},
		{name: "a GET with a body", head: plain(), data: []string{"GET /admin HTTP/1.1\r\nHost: app\r\n\r\n"}, want: accepted, rfc: "RFC 9110 9.3.1: framed like any"},
		{name: "length 0 and no body", head: plainPost("content-length", "0"), want: accepted, rfc: lengthRule},
		{name: "H2.CL: length 0 and a body", head: plainPost("content-length", "0"), data: []string{"GET /admin HTTP/1.1\r\nHost: app\r\n\r\n"}, want: reset, rfc: lengthRule},
		{name: "H2.CL: length shorter than the body", head: plainPost("content-length", "3"), data: []string{"hello"}, want: reset, rfc: lengthRule},
		{name: "H2.CL: length longer than the body", head: plainPost("content-length", "9"), data: []string{"hello"}, want: reset, rfc: lengthRule},
		{name: "H2.CL: length without a body (CVE-2026-48743)", head: plainPost("content-length", "5"), want: reset, rfc: lengthRule},
		{name: "two equal lengths", head: plainPost("content-length", "5", "content-length", "5"), data: []string{"hello"}, want: reset, rfc: manyValues},
		{name: "two lengths", head: plainPost("content-length", "5", "content-length", "0"), data: []string{"hello"}, want: reset, rfc: manyValues},
		{name: "length +5", head: plainPost("content-length", "+5"), data: []string{"hello"}, want: reset, rfc: onlyDigits},
		{name: "length 5,5", head: plainPost("content-length", "5,5"), data: []string{"hello"}, want: reset, rfc: onlyDigits},
		{name: "length 05", head: plainPost("content-length", "05"), data: []string{"hello"}, want: reset, rfc: "legal (1*DIGIT), but read as octal by some"},
		{name: "length empty", head: plainPost("content-length", ""), data: []string{"hello"}, want: reset, rfc: onlyDigits},
		{name: "length 2^64+5", head: plainPost("content-length", "18446744073709551621"), data: []string{"hello"}, want: reset, rfc: onlyDigits},
		{name: "H2.TE: chunked", head: plainPost("transfer-encoding", "chunked"), data: []string{"0\r\n\r\n" + "GET /admin HTTP/1.1\r\nHost: app\r\n\r\n"}, want: reset, rfc: connRule},
		{name: "H2.TE: with an underscore", head: plainPost("transfer_encoding", "chunked"), data: []string{"0\r\n\r\n"}, want: accepted, link: 400, rfc: "a legal field of another name; applications that follow CGI, in HTTP/1.1, take one for the other"},
		{name: "H2.TE: in the value of another field", head: plainPost("x", "y\r\ntransfer-encoding: chunked"), data: []string{"0\r\n\r\n"}, want: reset, rfc: fieldRule},
		{name: "CRLF in a value", head: plain("x", "y\r\nz: 1"), want: reset, rfc: fieldRule},
		{name: "request in a value", head: plain("x", "y\r\n\r\n"+inner), want: reset, rfc: fieldRule},
		{name: "LF in a value", head: plain("x", "y\nz: 1"), want: reset, rfc: fieldRule},
		{name: "CR in a value", head: plain("x", "y\rz"), want: reset, rfc: fieldRule},
		{name: "NUL in a value", head: plain("x", "y\x00z"), want: reset, rfc: fieldRule},
		{name: "space before a value", head: plain("x", " y"), want: reset, rfc: fieldRule},
		{name: "tab behind a value", head: plain("x", "y\t"), want: reset, rfc: fieldRule},
		{name: "CRLF in a name", head: plain("x: y\r\nz", "1"), want: reset, rfc: fieldRule},
		{name: "colon in a name", head: plain("transfer-encoding: chunked\r\nx", "1"), want: reset, rfc: fieldRule},
		{name: "colon behind a name", head: plain("x:", "1"), want: reset, rfc: fieldRule},
		{name: "space in a name", head: plain("x y", "1"), want: reset, rfc: fieldRule},
		{name: "space behind a name", head: plain("transfer-encoding ", "chunked"), want: reset, rfc: fieldRule},
		{name: "NUL in a name", head: plain("x\x00", "1"), want: reset, rfc: fieldRule},
		{name: "obs-text in a name", head: plain("x\xe9", "1"), want: reset, rfc: fieldRule},
		{name: "request in the method", head: change(":method", "GET /{id}/smuggled HTTP/1.1\r\nHost: app\r\n\r\nGET"), want: reset, rfc: "RFC 9110 9.1: method = token"},
		{name: "space in the method", head: change(":method", "GET /{id}/smuggled"), want: reset, rfc: "RFC 9110 9.1"},
		{name: "CRLF in the path", head: change(":path", "/{id} HTTP/1.1\r\nHost: app\r\n\r\nGET /{id}/smuggled"), want: reset, rfc: "RFC 3986 2"},
		{name: "LF in the path", head: change(":path", "/{id}\n"), want: reset, rfc: "RFC 3986 2"},
		{name: "NUL in the path", head: change(":path", "/{id}\x00"), want: reset, rfc: "RFC 3986 2"},
		{name: "CRLF in the authority", head: change(":authority", "app\r\nx: y"), want: reset, rfc: "RFC 3986 3.2"},
		{name: "space in the authority", head: change(":authority", "app x"), want: reset, rfc: "RFC 3986 3.2"},
		{name: "CRLF in the scheme", head: change(":scheme", "http\r\nx: y"), want: reset, rfc: "RFC 3986 3.1"},
		{name: "CRLF in a host", head: append(change(":authority"), "host", "app\r\nx: y"), want: reset, rfc: fieldRule},
		{name: "CRLF in a trailer", head: plainPost(), data: []string{"x"}, trailers: []string{"x", "y\r\n\r\n" + inner}, want: reset, rfc: fieldRule},
		{name: "transfer-encoding as trailer", head: plainPost(), data: []string{"x"}, trailers: []string{"transfer-encoding", "chunked"}, want: reset, rfc: connRule},
		{name: "content-length as trailer", head: plainPost(), data: []string{"x"}, trailers: []string{"content-length", "1"}, want: reset, rfc: noTrailer},
		{name: "host as trailer", head: plainPost(), data: []string{"x"}, trailers: []string{"host", "other"}, want: reset, rfc: noTrailer},
		{name: "authorization as trailer", head: plainPost(), data: []string{"x"}, trailers: []string{"authorization", "x"}, want: reset, rfc: noTrailer},
		{name: "crumbs of cookie become one", head: plain("cookie", "a=b", "cookie", "c=d"), want: accepted, fields: []string{"cookie: a=b; c=d\r\n"}, rfc: "RFC 9113 8.2.3"},
	})
}

// TestB1_09_IdentityInTrailers: an application's trailers cannot speak for a proxy either.
func TestB1_09_IdentityInTrailers(t *testing.T) {
	t.Parallel()
	h2 := newH2Backend(t)
	rec := newRecorder(t, nil)
	x := newPair(t, rec.addr(), h2.addr(), "").warm()
	forged := []string{"weft-client-id", "spiffe://weft.local/ns/default/sa/admin", "weft_client_id", "x", "x-sum", "1"}
	for _, tc := range []struct {
		name string
		h    *h2conn
		to   []string
	}{
		{"outbound", newH2(t, dialFree(t, x.h2), settings()), nil},
		{"link to HTTP/2", newH2(t, x.dialLink(t), settings()), []string{"weft-to", h2.addr(), "weft-proto", "h2"}},
		{"link to HTTP/1", newH2(t, x.dialLink(t), settings()), []string{"weft-to", rec.addr()}},
	} {
		v := h2vector{head: plainPost(), data: []string{"x"}, trailers: forged, want: accepted, rfc: noTrailer}
		o := v.play(t, tc.h, tc.to, patience)
		if o.stream.status != "200" && !o.stream.reset {
			t.Errorf("%s: %s", tc.name, &o.stream)
		}
		for _, r := range h2.about(o.id) {
			for _, f := range r.trailers {
				if f[0] != "x-sum" {
					t.Errorf("%s: the application got the trailer %q", tc.name, f)
				}
			}
		}
		for _, r := range rec.about(o.id) {
			if r.trailers != "" && r.trailers != "x-sum: 1" {
				t.Errorf("%s: the application got the trailers %q", tc.name, r.trailers)
			}
		}
	}
}
