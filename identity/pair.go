package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weft-mesh/weft/codes"
)

// Pair is a certificate with its key. It is immutable; the key stays in memory.
type Pair struct {
	ID  ID
	TLS tls.Certificate // Leaf is set
}

// NotBefore is when the certificate begins to be valid.
func (p *Pair) NotBefore() time.Time { return p.TLS.Leaf.NotBefore }

// NotAfter is when the certificate ends.
func (p *Pair) NotAfter() time.Time { return p.TLS.Leaf.NotAfter }

// NewPair puts a chain (DER, leaf first) and its key together and checks that they belong
// together and that the leaf carries one SPIFFE ID. It does not check who signed it.
func NewPair(chain [][]byte, key crypto.Signer) (*Pair, error) {
	if len(chain) == 0 {
		return nil, errors.New("empty certificate chain")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("leaf certificate: %w", err)
	}
	id, err := FromCertificate(leaf)
	if err != nil {
		return nil, err
	}
	if pub, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(key.Public()) {
		return nil, errors.New("the certificate is not for this key")
	}
	return &Pair{ID: id, TLS: tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}}, nil
}

// NewKey makes a P-256 key: the fastest curve in crypto/tls, hardware or not.
func NewKey() (crypto.Signer, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// NewRequest makes a certificate request (DER) for an identity, signed by the key.
func NewRequest(id ID, key crypto.Signer) ([]byte, error) {
	if err := id.Valid(); err != nil {
		return nil, err
	}
	t := &x509.CertificateRequest{}
	t.URIs = append(t.URIs, id.URL())
	return x509.CreateCertificateRequest(rand.Reader, t, key)
}

// KeyAllowed reports whether the mesh issues certificates for keys of this kind: P-256 or Ed25519.
func KeyAllowed(pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	}
	return false
}

const maxHandover = 256 << 10

const (
	pemKey   = "PRIVATE KEY"
	pemCert  = "CERTIFICATE"
	pemRoot  = "WEFT ROOT"
	tdHeader = "Trust-Domain"
)

// WriteHandover writes a pair and a bundle as PEM for another process of the same workload. The
// text holds the private key: write it to an inherited pipe only, never to a file or a log.
func WriteHandover(w io.Writer, p *Pair, b *Bundle) error {
	key, err := x509.MarshalPKCS8PrivateKey(p.TLS.PrivateKey)
	if err != nil {
		return fmt.Errorf("encoding the key: %w", err)
	}
	blocks := []*pem.Block{{Type: pemKey, Bytes: key}}
	for _, c := range p.TLS.Certificate {
		blocks = append(blocks, &pem.Block{Type: pemCert, Bytes: c})
	}
	for _, r := range b.Roots {
		blocks = append(blocks, &pem.Block{Type: pemRoot, Headers: map[string]string{tdHeader: b.TrustDomain}, Bytes: r.Raw})
	}
	for _, blk := range blocks {
		if err := pem.Encode(w, blk); err != nil {
			return fmt.Errorf("handing over the identity: %w", err)
		}
	}
	return nil
}

// ReadHandover reads what WriteHandover wrote, to the end of r, and verifies all of it at now.
// Errors are coded W2118, or those of Verify.
func ReadHandover(r io.Reader, now time.Time) (*Pair, *Bundle, error) {
	fail := func(why string, err error) (*Pair, *Bundle, error) {
		e := codes.New("W2118", "the identity handed over cannot be used")
		e.Why, e.Err = why, err
		return nil, nil, e
	}
	text, err := io.ReadAll(io.LimitReader(r, maxHandover+1))
	if err != nil {
		return fail(err.Error(), err)
	}
	if len(text) > maxHandover {
		return fail(fmt.Sprintf("more than %d bytes", maxHandover), nil)
	}
	defer clear(text)
	var key crypto.Signer
	var chain, roots [][]byte
	var td string
	for rest := text; ; {
		var blk *pem.Block
		if blk, rest = pem.Decode(rest); blk == nil {
			break
		}
		switch blk.Type {
		case pemKey:
			k, err := x509.ParsePKCS8PrivateKey(blk.Bytes)
			clear(blk.Bytes)
			if err != nil {
				return fail("the key cannot be read", nil)
			}
			signer, ok := k.(crypto.Signer)
			if !ok {
				return fail("the key cannot sign", nil)
			}
			key = signer
		case pemCert:
			chain = append(chain, blk.Bytes)
		case pemRoot:
			roots, td = append(roots, blk.Bytes), blk.Headers[tdHeader]
		}
	}
	if key == nil {
		return fail("it has no key", nil)
	}
	p, err := NewPair(chain, key)
	if err != nil {
		return fail(err.Error(), err)
	}
	b, err := NewBundle(td, roots)
	if err != nil {
		return fail(err.Error(), err)
	}
	certs, err := parseAll(p.TLS.Certificate)
	if err != nil {
		return fail(err.Error(), err)
	}
	if _, err := Verify(certs, b, now); err != nil {
		return nil, nil, err
	}
	return p, b, nil
}

func parseAll(der [][]byte) ([]*x509.Certificate, error) {
	out := make([]*x509.Certificate, len(der))
	for i, d := range der {
		c, err := x509.ParseCertificate(d)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i, err)
		}
		out[i] = c
	}
	return out, nil
}
