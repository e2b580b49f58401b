package detect

import (
	"testing"

	"github.com/weft-mesh/weft/test/allocs"
)

func TestDetectionAllocatesNothing(t *testing.T) {
	for name, p := range firstBytes(t) {
		t.Run(name, func(t *testing.T) { allocs.None(t, 1000, func() { Sniff(p) }) })
	}
	h := hello(t, config("cart.shop"))
	t.Run("name in a TLS hello", func(t *testing.T) { allocs.None(t, 1000, func() { SNI(h) }) })
}
