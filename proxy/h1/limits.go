package h1

// Limits bound what one message may make a parser, and the owner of its buffer, hold. A zero field
// stands for the default. Limits count every byte and every field that was received, those that
// the parser drops too, so that dropped fields are not free (RFC 9112 section 11).
type Limits struct {
	HeadBytes      int   // start line, fields and final empty line; default 64 KiB. Beyond: 431
	LineBytes      int   // start line with its CRLF; default 16 KiB. Beyond: 414
	Fields         int   // fields of a head, and again of a trailer section; default 128. Beyond: 431
	TrailerBytes   int   // trailer section with its final empty line; default HeadBytes. Beyond: 431
	ChunkLineBytes int   // one chunk size with its extensions; default 256. Beyond: 400
	ExtensionBytes int   // all chunk extensions of one message (CVE-2023-39326); default 16 KiB. Beyond: 400
	Interim        int   // 1xx responses before a final one; default 16. Beyond: 502
	BodyBytes      int64 // body, declared or counted; default: no limit. Beyond: 413
}

// maxConnectionOptions bounds the options in all Connection fields of one message. Each is compared
// with each field, so this keeps a head from costing more than its length.
const maxConnectionOptions = 32

// maxMethodBytes bounds a method; the longest registered one has 17 bytes (UPDATEREDIRECTREF).
const maxMethodBytes = 32

// withDefaults fills in what is zero or negative.
func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.HeadBytes, 64<<10)
	def(&l.LineBytes, 16<<10)
	def(&l.Fields, 128)
	def(&l.TrailerBytes, l.HeadBytes)
	def(&l.ChunkLineBytes, 256)
	def(&l.ExtensionBytes, 16<<10)
	def(&l.Interim, 16)
	l.LineBytes = min(l.LineBytes, l.HeadBytes)
	return l
}
