package decide_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
)

func TestPathsHaveOneCanonicalFormOrNone(t *testing.T) {
	for _, c := range []struct{ path, want string }{ // want "": refused
		{"/", "/"},
		{"/a/b", "/a/b"},
		{"/a/b/", "/a/b/"},
		{"/%61/%7E%2D%2e%5f", "/a/~-._"},
		{"/%c3%a9", "/%C3%A9"},
		{"/\u00e9", "/%C3%A9"},
		{"/a%20b", "/a%20b"},
		{"/a%2bb+c", "/a%2Bb+c"},
		{"/%252f", "/%252f"},
		{`/{a}|"b"`, "/%7Ba%7D%7C%22b%22"},
		{"/.", "/"},
		{"/./a", "/a"},
		{"/a/.", "/a/"},
		{"/a/./b", "/a/b"},
		{"/a/../b", "/b"},
		{"/a/%2e%2E/b", "/b"},
		{"/a/..", "/"},
		{"/a/b/..", "/a/"},
		{"/a/b/../..", "/"},
		{"/.well-known/x", "/.well-known/x"},
		{"/.../x", "/.../x"},
		{"/..a/b..", "/..a/b.."},
		{"//", "/"},
		{"//admin", "/admin"},
		{"/a//b///c//", "/a/b/c/"},
		{"/cart;v=1/x", "/cart;v=1/x"},
		{"/a;..;/b", "/a;..;/b"},
		{"/a%3Bb", "/a%3Bb"},
		{"/a:b@c!$&'()*,=", "/a:b@c!$&'()*,="},

		{"", ""},
		{"a/b", ""},
		{"?a=b", ""},
		{"/..", ""},
		{"/a/../..", ""},
		{"/a/../../etc", ""},
		{"/%2e%2e/", ""},
		{"/a//../b", ""},
		{"/a%2fb", ""},
		{"/a%2Fb", ""},
		{"/a%5cb", ""},
		{`/a\b`, ""},
		{"/a%00", ""},
		{"/a%", ""},
		{"/a%2", ""},
		{"/a%zz", ""},
		{"/a b", ""},
		{"/a\tb", ""},
		{"/a\x00b", ""},
		{"/a\x7fb", ""},
		{"/a#b", ""},
		{"/%ff", ""},
		{"/%c0%af", ""},
		{"/%c3", ""},
		{"/\xff", ""},
		{"/..;/b", ""},
		{"/a/..;x=1/b", ""},
		{"/.;/b", ""},
		{"/;/b", ""},
		{"/;x/b", ""},
		{"/a/;", ""},
		{"/%2e%2e;/b", ""},
		{"/..%3b/b", ""},
		{"/a/.%3B", ""},
	} {
		var x decide.Canonical
		err := decide.Canonicalize(&x, &message.Request{Method: []byte("GET"), Path: []byte(c.path)})
		if c.want == "" {
			checkAmbiguous(t, c.path, err, 400)
		} else if err != nil || string(x.Path) != c.want {
			t.Errorf("%q becomes %q, %v; want %q", c.path, x.Path, err, c.want)
		}
	}
}

// Every byte, encoded, either stands for itself or is refused; none changes the segments.
func TestEveryEncodedByteKeepsItsSegment(t *testing.T) {
	for b := range 256 {
		p := fmt.Sprintf("/a/x%%%02xy/b", b)
		var x decide.Canonical
		err := decide.Canonicalize(&x, &message.Request{Method: []byte("GET"), Path: []byte(p)})
		refused := b == 0 || b == '/' || b == '\\' || b >= 0x80 // alone not UTF-8
		if (err != nil) != refused {
			t.Errorf("%s: %v", p, err)
		}
		if err == nil && strings.Count(string(x.Path), "/") != 3 {
			t.Errorf("%s has become %s", p, x.Path)
		}
	}
}

func checkAmbiguous(t *testing.T, what string, err error, status int) {
	t.Helper()
	var a *decide.Ambiguous
	if !errors.As(err, &a) || a.Status != status || a.Code == "" || a.Reason == "" {
		t.Errorf("%q: got %v, want to be refused with %d", what, err, status)
	}
}

