package h2

import (
	"strings"
	"testing"
)

const headPrefix = ":method=GET|:scheme=http|:path=/|:authority=a|"

// TestMalformedRequestsNeverReachTheHandler holds RFC 9113 sections 8.2 and 8.3, and what would
// change its meaning as HTTP/1.1. Fields are separated by "|".
func TestMalformedRequestsNeverReachTheHandler(t *testing.T) {
	for _, tc := range []struct{ name, fields string }{
		{"upper-case name", headPrefix + "X-A=1"},
		{"empty name", headPrefix + "=1"},
		{"space in a name", headPrefix + "x a=1"},
		{"colon in a name", headPrefix + "x:a=1"},
		{"CR LF in a value", headPrefix + "x-a=1\r\nx-b: 2"},
		{"LF in a value", headPrefix + "x-a=1\nb"},
		{"NUL in a value", headPrefix + "x-a=1\x00"},
		{"DEL in a value", headPrefix + "x-a=1\x7fb"},
		{"leading space", headPrefix + "x-a= 1"},
		{"trailing tab", headPrefix + "x-a=1\t"},
		{"connection", headPrefix + "connection=close"},
		{"keep-alive", headPrefix + "keep-alive=1"},
		{"proxy-connection", headPrefix + "proxy-connection=close"},
		{"transfer-encoding", headPrefix + "transfer-encoding=chunked"},
		{"upgrade", headPrefix + "upgrade=h2c"},
		{"te other than trailers", headPrefix + "te=gzip"},
		{"no method", ":scheme=http|:path=/|:authority=a"},
		{"no scheme", ":method=GET|:path=/|:authority=a"},
		{"no path", ":method=GET|:scheme=http|:authority=a"},
		{"duplicate method", headPrefix + ":method=GET"},
		{"duplicate path", headPrefix + ":path=/b"},
		{"duplicate authority", headPrefix + ":authority=a"},
		{"unknown pseudo-field", headPrefix + ":foo=1"},
		{"status in a request", headPrefix + ":status=200"},
		{"late pseudo-field", ":method=GET|:scheme=http|x-a=1|:path=/|:authority=a"},
		{"pseudo-field after host", ":method=GET|:scheme=http|:path=/|host=a|:authority=a"},
		{"empty path", ":method=GET|:scheme=http|:path=|:authority=a"},
		{"path without slash", ":method=GET|:scheme=http|:path=a|:authority=a"},
		{"path * with GET", ":method=GET|:scheme=http|:path=*|:authority=a"},
		{"path with space", ":method=GET|:scheme=http|:path=/a b|:authority=a"},
		{"path with CR LF", ":method=GET|:scheme=http|:path=/ HTTP/1.1\r\nx: y|:authority=a"},
		{"path with fragment", ":method=GET|:scheme=http|:path=/a#b|:authority=a"},
		{"method with space", ":method=GET /x|:scheme=http|:path=/|:authority=a"},
		{"junk scheme", ":method=GET|:scheme=ftp|:path=/|:authority=a"},
		{"empty authority", ":method=GET|:scheme=http|:path=/|:authority="},
		{"authority with userinfo", ":method=GET|:scheme=http|:path=/|:authority=u@a"},
		{"authority with slash", ":method=GET|:scheme=http|:path=/|:authority=a/b"},
		{"authority with comma", ":method=GET|:scheme=http|:path=/|:authority=a,b"},
		{"host that differs", headPrefix + "host=b"},
		{"host twice", headPrefix + "host=a|host=a"},
		{"content-length that is no number", headPrefix + "content-length=+1"},
		{"content-length with a leading zero", headPrefix + "content-length=00"},
		{"empty content-length", headPrefix + "content-length="},
		{"content-length twice", headPrefix + "content-length=0|content-length=0"},
		{"content-length list", headPrefix + "content-length=1,1"},
		{"huge content-length", headPrefix + "content-length=99999999999999999999"},
		{"content-length without a body (CVE-2026-48743)", headPrefix + "content-length=5"},
		{"CONNECT with path", ":method=CONNECT|:authority=a:1|:path=/"},
		{"CONNECT with scheme", ":method=CONNECT|:authority=a:1|:scheme=http"},
		{"CONNECT without authority", ":method=CONNECT"},
		{"extended CONNECT not offered", ":method=CONNECT|:protocol=websocket|:scheme=http|:path=/|:authority=a"},
		{"protocol without CONNECT", headPrefix[:len(headPrefix)-1] + "|:protocol=websocket"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sv, a := attacked(t)
			send(t, sv, a.frame(frameHeaders, flagEndHeaders|flagEndStream, 1, a.blockOf(pairs(tc.fields)...)))
			if got := sv.take(); got != "" {
				t.Errorf("the handler saw %s", got)
			}
			if want := string(appendRST(nil, 1, ProtocolError)); !strings.Contains(string(sv.out), want) {
				t.Errorf("the peer was told %x", sv.out)
			}
			// The connection lives and its compression is in step.
			send(t, sv, a.frame(frameHeaders, flagEndHeaders|flagEndStream, 3, a.blockOf(append(plainHead, "x-a", "1")...)))
			if got := sv.take(); got != "request 3 GET a / x-a=1 end" {
				t.Errorf("afterwards: %s", got)
			}
		})
	}
}

