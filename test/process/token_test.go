//go:build linux

package process

import (
	"strconv"
	"strings"
	"testing"
)

// token is what `weft token create -o json` promises.
type token struct {
	Token  string `json:"token"`
	Listen string `json:"listen"`
}

// far is this machine as another one: no socket of the control plane can be found.
func (w *world) far(t *token, extra ...string) []string {
	return append([]string{
		"WEFT_TOKEN=" + t.Token, "WEFT_CONTROL=" + t.Listen, "XDG_RUNTIME_DIR=" + w.dir + "/tmp", "XDG_STATE_HOME=" + w.dir + "/tmp/s",
	}, extra...)
}

// TestAnotherMachineJoinsWithAToken: over TCP, for the account that the token is for and no other.
func TestAnotherMachineJoinsWithAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, "--listen", "127.0.0.1:0")
	var cart, any, admin token
	w.askJSON(&cart, "token", "create", "--for", "cart")
	w.askJSON(&any, "token", "create", "--any")
	w.askJSON(&admin, "token", "create", "--admin")
	if cart.Listen == "" || cart.Token == "" {
		t.Fatalf("the token is %+v", cart)
	}
	weft := bin + "/weft"
	port := strconv.Itoa(freePort(t))
	shop := w.launch(w.far(&cart), weft, "run", "-v", "--name", "cart", "--port", port, "--", self(t), roleArg, "http", port, "far away")
	shop.out.await(t, shop.done, 0, "serving")
	me := w.call("me") // on the control plane's machine
	me.until(me.client(), "http://cart/")
	w.onlyMTLS("cart")

	visitor := w.launch(w.far(&any), weft, "run", "--name", "visitor", "--", "sh", "-c", `curl -sS --fail http://cart/`)
	if code := visitor.wait(); code != 0 || visitor.out.String() != "far away" {
		t.Errorf("the visitor got %d %q %q", code, visitor.out.String(), visitor.err.String())
	}
	if st := w.launch(w.far(&admin), weft, "status"); st.wait() != 0 || !strings.Contains(st.out.String(), "cart-") {
		t.Errorf("an administrator sees %q %q", st.out.String(), st.err.String())
	}

	for _, tc := range []struct {
		name string
		tok  *token
		args []string
		want string // part of stderr
	}{
		{"another account", &cart, []string{"run", "--name", "stock", "--", "true"}, "error W2104"},
		{"another namespace", &any, []string{"run", "--name", "cart", "-n", "other", "--", "true"}, "error W2104"},
		{"an administrator's verb", &cart, []string{"status"}, "error W2104"},
		{"a token that was changed", &token{Token: flip(cart.Token), Listen: cart.Listen}, []string{"run", "--name", "cart", "--", "true"}, "error W2102"},
		{"no token", &token{Listen: cart.Listen}, []string{"run", "--name", "cart", "--", "true"}, "error W4004"},
		{"nobody there", &token{Token: cart.Token, Listen: "127.0.0.1:1"}, []string{"status"}, "error W4002"},
	} {
		args := append([]string{tc.args[0], "--timeout", "2s"}, tc.args[1:]...)
		p := w.launch(w.far(tc.tok), weft, args...)
		if code := p.wait(); code == 0 || !strings.Contains(p.err.String(), tc.want) {
			t.Errorf("%s: exit code %d, want a failure with %s:\n%s", tc.name, code, tc.want, p.err.String())
		}
	}
	for _, secret := range []string{cart.Token, any.Token, admin.Token} {
		if strings.Contains(w.up.out.String()+w.up.err.String()+shop.err.String(), secret) {
			t.Error("a token is in a log")
		}
	}
}

// flip changes one letter of a token.
func flip(s string) string {
	b := []byte(s)
	i := len(b) / 2
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}
