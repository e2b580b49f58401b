package core

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/override"
)

var routeKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// taking is a policy that takes tokens of routeKey.
func taking(c *model.Calls) {
	c.Override = &model.Override{Key: routeKey.Public().(ed25519.PublicKey)}
}

// routeToken is a token for an hour, for pairs such as "shop/cart=shop/cart-v2".
func routeToken(t testing.TB, key ed25519.PrivateKey, pairs ...string) string {
	t.Helper()
	tok := override.Token{TrustDomain: "m", Expires: rigBegin.Unix() + 3600}
	for _, p := range pairs {
		from, to, _ := strings.Cut(p, "=")
		f, _ := override.ParseName(from)
		n, _ := override.ParseName(to)
		tok.Pairs = append(tok.Pairs, override.Pair{From: f, To: n})
	}
	s, err := tok.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// staging is a town with cart, which takes tokens, and cart-v2.
func staging(t *testing.T) *town {
	w := newTown(t)
	w.add("cart", 2, callsWith(taking))
	w.add("cart-v2", 2, nil)
	w.open()
	return w
}

func TestATokenLeadsToTheServiceThatItNames(t *testing.T) {
	w := staging(t)
	token := routeToken(t, routeKey, "shop/cart=shop/cart-v2", "shop/other=shop/other-v2")
	for _, line := range []string{
		"weft-route: " + token,
		"baggage: a=b;p=q, weft.route=" + token + " , c=d",
		"weft-route: " + token + "\r\nbaggage: weft.route=" + token,
	} {
		if got := bodyOf(w.get(line)); !strings.HasPrefix(got, "cart-v2-") {
			t.Errorf("%.20s: served by %s", line, got)
		}
		if sent := w.last["cart-v2"]; !strings.Contains(sent, token) {
			t.Errorf("%.20s: the token is not passed on: %q", line, sent)
		}
	}
	if got := bodyOf(w.get()); !strings.HasPrefix(got, "cart-") || strings.HasPrefix(got, "cart-v2") {
		t.Errorf("without a token: served by %s", got)
	}
}

func TestATokenReplacesWhatARouteLeadsTo(t *testing.T) {
	w := newTown(t)
	w.add("v1", 1, nil)
	w.add("v2", 1, nil)
	w.add("cart", 0, callsWith(taking), split("v1", 1))
	w.open()
	if got := bodyOf(w.get("weft-route: " + routeToken(t, routeKey, "shop/v1=shop/v2"))); got != "v2-0" {
		t.Errorf("served by %s", got)
	}
	// Who was addressed counts before whom the route chose.
	if got := bodyOf(w.get("weft-route: " + routeToken(t, routeKey, "shop/v1=shop/none", "shop/cart=shop/v2"))); got != "v2-0" {
		t.Errorf("served by %s", got)
	}
}

func TestATokenThatCannotBeUsedNeverFallsOnProduction(t *testing.T) {
	good := routeToken(t, routeKey, "shop/cart=shop/cart-v2")
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	foreign := override.Token{TrustDomain: "other", Expires: rigBegin.Unix() + 3600, Pairs: []override.Pair{{From: rigService, To: model.Name{Namespace: "shop", Name: "cart-v2"}}}}
	otherMesh, err := foreign.Sign(routeKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, line, code string
		status           int
	}{
		{"no token", "weft-route: hello", "W3331", 403},
		{"empty", "weft-route:", "W3331", 403},
		{"empty member", "baggage: weft.route=", "W3331", 403},
		{"signed by a stranger", "weft-route: " + routeToken(t, stranger, "shop/cart=shop/cart-v2"), "W3331", 403},
		{"changed", "weft-route: A" + good[1:], "W3331", 403},
		{"cut", "weft-route: " + good[:len(good)-1], "W3331", 403},
		{"for another mesh", "weft-route: " + otherMesh, "W3331", 403},
		{"two that differ", "weft-route: " + good + "\r\nbaggage: weft.route=" + otherMesh, "W3331", 403},
		{"two fields", "weft-route: " + good + "\r\nweft-route: " + otherMesh, "W3331", 403},
		{"very long", "weft-route: " + strings.Repeat("A", 5000), "W3331", 403},
		{"to a service that does not exist", "weft-route: " + routeToken(t, routeKey, "shop/cart=shop/none"), "W3335", 502},
		{"to a namespace that no route leads to", "weft-route: " + routeToken(t, routeKey, "shop/cart=bank/ledger"), "W3335", 403},
		{"to a service without the port", "weft-route: " + routeToken(t, routeKey, "shop/cart=shop/portless"), "W3335", 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := staging(t)
			w.view.Absent[model.Name{Namespace: "shop", Name: "none"}] = true
			w.addIn("bank", "ledger", 1, nil)
			w.add("portless", 1, nil)
			w.view.Services[model.Name{Namespace: "shop", Name: "portless"}].Ports[0].Port = 81
			w.open()
			got := w.get(c.line)
			if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || fieldOf(got, "weft-code") != c.code {
				t.Errorf("got %q", got)
			}
			if len(w.served) != 0 {
				t.Errorf("served by %v", w.served)
			}
			if strings.Contains(got, good) || w.refused(c.code) != 1 {
				t.Errorf("counted %d times, the answer is %q", w.refused(c.code), got)
			}
		})
	}
}

