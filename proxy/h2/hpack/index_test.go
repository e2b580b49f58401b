package hpack

import (
	"math/rand/v2"
	"testing"
)

// TestAGrowingIndexRemembersWhatAFullOneDoes: what is sent twice is indexed with its second block,
// however little the connection had sent before.
func TestAGrowingIndexRemembersWhatAFullOneDoes(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var grows encoderIndex
		full := encoderIndex{seen: make([]uint32, maxSeenSlots)}
		kinds := 1 + rnd.Uint64N(100)
		for i := range 500 {
			hp := hash(nil, rnd.Uint64N(kinds))
			if a, b := grows.again(hp), full.again(hp); a != b {
				t.Fatalf("seed %d, %d kinds, pair %d: sent before is %v, want %v", seed, kinds, i, a, b)
			}
		}
	}
}

// TestAConnectionThatSaidLittleHasASmallIndex: there may be a thousand that had a request each.
func TestAConnectionThatSaidLittleHasASmallIndex(t *testing.T) {
	var e Encoder
	e.Init(false, 16384)
	for range 3 {
		b := e.Begin(nil)
		for _, f := range []string{"content-type", "date", "server", "x-id"} {
			b = e.Append(b, []byte(f), []byte("of "+f), false)
		}
	}
	if e.table.n != 4 {
		t.Fatalf("%d fields in the table, want 4", e.table.n)
	}
	if n := len(e.index.pairs) + len(e.index.names) + len(e.index.seen); n > 128 {
		t.Errorf("%d slots for 4 fields", n)
	}
}
