package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/identity"
)

func storeOf(p *identity.Pair, b *identity.Bundle, now time.Time) *identity.Store {
	s := &identity.Store{Now: func() time.Time { return now }}
	s.Set(p, b)
	return s
}

// shake makes a connection and sends one byte each way, so that a refusal by either side is seen.
func shake(t testing.TB, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's
	b, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close() //nolint:errcheck // a test's
	defer b.Close() //nolint:errcheck // a test's
	deadline := time.Now().Add(10 * time.Second)
	_ = a.SetDeadline(deadline)
	_ = b.SetDeadline(deadline)
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		done <- err
	}()
	clientErr = c.Handshake()
	if clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	return c.ConnectionState(), <-done, clientErr
}

func TestALinkIsMutualTLS13WithThePeersIdentity(t *testing.T) {
	ca := newAuthority(t, "weft.local")
	const web = "spiffe://weft.local/ns/shop/sa/web"
	server := storeOf(ca.pair(cart), ca.bundle("weft.local"), noon)
	client := storeOf(ca.pair(web), ca.bundle("weft.local"), noon)
	cs, serr, cerr := shake(t, server.ServerConfig(), client.ClientConfig(cart))
	if serr != nil || cerr != nil {
		t.Fatalf("server %v, client %v", serr, cerr)
	}
	id, ok := identity.PeerID(&cs)
	if !ok || id.String() != cart || cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != identity.LinkALPN {
		t.Errorf("peer %v, version %x, protocol %q", id, cs.Version, cs.NegotiatedProtocol)
	}
	if got := identity.PeerNotAfter(&cs); !got.Equal(noon.Add(24 * time.Hour)) {
		t.Errorf("the peer's certificate ends at %s", got)
	}
}

func TestHandshakesAreRefusedWithTheReasonOnBothSides(t *testing.T) {
	ours, foreign := newAuthority(t, "weft.local"), newAuthority(t, "other.mesh")
	bundle := ours.bundle("weft.local")
	const other = "spiffe://other.mesh/ns/shop/sa/web"
	old, oldKey := ours.sign(func() *x509.Certificate { c := template(cart); c.NotAfter = noon.Add(-time.Hour); return c }())
	expired, err := identity.NewPair([][]byte{old.Raw}, oldKey)
	if err != nil {
		t.Fatal(err)
	}
	good := func() *identity.Store { return storeOf(ours.pair(cart), bundle, noon) }
	for _, c := range []struct {
		name           string
		server, client *identity.Store
		want           string
		refuser        string // who finds out itself
		code, peerSays string
	}{
		{"the server is someone else", good(), good(), "spiffe://weft.local/ns/shop/sa/web", "client", "W2115", "valid until"},
		{"the server has expired", storeOf(expired, bundle, noon), good(), cart, "client", "W2111", "has expired"},
		{"the client has expired", good(), storeOf(expired, bundle, noon), cart, "server", "W2111", "has expired"},
		{"the client is foreign", good(), storeOf(foreign.pair(other), bundle, noon), cart, "server", "W2112", "foreign"},
		{"the server is foreign", storeOf(foreign.pair(other), foreign.bundle("other.mesh"), noon), good(), "", "client", "W2112", "other mesh"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, serr, cerr := shake(t, c.server.ServerConfig(), c.client.ClientConfig(c.want))
			serr, cerr = c.server.Explain(serr, "10.0.0.1:1"), c.client.Explain(cerr, "10.0.0.2:2")
			mine, peers := cerr, serr
			if c.refuser == "server" {
				mine, peers = serr, cerr
			}
			if codeOf(mine) != c.code {
				t.Errorf("the refusing side says %v, want %s", mine, c.code)
			}
			if codeOf(peers) != "W2116" {
				t.Errorf("the refused side says %v, want W2116", peers)
			}
			says := strings.Contains(peers.Error(), c.peerSays) || c.peerSays == "other mesh" && strings.Contains(peers.Error(), "another mesh")
			if !says {
				t.Errorf("the refused side says %q, want %q in it", peers, c.peerSays)
			}
		})
	}
}

