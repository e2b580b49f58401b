package decide

import "github.com/weft-mesh/weft/message"

// Scratch is a reusable arena for what filters write. The zero value is ready. Results point
// into it and live until Reset; growing never moves what was given out before. Not safe for
// concurrent use.
type Scratch struct {
	bytes  []byte
	fields []message.Field
}

// Reset forgets everything and keeps the memory.
func (s *Scratch) Reset() {
	s.bytes = s.bytes[:0]
	clear(s.fields) // so that the borrowed buffers can be collected
	s.fields = s.fields[:0]
}

// room makes space for n more bytes. What was given out stays valid: it keeps the old array.
func (s *Scratch) room(n int) {
	if cap(s.bytes)-len(s.bytes) < n {
		s.bytes = make([]byte, 0, max(2*cap(s.bytes), n, 512))
	}
}

// begin marks the start of a value of at most n bytes that is appended to s.bytes.
func (s *Scratch) begin(n int) (start int) {
	s.room(n)
	return len(s.bytes)
}

// end returns the value begun at start.
func (s *Scratch) end(start int) []byte {
	return s.bytes[start:len(s.bytes):len(s.bytes)]
}

// editable returns a copy of the fields that may be changed, with room for extra more.
func (s *Scratch) editable(fields []message.Field, extra int) []message.Field {
	n := len(fields) + extra
	if cap(s.fields)-len(s.fields) < n {
		s.fields = make([]message.Field, 0, max(2*cap(s.fields), n, 32))
	}
	start := len(s.fields)
	s.fields = s.fields[:start+n]
	out := s.fields[start : start+len(fields) : start+n]
	copy(out, fields)
	return out
}
