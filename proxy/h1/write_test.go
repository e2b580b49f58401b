package h1

import (
	"errors"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/message"
)

func fields(nv ...string) []message.Field {
	var out []message.Field
	for i := 0; i < len(nv); i += 2 {
		out = append(out, message.Field{Name: []byte(nv[i]), Value: []byte(nv[i+1])})
	}
	return out
}

func request(method, authority, path string, nv ...string) *message.Request {
	return &message.Request{Method: []byte(method), Authority: []byte(authority), Path: []byte(path), Fields: fields(nv...), ContentLength: -1}
}

func TestRequestHeadsAreWrittenExactly(t *testing.T) {
	with := func(r *message.Request, f func(*message.Request)) *message.Request { f(r); return r }
	for _, c := range []struct {
		name string
		r    *message.Request
		opt  RequestOptions
		want string
	}{
		{"host comes first", request("GET", "a:1", "/x?y", "accept", "*/*"), RequestOptions{},
			"GET /x?y HTTP/1.1\r\nhost: a:1\r\naccept: */*\r\n\r\n"},
		{"a declared length, zero too", with(request("PUT", "a", "/"), func(r *message.Request) { r.ContentLength = 0 }), RequestOptions{},
			"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"},
		{"chunked leaves the length out", with(request("PUT", "a", "/"), func(r *message.Request) { r.ContentLength = 5 }), RequestOptions{Chunked: true},
			"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"},
		{"one connection field says it all", with(request("GET", "a", "/"), func(r *message.Request) { r.TETrailers, r.Protocol = true, []byte("websocket") }), RequestOptions{Close: true},
			"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close, te, upgrade\r\nupgrade: websocket\r\n\r\n"},
		{"expect", with(request("PUT", "a", "/"), func(r *message.Request) { r.ContentLength, r.Expect100 = 5, true }), RequestOptions{},
			"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"},
		{"absolute-form", request("GET", "a", "/x"), RequestOptions{Absolute: true}, "GET http://a/x HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"absolute-form of *", request("OPTIONS", "a", "*"), RequestOptions{Absolute: true}, "OPTIONS http://a HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"CONNECT", request("CONNECT", "a:1", ""), RequestOptions{}, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"},
		{"extended CONNECT becomes an upgrade", with(request("CONNECT", "a", "/ws"), func(r *message.Request) { r.Protocol = []byte("websocket") }), RequestOptions{},
			"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"},
		{"what the codec must write is not taken from fields", request("GET", "a", "/", "host", "b", "content-length", "5", "transfer-encoding", "chunked", "connection", "x", "upgrade", "h2c", "keep-alive", "1", "te", "gzip", "expect", "x", "x", "y"), RequestOptions{},
			"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(AppendRequest([]byte("before"), c.r, c.opt)); got != "before"+c.want {
				t.Errorf("got %q, want %q behind what was there", got, c.want)
			}
		})
	}
}