func TestAClientWithoutACertificateIsLetInOnlyWhereItIsOptional(t *testing.T) {
	ca := newAuthority(t, "weft.local")
	server := storeOf(ca.pair(cart), ca.bundle("weft.local"), noon)
	anonymous := func() *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}} // the test looks at the server only
	}
	if _, serr, _ := shake(t, server.ServerConfig("h2"), anonymous()); serr == nil {
		t.Error("a link was made without a certificate")
	}
	if _, serr, cerr := shake(t, server.ServerConfigOptional("h2"), anonymous()); serr != nil || cerr != nil {
		t.Errorf("%v, %v", serr, cerr)
	}
	bad := storeOf(newAuthority(t, "weft.local").pair(cart), ca.bundle("weft.local"), noon)
	if _, serr, _ := shake(t, server.ServerConfigOptional("h2"), bad.ClientConfig("", "h2")); codeOf(serr) != "W2113" {
		t.Errorf("a bad certificate where none is needed: %v, want W2113", serr)
	}
	none := &identity.Store{Now: func() time.Time { return noon }}
	if _, _, cerr := shake(t, server.ServerConfig(), none.ClientConfig(cart)); codeOf(cerr) != "W2117" {
		t.Errorf("a client without identity: %v, want W2117", cerr)
	}
}

func TestOldTLSAndOtherProtocolsAreRefused(t *testing.T) {
	ca := newAuthority(t, "weft.local")
	s := storeOf(ca.pair(cart), ca.bundle("weft.local"), noon)
	old := s.ClientConfig(cart)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, serr, _ := shake(t, s.ServerConfig(), old); serr == nil {
		t.Error("TLS 1.2 was accepted")
	}
	if _, serr, _ := shake(t, s.ServerConfig(), s.ClientConfig(cart, "http/1.1")); serr == nil {
		t.Error("another application protocol was accepted")
	}
}

// A removed root must count at the very next handshake, with the settings that are in use, also
// for a client that kept a session.
func TestSettingsFollowTheStoreAndSessionsAreNotResumed(t *testing.T) {
	first, second := newAuthority(t, "weft.local"), newAuthority(t, "weft.local")
	server := storeOf(first.pair(cart), first.bundle("weft.local"), noon)
	client := storeOf(first.pair(cart), first.bundle("weft.local"), noon)
	sc, cc := server.ServerConfig(), client.ClientConfig(cart)
	// All that crypto/tls wants for a resumption: a cache, a name, and the time of the certificates.
	cc.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	cc.ServerName = "cart"
	cc.Time = func() time.Time { return noon }
	sc.Time = cc.Time
	for range 2 {
		cs, serr, cerr := shake(t, sc, cc)
		if serr != nil || cerr != nil {
			t.Fatalf("%v, %v", serr, cerr)
		}
		if cs.DidResume {
			t.Fatal("a session was resumed")
		}
	}
	changed := server.Changed()
	server.Set(second.pair(cart), second.bundle("weft.local"))
	select {
	case <-changed:
	default:
		t.Error("the change was not told")
	}
	if _, _, cerr := shake(t, sc, cc); codeOf(cerr) != "W2113" {
		t.Errorf("after the roots changed: %v, want W2113", cerr)
	}
	client.SetBundle(second.bundle("weft.local"))
	if _, serr, _ := shake(t, sc, cc); codeOf(serr) != "W2113" {
		t.Errorf("the client's old certificate: %v, want W2113", serr)
	}
	client.Set(second.pair(cart), second.bundle("weft.local"))
	if _, serr, cerr := shake(t, sc, cc); serr != nil || cerr != nil {
		t.Errorf("after both changed: %v, %v", serr, cerr)
	}
}

func TestExplainLeavesOtherErrorsAlone(t *testing.T) {
	s := &identity.Store{}
	plain := errors.New("connection reset")
	if got := s.Explain(plain, "x"); !errors.Is(got, plain) || codeOf(got) != "" {
		t.Errorf("%v", got)
	}
}
