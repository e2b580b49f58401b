//go:build linux

package epoll

import (
	"testing"

	"github.com/weft-mesh/weft/test/allocs"
)

func TestSealingAndOpeningRecordsAllocatesNothing(t *testing.T) {
	for _, s := range recordSizes {
		t.Run(s.name, func(t *testing.T) { allocs.None(t, 1000, sealAndOpen(t, s.bytes)) })
	}
}
