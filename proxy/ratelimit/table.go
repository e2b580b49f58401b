package ratelimit

import (
	"encoding/binary"
	"math/bits"
	"time"
)

const (
	sets = 1024 // of a table
	ways = 4    // places of a set
)

// table is the buckets of many keys. A key has its place in one of the sets, by a hash with a seed that
// nobody else knows. If all are taken, the one that is nearest to being full makes room: its bucket is
// full then, which costs little, and gives whoever made it so nothing that a new value of its own
// would not. The zero value is empty; memory is taken with the first key.
type table struct {
	seed   uint64
	places *[sets][ways]place
}

// place is the bucket of a key. One that is full by now says nothing, and is free.
type place struct {
	key  uint64
	full time.Duration
}

// at gives the bucket of a key.
func (t *table) at(now time.Duration, key []byte) *time.Duration {
	if t.places == nil {
		t.places = new([sets][ways]place)
	}
	h := hash(t.seed, key)
	set := &t.places[h%sets]
	least := &set[0]
	for i := range set {
		p := &set[i]
		if p.key == h {
			return &p.full
		}
		if p.full < least.full {
			least = p
		}
	}
	least.key, least.full = h, now
	return &least.full
}

// hash is a keyed hash in the manner of wyhash: eight bytes at a time, multiplied to 128 bits and
// folded. Without the seed nobody finds two keys that share a bucket.
func hash(seed uint64, p []byte) uint64 {
	const k0, k1 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db
	h := seed ^ k0
	n := uint64(len(p))
	for len(p) >= 8 {
		h = fold(binary.LittleEndian.Uint64(p)^k1, h^seed)
		p = p[8:]
	}
	var rest [8]byte
	copy(rest[:], p)
	h = fold(binary.LittleEndian.Uint64(rest[:])^k1, h^seed)
	return fold(h^n, k0^seed)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
