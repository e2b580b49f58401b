package detect

import (
	"maps"
	"slices"
	"testing"
)

// firstBytes are openings of connections as clients send them.
func firstBytes(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"http1":        []byte("GET /items?a=b HTTP/1.1\r\nHost: cart\r\n\r\n"),
		"http1-proxy":  []byte("GET HTTP://cart/ HTTP/1.1\r\n"),
		"http1-method": []byte("BREW /pot HTTP/1.1\r\n"),
		"http2":        []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		"tls":          hello(t, config("cart.shop")),
		"opaque":       []byte("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"),
	}
}

func BenchmarkSniff(b *testing.B) {
	openings := firstBytes(b)
	for _, name := range slices.Sorted(maps.Keys(openings)) {
		p := openings[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Sniff(p)
			}
		})
	}
}

func BenchmarkSNI(b *testing.B) {
	p := hello(b, config("cart.shop"))
	b.ReportAllocs()
	for b.Loop() {
		if name, _ := SNI(p); string(name) != "cart.shop" {
			b.Fatalf("got %q", name)
		}
	}
}