func TestHostsHaveOneCanonicalFormOrNone(t *testing.T) {
	for _, c := range []struct {
		authority, host string // host "": refused
		port            uint16
		forwarded       string
	}{
		{"cart", "cart", 0, "cart"},
		{"CART", "cart", 0, "cart"},
		{"cart.", "cart", 0, "cart"},
		{"Cart.Shop.:8080", "cart.shop", 8080, "cart.shop:8080"},
		{"cart:80", "cart", 80, "cart:80"},
		{"cart:", "cart", 0, "cart"},
		{"my_cart-1", "my_cart-1", 0, "my_cart-1"},
		{"10.0.0.1:65535", "10.0.0.1", 65535, "10.0.0.1:65535"},
		{"[::1]:80", "[::1]", 80, "[::1]:80"},
		{"[FD00:0:0::1]", "[fd00::1]", 0, "[fd00::1]"},
		{"[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]", 0, "[::ffff:10.0.0.1]"},

		{authority: ":80"},
		{authority: "."},
		{authority: "cart.."},
		{authority: "a..b"},
		{authority: ".cart"},
		{authority: "cart:0"},
		{authority: "cart:080"},
		{authority: "cart:65536"},
		{authority: "cart:80:80"},
		{authority: "cart:8x"},
		{authority: "user@cart"},
		{authority: "user:pass@cart"},
		{authority: "cart@evil:80"},
		{authority: "cart,evil"},
		{authority: "cart evil"},
		{authority: "cart/evil"},
		{authority: "cart%2eshop"},
		{authority: "c\u00e4rt"},
		{authority: "cart\x00"},
		{authority: "::1"},
		{authority: "[::1"},
		{authority: "[::1]x"},
		{authority: "[fe80::1%25eth0]"},
		{authority: "[fe80::1%eth0]"},
		{authority: "[10.0.0.1]"},
		{authority: "[cart]"},
		{authority: "127.1"},
		{authority: "0x7f.0.0.1"},
		{authority: "0x7f000001"},
		{authority: "2130706433"},
		{authority: "0177.0.0.1"},
		{authority: "10.0.0.256"},
		{authority: "10.0.0.01"},
		{authority: "10.0.0.1.2"},
		{authority: strings.Repeat("a", 256)},
	} {
		var x decide.Canonical
		req := &message.Request{Method: []byte("GET"), Authority: []byte(c.authority), Path: []byte("/")}
		err := decide.Canonicalize(&x, req)
		if c.host == "" {
			checkAmbiguous(t, c.authority, err, 400)
			continue
		}
		if err != nil || string(x.Host) != c.host || x.Port != c.port {
			t.Errorf("%q is %q port %d, %v; want %q port %d", c.authority, x.Host, x.Port, err, c.host, c.port)
			continue
		}
		var d decide.Decision
		if d.ApplyRequest(req, &x, &decide.Scratch{}); string(req.Authority) != c.forwarded {
			t.Errorf("%q is forwarded as %q, want %q", c.authority, req.Authority, c.forwarded)
		}
	}
}

func TestTheSpecialTargets(t *testing.T) {
	for _, c := range []struct {
		method, authority, path, protocol string
		ok                                bool
	}{
		{"OPTIONS", "cart", "*", "", true},
		{"GET", "cart", "*", "", false},
		{"CONNECT", "cart:80", "", "", true},
		{"CONNECT", "cart", "", "", false},
		{"CONNECT", "", "", "", false},
		{"CONNECT", "cart:80", "/", "", false},
		{"CONNECT", "cart", "/chat", "websocket", true},
		{"GET", "", "/", "", true},
		{"GET", "cart", "/a?x=1?y=//%2f\\", "", true},
		{"GET", "cart", "/a?x y", "", false},
		{"GET", "cart", "/a?x\ny", "", false},
		{"GET", "cart", "/a?x#y", "", false},
	} {
		var x decide.Canonical
		err := decide.Canonicalize(&x, &message.Request{
			Method: []byte(c.method), Authority: []byte(c.authority), Path: []byte(c.path), Protocol: []byte(c.protocol),
		})
		if (err == nil) != c.ok {
			t.Errorf("%s %s %s %s: %v", c.method, c.authority, c.path, c.protocol, err)
		}
	}
}

func TestTargetHostAndSNIMustAgree(t *testing.T) {
	for _, c := range []struct {
		target, host string
		ok           bool
	}{
		{"cart", "cart", true}, {"Cart.", "cart:80", true}, {"cart:8080", "cart:8080", true},
		{"cart", "stock", false}, {"cart:8080", "cart", false}, {"cart", "", false}, {"cart", "a@cart", false},
	} {
		if err := decide.SameAuthority([]byte(c.target), []byte(c.host), 80); (err == nil) != c.ok {
			t.Errorf("target %s, host %s: %v", c.target, c.host, err)
		}
	}
	for _, c := range []struct {
		host, sni string
		ok        bool
	}{{"cart", "CART", true}, {"cart", "", true}, {"[::1]", "cart", true}, {"cart", "stock", false}} {
		x := decide.Canonical{Host: []byte(c.host)}
		err := decide.SameSNI(&x, []byte(c.sni))
		if c.ok && err != nil {
			t.Errorf("host %s, SNI %s: %v", c.host, c.sni, err)
		} else if !c.ok {
			checkAmbiguous(t, c.host, err, 421)
		}
	}
}

