package h1

import (
	"maps"
	"slices"
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

// chunked16K is a body in one large chunk, as servers send it.
var chunked16K = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n" + strings.Repeat("b", 16<<10) + "\r\n0\r\n\r\n"

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
		{"chunked-16k", chunked16K, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := NewRequestParser(Limits{})
			if c.response {
				x = NewResponseParser(Limits{})
			}
			wire, buf := []byte(c.wire), make([]byte, 0, 32<<10)
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

// writes are what a proxy appends to its output, each to an empty buffer.
func writes() map[string]func(dst []byte) []byte {
	r := request("GET", "cart.shop:8080", "/api/items?id=42", "user-agent", "curl/8.5.0", "accept", "*/*")
	upgrade := request("POST", "a", "/", "a", "b", "c", "d")
	upgrade.ContentLength, upgrade.TETrailers, upgrade.Protocol = 0, true, []byte("websocket")
	s := &message.Response{Status: 200, ContentLength: 13, Fields: fields("server", "nginx", "content-type", "text/plain")}
	body, trailers := []byte(strings.Repeat("b", 16<<10)), fields("x-sum", "1")
	return map[string]func(dst []byte) []byte{
		"request":  func(dst []byte) []byte { return AppendRequest(dst, r, RequestOptions{}) },
		"upgrade":  func(dst []byte) []byte { return AppendRequest(dst, upgrade, RequestOptions{Close: true}) },
		"response": func(dst []byte) []byte { return AppendResponse(dst, s, ResponseOptions{}) },
		"chunk":    func(dst []byte) []byte { return AppendChunk(dst, body) },
		"end":      func(dst []byte) []byte { return AppendLastChunk(dst, trailers) },
	}
}

func BenchmarkAppend(b *testing.B) {
	writes := writes()
	for _, name := range slices.Sorted(maps.Keys(writes)) {
		write := writes[name]
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 32<<10)
			b.ReportAllocs()
			for b.Loop() {
				buf = write(buf[:0])
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	r := request("GET", "cart.shop:8080", "/api/items?id=42", "user-agent", "curl/8.5.0", "accept", "*/*")
	b.ReportAllocs()
	for b.Loop() {
		if CheckRequest(r) != nil {
			b.Fatal("refused")
		}
	}
}
