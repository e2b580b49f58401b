package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
)

// maxRoots bounds a bundle: two or three during a rotation, with much room.
const maxRoots = 32

// Bundle is the trust roots of one mesh. It is immutable.
type Bundle struct {
	TrustDomain string
	Roots       []*x509.Certificate
	pool        *x509.CertPool
}

// NewBundle makes a bundle of roots in DER. There must be at least one; each must be a CA.
func NewBundle(trustDomain string, roots [][]byte) (*Bundle, error) {
	if err := ValidTrustDomain(trustDomain); err != nil {
		return nil, err
	}
	if len(roots) == 0 || len(roots) > maxRoots {
		return nil, fmt.Errorf("bundle of %s has %d roots, want 1 to %d", trustDomain, len(roots), maxRoots)
	}
	b := &Bundle{TrustDomain: trustDomain, pool: x509.NewCertPool()}
	for i, der := range roots {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("root %d of %s: %w", i, trustDomain, err)
		}
		if !c.IsCA || !c.BasicConstraintsValid {
			return nil, fmt.Errorf("root %d of %s is not a CA certificate", i, trustDomain)
		}
		b.Roots = append(b.Roots, c)
		b.pool.AddCert(c)
	}
	return b, nil
}

// DER gives the roots as they were given.
func (b *Bundle) DER() [][]byte {
	out := make([][]byte, len(b.Roots))
	for i, c := range b.Roots {
		out[i] = c.Raw
	}
	return out
}

// Equal reports whether both name the same trust domain and the same roots in order.
func (b *Bundle) Equal(o *Bundle) bool {
	if b == nil || o == nil || b.TrustDomain != o.TrustDomain || len(b.Roots) != len(o.Roots) {
		return b == o
	}
	for i := range b.Roots {
		if !bytes.Equal(b.Roots[i].Raw, o.Roots[i].Raw) {
			return false
		}
	}
	return true
}

// RootHash gives the SHA-256 of a certificate's DER in hex, the form in which roots are pinned.
func RootHash(der []byte) string {
	h := sha256.Sum256(der)
	return hex.EncodeToString(h[:])
}