func TestAnExpiredTokenIsRefusedAlsoWhenItIsRemembered(t *testing.T) {
	w := staging(t)
	token := "weft-route: " + routeToken(t, routeKey, "shop/cart=shop/cart-v2")
	w.now += 3599 * time.Second
	if got := bodyOf(w.get(token)); !strings.HasPrefix(got, "cart-v2-") {
		t.Fatalf("in its last second: %q", got)
	}
	w.now += time.Second
	if got := w.get(token); !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.Contains(got, "expired") {
		t.Errorf("after its end: %q", got)
	}
}

func TestATokenIsNothingToAServiceThatTakesNone(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, nil)
	w.add("cart-v2", 1, nil)
	w.open()
	for _, line := range []string{"weft-route: " + routeToken(t, routeKey, "shop/cart=shop/cart-v2"), "weft-route: nonsense"} {
		if got := bodyOf(w.get(line)); got != "cart-0" {
			t.Errorf("got %q", got)
		}
		if !strings.Contains(w.last["cart"], strings.TrimPrefix(line, "weft-route: ")) {
			t.Errorf("it is not passed on: %q", w.last["cart"])
		}
	}
}

func TestATokensServiceIsDiscoveredOnDemand(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, callsWith(taking))
	w.open()
	c := w.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\nweft-route: " + routeToken(t, routeKey, "shop/cart=shop/cart-v2") + "\r\n\r\n"))
	w.settle()
	if len(c.in) > 0 || len(w.client.asked) != 1 || w.client.asked[0].Name != "cart-v2" {
		t.Fatalf("asked for %v, got %q", w.client.asked, c.in)
	}
	w.add("cart-v2", 1, nil)
	w.open()
	w.settle()
	if bodyOf(string(c.in)) != "cart-v2-0" {
		t.Errorf("got %q", c.in)
	}
}

func TestATokenWhoseServiceIsNotDiscoveredInTimeIsNotServed(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, callsWith(taking))
	w.open()
	c := w.dial()
	c.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\nweft-route: " + routeToken(t, routeKey, "shop/cart=shop/cart-v2") + "\r\n\r\n"))
	w.settle()
	w.now += 3 * time.Second
	w.settle()
	if !strings.HasPrefix(string(c.in), "HTTP/1.1 503 ") || len(w.served) != 0 {
		t.Errorf("got %q, served %v", c.in, w.served)
	}
}

// A new version that asks the old one, with the token that it was reached by, must not reach itself.
func TestNobodyIsLedToItself(t *testing.T) {
	w := newTown(t)
	w.add("cart", 1, callsWith(taking))
	w.add("cart-v2", 1, nil)
	w.open()
	w.client.core.locals[0].Service = model.Name{Namespace: "shop", Name: "cart-v2"}
	if got := bodyOf(w.get("weft-route: " + routeToken(t, routeKey, "shop/cart=shop/cart-v2"))); got != "cart-0" {
		t.Errorf("served by %s", got)
	}
}

func TestANewTokenIsVerifiedABoundedNumberOfTimes(t *testing.T) {
	w := staging(t)
	good := "weft-route: " + routeToken(t, routeKey, "shop/cart=shop/cart-v2")
	w.get(good)
	busy := 0
	for i := range 100 {
		if got := w.get(fmt.Sprintf("weft-route: %s", routeToken(t, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i), 9}, 16)), "shop/cart=shop/cart-v2"))); strings.Contains(got, "too many tokens") {
			busy++
		}
	}
	if busy < 70 {
		t.Errorf("%d of 100 bad tokens were not verified", busy)
	}
	if got := bodyOf(w.get(good)); !strings.HasPrefix(got, "cart-v2-") {
		t.Errorf("a good one that is known suffers: %q", got)
	}
	w.now += time.Second
	if got := bodyOf(w.get("weft-route: " + routeToken(t, routeKey, "shop/cart=shop/cart-v2", "shop/a=shop/b"))); !strings.HasPrefix(got, "cart-v2-") {
		t.Errorf("a new good one a second later: %q", got)
	}
}

func TestATokenReachesTheApplicationBehindALink(t *testing.T) {
	token := routeToken(t, routeKey, "shop/x=shop/y")
	for name, r := range map[string]*rig{"link": newRig(t, nil, Limits{}), "one proxy": newNodeRig(t, nil, Limits{})} {
		r.ask("GET / HTTP/1.1\r\nHost: cart\r\nweft-route: " + token + "\r\nweft_route: forged\r\nweft-client-id: forged\r\n\r\n")
		if !bytes.Contains(r.heard, []byte("weft-route: "+token+"\r\n")) || bytes.Contains(r.heard, []byte("forged")) {
			t.Errorf("%s: the application got %q", name, r.heard)
		}
	}
}

func TestATokenDoesNotLeaveTheMesh(t *testing.T) {
	w := staging(t)
	mine, theirs := &pipe{client: true}, &pipe{host: w.client}
	w.connect(mine, theirs)
	theirs.conn = w.client.core.Accept(Accept{Listener: &Listener{Kind: ListenProxy}, Driver: theirs})
	w.names[rigApp] = "outside-0"
	mine.send([]byte("GET http://" + rigApp.String() + "/ HTTP/1.1\r\nHost: " + rigApp.String() + "\r\nweft-route: " + routeToken(t, routeKey, "shop/cart=shop/cart-v2") + "\r\nX-A: 1\r\n\r\n"))
	w.settle()
	if sent := w.last["outside"]; !strings.Contains(strings.ToLower(sent), "x-a: 1") || strings.Contains(sent, "weft-route") {
		t.Errorf("outside was sent %q, the client got %q", sent, mine.in)
	}
}
