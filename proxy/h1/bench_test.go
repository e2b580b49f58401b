package h1

import (
	"strings"
	"testing"

	"github.com/weft-mesh/weft/message"
)

// browserRequest is what a browser sends; curlRequest what a load generator sends.
const (
	curlRequest    = "GET /api/items?id=42 HTTP/1.1\r\nHost: cart.shop:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
	browserRequest = "GET /assets/app.js?v=2f6c1 HTTP/1.1\r\nHost: shop.example.com\r\nConnection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"140\"\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Accept-Language: en-GB,en;q=0.9\r\nReferer: https://shop.example.com/\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n"
	smallResponse   = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 12 Oct 2026 10:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\nhello, world\n"
	chunkedResponse = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n8;a=b\r\n, world\n\r\n0\r\nX-Sum: 1\r\n\r\n"
)

// drain reads one message of wire, which it may change, through x.
func drain(tb testing.TB, x *Parser, wire []byte) {
	for {
		n, ev, err := x.Feed(wire)
		if err != nil || ev == NeedMore {
			tb.Fatal(ev, err)
		}
		if wire = wire[n:]; ev == End {
			x.Next()
			return
		}
	}
}

func TestMessagesAreReadAndWrittenWithoutAllocation(t *testing.T) {
	x, y := NewRequestParser(Limits{}), NewResponseParser(Limits{})
	for name, c := range map[string]struct {
		x    *Parser
		wire string
	}{
		"small request":    {x, curlRequest},
		"browser request":  {x, browserRequest},
		"absolute request": {x, "GET http://a?b HTTP/1.1\r\nhost: a\r\nconnection: x, y\r\nx: 1\r\n\r\n"},
		"chunked request":  {x, chunked("5;a=b\r\nhello\r\n0\r\na: b\r\n\r\n")},
		"upgrade":          {x, "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c, websocket\r\n\r\n"},
		"small response":   {y, smallResponse},
		"chunked response": {y, chunkedResponse},
	} {
		wire, buf := []byte(c.wire), make([]byte, 0, 4096)
		got := testing.AllocsPerRun(100, func() {
			buf = append(buf[:0], wire...)
			drain(t, c.x, buf)
		})
		if got != 0 {
			t.Errorf("%s: %v allocations to read", name, got)
		}
	}
	r := request("POST", "a", "/", "a", "b", "c", "d")
	r.ContentLength, r.TETrailers, r.Protocol = 0, true, []byte("websocket")
	s := &message.Response{Status: 200, ContentLength: 12345, Fields: fields("a", "b")}
	buf := make([]byte, 0, 4096)
	if got := testing.AllocsPerRun(100, func() {
		buf = AppendRequest(buf[:0], r, RequestOptions{Close: true})
		buf = AppendResponse(buf, s, ResponseOptions{})
		buf = AppendLastChunk(AppendChunk(buf, []byte("hello")), s.Fields)
		if CheckRequest(r) != nil || CheckResponse(s) != nil {
			t.Fatal("refused")
		}
	}); got != 0 {
		t.Errorf("%v allocations to write", got)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		name     string
		wire     string
		response bool
	}{
		{"small-request", curlRequest, false},
		{"browser-request", browserRequest, false},
		{"small-response", smallResponse, true},
		{"chunked-response", chunkedResponse, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := NewRequestParser(Limits{})
			if c.response {
				x = NewResponseParser(Limits{})
			}
			wire, buf := []byte(c.wire), make([]byte, 0, 4096)
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				buf = append(buf[:0], wire...)
				drain(b, x, buf)
			}
		})
	}
}

// A large head byte by byte: the figure must stay near that of one piece, not grow with the square.
func BenchmarkDribble(b *testing.B) {
	wire := []byte(get(strings.Repeat("x-field: "+strings.Repeat("v", 500)+"\r\n", 100)))
	for _, c := range []struct {
		name string
		step int
	}{{"whole", len(wire)}, {"bytes", 1}} {
		b.Run(c.name, func(b *testing.B) {
			x := NewRequestParser(Limits{})
			for b.Loop() {
				for i := c.step; i <= len(wire); i += c.step {
					n, ev, err := x.Feed(wire[:i])
					if err != nil || (ev == Head) != (i == len(wire)) || n > 0 && ev != Head {
						b.Fatal(n, ev, err)
					}
				}
				if _, ev, _ := x.Feed(nil); ev != End {
					b.Fatal(ev)
				}
				x.Next()
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	r := request("GET", "cart.shop:8080", "/api/items?id=42", "user-agent", "curl/8.5.0", "accept", "*/*")
	s := &message.Response{Status: 200, ContentLength: 13, Fields: fields("server", "nginx", "content-type", "text/plain")}
	buf := make([]byte, 0, 4096)
	b.Run("request", func(b *testing.B) {
		for b.Loop() {
			buf = AppendRequest(buf[:0], r, RequestOptions{})
		}
	})
	b.Run("response", func(b *testing.B) {
		for b.Loop() {
			buf = AppendResponse(buf[:0], s, ResponseOptions{})
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if CheckRequest(r) != nil {
				b.Fatal()
			}
		}
	})
}
