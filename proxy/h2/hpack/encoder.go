package hpack

import "bytes"

// Encoder compresses the header blocks of one direction of one connection, in their order. Call
// Init before use. Not safe for concurrent use.
//
// It is deterministic: the same calls give the same octets.
type Encoder struct {
	table   table
	index   encoderIndex
	huffman bool
	ceiling uint32 // the most that we use, whatever the peer permits
	lowest  uint32 // the smallest limit since the last block, to be announced (RFC 7541 section 4.2)
	update  bool   // a change of the limit is to be announced
}

// Init makes the encoder as new, keeping its memory. ceiling bounds the dynamic table whatever
// the peer permits; huffman says whether strings are Huffman-coded where that is shorter.
func (e *Encoder) Init(huffman bool, ceiling uint32) {
	e.huffman, e.ceiling, e.update = huffman, ceiling, false
	e.table.reset(DefaultTableSize)
	if ceiling < DefaultTableSize {
		e.setLimit(ceiling)
	}
	e.index.clear()
}

// Shrink gives back the index of the dynamic table; it is made again from the table when it is
// needed. All that is lost is which fields were sent once.
func (e *Encoder) Shrink() { e.index = encoderIndex{} }

// SetPeerLimit obeys the peer's SETTINGS_HEADER_TABLE_SIZE; the change is announced at the
// beginning of the next block.
func (e *Encoder) SetPeerLimit(n uint32) { e.setLimit(min(n, e.ceiling)) }

func (e *Encoder) setLimit(n uint32) {
	if n == e.table.limit {
		return
	}
	if !e.update {
		e.update, e.lowest = true, n
	}
	e.lowest = min(e.lowest, n)
	e.table.setLimit(n)
}

// Begin starts a header block: it appends the table size updates that are due.
func (e *Encoder) Begin(dst []byte) []byte {
	e.table.lent = false
	if !e.update {
		return dst
	}
	e.update = false
	if e.lowest < e.table.limit {
		// The peer must learn of the smallest size. We go down to nothing instead: decoders
		// exist (golang.org/x/net) that take a second update only while their table is empty.
		limit := e.table.limit
		e.table.setLimit(0)
		e.table.setLimit(limit)
		dst = append(dst, 0x20)
	}
	return appendInt(dst, 0x20, 5, e.table.limit)
}

// Append appends one field. A sensitive one becomes a never-indexed literal.
func (e *Encoder) Append(dst, name, value []byte, sensitive bool) []byte {
	if sensitive {
		return e.literal(dst, 0x10, 4, e.nameIndex(name, hash(name, 0)), name, value)
	}
	hn := hash(name, 0)
	hp := hash(value, hn)
	if id, ok := e.findPair(hp, name, value); ok {
		return appendInt(dst, 0x80, 7, staticLen+e.table.next-id)
	}
	ni := staticName(name)
	if i := staticPair(ni, value); i != 0 {
		return appendInt(dst, 0x80, 7, i)
	}
	if ni == 0 {
		ni = e.dynamicName(name, hn)
	}
	if !e.repeats(hp, len(name)+len(value)) {
		return e.literal(dst, 0, 4, ni, name, value)
	}
	dst = e.literal(dst, 0x40, 6, ni, name, value)
	e.insert(hn, hp, name, value)
	return dst
}

// literal appends a literal field whose first octet is first with a prefix of n bits.
func (e *Encoder) literal(dst []byte, first byte, n uint, nameIndex uint32, name, value []byte) []byte {
	dst = appendInt(dst, first, n, nameIndex)
	if nameIndex == 0 {
		dst = e.str(dst, name)
	}
	return e.str(dst, value)
}

func (e *Encoder) str(dst, s []byte) []byte {
	if e.huffman {
		if n := huffmanLen(s); n < len(s) {
			return appendHuffman(appendInt(dst, 0x80, 7, uint32(n)), s)
		}
	}
	return append(appendInt(dst, 0, 7, uint32(len(s))), s...)
}

// repeats reports whether the pair was sent before and is worth a place in the table, and
// remembers it. A pair above a quarter of the table is not: it would push out too much.
func (e *Encoder) repeats(hp uint64, size int) bool {
	if uint32(size)+fieldOverhead > e.table.limit/4 {
		return false
	}
	return e.index.again(hp)
}

func (e *Encoder) insert(hn, hp uint64, name, value []byte) {
	id := e.table.next
	en := e.table.add(name, value)
	if en == nil {
		return
	}
	en.pair, en.nameIndex = hp, hn
	if e.index.small(e.table.n) {
		e.index.make(&e.table)
		return
	}
	e.index.enter(&e.table, id)
}

func (e *Encoder) findPair(hp uint64, name, value []byte) (uint32, bool) {
	if e.table.n == 0 {
		return 0, false
	}
	if e.index.pairs == nil {
		e.index.make(&e.table)
	}
	for k := range uint64(2) {
		id := *e.index.pair(hp, k)
		if !e.table.alive(id) {
			continue
		}
		en := e.table.get(id)
		if en.pair == hp && bytes.Equal(e.table.value(en), value) && bytes.Equal(e.table.name(en), name) {
			return id, true
		}
	}
	return 0, false
}

// nameIndex returns an index for the name in either table, or 0.
func (e *Encoder) nameIndex(name []byte, hn uint64) uint32 {
	if i := staticName(name); i != 0 {
		return i
	}
	return e.dynamicName(name, hn)
}

func (e *Encoder) dynamicName(name []byte, hn uint64) uint32 {
	if e.table.n == 0 {
		return 0
	}
	if e.index.pairs == nil {
		e.index.make(&e.table)
	}
	id := *e.index.name(hn)
	if !e.table.alive(id) {
		return 0
	}
	en := e.table.get(id)
	if en.nameIndex != hn || !bytes.Equal(e.table.name(en), name) {
		return 0
	}
	return staticLen + e.table.next - id
}
