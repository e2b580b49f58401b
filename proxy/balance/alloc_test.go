package balance

import (
	"fmt"
	"testing"

	"github.com/weft-mesh/weft/test/allocs"
)

func TestARequestAllocatesNothing(t *testing.T) {
	for _, a := range algorithms {
		for _, n := range sizes {
			for _, weighted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d endpoints, weighted %v", a, n, weighted), func(t *testing.T) {
					once := pickAndSettle(a, n, weighted)
					for range 30_000 { // past what begins and grows: a pool fills, a set is seen to be steady
						once()
					}
					allocs.None(t, 1000, once)
				})
			}
		}
	}
}
