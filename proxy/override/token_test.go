package override

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

const noon = 1_800_000_000

var (
	private = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	public  = private.Public().(ed25519.PublicKey)
)

func name(s string) model.Name {
	n, ok := ParseName(s)
	if !ok {
		panic(s)
	}
	return n
}

func token() *Token {
	return &Token{TrustDomain: "weft.local", Expires: noon + 60, Pairs: []Pair{
		{name("shop/cart"), name("shop/cart-v2")}, {name("bank/ledger"), name("bank/ledger-v2")},
	}}
}

func sign(t testing.TB, tok *Token) string {
	t.Helper()
	s, err := tok.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatWasSignedIsOpened(t *testing.T) {
	s := sign(t, token())
	got, err := Open([]byte(s), public, "weft.local", noon)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(token()) {
		t.Errorf("%v became %v", token(), got)
	}
	if to, ok := got.Find(name("bank/ledger")); !ok || to != name("bank/ledger-v2") {
		t.Errorf("ledger is %v", to)
	}
	if _, ok := got.Find(name("shop/cart-v2")); ok {
		t.Error("what requests are led to is led on")
	}
	if strings.ContainsAny(s, " ,;\\\"%=\r\n") {
		t.Errorf("%q cannot be a member of baggage", s)
	}
}

func TestATokenIsRefused(t *testing.T) {
	good := sign(t, token())
	head, tail, _ := strings.Cut(good, ".")
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	signed := func(payload string) string {
		return text.EncodeToString([]byte(payload)) + "." + text.EncodeToString(ed25519.Sign(private, []byte(payload)))
	}
	for _, c := range []struct {
		name, token string
		want        error
	}{
		{"empty", "", ErrForm},
		{"a dot", ".", ErrForm},
		{"no signature", head, ErrForm},
		{"an empty signature", head + ".", ErrForm},
		{"a signature of nothing", "." + tail, ErrSignature},
		{"another payload", "A" + head[1:] + "." + tail, ErrSignature},
		{"two dots", head + "." + tail + ".", ErrForm},
		{"padding", head + "=." + tail, ErrForm},
		{"a line end within", head[:8] + "\n" + head[8:] + "." + tail, ErrForm},
		{"a signature with spare bits", good[:len(good)-1] + next(good[len(good)-1]), ErrForm},
		{"white space", " " + good, ErrForm},
		{"too long", strings.Repeat("A", MaxText) + "." + tail, ErrForm},
		{"another version", signed("weft-route-token/2\nweft.local\n1800000060\na/b c/d\n"), ErrForm},
		{"no pair", signed("weft-route-token/1\nweft.local\n1800000060\n"), ErrForm},
		{"no line end", signed("weft-route-token/1\nweft.local\n1800000060\na/b c/d"), ErrForm},
		{"a number with a sign", signed("weft-route-token/1\nweft.local\n+1800000060\na/b c/d\n"), ErrForm},
		{"a number with zeros", signed("weft-route-token/1\nweft.local\n01800000060\na/b c/d\n"), ErrForm},
		{"a number that is none", signed("weft-route-token/1\nweft.local\nx\na/b c/d\n"), ErrForm},
		{"a name that is none", signed("weft-route-token/1\nweft.local\n1800000060\na/b c\n"), ErrForm},
		{"a line of one word", signed("weft-route-token/1\nweft.local\n1800000060\na/b\n"), ErrForm},
		{"a line of three", signed("weft-route-token/1\nweft.local\n1800000060\na/b c/d e/f\n"), ErrForm},
		{"a service led to itself", signed("weft-route-token/1\nweft.local\n1800000060\na/b a/b\n"), ErrForm},
		{"a ring", signed("weft-route-token/1\nweft.local\n1800000060\na/b a/c\na/c a/b\n"), ErrForm},
		{"a chain", signed("weft-route-token/1\nweft.local\n1800000060\na/b a/c\na/c a/d\n"), ErrForm},
		{"too many pairs", signed("weft-route-token/1\nweft.local\n1800000060\n" + pairs(MaxPairs+1)), ErrForm},
		{"no trust domain", signed("weft-route-token/1\n\n1800000060\na/b c/d\n"), ErrForm},
	} {
		if _, err := Open([]byte(c.token), public, "weft.local", noon); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for _, c := range []struct {
		name   string
		key    ed25519.PublicKey
		domain string
		now    int64
		want   error
	}{
		{"another key", other.Public().(ed25519.PublicKey), "weft.local", noon, ErrSignature},
		{"no key", nil, "weft.local", noon, ErrForm},
		{"a key of another length", public[:31], "weft.local", noon, ErrForm},
		{"another mesh", public, "weft.locale", noon, ErrForeign},
		{"no mesh", public, "", noon, ErrForeign},
		{"at its end", public, "weft.local", noon + 60, ErrExpired},
		{"without a clock", public, "weft.local", 0, ErrExpired},
		{"in its last second", public, "weft.local", noon + 59, nil},
	} {
		if _, err := Open([]byte(good), c.key, c.domain, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// next is the base64 letter after one whose lowest bits are not used.
func next(c byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(letters[strings.IndexByte(letters, c)+1])
}

func pairs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a/b%d a/c\n", i)
	}
	return b.String()
}

func TestWhatCannotBeOpenedIsNotSigned(t *testing.T) {
	for name, change := range map[string]func(*Token){
		"no trust domain":        func(t *Token) { t.TrustDomain = "" },
		"a trust domain of two":  func(t *Token) { t.TrustDomain = "a\nb" },
		"no end":                 func(t *Token) { t.Expires = 0 },
		"no pair":                func(t *Token) { t.Pairs = nil },
		"a name with a slash":    func(t *Token) { t.Pairs[0].To.Name = "a/b" },
		"an upper-case name":     func(t *Token) { t.Pairs[0].From.Name = "Cart" },
		"no namespace":           func(t *Token) { t.Pairs[0].From.Namespace = "" },
		"a service named twice":  func(t *Token) { t.Pairs[1].From = t.Pairs[0].From },
		"a service that follows": func(t *Token) { t.Pairs[1].From = t.Pairs[0].To },
		"a long name":            func(t *Token) { t.Pairs[0].From.Name = strings.Repeat("a", 64) },
	} {
		tok := token()
		change(tok)
		if s, err := tok.Sign(private); err == nil {
			t.Errorf("%s: signed as %s", name, s)
		}
	}
}

func TestTheTokenOfARequest(t *testing.T) {
	f := func(nv ...string) (out []message.Field) {
		for i := 0; i < len(nv); i += 2 {
			out = append(out, message.Field{Name: []byte(nv[i]), Value: []byte(nv[i+1])})
		}
		return out
	}
	for _, c := range []struct {
		name   string
		fields []message.Field
		want   string // "none"
		err    error
	}{
		{"none", f("a", "b", "baggage", "x=y"), "none", nil},
		{"a field", f("weft-route", " t "), "t", nil},
		{"a member", f("baggage", "a=1, weft.route = t ;p=1,b=2"), "t", nil},
		{"a member of the second field", f("baggage", "a=1", "baggage", "weft.route=t"), "t", nil},
		{"the same in both", f("weft-route", "t", "baggage", "weft.route=t"), "t", nil},
		{"two that differ", f("weft-route", "t", "baggage", "weft.route=u"), "u", ErrSeveral},
		{"two fields that differ", f("weft-route", "t", "weft-route", "u"), "u", ErrSeveral},
		{"one of them is empty", f("weft-route", "", "weft-route", "u"), "u", ErrSeveral},
		{"empty", f("weft-route", ""), "", nil},
		{"a member of that name in another field", f("x-baggage", "weft.route=t"), "none", nil},
		{"a member whose name only begins so", f("baggage", "weft.routes=t,xweft.route=t,weft.route"), "none", nil},
	} {
		got, err := Carried(c.fields)
		if text := string(got); got == nil && c.want != "none" || got != nil && text != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q (nil %v), %v", c.name, got, got == nil, err)
		}
	}
}

func TestARememberedTokenCostsNoVerificationAndNoAllocation(t *testing.T) {
	var c Cache
	var a Allowance
	b := []byte(sign(t, token()))
	fields := []message.Field{{Name: []byte("accept"), Value: []byte("*/*")}, {Name: []byte("baggage"), Value: append([]byte("weft.route="), b...)}}
	if _, err := c.Open(b, public, "weft.local", noon, &a, 0); err != nil {
		t.Fatal(err)
	}
	allocs.None(t, 1000, func() {
		found, _ := Carried(fields)
		if _, err := c.Open(found, public, "weft.local", noon, &a, 0); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := c.Open(b, public, "weft.local", noon+60, &a, 0); !errors.Is(err, ErrExpired) {
		t.Errorf("after its end: %v", err)
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	if _, err := c.Open(b, other, "weft.local", noon, &a, 0); !errors.Is(err, ErrSignature) {
		t.Errorf("for a service with another key: %v", err)
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	var c Cache
	for i := range 3 * cached {
		tok := token()
		tok.Expires += int64(i)
		a := Allowance{}
		if _, err := c.Open([]byte(sign(t, tok)), public, "weft.local", noon, &a, 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.byText) != cached {
		t.Errorf("%d tokens are remembered", len(c.byText))
	}
	last := token()
	last.Expires += 3*cached - 1
	var none Allowance
	none.used = burst
	if _, err := c.Open([]byte(sign(t, last)), public, "weft.local", noon, &none, 0); err != nil {
		t.Errorf("the last one is not remembered: %v", err)
	}
}

func TestVerificationsAreBoundedInRate(t *testing.T) {
	var c Cache
	var a Allowance
	verified := 0
	for i := range 1000 {
		tok := token()
		tok.Expires += int64(i)
		if _, err := c.Open([]byte(sign(t, tok)), public, "weft.local", noon, &a, time.Duration(i)*time.Millisecond); err == nil {
			verified++
		} else if !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	}
	if verified < burst+45 || verified > burst+55 {
		t.Errorf("%d were verified in a second", verified)
	}
}

// FuzzOpen holds that nothing but what Sign makes is opened.
func FuzzOpen(f *testing.F) {
	f.Add(sign(f, token()))
	f.Add("a.b")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := Open([]byte(s), public, "weft.local", noon)
		if err == nil && sign(t, tok) != s {
			t.Errorf("%q is opened", s)
		}
	})
}

// FuzzParse does the same behind a good signature.
func FuzzParse(f *testing.F) {
	f.Add(string(token().payload()))
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := parse([]byte(s))
		if err == nil && (string(tok.payload()) != s || tok.Validate() != nil) {
			t.Errorf("%q is read as %v", s, tok)
		}
	})
}
