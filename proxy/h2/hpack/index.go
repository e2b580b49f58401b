package hpack

import (
	"encoding/binary"
	"math/bits"
)

// The index grows with what it has to find, up to these. A connection that had a request or two
// and is idle has the least, 320 octets instead of 2.3 KB.
const (
	minPairSlots, maxPairSlots = 32, 256 // four for each entry, and more than 64 entries share them
	minNameSlots               = 16      // a quarter of those of pairs, and no less
	minSeenSlots, maxSeenSlots = 32, 256
)

// encoderIndex finds fields of the dynamic table. Slots hold entry numbers; a slot whose entry
// is dead or different is simply a miss, so that eviction has nothing to clean up. A collision
// costs some compression and nothing else. The zero value is empty.
type encoderIndex struct {
	// Powers of two long.
	pairs, names []uint32 // nil: not made
	seen         []uint32 // fingerprints of pairs sent once and not indexed
}

// clear forgets everything and keeps the memory.
func (x *encoderIndex) clear() {
	clear(x.pairs)
	clear(x.names)
	clear(x.seen)
}

// small reports whether the index is too small for n entries, or not there.
func (x *encoderIndex) small(n uint32) bool {
	return len(x.pairs) < maxPairSlots && len(x.pairs) < 4*int(n) || x.pairs == nil
}

// make makes the index of what is in the table, in the size that it takes.
func (x *encoderIndex) make(t *table) {
	n := min(max(minPairSlots, 1<<bits.Len32(4*t.n-1)), maxPairSlots)
	x.pairs, x.names = make([]uint32, n), make([]uint32, max(minNameSlots, n/4))
	for id := t.next - t.n; id != t.next; id++ {
		x.enter(t, id)
	}
}

// pair gives one of the two slots, k is 0 or 1, for pairs of this hash.
func (x *encoderIndex) pair(hp, k uint64) *uint32 {
	return &x.pairs[(hp^k)&uint64(len(x.pairs)-1)]
}

// name gives the slot for names of this hash.
func (x *encoderIndex) name(hn uint64) *uint32 { return &x.names[hn&uint64(len(x.names)-1)] }

// enter notes where an entry of the table is.
func (x *encoderIndex) enter(t *table, id uint32) {
	e := t.get(id)
	// Two places are possible; prefer one whose entry is gone.
	slot := x.pair(e.pair, 0)
	if other := x.pair(e.pair, 1); t.alive(*slot) && (!t.alive(*other) || *slot-*other < 1<<31) {
		slot = other
	}
	*slot = id
	*x.name(e.nameIndex) = id
}

// again reports whether a pair of this hash was sent before, and remembers it. Two pairs that share a
// slot would make each other forgotten with each block, so they get more slots if there may be more.
func (x *encoderIndex) again(hp uint64) bool {
	if x.seen == nil {
		x.seen = make([]uint32, minSeenSlots)
	}
	print := uint32(hp) | 1<<31 // never 0, the empty slot
	slot := x.mark(print)
	for *slot != 0 && *slot != print && len(x.seen) < maxSeenSlots {
		old := x.seen
		x.seen = make([]uint32, 2*len(old))
		for _, print := range old {
			if print != 0 {
				*x.mark(print) = print
			}
		}
		slot = x.mark(print)
	}
	again := *slot == print
	*slot = print
	return again
}

// mark gives the slot of a fingerprint.
func (x *encoderIndex) mark(print uint32) *uint32 {
	return &x.seen[print&uint32(len(x.seen)-1)]
}

// hash mixes s into h, eight octets at a time. It needs no key: whoever makes collisions spoils
// the compression of their own fields only.
func hash(s []byte, h uint64) uint64 {
	const k = 0x9e3779b97f4a7c15
	h += uint64(len(s)) * k
	for len(s) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(s)) * k
		h ^= h >> 29
		s = s[8:]
	}
	var tail uint64
	for i := range s {
		tail |= uint64(s[i]) << (8 * uint(i))
	}
	h = (h ^ tail) * k
	return h ^ h>>32
}
