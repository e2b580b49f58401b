package agent

import (
	"errors"
	"fmt"
	"testing"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/proxy/config"
)

func TestOnlyAFinalRefusalEndsTheWaitForAnIdentity(t *testing.T) {
	for _, tc := range []struct {
		name  string
		err   error
		final bool
	}{
		{"a token for somebody else", codes.New("W2104", "no"), true},
		{"an expired token, wrapped", fmt.Errorf("asking: %w", codes.New("W2103", "no")), true},
		{"another control plane", codes.New("W2202", "no"), true},
		{"nobody there", codes.New("W2201", "no"), false},
		{"too many requests", codes.New("W2106", "no"), false},
		{"no code", errors.New("odd"), false},
	} {
		k, err := NewKeeper(KeeperOptions{Control: config.Control{Socket: "/run/weft/x.sock"}, Namespace: "shop", ServiceAccount: "cart"})
		if err != nil {
			t.Fatal(err)
		}
		k.noteRefusal(tc.err)
		k.noteRefusal(codes.New("W2201", "later")) // does not replace it
		refused := false
		select {
		case <-k.Refused():
			refused = true
		default:
		}
		if refused != tc.final || (k.Refusal() != nil) != tc.final || tc.final && !errors.Is(tc.err, k.Refusal()) {
			t.Errorf("%s: refused %v, %v", tc.name, refused, k.Refusal())
		}
	}
}
