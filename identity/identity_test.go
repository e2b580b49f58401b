package identity_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/identity"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// authority is a root for tests that signs whatever it is told to.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, td string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: noon.Add(-24 * time.Hour), NotAfter: noon.Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, URIs: []*url.URL{{Scheme: "spiffe", Host: td}},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, c, key}
}

func (a *authority) bundle(td string) *identity.Bundle {
	a.t.Helper()
	b, err := identity.NewBundle(td, [][]byte{a.cert.Raw})
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

// template is a good leaf, to be spoiled.
func template(id string) *x509.Certificate {
	u, _ := url.Parse(id)
	return &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: noon.Add(-time.Minute), NotAfter: noon.Add(24 * time.Hour), URIs: []*url.URL{u},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

func (a *authority) sign(tmpl *x509.Certificate) (*x509.Certificate, crypto.Signer) {
	a.t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

func (a *authority) pair(id string) *identity.Pair {
	a.t.Helper()
	c, key := a.sign(template(id))
	p, err := identity.NewPair([][]byte{c.Raw}, key)
	if err != nil {
		a.t.Fatal(err)
	}
	return p
}

const cart = "spiffe://weft.local/ns/shop/sa/cart"

func codeOf(err error) string {
	var e *codes.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestParseTakesTheMeshesFormAndNothingElse(t *testing.T) {
	for _, good := range []string{cart, "spiffe://a/ns/b/sa/c", "spiffe://a-b_c.d/ns/x-1/sa/y.z"} {
		id, err := identity.Parse(good)
		if err != nil || id.String() != good || id.URL().String() != good {
			t.Errorf("Parse(%q) = %v, %v", good, id, err)
		}
	}
	for _, bad := range []string{
		"", "spiffe://", "http://weft.local/ns/shop/sa/cart", "SPIFFE://weft.local/ns/shop/sa/cart", "spiffe://Weft.local/ns/shop/sa/cart",
		"spiffe://weft.local:80/ns/shop/sa/cart", "spiffe://u@weft.local/ns/shop/sa/cart", "spiffe:///ns/shop/sa/cart",
		cart + "/", cart + "?a", cart + "#a", cart + "/x", "spiffe://weft.local/ns/shop/sa/", "spiffe://weft.local/ns//sa/cart",
		"spiffe://weft.local/ns/../sa/cart", "spiffe://weft.local/ns/shop/sa/..", "spiffe://weft.local/ns/sh%6fp/sa/cart",
		"spiffe://weft.local/ns/shop/sa/ca\x00rt", "spiffe://weft.local/sa/shop/ns/cart", "spiffe://weft.local/ns/-shop/sa/cart",
		"spiffe://weft.local/ns/shop/sa/a..b", "spiffe://" + strings.Repeat("a", 256) + "/ns/shop/sa/cart",
		"spiffe://weft.local/ns/" + strings.Repeat("a", 64) + "/sa/cart", " " + cart, cart + " ",
	} {
		if id, err := identity.Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", bad, id)
		}
	}
}

func TestVerifySaysWhatIsWrongWithAPeer(t *testing.T) {
	ours, foreign := newAuthority(t, "weft.local"), newAuthority(t, "weft.local")
	bundle := ours.bundle("weft.local")
	for _, c := range []struct {
		name  string
		by    *authority
		spoil func(*x509.Certificate)
		code  string
		why   string
	}{
		{"a good one", ours, func(*x509.Certificate) {}, "", ""},
		{"expired", ours, func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Second) }, "W2111", "ago"},
		{"not valid yet", ours, func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Hour) }, "W2111", "in 1h"},
		{"of another trust domain", ours, func(c *x509.Certificate) { c.URIs[0].Host = "evil.example" }, "W2112", "weft.local"},
		{"signed by a foreign root", foreign, func(*x509.Certificate) {}, "W2113", "none of the 1 roots"},
		{"two URIs", ours, func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }, "W2114", "2 URI"},
		{"no URI", ours, func(c *x509.Certificate) { c.URIs = nil }, "W2114", "0 URI"},
		{"a DNS name too", ours, func(c *x509.Certificate) { c.DNSNames = []string{"cart"} }, "W2114", "1 DNS"},
		{"a mail name too", ours, func(c *x509.Certificate) { c.EmailAddresses = []string{"a@b"} }, "W2114", "1 mail"},
		{"an IP name too", ours, func(c *x509.Certificate) { c.IPAddresses = []net.IP{{1, 2, 3, 4}} }, "W2114", "1 IP"},
		{"a CA", ours, func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage |= x509.KeyUsageCertSign }, "W2114", ""},
		{"another form of SPIFFE ID", ours, func(c *x509.Certificate) { c.URIs[0].Path = "/workload" }, "W2114", ""},
		{"not for servers", ours, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }, "W2113", ""},
		{"not for clients", ours, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }, "W2113", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl := template(cart)
			c.spoil(tmpl)
			leaf, _ := c.by.sign(tmpl)
			id, err := identity.Verify([]*x509.Certificate{leaf}, bundle, noon)
			if codeOf(err) != c.code || (err == nil) != (c.code == "") {
				t.Fatalf("got %v, %v, want code %q", id, err, c.code)
			}
			if err != nil && !strings.Contains(err.Error(), c.why) {
				t.Errorf("%q does not say %q", err, c.why)
			}
		})
	}
	if _, err := identity.Verify(nil, bundle, noon); err == nil {
		t.Error("an empty chain was accepted")
	}
	leaf, _ := ours.sign(template(cart))
	if _, err := identity.Verify([]*x509.Certificate{leaf}, nil, noon); codeOf(err) != "W2117" {
		t.Errorf("without roots: %v", err)
	}
}

