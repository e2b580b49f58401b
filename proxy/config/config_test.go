package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"net/netip"

	"github.com/weft-mesh/weft/codes"
)

var update = flag.Bool("update", false, "write the golden files")

// full has every field.
func full() *Config {
	return &Config{
		Name:    "shop/cart-4711",
		Control: Control{Socket: "/run/weft/control.sock", Addr: "10.0.0.1:15010", Token: "join-token", RootHash: "ab12"},
		Workloads: []Workload{{
			Name: "cart-4711", Namespace: "shop", ServiceAccount: "cart", Service: "cart",
			Labels: map[string]string{"version": "v1"}, Zone: "a",
			Ports: []Port{{Name: "http", Addr: netip.MustParseAddrPort("127.0.0.1:8081"), Protocol: "http"}},
			Link:  "127.0.0.1:0", LinkAdvertise: "10.0.0.2:15001",
			Outbound: Outbound{
				Proxy:          "127.0.0.1:0",
				Services:       []ServiceListener{{Listen: "127.0.0.1:0", Namespace: "shop", Service: "stock", Port: 80}},
				TransparentFDs: []int{4, 5}, DNSFDs: []int{6}, DNSUpstreams: []string{"192.0.2.53:53"},
			},
			Token: "its-token", IdentityFD: 7,
		}},
		Metrics: "127.0.0.1:0", Admin: "/run/weft/cart.sock", StateDir: "/var/lib/weft/cart",
		Driver: "epoll", Loops: 2, DrainTimeout: Duration(1500 * time.Millisecond), ReadyFD: 3,
	}
}

// Other programs write this document: a field that changes its name breaks them.
func TestTheDocumentIsWrittenAsBefore(t *testing.T) {
	got, err := json.MarshalIndent(full(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", "full.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("go test -update, if it is meant: %s", d)
	}
	back, err := Read(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(full(), back, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Errorf("read back it is another: %s", d)
	}
}

// If this fails, give the new field a value in full.
func TestTheGoldenDocumentHasEveryField(t *testing.T) {
	b, err := json.Marshal(full())
	if err != nil {
		t.Fatal(err)
	}
	for _, zero := range []string{":0,", `:""`, ":null", ":[]", ":{}", `:"0s"`} {
		if bytes.Contains(b, []byte(zero)) {
			t.Errorf("a field has no value (%s) in %s", zero, b)
		}
	}
}

func TestTheSmallestDocumentIsEnough(t *testing.T) {
	c, err := Read(strings.NewReader("  {}\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&Config{}, c); d != "" {
		t.Error(d)
	}
}

func TestWhatIsNoConfigurationIsRefusedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ name, text, why string }{
		{"nothing", "", "empty"},
		{"white space", " \n", "empty"},
		{"no JSON", "name: cart", "invalid character"},
		{"an unknown field", `{"name":"a","names":"b"}`, `unknown field "names"`},
		{"an unknown field inside", `{"workloads":[{"outbound":{"proxi":"x"}}]}`, `unknown field "proxi"`},
		{"half a document", `{"name":"a"`, "unexpected EOF"},
		{"a second document", `{} {}`, "there is more"},
		{"a bracket too many", `{}}`, "there is more"},
		{"text after it", "{}\nthe end", "there is more"},
		{"a wrong type", `{"loops":"two"}`, "loops"},
		{"a duration without unit", `{"drainTimeout":"5"}`, "missing unit"},
		{"a duration that is a number", `{"drainTimeout":5}`, "want a string"},
		{"an address that is none", `{"workloads":[{"ports":[{"addr":"localhost:80"}]}]}`, "localhost"},
		{"too much", `{"name":"` + strings.Repeat("a", maxSize) + `"}`, "more than"},
		{"a list", `[]`, "array"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Read(strings.NewReader(c.text))
			var coded *codes.Error
			if !errors.As(err, &coded) || coded.Code != "W3021" || got != nil {
				t.Fatalf("%+v, err %v; want W3021", got, err)
			}
			if !strings.Contains(coded.Why, c.why) || len(coded.Next) == 0 {
				t.Errorf("why %q, next %q; want %q in why", coded.Why, coded.Next, c.why)
			}
		})
	}
}

func TestAReaderThatFailsIsTold(t *testing.T) {
	if _, err := Read(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("err %v", err)
	}
}

func TestDurations(t *testing.T) {
	for _, d := range []time.Duration{0, time.Nanosecond, 1500 * time.Millisecond, 36 * time.Hour, -time.Second} {
		b, err := json.Marshal(Duration(d))
		if err != nil {
			t.Fatal(err)
		}
		var back Duration
		if err := json.Unmarshal(b, &back); err != nil || time.Duration(back) != d {
			t.Errorf("%s became %s and then %s (%v)", d, b, time.Duration(back), err)
		}
	}
	d := Duration(time.Second)
	if err := json.Unmarshal([]byte(`"soon"`), &d); err == nil || d != Duration(time.Second) {
		t.Errorf("a bad one: %v, value %s", err, time.Duration(d))
	}
}

func FuzzRead(f *testing.F) {
	b, err := json.Marshal(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{}}`))
	f.Add([]byte(`{"drainTimeout":"1h"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Read(bytes.NewReader(b))
		if err != nil {
			if c != nil {
				t.Fatal("a configuration and an error")
			}
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := Read(bytes.NewReader(again))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, again)
		}
		if d := cmp.Diff(c, back, cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}
