package identity

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"

	"github.com/weft-mesh/weft/codes"
)

// ID is the identity of a workload.
type ID struct {
	TrustDomain    string
	Namespace      string
	ServiceAccount string
}

// Namespaces and accounts of the mesh itself.
const (
	SystemNamespace = "weft-system"
	ControlAccount  = "control" // the control plane
	AdminAccount    = "admin"   // a person who administers it from another machine
)

const (
	maxTrustDomain = 255 // SPIFFE-ID 2.1
	maxURI         = 2048
)

// String gives the SPIFFE ID, spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT.
func (id ID) String() string {
	return "spiffe://" + id.TrustDomain + "/ns/" + id.Namespace + "/sa/" + id.ServiceAccount
}

// URL gives the SPIFFE ID as a URL, for certificates and requests.
func (id ID) URL() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: id.TrustDomain, Path: "/ns/" + id.Namespace + "/sa/" + id.ServiceAccount}
}

// Valid reports whether all parts are well-formed, with the reason if not.
func (id ID) Valid() error {
	if err := ValidTrustDomain(id.TrustDomain); err != nil {
		return err
	}
	if err := ValidLabel("namespace", id.Namespace); err != nil {
		return err
	}
	return ValidLabel("service account", id.ServiceAccount)
}

// Parse reads a SPIFFE ID of the mesh's form and nothing else: lower-case scheme and trust domain,
// no port, user, query, fragment, percent-encoding, empty or dot segment (SPIFFE-ID 2).
func Parse(s string) (ID, error) {
	fail := func(why string) (ID, error) {
		e := codes.New("W2114", "not a SPIFFE ID of a mesh")
		e.Why = fmt.Sprintf("%q: %s", clip(s), why)
		return ID{}, e
	}
	if len(s) > maxURI {
		return fail(fmt.Sprintf("longer than %d bytes", maxURI))
	}
	rest, ok := strings.CutPrefix(s, "spiffe://")
	if !ok {
		return fail(`does not begin with "spiffe://"`)
	}
	p := strings.Split(rest, "/")
	if len(p) != 5 || p[1] != "ns" || p[3] != "sa" {
		return fail("want spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT")
	}
	id := ID{TrustDomain: p[0], Namespace: p[2], ServiceAccount: p[4]}
	if err := id.Valid(); err != nil {
		return fail(err.Error())
	}
	return id, nil
}

// FromCertificate gives the identity that a leaf certificate carries. It must have exactly one
// URI name and no name of another type, and must not be a CA. It checks no signature and no
// time; Verify does all.
func FromCertificate(c *x509.Certificate) (ID, error) {
	if err := onlyOneURI(c.URIs, c.DNSNames, c.EmailAddresses, len(c.IPAddresses)); err != nil {
		return ID{}, err
	}
	if c.IsCA {
		e := codes.New("W2114", "a CA certificate was presented as a workload's")
		e.Why = "serial " + c.SerialNumber.Text(16)
		return ID{}, e
	}
	return Parse(c.URIs[0].String())
}

// FromRequest gives the identity that a certificate request asks for, under the same rules, and
// verifies that the request is signed by its own key.
func FromRequest(r *x509.CertificateRequest) (ID, error) {
	if err := onlyOneURI(r.URIs, r.DNSNames, r.EmailAddresses, len(r.IPAddresses)); err != nil {
		return ID{}, err
	}
	if err := r.CheckSignature(); err != nil {
		e := codes.New("W2101", "a certificate request is not signed by its own key")
		e.Why, e.Err = err.Error(), err
		return ID{}, e
	}
	return Parse(r.URIs[0].String())
}

func onlyOneURI(uris []*url.URL, dns, mail []string, ips int) error {
	if len(uris) == 1 && len(dns) == 0 && len(mail) == 0 && ips == 0 {
		return nil
	}
	e := codes.New("W2114", "a certificate must carry exactly one name, a SPIFFE ID")
	e.Why = fmt.Sprintf("%d URI, %d DNS, %d mail and %d IP names", len(uris), len(dns), len(mail), ips)
	return e
}

// ValidTrustDomain checks the characters and length of a trust domain (SPIFFE-ID 2.1).
func ValidTrustDomain(s string) error {
	if s == "" || len(s) > maxTrustDomain {
		return fmt.Errorf("trust domain has %d characters, want 1 to %d", len(s), maxTrustDomain)
	}
	for i := range len(s) {
		if c := s[i]; !lowerAlnum(c) && c != '.' && c != '-' && c != '_' {
			return fmt.Errorf("trust domain %q has the character %q; want a-z, 0-9, '.', '-', '_'", clip(s), c)
		}
	}
	return nil
}

// ValidLabel checks that s is a DNS label (RFC 1123), as Kubernetes asks of namespaces. Service
// accounts and workloads may have dots as well (subdomain form, at most 253 characters).
func ValidLabel(what, s string) error {
	limit := 63
	if what != "namespace" {
		limit = 253
	}
	if s == "" || len(s) > limit {
		return fmt.Errorf("%s has %d characters, want 1 to %d", what, len(s), limit)
	}
	for i := range len(s) {
		c := s[i]
		inner := i > 0 && i < len(s)-1
		switch {
		case lowerAlnum(c):
		case c == '-' && inner:
		case c == '.' && inner && what != "namespace" && s[i-1] != '.' && s[i-1] != '-' && s[i+1] != '-':
		default:
			return fmt.Errorf("%s %q has %q at %d; want lower-case letters, digits and dashes, letters or digits at the ends", what, clip(s), c, i)
		}
	}
	return nil
}

func lowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// clip keeps what strangers sent from filling messages.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
