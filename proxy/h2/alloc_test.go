package h2

import (
	"testing"

	"github.com/weft-mesh/weft/test/allocs"
)

func TestNoAllocationOnceWarm(t *testing.T) {
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) { allocs.None(t, 2000, s.start(t)) })
	}
}
