package join

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestResolvConfIsReadAsTheCLibraryDoes(t *testing.T) {
	r := parseResolvConf("# comment\n;another\n\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver x\nnameserver 127.0.0.53\nnameserver 9.9.9.9\n" +
		"domain old.example\nsearch a.example b.example\noptions ndots:2 edns0\nnameserver\nsortlist 1\r\n")
	var servers []string
	for _, s := range r.servers {
		servers = append(servers, s.String())
	}
	if got := strings.Join(servers, " "); got != "10.0.0.1:53 [fe80::1%eth0]:53 127.0.0.53:53" {
		t.Errorf("servers %s", got)
	}
	if strings.Join(r.search, " ") != "a.example b.example" || strings.Join(r.options, " ") != "ndots:2 edns0" {
		t.Errorf("search %v, options %v", r.search, r.options)
	}
}

func TestTheApplicationsResolvConfLooksInTheMeshFirst(t *testing.T) {
	r := resolver{search: []string{"corp.example"}, options: []string{"ndots:2"}}
	got := resolvConf(r, netip.MustParseAddr("10.0.0.1"), "shop")
	want := "nameserver 10.0.0.1\nsearch shop.svc.cluster.local svc.cluster.local corp.example\noptions ndots:2\n"
	if _, text, _ := strings.Cut(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver 10.0.0.1\nsearch a b\noptions x\n")
	f.Fuzz(func(t *testing.T, text string) {
		out := resolvConf(parseResolvConf(text), netip.MustParseAddr("10.0.0.1"), "shop")
		if n := strings.Count(out, "nameserver"); len(parseResolvConf(out).servers) != 1 || n < 1 {
			t.Errorf("%q became %q", text, out)
		}
	})
}

func TestPausesBetweenRestartsGrowToALimit(t *testing.T) {
	var last time.Duration
	for i := range 100 {
		p := restartPause(i)
		if i == 0 && p != 0 || p < last || p > lastPause {
			t.Fatalf("pause %d is %s after %s", i, p, last)
		}
		last = p
	}
	if last != lastPause || restartPause(1) != firstPause {
		t.Errorf("first %s, last %s", restartPause(1), last)
	}
}

func TestLogLinesArePrefixedCutAndMadeHarmless(t *testing.T) {
	var b strings.Builder
	l := &lines{prefix: "p: ", out: &b}
	for _, s := range []string{"one\ntw", "o\r\n", "\x1b]0;x\a\n", strings.Repeat("x", maxLine+1), "\nend"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := l.last(); got != "end" {
		t.Errorf("the last line is %q", got)
	}
	want := "p: one\np: two\np: �]0;x�\np: " + strings.Repeat("x", maxLine) + "\np: x\np: end\n"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
	for range 100 {
		_, _ = l.Write([]byte("more\n"))
	}
	if len(l.tail) > tailSize {
		t.Errorf("%d lines are kept", len(l.tail))
	}
}
