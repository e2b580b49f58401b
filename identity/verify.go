package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weft-mesh/weft/codes"
)

// Verify checks a peer's chain, leaf first, against a bundle at a time, and gives the peer's
// identity: one SPIFFE ID, of the bundle's trust domain, signed by one of its roots, valid now,
// for client and server use. Every failure is a *codes.Error that says what was seen. Pure.
func Verify(chain []*x509.Certificate, b *Bundle, now time.Time) (ID, error) {
	if len(chain) == 0 {
		return ID{}, codes.New("W2114", "the peer presented no certificate")
	}
	if b == nil {
		return ID{}, codes.New("W2117", "no trust roots to check a peer with")
	}
	leaf := chain[0]
	id, err := FromCertificate(leaf)
	if err != nil {
		return ID{}, err
	}
	if id.TrustDomain != b.TrustDomain {
		e := codes.New("W2112", fmt.Sprintf("%s is of a foreign trust domain", id))
		e.Why = fmt.Sprintf("this mesh is %s", b.TrustDomain)
		return ID{}, e
	}
	// Times are checked here first, since a chain that ended is the most common failure and
	// deserves figures.
	for i, c := range chain {
		if err := validAt(c, now, id, i > 0); err != nil {
			return ID{}, err
		}
	}
	inter := x509.NewCertPool()
	for _, c := range chain[1:] {
		inter.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: b.pool, Intermediates: inter, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return ID{}, chainError(err, id, b, now)
	}
	// The chain allows server use; the leaf itself must allow both, since a proxy is both.
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		e := codes.New("W2113", fmt.Sprintf("the certificate of %s is not for client use", id))
		e.Why = fmt.Sprintf("extended key usages %v", leaf.ExtKeyUsage)
		return ID{}, e
	}
	return id, nil
}

func validAt(c *x509.Certificate, now time.Time, id ID, inChain bool) error {
	const form = "2006-01-02 15:04:05"
	what := fmt.Sprintf("the certificate of %s", id)
	if inChain {
		what = fmt.Sprintf("a certificate in the chain of %s", id)
	}
	switch {
	case now.After(c.NotAfter):
		e := codes.New("W2111", what+" has expired")
		e.Why = fmt.Sprintf("it ended at %s UTC, %s ago; this clock says %s", c.NotAfter.UTC().Format(form), now.Sub(c.NotAfter).Round(time.Second), now.UTC().Format(form))
		return e
	case now.Before(c.NotBefore):
		e := codes.New("W2111", what+" is not valid yet")
		e.Why = fmt.Sprintf("it begins at %s UTC, in %s; this clock says %s", c.NotBefore.UTC().Format(form), c.NotBefore.Sub(now).Round(time.Second), now.UTC().Format(form))
		return e
	}
	return nil
}

func chainError(err error, id ID, b *Bundle, now time.Time) error {
	for _, r := range b.Roots {
		if now.After(r.NotAfter) || now.Before(r.NotBefore) {
			e := codes.New("W2111", "a root of this mesh is not valid at this time")
			e.Why = fmt.Sprintf("root %s is valid from %s to %s", RootHash(r.Raw)[:12], r.NotBefore.UTC().Format(time.DateTime), r.NotAfter.UTC().Format(time.DateTime))
			e.Err = err
			return e
		}
	}
	e := codes.New("W2113", fmt.Sprintf("the certificate of %s was not issued by this mesh", id))
	e.Why, e.Err = err.Error(), err
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		e.Why = fmt.Sprintf("none of the %d roots of %s signed it (first root %s)", len(b.Roots), b.TrustDomain, RootHash(b.Roots[0].Raw)[:12])
	}
	return e
}

// RenewAt says when to renew a certificate: at half of its life, moved by up to a tenth of it
// either way so that proxies started together do not come together. r is uniform in [0, 1).
func RenewAt(notBefore, notAfter time.Time, r float64) time.Time {
	life := notAfter.Sub(notBefore)
	return notBefore.Add(life/2 + time.Duration((r-0.5)*0.2*float64(life)))
}
