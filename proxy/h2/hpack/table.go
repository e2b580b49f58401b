package hpack

// entry describes one field of a dynamic table. Its octets lie in table.buf from off on, the
// name first.
type entry struct {
	off       uint32
	nameLen   uint32
	valueLen  uint32
	tag       uint8  // decoder: the caller's verdict on the field
	pair      uint64 // encoder: hash of name and value
	nameIndex uint64 // encoder: hash of the name
}

// table is a dynamic table (RFC 7541 section 2.3.2). Octets are kept in one buffer that is
// filled from front to back; when it is full, the living move to the other of two buffers. So
// entries cost no allocation each, and slices handed out during one block stay intact until the
// block ends. Entries are numbered by a counter of insertions; the newest is next-1.
type table struct {
	buf   []byte
	spare []byte
	lent  bool // spare may be referred to by fields of the present block

	ring []entry // a power of two long, indexed by number
	next uint32  // number of the next insertion; wraps
	n    uint32  // entries alive

	size  uint32 // octets by the rule of RFC 7541 section 4.1
	limit uint32 // size must not exceed this
}

// reset empties the table and keeps its buffers.
func (t *table) reset(limit uint32) {
	t.buf, t.n, t.size, t.limit, t.lent = t.buf[:0], 0, 0, limit, false
}

// alive reports whether entry number id is in the table.
func (t *table) alive(id uint32) bool { return t.next-1-id < t.n }

// get returns entry number id, which must be alive.
func (t *table) get(id uint32) *entry { return &t.ring[id&uint32(len(t.ring)-1)] }

func (t *table) name(e *entry) []byte {
	end := e.off + e.nameLen
	return t.buf[e.off:end:end]
}

func (t *table) value(e *entry) []byte {
	end := e.off + e.nameLen + e.valueLen
	return t.buf[e.off+e.nameLen : end : end]
}

// setLimit changes the permitted size and evicts what no longer fits.
func (t *table) setLimit(limit uint32) {
	t.limit = limit
	t.evict(0)
}

// evict drops the oldest entries until extra more octets would fit.
func (t *table) evict(extra uint32) {
	for t.n > 0 && t.size+extra > t.limit {
		e := t.get(t.next - t.n)
		t.size -= e.nameLen + e.valueLen + fieldOverhead
		t.n--
	}
	if t.n == 0 && !t.lent && extra == 0 {
		t.buf = t.buf[:0]
	}
}

// add inserts a field and returns its entry for the caller to complete, or nil if it is larger
// than the whole table, which is then empty (RFC 7541 section 4.4). name and value may point
// into the table.
func (t *table) add(name, value []byte) *entry {
	need := len(name) + len(value)
	size := uint32(need) + fieldOverhead
	t.evict(size)
	if size > t.limit {
		return nil
	}
	if len(t.buf)+need > cap(t.buf) {
		t.compact(need)
	}
	if int(t.n) == len(t.ring) {
		t.growRing()
	}
	e := t.get(t.next)
	*e = entry{off: uint32(len(t.buf)), nameLen: uint32(len(name)), valueLen: uint32(len(value))}
	t.buf = append(append(t.buf, name...), value...)
	t.next++
	t.n++
	t.size += size
	return e
}

// compact moves the living entries to the other buffer, with room for need octets more. Buffers
// grow to at most twice the table's limit, so that each octet is moved once on average.
func (t *table) compact(need int) {
	live := need + int(t.size) - int(t.n)*fieldOverhead
	dst := t.spare[:0]
	if t.lent || cap(dst) < 2*live {
		dst = make([]byte, 0, max(512, 2*live))
	}
	for id := t.next - t.n; id != t.next; id++ {
		e := t.get(id)
		off := uint32(len(dst))
		dst = append(dst, t.buf[e.off:e.off+e.nameLen+e.valueLen]...)
		e.off = off
	}
	t.spare, t.buf = t.buf, dst
	t.lent = true
}

// growRing doubles the ring of entries. It ends at one entry for each 32 octets of the limit.
func (t *table) growRing() {
	old := *t
	t.ring = make([]entry, max(16, 2*len(old.ring)))
	for id := t.next - t.n; id != t.next; id++ {
		*t.get(id) = *old.get(id)
	}
}
