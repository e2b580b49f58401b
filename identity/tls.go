package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/planted"
)

// ServerConfig gives the settings of a server that takes only peers of the mesh, and offers the
// application protocols alpn (none: LinkALPN). They follow the store: one call serves for the
// life of a listener. The peer's identity is PeerID of the connection's state.
func (s *Store) ServerConfig(alpn ...string) *tls.Config {
	c := base(alpn)
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate() }
	// The chain is checked in VerifyConnection, against the roots of that moment.
	c.ClientAuth = tls.RequireAnyClientCert
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		_, err := s.verify(&cs)
		return err
	}
	return c
}

// ServerConfigOptional is ServerConfig for the control plane: a client without a certificate is
// let in (it may only show a join token), one with a certificate must pass all checks. The
// server sends its root after the leaf so that a client can pin it.
func (s *Store) ServerConfigOptional(alpn ...string) *tls.Config {
	c := s.ServerConfig(alpn...)
	c.ClientAuth = tls.RequestClientCert
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return nil
		}
		_, err := s.verify(&cs)
		return err
	}
	return c
}

// ClientConfig gives the settings for one connection to the peer with this identity; want may be
// empty to take any peer of the mesh. The settings follow the store.
func (s *Store) ClientConfig(want string, alpn ...string) *tls.Config {
	c := base(alpn)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.certificate() }
	// Peers are known by SPIFFE ID, not by host name; VerifyConnection does all checks instead,
	// against the roots of that moment.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		id, err := s.verify(&cs)
		if err != nil {
			return err
		}
		return Expect(id, want)
	}
	return c
}

// PinnedClientConfig gives the settings for first contact, when there are no roots yet: the peer
// must be the control plane of a mesh whose root has this hash (see RootHash), and must send the
// root in its chain. now gives the time.
func PinnedClientConfig(rootHash string, now func() time.Time, alpn ...string) *tls.Config {
	c := base(alpn)
	c.InsecureSkipVerify = true // VerifyConnection checks the pin and the whole chain
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		return verifyPinned(cs.PeerCertificates, rootHash, now())
	}
	return c
}

func verifyPinned(chain []*x509.Certificate, rootHash string, now time.Time) error {
	for _, c := range chain {
		if RootHash(c.Raw) != rootHash {
			continue
		}
		id, err := FromCertificate(chain[0])
		if err != nil {
			return err
		}
		b, err := NewBundle(id.TrustDomain, [][]byte{c.Raw})
		if err != nil {
			return fmt.Errorf("pinned root: %w", err)
		}
		if id, err = Verify(chain, b, now); err != nil {
			return err
		}
		return Expect(id, ID{id.TrustDomain, SystemNamespace, ControlAccount}.String())
	}
	e := codes.New("W2202", "the control plane's root is not the one that the token names")
	e.Why = fmt.Sprintf("want %s; it showed %d certificates, none of them that", clip(rootHash), len(chain))
	return e
}

// Expect checks that a peer is who was wanted; an empty want takes anyone.
func Expect(got ID, want string) error {
	if want == "" || got.String() == want || planted.On(planted.AnyIdentity) {
		return nil
	}
	e := codes.New("W2115", "the peer is not who was expected")
	e.Why = fmt.Sprintf("it is %s, expected %s", got, want)
	return e
}

// PeerID gives the identity of the verified peer of a connection; ok is false if it presented
// no certificate. Call it after a handshake made with settings of this package.
func PeerID(cs *tls.ConnectionState) (id ID, ok bool) {
	if len(cs.PeerCertificates) == 0 {
		return ID{}, false
	}
	id, err := FromCertificate(cs.PeerCertificates[0])
	return id, err == nil
}

// PeerNotAfter is when the peer's certificate ends; a connection must not outlive it.
func PeerNotAfter(cs *tls.ConnectionState) time.Time {
	if len(cs.PeerCertificates) == 0 {
		return time.Time{}
	}
	return cs.PeerCertificates[0].NotAfter
}

func (s *Store) verify(cs *tls.ConnectionState) (ID, error) {
	return Verify(cs.PeerCertificates, s.Load().Bundle, s.now())
}

// base is what all connections of the mesh share. Key exchange is left to crypto/tls, whose
// default prefers the post-quantum hybrid X25519MLKEM768.
func base(alpn []string) *tls.Config {
	if len(alpn) == 0 {
		alpn = []string{LinkALPN}
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             alpn,
		SessionTicketsDisabled: true, // resumption would skip nothing here, but a ticket outlives a removed root
	}
}

// Explain turns an error of a handshake, or of the first read after one, into a coded error that
// says why as far as this side can know. TLS tells the refused side only that its certificate
// was bad; so the reason is looked for in this side's own certificate. peer is the address, for
// the message. Errors that already are coded are returned as they are, with the address.
func (s *Store) Explain(err error, peer string) error {
	var coded *codes.Error
	if errors.As(err, &coded) {
		e := *coded
		if e.Where == "" {
			e.Where = peer
		}
		return &e
	}
	var alert tls.AlertError
	var op *net.OpError
	isAlert := errors.As(err, &alert) || errors.As(err, &op) && op.Op == "remote error"
	if !isAlert {
		return err
	}
	e := codes.New("W2116", "the peer refused the connection")
	e.Where, e.Err = peer, err
	e.Why = err.Error() + "; " + s.ownState()
	return e
}

// ownState says in words what may be wrong with the store's own certificate.
func (s *Store) ownState() string {
	st := s.Load()
	if st.Pair == nil {
		return "this side has no certificate"
	}
	now := s.now()
	about := fmt.Sprintf("this side is %s", st.Pair.ID)
	certs, err := parseAll(st.Pair.TLS.Certificate)
	if err == nil {
		_, err = Verify(certs, st.Bundle, now)
	}
	if err == nil {
		return about + fmt.Sprintf(", valid until %s UTC by its own clock and roots: the peer may be of another mesh or its clock may differ", st.Pair.NotAfter().UTC().Format(time.DateTime))
	}
	var coded *codes.Error
	if errors.As(err, &coded) {
		return about + "; " + coded.What + ": " + coded.Why
	}
	return about + "; " + err.Error()
}
