package join

import (
	"slices"
	"testing"

	"github.com/weft-mesh/weft/model"
)

func addr(service, portName string, port uint16, proto model.Protocol, first bool, at string) serviceAddr {
	return serviceAddr{
		service: model.Name{Namespace: "shop", Name: service},
		port:    model.Port{Name: portName, Port: port, Protocol: proto}, first: first, addr: at,
	}
}

func TestVariablesOfServices(t *testing.T) {
	e := newEnvironment([]string{"PATH=/bin", "WEFT_CART_URL=http://old", "A=", "=odd", "odd"})
	e.setServices([]serviceAddr{
		addr("cart", "http", 80, model.ProtocolDetect, true, "127.0.0.1:1"),
		addr("cart", "", 8081, model.ProtocolTCP, false, "127.0.0.1:2"),
		// Its own variables have the names of the port of cart; they win, in whatever order.
		addr("cart-8081", "", 443, model.ProtocolTLS, true, "127.0.0.1:3"),
	})
	want := map[string]string{
		"PATH": "/bin", "A": "",
		"WEFT_CART_URL": "http://127.0.0.1:1", "WEFT_CART_ADDR": "127.0.0.1:1",
		"WEFT_CART_80_URL": "http://127.0.0.1:1", "WEFT_CART_HTTP_ADDR": "127.0.0.1:1",
		"WEFT_CART_8081_URL": "https://127.0.0.1:3", "WEFT_CART_8081_ADDR": "127.0.0.1:3",
		"WEFT_CART_8081_443_URL": "https://127.0.0.1:3",
	}
	for k, v := range want {
		if got := e.get(k); got != v || !slices.Contains(e.vars, k+"="+v) {
			t.Errorf("%s=%s, want %s", k, got, v)
		}
	}
	seen := map[string]bool{}
	for _, kv := range e.vars {
		if seen[kv] {
			t.Errorf("%s is there twice", kv)
		}
		seen[kv] = true
	}
}

func TestPlacesWithoutProxyAreAdded(t *testing.T) {
	for former, want := range map[string]string{
		"":                        "localhost,127.0.0.1,::1",
		"intranet,localhost":      "intranet,localhost,127.0.0.1,::1",
		"a, b":                    "a,b,localhost,127.0.0.1,::1",
		"localhost,127.0.0.1,::1": "localhost,127.0.0.1,::1",
	} {
		e := newEnvironment([]string{"NO_PROXY=" + former})
		if notes := e.setProxy("127.0.0.1:9"); len(notes) != 0 {
			t.Errorf("%v", notes)
		}
		if got := e.get("no_proxy"); got != want || e.get("NO_PROXY") != want {
			t.Errorf("from %q: %q, want %q", former, got, want)
		}
	}
}

func TestARunInsideARunReplacesOnlyItsOwnProxy(t *testing.T) {
	e := newEnvironment([]string{"http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9"})
	if notes := e.setProxy("127.0.0.1:9"); len(notes) != 0 {
		t.Errorf("the same proxy was found worth a note: %v", notes)
	}
}

func TestPasswordsOfProxiesAreNotTold(t *testing.T) {
	for in, want := range map[string]string{
		"http://u:p@h:1": "http://…@h:1", "u:p@q@h": "…@h", "http://h:1": "http://h:1", "h": "h",
	} {
		if got := redact(in); got != want {
			t.Errorf("redact(%q) = %q, want %q", in, got, want)
		}
	}
}
