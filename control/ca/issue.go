package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net/url"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/identity"
)

// maxRequest bounds a certificate request; an honest one has about 300 bytes.
const maxRequest = 8 << 10

// Issued is a signed certificate.
type Issued struct {
	ID       identity.ID
	Chain    [][]byte // DER, leaf first, without the root
	NotAfter time.Time
}

// ParseRequest reads a certificate request (DER) and gives the identity that it asks for, after
// all checks that do not depend on who asks: one URI name, this trust domain, a key of an allowed
// kind, a valid self-signature, nothing else asked for. Errors are coded W2101.
func (a *Authority) ParseRequest(der []byte) (*x509.CertificateRequest, identity.ID, error) {
	if len(der) > maxRequest {
		return nil, identity.ID{}, refused(fmt.Sprintf("it has %d bytes, want at most %d", len(der), maxRequest))
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, identity.ID{}, refused(err.Error())
	}
	if !identity.KeyAllowed(r.PublicKey) {
		return nil, identity.ID{}, refused(fmt.Sprintf("its key is %s, want ECDSA P-256 or Ed25519", keyKind(r.PublicKey)))
	}
	id, err := identity.FromRequest(r)
	if err != nil {
		return nil, identity.ID{}, refused(err.Error())
	}
	if id.TrustDomain != a.trustDomain {
		return nil, identity.ID{}, refused(fmt.Sprintf("it asks for %s, this mesh is %s", id, a.trustDomain))
	}
	return r, id, nil
}

func keyKind(k crypto.PublicKey) string {
	switch k := k.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA of %d bits", k.N.BitLen())
	}
	return fmt.Sprintf("%T", k)
}

func refused(why string) error {
	e := codes.New("W2101", "the certificate request was refused")
	e.Why = why
	return e
}

// Sign issues a certificate for a public key. Nothing of a request but the key goes into it.
func (a *Authority) Sign(id identity.ID, pub crypto.PublicKey) (*Issued, error) {
	if err := id.Valid(); err != nil {
		return nil, refused(err.Error())
	}
	if id.TrustDomain != a.trustDomain {
		return nil, refused(fmt.Sprintf("%s is not of this mesh, %s", id, a.trustDomain))
	}
	if !identity.KeyAllowed(pub) {
		return nil, refused("want an ECDSA P-256 or Ed25519 key")
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := a.now()
	end := now.Add(a.leafLife)
	if end.After(a.root.NotAfter) {
		end = a.root.NotAfter
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		URIs:                  []*url.URL{id.URL()},
		NotBefore:             now.Add(-Backdate),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.root, pub, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", id, err)
	}
	return &Issued{ID: id, Chain: [][]byte{der}, NotAfter: t.NotAfter}, nil
}

// Own issues a certificate with a new key for a part of the control plane itself. Its chain ends
// with the root, so that a client that knows only the root's hash can check it.
func (a *Authority) Own(account string) (*identity.Pair, error) {
	key, err := identity.NewKey()
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", account, err)
	}
	is, err := a.Sign(identity.ID{TrustDomain: a.trustDomain, Namespace: identity.SystemNamespace, ServiceAccount: account}, key.Public())
	if err != nil {
		return nil, err
	}
	return identity.NewPair(append(is.Chain, a.root.Raw), key)
}

// MaxTokenLife bounds join tokens.
const MaxTokenLife = 30 * 24 * time.Hour

// Token makes a join token for an account ("*": any) of a namespace.
func (a *Authority) Token(namespace, account string, life time.Duration) (token string, expires time.Time, err error) {
	bad := func(why string) (string, time.Time, error) {
		e := codes.New("W2107", "no such join token can be made")
		e.Why = why
		return "", time.Time{}, e
	}
	if err := identity.ValidLabel("namespace", namespace); err != nil {
		return bad(err.Error())
	}
	if account != "*" {
		if err := identity.ValidLabel("service account", account); err != nil {
			return bad(err.Error())
		}
	} else if namespace == identity.SystemNamespace {
		return bad("a token for all accounts of " + namespace + " would stand for the control plane too")
	}
	if namespace == identity.SystemNamespace && account == identity.ControlAccount {
		return bad("nobody but the control plane itself may be " + namespace + "/" + account)
	}
	if life <= 0 || life > MaxTokenLife {
		return bad(fmt.Sprintf("it would live %s, want more than 0 and at most %s", life, MaxTokenLife))
	}
	nonce, err := newSerial()
	if err != nil {
		return "", time.Time{}, err
	}
	expires = a.now().Add(life).Truncate(time.Second)
	token, err = identity.SignToken(a.secret, identity.Claims{
		TrustDomain: a.trustDomain, Namespace: namespace, ServiceAccount: account, Expires: expires.Unix(),
		RootHash: identity.RootHash(a.root.Raw), Nonce: nonce.Text(36),
	})
	return token, expires, err
}

// VerifyToken checks a join token and gives its claims.
func (a *Authority) VerifyToken(token string) (*identity.Claims, error) {
	c, err := identity.VerifyToken(a.secret, token, a.now())
	if err != nil {
		return nil, err
	}
	if c.TrustDomain != a.trustDomain {
		e := codes.New("W2102", "the join token is not valid")
		e.Why = "it is for " + c.TrustDomain + ", this mesh is " + a.trustDomain
		return nil, e
	}
	return c, nil
}
