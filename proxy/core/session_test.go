package core

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

func cookieSessions(c *model.Calls) { c.Session = &model.Session{Name: "stick"} }

// cookieOf is the pair that a client sends back.
func cookieOf(response string) string {
	pair, _, _ := strings.Cut(fieldOf(response, "set-cookie"), ";")
	return pair
}

func TestASessionStaysWithItsEndpoint(t *testing.T) {
	w := newTown(t)
	w.add("cart", 10, callsWith(cookieSessions))
	w.open()
	first := w.get()
	cookie := cookieOf(first)
	if !strings.HasPrefix(cookie, "stick=") {
		t.Fatalf("the first response tells of no session: %q", first)
	}
	if strings.Contains(first, "10.1.") || strings.Contains(cookie, "cart") {
		t.Errorf("the value tells who or where the endpoint is: %q", cookie)
	}
	for range 30 {
		got := w.get("Cookie: a=b; " + cookie + "; c=d")
		if bodyOf(got) != bodyOf(first) {
			t.Fatalf("the session went from %s to %s", bodyOf(first), bodyOf(got))
		}
		if fieldOf(got, "set-cookie") != "" {
			t.Fatalf("the client is told again what it knows: %q", got)
		}
	}
	others := map[string]bool{}
	for range 50 {
		others[bodyOf(w.get())] = true
	}
	if len(others) < 5 {
		t.Errorf("requests without a session all go to %v", others)
	}
}

func TestASessionByHeaderField(t *testing.T) {
	w := newTown(t)
	w.add("cart", 10, callsWith(func(c *model.Calls) { c.Session = &model.Session{Name: "x-stick", Header: true} }))
	w.open()
	first := w.get()
	value := fieldOf(first, "x-stick")
	if value == "" || fieldOf(first, "set-cookie") != "" {
		t.Fatalf("got %q", first)
	}
	for range 20 {
		if got := w.get("X-Stick: " + value); bodyOf(got) != bodyOf(first) || fieldOf(got, "x-stick") != "" {
			t.Fatalf("after %s came %q", bodyOf(first), got)
		}
	}
}

func TestASessionWhoseEndpointIsGoneGetsAnotherAndANewValue(t *testing.T) {
	w := newTown(t)
	cart := w.add("cart", 10, callsWith(cookieSessions))
	w.open()
	var first string
	for first = w.get(); bodyOf(first) == "cart-0"; first = w.get() {
	}
	w.endpoints(cart, 1) // only cart-0 is left
	w.open()
	got := w.get("Cookie: " + cookieOf(first))
	if bodyOf(got) != "cart-0" || cookieOf(got) == "" || cookieOf(got) == cookieOf(first) {
		t.Fatalf("got %q", got)
	}
	w.endpoints(cart, 10)
	w.open()
	for range 20 {
		if again := w.get("Cookie: " + cookieOf(got)); bodyOf(again) != "cart-0" {
			t.Fatalf("the new session is not kept: %q", again)
		}
	}
}

func TestASessionWhoseEndpointCannotBeConnectedToGetsAnother(t *testing.T) {
	w := newTown(t)
	w.add("cart", 2, callsWith(cookieSessions))
	w.open()
	first := w.get()
	for addr, name := range w.names {
		if name == bodyOf(first) {
			w.refuse = addr
		}
	}
	for _, p := range w.pipes { // its connections break too
		if p.app && w.names[p.addr] == bodyOf(first) {
			p.other.host.core.Closed(p.other.conn, nil)
			p.gone, p.other.gone = true, true
		}
	}
	got := w.get("Cookie: " + cookieOf(first))
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") || bodyOf(got) == bodyOf(first) || cookieOf(got) == "" {
		t.Fatalf("after %q: got %q", first, got)
	}
}

func TestASessionEndsAtItsAge(t *testing.T) {
	w := newTown(t)
	w.add("cart", 10, callsWith(func(c *model.Calls) {
		c.Session = &model.Session{Name: "stick", Absolute: time.Minute, Permanent: true}
	}))
	w.open()
	first := w.get()
	if !strings.Contains(fieldOf(first, "set-cookie"), "; Max-Age=60") {
		t.Errorf("the cookie is %q", fieldOf(first, "set-cookie"))
	}
	w.now += 59 * time.Second
	if got := w.get("Cookie: " + cookieOf(first)); bodyOf(got) != bodyOf(first) || cookieOf(got) != "" {
		t.Fatalf("before its end: %q", got)
	}
	w.now += 2 * time.Second
	if got := w.get("Cookie: " + cookieOf(first)); cookieOf(got) == "" {
		t.Fatalf("after its end the client is told of no new session: %q", got)
	}
}

func TestASessionStaysWithItsVersionWhateverTheWeights(t *testing.T) {
	w := newTown(t)
	policy := callsWith(cookieSessions)
	w.add("v1", 3, nil)
	w.add("v2", 3, nil)
	w.add("cart", 0, policy, split("v1", 50, "v2", 50))
	w.open()
	var cookies, bodies []string
	for range 20 {
		got := w.get()
		cookies, bodies = append(cookies, cookieOf(got)), append(bodies, bodyOf(got))
	}
	if w.served["v1"] == 0 || w.served["v2"] == 0 {
		t.Fatalf("served %v", w.served)
	}
	w.add("cart", 0, policy, split("v1", 1, "v2", 99))
	w.open()
	for i := range cookies {
		if got := w.get("Cookie: " + cookies[i]); bodyOf(got) != bodies[i] {
			t.Errorf("the session with %s went to %s", bodies[i], bodyOf(got))
		}
	}
	w.add("cart", 0, policy, split("v1", 0, "v2", 100))
	w.open()
	for i := range cookies {
		got := w.get("Cookie: " + cookies[i])
		if !strings.HasPrefix(bodyOf(got), "v2-") {
			t.Errorf("a session is kept with a version of weight 0: %s", bodyOf(got))
		}
		if strings.HasPrefix(bodies[i], "v1-") && cookieOf(got) == "" {
			t.Error("who had to change is not told of it")
		}
	}
}

func TestNonsenseInPlaceOfASessionIsNone(t *testing.T) {
	w := newTown(t)
	w.add("cart", 3, callsWith(cookieSessions))
	w.open()
	for _, v := range []string{"", "x", strings.Repeat("A", 23), strings.Repeat("/", 23), strings.Repeat("_", 23), strings.Repeat("A", 4000)} {
		if got := w.get("Cookie: stick=" + v); !strings.HasPrefix(got, "HTTP/1.1 200 ") || cookieOf(got) == "" {
			t.Errorf("%.30q: got %q", v, got)
		}
	}
}

func TestWithoutSessionsNobodyIsToldOfOne(t *testing.T) {
	w := newTown(t)
	w.add("cart", 3, nil)
	w.open()
	if got := w.get(); fieldOf(got, "set-cookie") != "" {
		t.Errorf("got %q", got)
	}
}
