package hpack

import (
	"bytes"
	"fmt"
	"testing"
)

// TestWhatIsInTheTableIsFoundAfterShrinking: and the octets are those of an encoder that kept its index.
func TestWhatIsInTheTableIsFoundAfterShrinking(t *testing.T) {
	var kept, shrunk Encoder
	kept.Init(false, 4096)
	shrunk.Init(false, 4096)
	block := func(e *Encoder, round int) []byte {
		b := e.Begin(nil)
		for i := range 40 {
			b = e.Append(b, fmt.Appendf(nil, "name-%d", i), fmt.Appendf(nil, "value-%d", i+round/8), false)
		}
		return b
	}
	for round := range 64 {
		if round%8 == 4 { // every pair was sent twice by now
			shrunk.Shrink()
		}
		if a, b := block(&kept, round), block(&shrunk, round); !bytes.Equal(a, b) {
			t.Fatalf("round %d: %d octets instead of %d", round, len(b), len(a))
		}
	}
}
