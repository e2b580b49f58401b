package h2

// streamTable finds open streams by id: open addressing with linear probing, never more than
// half full. Unlike a map it allocates only when it grows.
type streamTable struct {
	slots []*Stream // a power of two long
	n     int
}

// home is the preferred slot of an id. Ids of one connection are every other number, so that
// halving them spreads a run of them perfectly.
func (t *streamTable) home(id uint32) int { return int(id>>1) & (len(t.slots) - 1) }

func (t *streamTable) get(id uint32) *Stream {
	if t.n == 0 {
		return nil
	}
	for i := t.home(id); ; i = (i + 1) & (len(t.slots) - 1) {
		s := t.slots[i]
		if s == nil || s.ID == id {
			return s
		}
	}
}

// put adds a stream whose id is not in the table.
func (t *streamTable) put(s *Stream) {
	if 2*(t.n+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]*Stream, max(8, 2*len(old)))
		for _, o := range old {
			if o != nil {
				t.place(o)
			}
		}
	}
	t.place(s)
	t.n++
}

func (t *streamTable) place(s *Stream) {
	i := t.home(s.ID)
	for t.slots[i] != nil {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = s
}

// remove takes a stream out and closes the gap, so that no mark of it remains.
func (t *streamTable) remove(id uint32) {
	if t.n == 0 {
		return
	}
	mask := len(t.slots) - 1
	i := t.home(id)
	for t.slots[i] == nil || t.slots[i].ID != id {
		if t.slots[i] == nil {
			return
		}
		i = (i + 1) & mask
	}
	t.n--
	for j := i; ; {
		t.slots[i] = nil
		for {
			j = (j + 1) & mask
			s := t.slots[j]
			if s == nil {
				return
			}
			// s may fill the gap at i unless its home lies after i on the way to j.
			if (j-t.home(s.ID))&mask >= (j-i)&mask {
				t.slots[i] = s
				i = j
				break
			}
		}
	}
}

// appendAll appends the streams in the table to dst, in the order of the slots.
func (t *streamTable) appendAll(dst []*Stream) []*Stream {
	for _, s := range t.slots {
		if s != nil {
			dst = append(dst, s)
		}
	}
	return dst
}

// streamList is a queue of streams, linked through them. A stream is in one list at most.
type streamList struct{ head, tail *Stream }

func (l *streamList) push(s *Stream) {
	s.list, s.prev, s.next = l, l.tail, nil
	if l.tail == nil {
		l.head = s
	} else {
		l.tail.next = s
	}
	l.tail = s
}

func (l *streamList) remove(s *Stream) {
	if s.prev == nil {
		l.head = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.tail = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.list, s.prev, s.next = nil, nil, nil
}
