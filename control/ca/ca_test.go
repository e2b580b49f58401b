package ca_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/ca"
	"github.com/weft-mesh/weft/control/state"
	"github.com/weft-mesh/weft/identity"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB) (*ca.Authority, *state.Dir) {
	t.Helper()
	d, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	a, created, err := ca.Open(d, "", func() time.Time { return noon })
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	return a, d
}

func codeOf(err error) string {
	var e *codes.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestTheRootIsMadeOnceAndKeptSecret(t *testing.T) {
	a, d := open(t)
	files, err := os.ReadDir(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f.Name(), info.Mode())
		}
	}
	again, created, err := ca.Open(d, "", func() time.Time { return noon })
	if err != nil || created || !again.Bundle().Equal(a.Bundle()) || again.TrustDomain() != ca.DefaultTrustDomain {
		t.Errorf("opened again: created %v, %v", created, err)
	}
	r := a.Root()
	if !r.IsCA || r.NotAfter.Sub(noon) != ca.RootLife || r.SerialNumber.BitLen() < 120 || r.URIs[0].String() != "spiffe://weft.local" {
		t.Errorf("root: CA %v, until %s, serial of %d bits, %v", r.IsCA, r.NotAfter, r.SerialNumber.BitLen(), r.URIs)
	}
	tok, _, err := a.Token("shop", "*", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.VerifyToken(tok); err != nil {
		t.Errorf("a token does not survive a restart: %v", err)
	}
}

