// Package ca is the mesh's certificate authority: a root of its own, made at first start, that
// signs short-lived certificates for workloads, and the secret behind join tokens.
//
// Who may ask for which identity is decided by the caller (package control); this package makes
// sure that nothing but well-formed SPIFFE certificates leaves it. Keys are never logged.
package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/identity"
)

// Lifetimes.
const (
	RootLife = 10 * 365 * 24 * time.Hour
	LeafLife = 24 * time.Hour
	// Backdate is how far before its issue a certificate is valid, for clocks that are behind.
	Backdate = 5 * time.Minute
)

// Files in the state directory. Root key and certificate share a file, so that a crash cannot
// leave one without the other.
const (
	rootFile   = "ca.pem"
	secretFile = "join.secret"
)

const secretSize = 32

// Storage is where the authority keeps its files; state.Dir is one.
type Storage interface {
	Read(name string) ([]byte, error) // nil without an error if there is no such file
	Write(name string, data []byte) error
	Path() string
}

// Authority signs certificates and join tokens for one trust domain. Safe for concurrent use.
type Authority struct {
	trustDomain string
	root        *x509.Certificate
	key         crypto.Signer
	secret      []byte
	bundle      *identity.Bundle
	now         func() time.Time
	leafLife    time.Duration
}

// DefaultTrustDomain is that of a new mesh if none is asked for.
const DefaultTrustDomain = "weft.local"

// Open loads the authority from its directory, or makes it at the first start (created tells).
// An empty trustDomain is that of the directory, or the default for a new one. Errors are coded
// W2003, W2004, W2007 or W2008.
func Open(dir Storage, trustDomain string, now func() time.Time) (a *Authority, created bool, err error) {
	if trustDomain != "" {
		if err := identity.ValidTrustDomain(trustDomain); err != nil {
			e := codes.New("W2008", "the trust domain is not valid")
			e.Why = err.Error()
			return nil, false, e
		}
	}
	a = &Authority{trustDomain: trustDomain, now: now, leafLife: LeafLife}
	text, err := dir.Read(rootFile)
	if err != nil {
		return nil, false, err
	}
	if text == nil {
		created = true
		if trustDomain == "" {
			trustDomain, a.trustDomain = DefaultTrustDomain, DefaultTrustDomain
		}
		if text, err = makeRoot(trustDomain, now()); err != nil {
			return nil, false, err
		}
		if err := dir.Write(rootFile, text); err != nil {
			return nil, false, err
		}
	}
	if err := a.load(text, dir.Path()); err != nil {
		return nil, false, err
	}
	if a.secret, err = dir.Read(secretFile); err != nil {
		return nil, false, err
	}
	if a.secret == nil {
		a.secret = make([]byte, secretSize)
		if _, err := rand.Read(a.secret); err != nil {
			return nil, false, fmt.Errorf("join secret: %w", err)
		}
		if err := dir.Write(secretFile, a.secret); err != nil {
			return nil, false, err
		}
	}
	if len(a.secret) != secretSize {
		return nil, false, damaged(dir.Path(), fmt.Sprintf("%s has %d bytes, want %d", secretFile, len(a.secret), secretSize))
	}
	return a, created, nil
}

func makeRoot(trustDomain string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		// SPIFFE X.509-SVID 3.1: a signing certificate may name the trust domain.
		Subject:               pkix.Name{Organization: []string{"weft"}, OrganizationalUnit: []string{trustDomain}},
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: trustDomain}},
		NotBefore:             now.Add(-Backdate),
		NotAfter:              now.Add(RootLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs leaves itself
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	var out bytes.Buffer
	for _, b := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: raw}, {Type: "CERTIFICATE", Bytes: der}} {
		if err := pem.Encode(&out, b); err != nil {
			return nil, fmt.Errorf("root: %w", err)
		}
	}
	return out.Bytes(), nil
}

// load reads the root and checks that it is whole and this trust domain's.
func (a *Authority) load(text []byte, where string) error {
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		switch b.Type {
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
			if err != nil {
				return damaged(where, "the root key cannot be read")
			}
			a.key, _ = k.(crypto.Signer)
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return damaged(where, "the root certificate cannot be read: "+err.Error())
			}
			a.root = c
		}
	}
	if a.key == nil || a.root == nil {
		return damaged(where, rootFile+" does not hold a key and a certificate")
	}
	if pub, ok := a.root.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(a.key.Public()) {
		return damaged(where, "the root key and certificate do not belong together")
	}
	if a.trustDomain == "" && len(a.root.URIs) == 1 {
		a.trustDomain = a.root.URIs[0].Host
	}
	if len(a.root.URIs) != 1 || a.root.URIs[0].Host != a.trustDomain {
		e := codes.New("W2004", "the state directory belongs to another trust domain")
		e.Where = where
		if len(a.root.URIs) == 1 {
			e.Why = fmt.Sprintf("its root is of %q, asked for %q", a.root.URIs[0].Host, a.trustDomain)
			e.Next = []string{"weft up DIR --trust-domain " + a.root.URIs[0].Host}
		}
		return e
	}
	bundle, err := identity.NewBundle(a.trustDomain, [][]byte{a.root.Raw})
	if err != nil {
		return damaged(where, err.Error())
	}
	if now := a.now(); now.After(a.root.NotAfter) {
		return damaged(where, "the root ended at "+a.root.NotAfter.UTC().Format(time.DateTime)+" UTC")
	}
	a.bundle = bundle
	return nil
}

func damaged(where, why string) error {
	e := codes.New("W2004", "the certificate authority's files are damaged")
	e.Why, e.Where = why, where
	return e
}

// Bundle gives the trust roots.
func (a *Authority) Bundle() *identity.Bundle { return a.bundle }

// Root gives the root certificate.
func (a *Authority) Root() *x509.Certificate { return a.root }

// TrustDomain gives the trust domain.
func (a *Authority) TrustDomain() string { return a.trustDomain }

// newSerial gives 128 random bits, positive (RFC 5280 section 4.1.2.2).
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and always of full length
	return new(big.Int).SetBytes(b), nil
}
