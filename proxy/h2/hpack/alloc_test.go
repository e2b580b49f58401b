package hpack

import (
	"testing"

	"github.com/weft-mesh/weft/test/allocs"
)

func TestNoAllocationOnceWarm(t *testing.T) {
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			once, _ := s.once(t)
			allocs.None(t, 2000, once)
		})
	}
	t.Run("blocks that evict each other", func(t *testing.T) {
		l := newLink(true)
		blocks := script(3, 50)
		i := 0
		allocs.None(t, 2000, func() {
			l.carry(t, blocks[i%len(blocks)])
			i++
		})
	})
}