func TestRenewalIsAroundHalfOfTheLife(t *testing.T) {
	end := noon.Add(24 * time.Hour)
	for _, c := range []struct {
		r    float64
		want time.Duration
	}{{0.5, 12 * time.Hour}, {0, 12*time.Hour - 144*time.Minute}, {1, 12*time.Hour + 144*time.Minute}} {
		if got := identity.RenewAt(noon, end, c.r).Sub(noon); got != c.want {
			t.Errorf("with r = %v after %s, want %s", c.r, got, c.want)
		}
	}
}

func TestKeysOfOtherKindsAreNotIssuedFor(t *testing.T) {
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	p256, _ := identity.NewKey()
	ed, _, _ := ed25519.GenerateKey(rand.Reader)
	for _, c := range []struct {
		name string
		pub  crypto.PublicKey
		want bool
	}{{"P-256", p256.Public(), true}, {"Ed25519", ed, true}, {"P-384", p384.Public(), false}, {"RSA", r.Public(), false}, {"nil", nil, false}} {
		if got := identity.KeyAllowed(c.pub); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestAnIdentityIsHandedOverWholeOrNotAtAll(t *testing.T) {
	ca := newAuthority(t, "weft.local")
	p, b := ca.pair(cart), ca.bundle("weft.local")
	var buf bytes.Buffer
	if err := identity.WriteHandover(&buf, p, b); err != nil {
		t.Fatal(err)
	}
	text := bytes.Clone(buf.Bytes())
	got, bundle, err := identity.ReadHandover(bytes.NewReader(text), noon)
	if err != nil || got.ID.String() != cart || !bundle.Equal(b) {
		t.Fatalf("got %v, %v", got, err)
	}
	for name, spoiled := range map[string][]byte{
		"empty": nil, "cut in the key": text[:100], "without roots": bytes.Split(text, []byte("-----BEGIN WEFT ROOT"))[0],
		"another's key": func() []byte {
			var other bytes.Buffer
			_ = identity.WriteHandover(&other, ca.pair(cart), b)
			i := bytes.Index(text, []byte("-----BEGIN CERT"))
			j := bytes.Index(other.Bytes(), []byte("-----BEGIN CERT"))
			return append(bytes.Clone(text[:i]), other.Bytes()[j:]...)
		}(),
		"too long": append(bytes.Clone(text), make([]byte, 1<<20)...),
	} {
		if _, _, err := identity.ReadHandover(bytes.NewReader(spoiled), noon); codeOf(err) != "W2118" {
			t.Errorf("%s: %v, want W2118", name, err)
		}
	}
	if _, _, err := identity.ReadHandover(bytes.NewReader(text), noon.Add(48*time.Hour)); codeOf(err) != "W2111" {
		t.Errorf("expired: %v, want W2111", err)
	}
}

func TestTokens(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	c := identity.Claims{TrustDomain: "weft.local", Namespace: "shop", ServiceAccount: "*", Expires: noon.Unix(), Nonce: "n"}
	tok, err := identity.SignToken(secret, c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := identity.VerifyToken(secret, tok+"\n", noon.Add(-time.Second))
	if err != nil || *got != c {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := identity.VerifyToken(secret, tok, noon); codeOf(err) != "W2103" {
		t.Errorf("at its end: %v", err)
	}
	if _, err := identity.VerifyToken([]byte("other"), tok, noon.Add(-time.Second)); codeOf(err) != "W2102" {
		t.Errorf("of another secret: %v", err)
	}
	for i := range tok {
		spoiled := []byte(tok)
		spoiled[i] ^= 1
		if _, err := identity.VerifyToken(secret, string(spoiled), noon.Add(-time.Second)); err == nil {
			t.Fatalf("accepted with byte %d changed", i)
		} else if strings.Contains(err.Error(), tok[20:40]) {
			t.Fatal("the error repeats the token")
		}
	}
	id := identity.ID{TrustDomain: "weft.local", Namespace: "weft-system", ServiceAccount: "control"}
	if (&identity.Claims{TrustDomain: "weft.local", Namespace: "weft-system", ServiceAccount: "*"}).Allows(id) {
		t.Error("a wildcard covers the control plane")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{cart, "spiffe://a/ns/b/sa/c/", "spiffe://a%2f/ns/b/sa/c", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := identity.Parse(s)
		if err == nil && (id.String() != s || id.Valid() != nil || id.URL().String() != s) {
			t.Errorf("%q gave %v", s, id)
		}
	})
}

func FuzzVerifyToken(f *testing.F) {
	tok, _ := identity.SignToken([]byte("secret"), identity.Claims{TrustDomain: "a", Namespace: "b", ServiceAccount: "c", Expires: noon.Unix()})
	f.Add(tok)
	f.Add("weft1..")
	f.Add("weft1.e30.")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := identity.VerifyToken([]byte("another"), s, noon); err == nil {
			t.Error("accepted")
		}
		_, _ = identity.PeekToken(s)
	})
}

func FuzzReadHandover(f *testing.F) {
	ca := newAuthority(f, "weft.local")
	var buf bytes.Buffer
	_ = identity.WriteHandover(&buf, ca.pair(cart), ca.bundle("weft.local"))
	f.Add(buf.Bytes())
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, bundle, err := identity.ReadHandover(bytes.NewReader(b), noon); err == nil && (p == nil || bundle == nil) {
			t.Error("neither an identity nor an error")
		}
	})
}