func TestWhatIsCanonicalIsNotCopied(t *testing.T) {
	req := &message.Request{Method: []byte("GET"), Authority: []byte("cart.shop:80"), Path: []byte("/.well-known/caf%C3%A9?q=%2f")}
	before := *req
	var x decide.Canonical
	if err := decide.Canonicalize(&x, req); err != nil {
		t.Fatal(err)
	}
	var d decide.Decision
	d.ApplyRequest(req, &x, &decide.Scratch{})
	if &x.Path[0] != &before.Path[0] || &x.Host[0] != &before.Authority[0] || &req.Path[0] != &before.Path[0] || &req.Authority[0] != &before.Authority[0] {
		t.Error("a canonical request was copied")
	}
}

// FuzzCanonicalize: no input panics; the canonical form is a fixed point, has none of the forms
// that servers read differently, and is what gets forwarded.
func FuzzCanonicalize(f *testing.F) {
	for _, p := range []string{"/", "/a/../b?x", "//a", "/%41%2e%2E/", "/..;/x", "/%c3%a9;v=1", "*", "/a/./;x", "/%e2%82%ac/\u20ac"} {
		f.Add("GET", "Cart.Shop:80", p)
	}
	f.Add("CONNECT", "[::1]:443", "")
	f.Add("OPTIONS", "10.0.0.1", "*")
	f.Fuzz(func(t *testing.T, method, authority, path string) {
		req := &message.Request{Method: []byte(method), Authority: []byte(authority), Path: []byte(path)}
		var x decide.Canonical
		if err := decide.Canonicalize(&x, req); err != nil {
			checkAmbiguous(t, path, err, 400)
			return
		}
		var d decide.Decision
		d.ApplyRequest(req, &x, &decide.Scratch{})
		checkCanonical(t, &x, req)

		var again decide.Canonical
		forwarded := *req
		if err := decide.Canonicalize(&again, req); err != nil {
			t.Fatalf("%q %q is canonical and refused: %v", req.Authority, req.Path, err)
		}
		d.ApplyRequest(req, &again, &decide.Scratch{})
		if !bytes.Equal(x.Host, again.Host) || x.Port != again.Port || !bytes.Equal(x.Path, again.Path) || !bytes.Equal(x.RawQuery, again.RawQuery) ||
			!bytes.Equal(forwarded.Path, req.Path) || !bytes.Equal(forwarded.Authority, req.Authority) {
			t.Fatalf("canonical %q %q becomes %q %q", forwarded.Authority, forwarded.Path, req.Authority, req.Path)
		}
	})
}

// checkCanonical checks the promises of the package comment on a result.
func checkCanonical(t *testing.T, x *decide.Canonical, forwarded *message.Request) {
	t.Helper()
	target := string(x.Path)
	if x.HasQuery {
		target += "?" + string(x.RawQuery)
	}
	if string(forwarded.Path) != target {
		t.Fatalf("decided on %q, forwarded %q", target, forwarded.Path)
	}
	if string(x.Host) != strings.ToLower(string(x.Host)) || strings.HasSuffix(string(x.Host), ".") || strings.ContainsAny(string(x.Host), "@, %") {
		t.Fatalf("host %q", x.Host)
	}
	if len(x.Path) == 0 || string(x.Path) == "*" {
		return
	}
	for _, bad := range []string{"//", "%2F", "%2f", "%5C", "%5c", "%00", "\\", "#", "/./", "/../", "/.;", "/..;", "/;", " "} {
		if strings.Contains(string(x.Path), bad) {
			t.Fatalf("canonical path %q contains %q", x.Path, bad)
		}
	}
	for _, segment := range strings.Split(string(x.Path), "/") {
		if segment == "." || segment == ".." {
			t.Fatalf("canonical path %q has a dot segment", x.Path)
		}
	}
	for _, b := range x.Path {
		if b <= ' ' || b >= 0x7f {
			t.Fatalf("canonical path %q has byte %#x", x.Path, b)
		}
	}
}