func TestResponseHeadsAreWrittenExactly(t *testing.T) {
	for _, c := range []struct {
		name string
		r    message.Response
		opt  ResponseOptions
		want string
	}{
		{"a length", message.Response{Status: 200, ContentLength: 5, Fields: fields("a", "b")}, ResponseOptions{}, "HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 5\r\n\r\n"},
		{"chunks", message.Response{Status: 404, ContentLength: -1}, ResponseOptions{Chunked: true}, "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n"},
		{"until close", message.Response{Status: 200, ContentLength: -1}, ResponseOptions{Close: true}, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"},
		{"keep-alive for HTTP/1.0", message.Response{Status: 200, ContentLength: 0}, ResponseOptions{KeepAlive10: true}, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"},
		{"close wins", message.Response{Status: 200, ContentLength: 0}, ResponseOptions{KeepAlive10: true, Close: true}, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"},
		{"no reason is known", message.Response{Status: 299, ContentLength: 0}, ResponseOptions{}, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n"},
		{"no reason is known, three digits above the table", message.Response{Status: 999, ContentLength: 0}, ResponseOptions{}, "HTTP/1.1 999 \r\ncontent-length: 0\r\n\r\n"},
		{"no length on 204", message.Response{Status: 204, ContentLength: 0}, ResponseOptions{Chunked: true}, "HTTP/1.1 204 No Content\r\n\r\n"},
		{"no framing on 1xx", message.Response{Status: 103, ContentLength: -1, Fields: fields("link", "</a>")}, ResponseOptions{Chunked: true}, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"},
		{"a length but no chunks on 304", message.Response{Status: 304, ContentLength: 7}, ResponseOptions{Chunked: true}, "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"},
		{"switching protocols", message.Response{Status: 101, ContentLength: -1}, ResponseOptions{Upgrade: []byte("websocket")}, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"},
		{"an impossible status", message.Response{Status: 7, ContentLength: 0}, ResponseOptions{}, "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(AppendResponse(nil, &c.r, c.opt)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestChunksAreWrittenExactly(t *testing.T) {
	got := AppendChunk(nil, []byte("hello"))
	got = AppendChunk(got, nil) // must not end the body
	got = AppendChunk(got, []byte(strings.Repeat("x", 31)))
	got = AppendLastChunk(got, fields("grpc-status", "0", "content-length", "5", "weft-id", "x"))
	if want := "5\r\nhello\r\n1f\r\n" + strings.Repeat("x", 31) + "\r\n0\r\ngrpc-status: 0\r\n\r\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFramingFollowsMethodStatusAndVersion(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		length int64
		http10 bool
		want   Framing
	}{
		{"GET", 200, 5, false, FramingLength},
		{"GET", 200, -1, false, FramingChunked},
		{"GET", 200, -1, true, FramingUntilClose},
		{"GET", 200, 5, true, FramingLength},
		{"HEAD", 200, 5, false, FramingNone},
		{"GET", 100, -1, false, FramingNone},
		{"GET", 204, -1, false, FramingNone},
		{"GET", 304, 5, false, FramingNone},
		{"CONNECT", 200, -1, false, FramingNone},
		{"CONNECT", 502, -1, false, FramingChunked},
	} {
		r := message.Response{Status: c.status, ContentLength: c.length}
		if got := ResponseFraming([]byte(c.method), &r, c.http10); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
	if RequestFraming(&message.Request{ContentLength: -1}, false) != FramingNone ||
		RequestFraming(&message.Request{ContentLength: -1}, true) != FramingChunked ||
		RequestFraming(&message.Request{ContentLength: 0}, false) != FramingLength {
		t.Error("a request is framed wrongly")
	}
}

// What comes over HTTP/2 has no lines to break, so anything can be in it.
func TestHeadsThatWouldSplitARequestDoNotPassTheCheck(t *testing.T) {
	protocol := func(p string, r *message.Request) *message.Request { r.Protocol = []byte(p); return r }
	for _, c := range []struct {
		name string
		r    *message.Request
		code string
	}{
		{"space in the method", request("GET / HTTP/1.1\r\nx:", "a", "/"), CodeMethod},
		{"empty method", request("", "a", "/"), CodeMethod},
		{"space in the path", request("GET", "a", "/ HTTP/1.1"), CodeTarget},
		{"CR LF in the path", request("GET", "a", "/\r\nx: y"), CodeTarget},
		{"empty path", request("GET", "a", ""), CodeTarget},
		{"path without a slash", request("GET", "a", "http://b/"), CodeTarget},
		{"* with GET", request("GET", "a", "*"), CodeTarget},
		{"fragment", request("GET", "a", "/#"), CodeTarget},
		{"CR LF in the authority", request("GET", "a\r\nx: y", "/"), CodeHost},
		{"user information", request("GET", "u@a", "/"), CodeHost},
		{"no authority", request("GET", "", "/"), CodeHost},
		{"CONNECT without a port", request("CONNECT", "a", ""), CodeTarget},
		{"CONNECT with a path", request("CONNECT", "a:1", "/"), CodeTarget},
		{"LF in a value", request("GET", "a", "/", "x", "y\nz: 1"), CodeFieldValue},
		{"CR in a value", request("GET", "a", "/", "x", "y\r"), CodeFieldValue},
		{"NUL in a value", request("GET", "a", "/", "x", "y\x00"), CodeFieldValue},
		{"space before a value", request("GET", "a", "/", "x", " y"), CodeFieldValue},
		{"colon in a name", request("GET", "a", "/", "x:y", "z"), CodeFieldName},
		{"pseudo-field", request("GET", "a", "/", ":path", "/"), CodeFieldName},
		{"capitals in a name", request("GET", "a", "/", "X", "y"), CodeFieldName},
		{"empty name", request("GET", "a", "/", "", "y"), CodeFieldName},
		{"transfer-encoding", request("GET", "a", "/", "transfer-encoding", "chunked"), CodeField},
		{"content-length", request("GET", "a", "/", "content-length", "1"), CodeField},
		{"alias of content-length", request("GET", "a", "/", "content_length", "1"), CodeField},
		{"connection", request("GET", "a", "/", "connection", "close"), CodeField},
		{"protocol with a space", protocol("a b", request("GET", "a", "/")), CodeUpgrade},
		{"protocol h2c", protocol("h2c", request("GET", "a", "/")), CodeUpgrade},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e *Error
			if err := CheckRequest(c.r); !errors.As(err, &e) || e.Code != c.code || e.Status != 400 {
				t.Errorf("got %v, want code %s", err, c.code)
			}
		})
	}
	if err := CheckRequest(request("GET", "a:1", "/x", "y", "z \xff")); err != nil {
		t.Errorf("a good request: %v", err)
	}
	var e *Error
	if err := CheckResponse(&message.Response{Status: 200, Fields: fields("x", "y\r\n\r\nHTTP/1.1")}); !errors.As(err, &e) || e.Status != 502 {
		t.Errorf("a response that splits: %v", err)
	}
	if err := CheckResponse(&message.Response{Status: 1000}); err == nil {
		t.Error("status 1000 passed")
	}
	if err := CheckResponse(&message.Response{Status: 200, Fields: fields("x", "y")}); err != nil {
		t.Errorf("a good response: %v", err)
	}
	if err := CheckTrailers(fields("weft_id", "x")); err == nil {
		t.Error("an identity passed as a trailer")
	}
	if err := CheckTrailers(fields("grpc-status", "0")); err != nil {
		t.Errorf("a good trailer: %v", err)
	}
}
