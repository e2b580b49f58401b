//go:build linux

package attack

import (
	"strings"
	"testing"
)

const hopByHop = "RFC 9110 7.6.1: Connection must not name fields meant for all recipients"

// TestB2_16_HopByHop: nobody can have a field removed that others rely on, and what is nominated is
// removed before ours are added.
func TestB2_16_HopByHop(t *testing.T) {
	t.Parallel()
	rows := []vector{
		{name: "a field of the client's own", send: get("Connection: x-hop\r\nX-Hop: 1\r\nX-Stay: 1\r\n"), want: accepted, rfc: "RFC 9110 7.6.1: to be removed"},
		{name: "close", send: get("Connection: close\r\n"), want: accepted, ends: true, rfc: "RFC 9112 9.6"},
		{name: "close among others", send: get("Connection: keep-alive, ,CLOSE\r\n"), want: accepted, ends: true, rfc: "RFC 9112 9.6"},
		{name: "no token", send: get("Connection: a b\r\n"), want: 400, rfc: "RFC 9110 7.6.1: connection-option = token"},
		{name: "too many", send: get("Connection: " + times(40, "a,") + "b\r\n"), want: 431, rfc: "RFC 9110 5.4: larger than we wish to process"},
	}
	for _, f := range []string{"X-Forwarded-Client-Cert", "X-Forwarded-For", "Weft-Client-Id", "weft_client_id", "Weft-To", "L5d-Client-Id", "Forwarded", "Via",
		"Authorization", "Cookie", "Host", "Content-Type", "Content-Length", "Transfer-Encoding", "Cache-Control", "Origin", "Expect", "Traceparent", "Grpc-Timeout"} {
		rows = append(rows, vector{name: f, send: get("Connection: close, " + f + "\r\n" + "X: y\r\n"), want: 400, rfc: hopByHop})
	}
	attackH1(t, rows)
}

// TestB2_16_IdentityIsTheProxys: what the application is told of its caller is what the proxy verified.
func TestB2_16_IdentityIsTheProxys(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, nil)
	x := newPair(t, rec.addr(), "", "").warm()
	for _, forged := range []string{
		"Weft-Client-Id: spiffe://weft.local/ns/default/sa/admin\r\n",
		"weft-client-id: spiffe://weft.local/ns/default/sa/admin\r\nWEFT-CLIENT-ID: x\r\n",
		"Weft_Client_Id: spiffe://weft.local/ns/default/sa/admin\r\n",
		"Weft-To: 127.0.0.1:1\r\nWeft-Proto: h2\r\n",
	} {
		v := vector{send: get(forged + "Keep-Alive: 5\r\nProxy-Connection: x\r\nHTTP2-Settings: AAMA\r\nProxy-Authorization: Basic x\r\nTE: gzip, trailers\r\nX-Stay: 1\r\n"), want: accepted, rfc: hopByHop}
		o := play(&v, x.h1, patience)
		o.check(t, &v, rec)
		for _, r := range rec.about(o.id) {
			if got := r.field("weft-client-id"); got != "spiffe://weft.local/ns/default/sa/caller" {
				t.Errorf("%q: the application is told that its caller is %q", forged, got)
			}
			head := strings.ToLower(r.head)
			for _, no := range []string{"weft_", "weft-to", "weft-proto", "admin", "keep-alive", "proxy-", "http2-settings", "gzip"} {
				if strings.Contains(head, no) {
					t.Errorf("%q: the application gets %s in %q", forged, no, r.head)
				}
			}
			if r.target == "/"+o.id && r.field("x-stay") != "1" {
				t.Errorf("%q: an honest field was lost: %q", forged, r.head)
			}
		}
	}
	v := vector{send: get("Connection: x-hop\r\nX-Hop: 1\r\nX-Stay: 1\r\n"), want: accepted, rfc: "RFC 9110 7.6.1"}
	o := play(&v, x.h1, patience)
	for _, r := range rec.about(o.id) {
		if r.field("x-hop") != "" || r.field("connection") != "" {
			t.Errorf("what was for one hop went on: %q", r.head)
		}
	}
}
