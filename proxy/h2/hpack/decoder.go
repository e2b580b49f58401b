package hpack

// Field is a decoded field. Name and Value are never to be written to: they may be shared with
// the static table and with later blocks. They live until the next call of Decode, or until the
// block passed to Decode changes.
type Field struct {
	Name, Value []byte
	Sensitive   bool  // came as a never-indexed literal: must not be indexed by anyone (RFC 7541 section 7.1.3)
	Tag         uint8 // the verdict of the Tagger
}

// Tagger judges fields for a caller. The verdict on a field that is in a table is kept there, so
// that a field that repeats on a connection is examined once. A Tagger is immutable and may be
// shared by any number of decoders.
type Tagger struct {
	judge  func(name, value []byte) uint8
	static [staticLen + 1]uint8
}

// NewTagger makes a Tagger. judge must be a pure function that keeps nothing.
func NewTagger(judge func(name, value []byte) uint8) *Tagger {
	t := &Tagger{judge: judge}
	for i := 1; i <= staticLen; i++ {
		t.static[i] = judge(staticTable[i].name, staticTable[i].value)
	}
	return t
}

// Decoder restores the header blocks of one direction of one connection, in their order. Call
// Init before use. Not safe for concurrent use.
type Decoder struct {
	tagger  *Tagger
	table   table
	maxSize uint32 // announced by us: the most that the peer may set
	scratch []byte // Huffman-decoded strings of the present block
}

// Init makes the decoder as new, keeping its memory. maxTableSize is the announced
// SETTINGS_HEADER_TABLE_SIZE; values below the default take effect as the default, which the
// peer may rely on until it has seen the setting.
func (d *Decoder) Init(tagger *Tagger, maxTableSize uint32) {
	d.tagger = tagger
	d.maxSize = max(maxTableSize, DefaultTableSize)
	d.table.reset(DefaultTableSize)
}

// Decode reads a whole header block and appends its fields to fields. size is what the block
// amounts to by the rule of SETTINGS_MAX_HEADER_LIST_SIZE (octets and 32 a field). Beyond limit
// fields are still read, since the table must stay in step, but no longer appended: size > limit
// tells. Any error is fatal for the connection.
func (d *Decoder) Decode(fields []Field, block []byte, limit int) (_ []Field, size int, err error) {
	d.scratch = d.scratch[:0]
	d.table.lent = false
	updates := true // size updates come before the first field only (RFC 7541 section 4.2)
	for len(block) > 0 {
		b := block[0]
		var f Field
		var n int
		switch {
		case b&0x80 != 0: // indexed
			n, err = d.indexed(&f, block)
		case b&0xc0 == 0x40: // literal, added to the table
			n, err = d.literal(&f, block, 6, true)
		case b&0xe0 == 0x20: // table size update
			if !updates {
				return fields, size, ErrSizeUpdate
			}
			n, err = d.sizeUpdate(block)
			if err != nil {
				return fields, size, err
			}
			block = block[n:]
			continue
		default: // literal, not indexed (0000) or never indexed (0001)
			f.Sensitive = b&0x10 != 0
			n, err = d.literal(&f, block, 4, false)
		}
		if err != nil {
			return fields, size, err
		}
		updates = false
		block = block[n:]
		size += len(f.Name) + len(f.Value) + fieldOverhead
		if size <= limit {
			fields = append(fields, f)
		}
	}
	return fields, size, nil
}

func (d *Decoder) sizeUpdate(block []byte) (int, error) {
	v, n, err := readInt(block, 5)
	if err != nil {
		return 0, err
	}
	if v > d.maxSize {
		return 0, ErrSizeUpdate
	}
	d.table.setLimit(v)
	return n, nil
}

func (d *Decoder) indexed(f *Field, block []byte) (int, error) {
	i, n, err := readInt(block, 7)
	if err != nil {
		return 0, err
	}
	if i == 0 {
		return 0, ErrIndex
	}
	if i <= staticLen {
		s := &staticTable[i]
		f.Name, f.Value, f.Tag = s.name, s.value, d.tagger.static[i]
		return n, nil
	}
	e := d.dynamic(i)
	if e == nil {
		return 0, ErrIndex
	}
	f.Name, f.Value, f.Tag = d.table.name(e), d.table.value(e), e.tag
	return n, nil
}

// dynamic returns the entry of index i > staticLen, or nil.
func (d *Decoder) dynamic(i uint32) *entry {
	back := i - staticLen // 1 is the newest
	if back > d.table.n {
		return nil
	}
	return d.table.get(d.table.next - back)
}

func (d *Decoder) literal(f *Field, block []byte, prefix uint, index bool) (int, error) {
	i, at, err := readInt(block, prefix)
	if err != nil {
		return 0, err
	}
	switch {
	case i == 0:
		var n int
		f.Name, n, err = d.str(block[at:])
		if err != nil {
			return 0, err
		}
		at += n
	case i <= staticLen:
		f.Name = staticTable[i].name
	default:
		e := d.dynamic(i)
		if e == nil {
			return 0, ErrIndex
		}
		f.Name = d.table.name(e)
	}
	var n int
	f.Value, n, err = d.str(block[at:])
	if err != nil {
		return 0, err
	}
	f.Tag = d.tagger.judge(f.Name, f.Value)
	if index {
		if e := d.table.add(f.Name, f.Value); e != nil {
			e.tag = f.Tag
		}
	}
	return at + n, nil
}

// str reads a string literal (RFC 7541 section 5.2). The result points into p or scratch; when
// scratch grows, earlier results keep the old array.
func (d *Decoder) str(p []byte) (s []byte, n int, err error) {
	if len(p) == 0 {
		return nil, 0, ErrTruncated
	}
	size, at, err := readInt(p, 7)
	if err != nil {
		return nil, 0, err
	}
	if int(size) > len(p)-at {
		return nil, 0, ErrTruncated
	}
	end := at + int(size)
	if p[0]&0x80 == 0 {
		return p[at:end:end], end, nil
	}
	from := len(d.scratch)
	d.scratch, err = appendDecoded(d.scratch, p[at:end])
	if err != nil {
		return nil, 0, err
	}
	return d.scratch[from:len(d.scratch):len(d.scratch)], end, nil
}

// Trim gives back memory that one unusual block left behind.
func (d *Decoder) Trim(keep int) {
	if cap(d.scratch) > keep {
		d.scratch = nil
	}
}