func TestALeafIsAsTheMeshWantsIt(t *testing.T) {
	a, _ := open(t)
	id := identity.ID{TrustDomain: "weft.local", Namespace: "shop", ServiceAccount: "cart"}
	key, _ := identity.NewKey()
	is, err := a.Sign(id, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(is.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := identity.Verify([]*x509.Certificate{c}, a.Bundle(), noon); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	if len(c.Subject.Names) != 0 || !c.NotBefore.Equal(noon.Add(-ca.Backdate)) || !c.NotAfter.Equal(noon.Add(ca.LeafLife)) || c.IsCA {
		t.Errorf("subject %v, %s to %s, CA %v", c.Subject, c.NotBefore, c.NotAfter, c.IsCA)
	}
	if c.SerialNumber.BitLen() < 120 || c.KeyUsage != x509.KeyUsageDigitalSignature || len(c.ExtKeyUsage) != 2 {
		t.Errorf("serial of %d bits, usage %v, %v", c.SerialNumber.BitLen(), c.KeyUsage, c.ExtKeyUsage)
	}
	other, _ := a.Sign(id, key.Public())
	if bytes.Equal(other.Chain[0], is.Chain[0]) {
		t.Error("two certificates are the same")
	}
}

func TestRequestsAreRefusedForAnythingButOneSPIFFEID(t *testing.T) {
	a, _ := open(t)
	good := &url.URL{Scheme: "spiffe", Host: "weft.local", Path: "/ns/shop/sa/cart"}
	p256, _ := identity.NewKey()
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	r2048, _ := rsa.GenerateKey(rand.Reader, 2048)
	for _, c := range []struct {
		name string
		req  x509.CertificateRequest
		key  any
		want string
	}{
		{"a good one", x509.CertificateRequest{URIs: []*url.URL{good}}, p256, ""},
		{"a subject is left out", x509.CertificateRequest{URIs: []*url.URL{good}, Subject: pkix.Name{CommonName: "root"}}, p256, ""},
		{"no name", x509.CertificateRequest{}, p256, "0 URI"},
		{"two names", x509.CertificateRequest{URIs: []*url.URL{good, good}}, p256, "2 URI"},
		{"a DNS name", x509.CertificateRequest{URIs: []*url.URL{good}, DNSNames: []string{"x"}}, p256, "1 DNS"},
		{"a mail name", x509.CertificateRequest{URIs: []*url.URL{good}, EmailAddresses: []string{"a@b.c"}}, p256, "1 mail"},
		{"an IP name", x509.CertificateRequest{URIs: []*url.URL{good}, IPAddresses: []net.IP{{1, 2, 3, 4}}}, p256, "1 IP"},
		{"another trust domain", x509.CertificateRequest{URIs: []*url.URL{{Scheme: "spiffe", Host: "evil", Path: good.Path}}}, p256, "this mesh is weft.local"},
		{"another form", x509.CertificateRequest{URIs: []*url.URL{{Scheme: "spiffe", Host: "weft.local", Path: "/cart"}}}, p256, "want spiffe://"},
		{"a P-384 key", x509.CertificateRequest{URIs: []*url.URL{good}}, p384, "P-384"},
		{"an RSA key", x509.CertificateRequest{URIs: []*url.URL{good}}, r2048, "RSA of 2048"},
	} {
		t.Run(c.name, func(t *testing.T) {
			der, err := x509.CreateCertificateRequest(rand.Reader, &c.req, c.key)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = a.ParseRequest(der)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if codeOf(err) != "W2101" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want W2101 with %q", err, c.want)
			}
		})
	}
	der, _ := identity.NewRequest(identity.ID{TrustDomain: "weft.local", Namespace: "shop", ServiceAccount: "cart"}, p256)
	der[len(der)-3] ^= 1
	if _, _, err := a.ParseRequest(der); codeOf(err) != "W2101" {
		t.Errorf("a broken signature: %v", err)
	}
	if _, _, err := a.ParseRequest(make([]byte, 1<<20)); codeOf(err) != "W2101" {
		t.Errorf("a megabyte: %v", err)
	}
}

func TestTokensForTheMeshItselfAreNotMade(t *testing.T) {
	a, _ := open(t)
	for _, c := range []struct {
		ns, account string
		life        time.Duration
		ok          bool
	}{
		{"shop", "*", time.Hour, true}, {"shop", "cart", time.Hour, true}, {"weft-system", "admin", time.Hour, true},
		{"weft-system", "control", time.Hour, false}, {"weft-system", "*", time.Hour, false}, {"", "*", time.Hour, false},
		{"shop", "*", 0, false}, {"shop", "*", -1, false}, {"shop", "*", 1000 * time.Hour, false}, {"Shop", "*", time.Hour, false},
	} {
		tok, _, err := a.Token(c.ns, c.account, c.life)
		if (err == nil) != c.ok || err != nil && codeOf(err) != "W2107" {
			t.Errorf("%s/%s for %s: %v", c.ns, c.account, c.life, err)
		}
		if err == nil {
			if claims, err := a.VerifyToken(tok); err != nil || claims.RootHash != identity.RootHash(a.Root().Raw) {
				t.Errorf("%v, %v", claims, err)
			}
		}
	}
}

func TestALeafEndsNoLaterThanTheRoot(t *testing.T) {
	_, d := open(t)
	late, _, err := ca.Open(d, "", func() time.Time { return noon.Add(ca.RootLife - time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	p, err := late.Own("control")
	if err != nil || p.NotAfter().After(late.Root().NotAfter) {
		t.Errorf("%v, %v", p, err)
	}
	if _, _, err := ca.Open(d, "", func() time.Time { return noon.Add(ca.RootLife + time.Hour) }); codeOf(err) != "W2004" {
		t.Errorf("a root that ended: %v", err)
	}
}

func FuzzParseRequest(f *testing.F) {
	a, _ := open(f)
	key, _ := identity.NewKey()
	der, _ := identity.NewRequest(identity.ID{TrustDomain: "weft.local", Namespace: "shop", ServiceAccount: "cart"}, key)
	f.Add(der)
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, id, err := a.ParseRequest(b)
		if err != nil {
			return
		}
		if id.Valid() != nil || id.TrustDomain != "weft.local" {
			t.Errorf("accepted %v", id)
		}
		if _, err := a.Sign(id, r.PublicKey); err != nil {
			t.Errorf("accepted and not signed: %v", err)
		}
	})
}
