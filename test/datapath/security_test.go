package datapath

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// newTLSPair makes a certificate that has nothing to do with the mesh.
func newTLSPair(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, DNSNames: []string{"a.example", "b.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func hello(t testing.TB) string {
	return echoServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello "+r.URL.Path) })
}

// refusedLink expects that no request passes, that the client is told why in general, and that
// both proxies' logs say why in particular.
func refusedLink(t *testing.T, x *pair, clientWhy, serverWhy string) {
	t.Helper()
	code, body := get(t, x.url("/"))
	if code != 503 || !strings.Contains(body, "W3310") {
		t.Errorf("status %d, %q; want 503 and W3310", code, body)
	}
	eventually(t, "the callee's proxy says why", func() bool { return x.server.log.find("W3014", serverWhy) != "" })
	if x.client.log.find("W3310", clientWhy) == "" {
		t.Errorf("the caller's log does not say %q:\n%s", clientWhy, x.client.log.all())
	}
	sum := x.server.counts(nil)
	if n := sum.Requests(); n != 0 {
		t.Errorf("%d requests reached the callee's counters", n)
	}
}

func TestACertificateOfAForeignCAIsRefused(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		refusedLink(t, newPair(t, pairOptions{driver: driver, app: hello(t), authority: newAuthority(t)}), "was not issued by this mesh", "")
	})
}

// later is a clock by which every certificate has expired.
func later() time.Time { return time.Now().Add(240 * time.Hour) }

func TestAnExpiredCertificateOfTheCallerIsRefused(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: hello(t), calleeNow: later}) // to the callee all has expired
		refusedLink(t, x, "refused the connection", "expired")
	})
}

func TestAnExpiredCertificateOfTheCalleeIsRefused(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: hello(t), callerNow: later})
		refusedLink(t, x, "expired", "")
	})
}

// TestAnotherIdentityAtAKnownAddressIsNeverReached: an address is used again by somebody else
// before the table knows.
func TestAnotherIdentityAtAKnownAddressIsNeverReached(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: hello(t)})
		ep := x.eps.Endpoints[0]
		ep.Identity = idOf("somebody-else")
		x.setEndpoints(ep)
		refusedLink(t, x, idOf("somebody-else"), "")
		ep.Identity = idOf("cart") // and the right one is, as soon as the table says so
		x.setEndpoints(ep)
		if code, body := get(t, x.url("/a")); code != 200 || body != "hello /a" {
			t.Errorf("%d %q", code, body)
		}
	})
}

func TestTheLinkPortTakesNothingButLinks(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: hello(t)})
		c := dial(t, x.server.addr["link"])
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: cart\r\n\r\n")
		if b, _ := io.ReadAll(c); strings.Contains(string(b), "HTTP/1.1 200") || strings.Contains(string(b), "hello") {
			t.Errorf("plain text was answered: %q", b)
		}
		for what, cfg := range map[string]*tls.Config{
			"no certificate": {InsecureSkipVerify: true, NextProtos: []string{"weft-link/1"}},
			"other protocol": func() *tls.Config {
				c := x.clientID.ClientConfig(idOf("cart"))
				c.NextProtos = []string{"h2"}
				return c
			}(),
			"no protocol": func() *tls.Config { c := x.clientID.ClientConfig(idOf("cart")); c.NextProtos = nil; return c }(),
			"TLS 1.2 at most": func() *tls.Config {
				c := x.clientID.ClientConfig(idOf("cart"))
				c.MinVersion, c.MaxVersion = 0, tls.VersionTLS12
				return c
			}(),
			"self-made client": {InsecureSkipVerify: true, NextProtos: []string{"weft-link/1"}, Certificates: []tls.Certificate{newTLSPair(t)}},
		} {
			tc := tls.Client(dial(t, x.server.addr["link"]), cfg)
			err := tc.Handshake()
			if err == nil { // the refusal of a client's certificate comes with the first read
				var n int
				io.WriteString(tc, http2.ClientPreface)
				if n, err = tc.Read(make([]byte, 100)); n > 0 {
					t.Errorf("%s: was answered", what)
				}
			}
			if err == nil {
				t.Errorf("%s: was let in", what)
			}
			tc.Close()
		}
		eventually(t, "every refusal is counted and told", func() bool { return x.server.refusals("W3014") >= 6 })
		if code, _ := get(t, x.url("/")); code != 200 {
			t.Errorf("after all that an honest request gets %d", code)
		}
	})
}

// TestOnlyDeclaredPortsAreServed: a peer with a good identity asks for another port of the host.
func TestOnlyDeclaredPortsAreServed(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		secret := hello(t)
		x := newPair(t, pairOptions{driver: driver, app: hello(t)})
		tc := tls.Client(dial(t, x.server.addr["link"]), x.clientID.ClientConfig(idOf("cart")))
		io.WriteString(tc, http2.ClientPreface)
		fr := http2.NewFramer(tc, bufio.NewReader(tc))
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		fr.WriteSettings()
		var block strings.Builder
		enc := hpack.NewEncoder(&block)
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "cart"}, {"weft-to", secret}} {
			enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})
		block.Reset()
		for _, f := range [][2]string{{":method", "CONNECT"}, {":authority", secret}} {
			enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte(block.String()), EndHeaders: true})
		for got := 0; got < 2; {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := f.(*http2.MetaHeadersFrame); ok {
				got++
				if s := h.PseudoValue("status"); s != "502" || !strings.Contains(fmt.Sprint(h.Fields), "W3311") {
					t.Errorf("stream %d: %v", h.StreamID, h.Fields)
				}
			}
		}
	})
}

// TestALinkIsNotSharedBetweenIdentities holds the pool to its full key.
func TestALinkIsNotSharedBetweenIdentities(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: hello(t)})
		if code, _ := get(t, x.url("/")); code != 200 {
			t.Fatal(code)
		}
		other := model.Name{Namespace: "shop", Name: "other"}
		ep := x.eps.Endpoints[0]
		ep.Identity = idOf("other") // same address, other identity: the open link must not serve it
		x.extra = []*model.Service{{Name: other, Ports: []model.Port{{Port: 80}}}}
		x.extraEps = []*model.Endpoints{{Service: other, Endpoints: []model.Endpoint{ep}}}
		x.publish()
		got := exchangeRaw(t, x.client.addr["proxy"], "GET http://other/ HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "W3310") {
			t.Errorf("%.300q", got)
		}
	})
}