func TestUnusualRequestsAreTaken(t *testing.T) {
	for _, tc := range []struct{ name, fields, want string }{
		{"OPTIONS *", ":method=OPTIONS|:scheme=http|:path=*|:authority=a", "request 1 OPTIONS a * end"},
		{"host instead of authority", ":method=GET|:scheme=http|:path=/|host=a", "request 1 GET a / end"},
		{"host that agrees but for case", headPrefix + "host=A", "request 1 GET a / end"},
		{"neither", ":method=GET|:scheme=http|:path=/", "request 1 GET  / end"},
		{"IPv6 authority", ":method=GET|:scheme=http|:path=/|:authority=[::1]:80", "request 1 GET [::1]:80 / end"},
		{"te trailers", headPrefix + "te=trailers", "request 1 GET a / end"},
		{"obs-text in a value", headPrefix + "x-a=\xc3\xa9", "request 1 GET a / x-a=\xc3\xa9 end"},
		{"content-length 0", headPrefix + "content-length=0", "request 1 GET a / end"},
		{"proxy-authorization is for us", headPrefix + "proxy-authorization=x", "request 1 GET a / end"},
		{"empty value", headPrefix + "x-a=", "request 1 GET a / x-a= end"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sv, a := attacked(t)
			send(t, sv, a.frame(frameHeaders, flagEndHeaders|flagEndStream, 1, a.blockOf(pairs(tc.fields)...)))
			if got := sv.take(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRequestsWeDoNotTakeAreAnswered(t *testing.T) {
	for _, tc := range []struct {
		name, fields string
		status       string
	}{
		{"a head above the limit", headPrefix + "x-a=" + strings.Repeat("v", 9000), "431"},
		{"an unknown expectation", headPrefix + "expect=magic", "417"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sv, a := attacked(t)
			sv.c.cfg.MaxHeaderBytes = 8 << 10
			send(t, sv, a.frame(frameHeaders, flagEndHeaders, 1, a.blockOf(pairs(tc.fields)...)))
			if got := sv.take(); got != "" {
				t.Errorf("the handler saw %s", got)
			}
			cl := newSide(t, Config{Role: Client})
			cl.c.Start()
			mustOpen(t, cl, post("/", -1), false)
			if err := cl.c.Feed(append(appendHeader(nil, 0, frameSettings, 0, 0), sv.out...)); err != nil {
				t.Fatal(err)
			}
			if got := cl.take(); !strings.Contains(got, "response 1 "+tc.status+" proxy-status=weft; error=") || !strings.HasSuffix(got, " end; reset 1 NO_ERROR") {
				t.Errorf("the client saw %s", got)
			}
		})
	}
}

func TestBodiesMustHaveTheDeclaredLength(t *testing.T) {
	for _, tc := range []struct {
		name   string
		bodies []string
		want   string
	}{
		{"as declared", []string{"ab", "cde"}, "data 1 end"},
		{"longer", []string{"ab", "cdef"}, "reset 1 PROTOCOL_ERROR"},
		{"shorter", []string{"ab", "c"}, "reset 1 PROTOCOL_ERROR"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sv, a := attacked(t)
			send(t, sv, a.open(0, "content-length", "5"))
			for i, b := range tc.bodies {
				var flags uint8
				if i == len(tc.bodies)-1 {
					flags = flagEndStream
				}
				send(t, sv, a.frame(frameData, flags, 1, []byte(b)))
			}
			if got := sv.take(); !strings.HasSuffix(got, "/; "+tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestTrailersMustNotActAsAHead(t *testing.T) {
	for _, f := range []string{":path=/", "content-length=1", "host=b", "authorization=x", "te=trailers", "transfer-encoding=chunked", "X-A=1", "set-cookie=a=b", "cookie=a=b"} {
		t.Run(f, func(t *testing.T) {
			sv, a := attacked(t)
			send(t, sv, a.open(0))
			send(t, sv, a.frame(frameHeaders, flagEndHeaders|flagEndStream, 1, a.blockOf(pairs(f)...)))
			if got := sv.take(); got != "request 1 GET a /; reset 1 PROTOCOL_ERROR" {
				t.Errorf("got %s", got)
			}
		})
	}
	t.Run("and must end their stream (CVE-2026-73513)", func(t *testing.T) {
		sv, a := attacked(t)
		send(t, sv, a.open(0))
		send(t, sv, a.frame(frameHeaders, flagEndHeaders, 1, a.blockOf("x-a", "1")))
		if got := sv.take(); got != "request 1 GET a /; reset 1 PROTOCOL_ERROR" {
			t.Errorf("got %s", got)
		}
	})
}

func TestMalformedResponsesResetTheirStream(t *testing.T) {
	for _, tc := range []struct {
		name, fields string
		end          bool
		body         string
		method       string
		want         string
	}{
		{name: "no status", fields: "x-a=1", end: true, want: "reset 1 PROTOCOL_ERROR"},
		{name: "status of two digits", fields: ":status=20", end: true, want: "reset 1 PROTOCOL_ERROR"},
		{name: "status twice", fields: ":status=200|:status=200", end: true, want: "reset 1 PROTOCOL_ERROR"},
		{name: "101", fields: ":status=101", want: "reset 1 PROTOCOL_ERROR"},
		{name: "interim that ends", fields: ":status=103", end: true, want: "reset 1 PROTOCOL_ERROR"},
		{name: "pseudo-field of a request", fields: ":status=200|:path=/", end: true, want: "reset 1 PROTOCOL_ERROR"},
		{name: "transfer-encoding", fields: ":status=200|transfer-encoding=chunked", end: true, want: "reset 1 PROTOCOL_ERROR"},
		{name: "content-length without body", fields: ":status=200|content-length=5", end: true, want: "reset 1 PROTOCOL_ERROR"},
		{name: "body longer than declared", fields: ":status=200|content-length=1", body: "abc", want: "response 1 200; reset 1 PROTOCOL_ERROR"},
		{name: "204 with a body", fields: ":status=204", body: "abc", want: "response 1 204; reset 1 PROTOCOL_ERROR"},
		{name: "HEAD with a body", fields: ":status=200|content-length=3", method: "HEAD", body: "abc", want: "response 1 200; reset 1 PROTOCOL_ERROR"},
		{name: "HEAD with a length", fields: ":status=200|content-length=3", method: "HEAD", end: true, want: "response 1 200 end"},
		{name: "304 with a length", fields: ":status=304|content-length=3", end: true, want: "response 1 304 end"},
		{name: "data before the head", body: "abc", want: "reset 1 PROTOCOL_ERROR"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cl, a := newSide(t, Config{Role: Client}), newAttacker()
			cl.c.Start()
			r := get("/")
			if tc.method != "" {
				r.Method = []byte(tc.method)
			}
			mustOpen(t, cl, r, true)
			send(t, cl, a.frame(frameSettings, 0, 0, nil))
			cl.take()
			if tc.fields != "" {
				var end uint8
				if tc.end {
					end = flagEndStream
				}
				send(t, cl, a.frame(frameHeaders, flagEndHeaders|end, 1, a.blockOf(pairs(tc.fields)...)))
			}
			if tc.body != "" {
				send(t, cl, a.frame(frameData, flagEndStream, 1, []byte(tc.body)))
			}
			if got := cl.take(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// attacked makes a server that has had a preface and SETTINGS.
func attacked(t *testing.T) (*side, *attacker) {
	sv, a := newSide(t, Config{}), newAttacker()
	send(t, sv, append([]byte(preface), a.frame(frameSettings, 0, 0, nil)...))
	sv.take()
	sv.out = sv.out[:0]
	return sv, a
}

func send(t *testing.T, e *side, p []byte) {
	t.Helper()
	if err := e.c.Feed(p); err != nil {
		t.Fatal(err)
	}
}

// pairs splits "name=value|..."; a name may begin with a colon.
func pairs(s string) []string {
	var out []string
	for _, f := range strings.Split(s, "|") {
		if f == "" {
			continue
		}
		n, v, _ := strings.Cut(f, "=")
		out = append(out, n, v)
	}
	return out
}
