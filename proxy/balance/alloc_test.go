package balance

import (
	"fmt"
	"testing"

	"github.com/weft-mesh/weft/test/allocs"
)

func TestARequestAllocatesNothing(t *testing.T) {
	for _, n := range sizes {
		for _, weighted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d endpoints, weighted %v", n, weighted), func(t *testing.T) {
				allocs.None(t, 1000, pickAndSettle(n, weighted))
			})
		}
	}
}
