package telemetry

import (
	"testing"

	"github.com/weft-mesh/weft/test/allocs"
)

func TestCountingAllocatesNothing(t *testing.T) {
	for name, once := range steps() {
		t.Run(name, func(t *testing.T) { allocs.None(t, 1000, once) })
	}
}
