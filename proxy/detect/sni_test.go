package detect

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// hello gives the record, or records, that crypto/tls sends first.
func hello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	rec := &firstWrite{}
	if err := tls.Client(rec, cfg).Handshake(); !errors.Is(err, errEnough) {
		t.Fatalf("making a hello: %v", err)
	}
	return rec.p
}

var errEnough = errors.New("enough")

type firstWrite struct {
	net.Conn
	p []byte
}

func (w *firstWrite) Write(p []byte) (int, error)      { w.p = bytes.Clone(p); return 0, errEnough }
func (w *firstWrite) SetWriteDeadline(time.Time) error { return nil }
func (w *firstWrite) Close() error                     { return nil }

// split divides the handshake message of one record over records of n bytes.
func split(record []byte, n int) []byte {
	var out []byte
	for p := record[5:]; len(p) > 0; {
		k := min(n, len(p))
		out = append(append(out, record[0], record[1], record[2], byte(k>>8), byte(k)), p[:k]...)
		p = p[k:]
	}
	return out
}

func config(name string) *tls.Config {
	return &tls.Config{ServerName: name, InsecureSkipVerify: true}
}

func helloes(t testing.TB) map[string][]byte {
	classical, hybrid, old, long := config("cart.shop"), config("cart.shop"), config("cart.shop"), config("cart.shop")
	classical.CurvePreferences = []tls.CurveID{tls.X25519}
	hybrid.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.X25519}
	old.MaxVersion = tls.VersionTLS12
	for range 200 {
		long.NextProtos = append(long.NextProtos, strings.Repeat("p", 50))
	}
	return map[string][]byte{
		"with a classical key share":    hello(t, classical),
		"with a post-quantum key share": hello(t, hybrid),
		"of TLS 1.2":                    hello(t, old),
		"of 10 kB":                      hello(t, long),
	}
}

func TestTheNameIsFoundInEveryHelloAtEveryLength(t *testing.T) {
	for name, whole := range helloes(t) {
		t.Run(name, func(t *testing.T) {
			if name == "with a post-quantum key share" && len(whole) < 1200 {
				t.Fatalf("it has %d bytes: not what is meant", len(whole))
			}
			for _, p := range [][]byte{whole, split(whole, 1000), split(whole, 7), split(whole, 1)} {
				if len(p) > maxHello {
					continue
				}
				step := 1 + len(p)/500
				for i := 0; i < len(p); i += step {
					if sni, done := SNI(p[:i]); done || sni != nil {
						t.Fatalf("%d of %d bytes: %q, done %v", i, len(p), sni, done)
					}
				}
				if sni, done := SNI(p); !done || string(sni) != "cart.shop" {
					t.Fatalf("the whole: %q, done %v", sni, done)
				}
				if sni, done := SNI(append(bytes.Clone(p), "\x14\x03\x03\x00\x01\x01"...)); !done || string(sni) != "cart.shop" {
					t.Errorf("with more after it: %q, done %v", sni, done)
				}
			}
			if v := Sniff(whole[:3]); v != TLS {
				t.Errorf("its first bytes are taken for %s", v)
			}
		})
	}
}

func TestAHelloWithoutNameIsDoneAndHasNone(t *testing.T) {
	for _, name := range []string{"", "192.0.2.1"} { // addresses are not sent (RFC 6066 section 3)
		if sni, done := SNI(hello(t, config(name))); !done || sni != nil {
			t.Errorf("%q: %q, done %v", name, sni, done)
		}
	}
}

func TestJoiningRecordsDoesNotChangeTheInput(t *testing.T) {
	p := split(hello(t, config("cart.shop")), 50)
	before := bytes.Clone(p)
	SNI(p)
	if !bytes.Equal(p, before) {
		t.Error("the input was written to")
	}
}

// message wraps a handshake message in a record.
func message(kind byte, body []byte) []byte {
	m := append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
	return append([]byte{0x16, 3, 1, byte(len(m) >> 8), byte(len(m))}, m...)
}

// withExtensions is a hello with these extensions.
func withExtensions(ext string) []byte {
	b := append(make([]byte, 34), "\x00\x00\x02\x13\x01\x01\x00"...)
	b = append(b, byte(len(ext)>>8), byte(len(ext)))
	return message(1, append(b, ext...))
}

