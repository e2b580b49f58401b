//go:build linux

package attack

import (
	"strings"
	"testing"
)

const tooLarge = "RFC 9110 5.4: larger than we wish to process; 15.5.15 and RFC 6585 5: 414, 431"

// TestB2_19_Sizes: limits hold before anything else looks at a request, for trailers as for heads, and
// for what is dropped as for what is kept.
func TestB2_19_Sizes(t *testing.T) {
	t.Parallel()
	alone := "limits are each proxy's own"
	rows := []vector{
		{name: "target of 8,000", send: "GET /{id}?" + times(8000, "a") + " HTTP/1.1\r\nHost: app\r\n\r\n", want: accepted, rfc: "RFC 9112 3: at least 8000 octets"},
		{name: "target of 64 KiB", send: "GET /{id}?" + times(64<<10, "a") + " HTTP/1.1\r\nHost: app\r\n\r\n", want: 414, rfc: tooLarge},
		{name: "target of 64 KiB that never ends", send: "GET /{id}?" + times(64<<10, "a"), want: 414, rfc: tooLarge},
		{name: "10,000 query parameters (CVE-2026-39825)", send: "GET /{id}?" + times(10000, "a=b&") + " HTTP/1.1\r\nHost: app\r\n\r\n", want: 414, rfc: tooLarge},
		{name: "3,000 query parameters", send: "GET /{id}?" + times(3000, "a=b&") + " HTTP/1.1\r\nHost: app\r\n\r\n", want: accepted, rfc: "all are handed on as they are"},
		{name: "100 fields", send: get(times(100, "a: b\r\n")), want: accepted, rfc: "RFC 9110 5.4"},
		{name: "1,000 fields", send: get(times(1000, "a: b\r\n")), want: 431, rfc: tooLarge},
		{name: "1,000,000 fields", send: get(times(1000000, "a:\r\n")), want: 431, rfc: tooLarge},
		{name: "1,000 fields that are dropped", send: get(times(1000, "keep-alive: b\r\n")), want: 431, rfc: tooLarge},
		{name: "field of 32 KiB", send: get("a: " + times(32<<10, "b") + "\r\n"), want: accepted, rfc: "RFC 9110 5.4"},
		{name: "field of 1 MiB", send: get("a: " + times(1<<20, "b") + "\r\n"), want: 431, rfc: tooLarge},
		{name: "field of 1 MiB that never ends", send: "GET /{id} HTTP/1.1\r\nHost: app\r\na: " + times(1<<20, "b"), want: 431, rfc: tooLarge},
		{name: "name of 1 MiB", send: get(times(1<<20, "a") + ": b\r\n"), want: 431, rfc: tooLarge},
		{name: "100 trailers", send: chunked("0\r\n" + times(100, "x-a: b\r\n") + "\r\n"), want: accepted, trailer: strings.TrimSuffix(times(100, "x-a: b\r\n"), "\r\n"), rfc: "RFC 9112 7.1.2"},
		{name: "1,000 trailers", send: chunked("0\r\n" + times(1000, "x-a: b\r\n") + "\r\n"), want: 431, cut: true, rfc: tooLarge},
		{name: "trailer of 1 MiB", send: chunked("0\r\nx-a: " + times(1<<20, "b") + "\r\n\r\n"), want: 431, cut: true, rfc: tooLarge},
		{name: "method of 1,000", send: times(1000, "A") + " /{id} HTTP/1.1\r\nHost: app\r\n\r\n", want: 501, rfc: "RFC 9110 9.1"},
		{name: "Host of 1,000", send: "GET /{id} HTTP/1.1\r\nHost: " + times(1000, "a") + "\r\n\r\n", want: 400, stays: true, rfc: "RFC 1035 2.3.4: 255 octets"},
	}
	for i := range rows {
		rows[i].alone = alone
	}
	attackH1(t, rows)
}

// TestB2_19_SizesOverHTTP2: the same limits, of what is decoded.
func TestB2_19_SizesOverHTTP2(t *testing.T) {
	t.Parallel()
	many := func(n int, name, value string) (kv []string) {
		for range n {
			kv = append(kv, name, value)
		}
		return kv
	}
	x, all := fronts(t)
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			h := f.dial(t)
			for _, tc := range []struct {
				name string
				kv   []string
				want string
			}{
				{"field of 12 KiB", f.head("/size", "a", times(12<<10, "b")), "200"},
				{"100 fields", f.head("/size", many(100, "a", "b")...), "200"},
				{"path of 16 KiB", f.head("/size?"+times(15000, "a"), "x", "y"), "200"},
				{"2,500 fields", f.head("/size", many(2500, "a", "b")...), "431"},
			} {
				s := h.result(h.open(tc.kv...), patience)
				if s.status != tc.want {
					t.Errorf("%s: %s; want %s", tc.name, &s, tc.want)
				}
			}
			if err := h.fine(f.head("/after")...); err != nil {
				t.Errorf("the connection behind it: %v", err)
			}
		})
	}
	if err := x.honestH1("/honest"); err != nil {
		t.Error(err)
	}
}