func TestWhatIsNoGoodHelloHasNoName(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes []byte
		done  bool
		want  string
	}{
		{"nothing", nil, false, ""},
		{"a byte", []byte{0x16}, false, ""},
		{"no TLS", []byte("GET"), true, ""},
		{"another record", []byte{0x17, 3, 3, 0, 1, 0}, true, ""},
		{"another message", message(2, make([]byte, 50)), true, ""},
		{"another message, its first byte", message(2, make([]byte, 50))[:6], true, ""},
		{"an empty hello", message(1, nil), true, ""},
		{"records without content", bytes.Repeat([]byte{0x16, 3, 1, 0, 0}, 10), false, ""},
		{"another record in the middle", append(split(message(1, make([]byte, 99)), 50)[:55], 0x17, 3, 3, 0, 0), true, ""},
		{"a message of 16 MB", []byte{0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, true, ""},
		{"a name", withExtensions("\x00\x00\x00\x06\x00\x04\x00\x00\x01a"), true, "a"},
		{"a name after others", withExtensions("\x00\x0a\x00\x00\x00\x00\x00\x06\x00\x04\x00\x00\x01a"), true, "a"},
		{"an empty name", withExtensions("\x00\x00\x00\x05\x00\x03\x00\x00\x00"), true, ""},
		{"an empty extension", withExtensions("\x00\x00\x00\x00"), true, ""},
		{"another type of name", withExtensions("\x00\x00\x00\x06\x00\x04\x07\x00\x01a"), true, ""},
		{"a name after another type of name", withExtensions("\x00\x00\x00\x0a\x00\x08\x07\x00\x01b\x00\x00\x01a"), true, "a"},
		{"the extension twice", withExtensions(strings.Repeat("\x00\x00\x00\x06\x00\x04\x00\x00\x01a", 2)), true, ""},
		{"two names", withExtensions("\x00\x00\x00\x0a\x00\x08\x00\x00\x01a\x00\x00\x01b"), true, ""},
		{"a list that is longer than its extension", withExtensions("\x00\x00\x00\x06\x00\x05\x00\x00\x01a"), true, ""},
		{"a name that is longer than its list", withExtensions("\x00\x00\x00\x06\x00\x04\x00\x00\x02a"), true, ""},
		{"an extension that is longer than all", withExtensions("\x00\x00\x00\x09\x00\x04\x00\x00\x01a"), true, ""},
		{"a session id that is longer than all", message(1, append(make([]byte, 34), 0xff)), true, ""},
	} {
		if sni, done := SNI(c.bytes); done != c.done || string(sni) != c.want {
			t.Errorf("%s: %q, done %v; want %q, %v", c.name, sni, done, c.want, c.done)
		}
	}
}

func TestAHelloWithoutEndIsGivenUp(t *testing.T) {
	endless := bytes.Repeat([]byte{0x16, 3, 1, 0, 0}, maxHello)
	if _, done := SNI(endless[:maxHello-1]); done {
		t.Error("given up below the bound")
	}
	if _, done := SNI(endless[:maxHello]); !done {
		t.Error("not given up at the bound")
	}
}

// accepted gives the name that crypto/tls takes from a hello, or an error if it refuses it.
func accepted(p []byte) (name string, err error) {
	server := tls.Server(&onlyRead{r: bytes.NewReader(p)}, &tls.Config{
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name, err = h.ServerName, nil
			return nil, errEnough
		},
	})
	err = errors.New("refused")
	if e := server.Handshake(); !errors.Is(e, errEnough) {
		return "", e
	}
	return name, nil
}

type onlyRead struct {
	net.Conn
	r *bytes.Reader
}

func (o *onlyRead) Read(p []byte) (int, error)       { return o.r.Read(p) }
func (o *onlyRead) Write(p []byte) (int, error)      { return len(p), nil }
func (o *onlyRead) SetWriteDeadline(time.Time) error { return nil }

// Whoever ends the TLS connection must see the name that we routed by.
func FuzzSNI(f *testing.F) {
	for _, p := range helloes(f) {
		f.Add(p)
		f.Add(split(p, 100))
	}
	f.Add(hello(f, config("")))
	f.Add(withExtensions("\x00\x00\x00\x06\x00\x04\x00\x00\x01a"))
	f.Add(withExtensions("\x00\x00\x00\x0a\x00\x08\x00\x00\x01a\x00\x00\x01b"))
	f.Fuzz(func(t *testing.T, p []byte) {
		before := bytes.Clone(p)
		name, done := SNI(p)
		if !bytes.Equal(p, before) {
			t.Fatal("the input was changed")
		}
		if !done && (name != nil || len(p) >= maxHello) {
			t.Fatalf("not done with %d bytes, name %q", len(p), name)
		}
		if done && len(p) < maxHello { // more bytes change nothing
			if again, d := SNI(append(before, 0x17, 3, 3, 0, 1, 0)); !d || !bytes.Equal(again, name) {
				t.Fatalf("%q, with more bytes %q", name, again)
			}
		}
		if theirs, err := accepted(p); err == nil && done && theirs != string(name) {
			t.Fatalf("crypto/tls reads the name %q, we %q", theirs, name)
		}
	})
}
