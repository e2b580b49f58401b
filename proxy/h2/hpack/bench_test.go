package hpack

import "testing"

// link is an encoder and a decoder at the two ends of a connection.
type link struct {
	e      Encoder
	d      Decoder
	raw    []byte
	fields []Field
}

func newLink(huffman bool) *link {
	l := &link{}
	l.e.Init(huffman, 16384)
	l.e.SetPeerLimit(16384)
	l.d.Init(noTags, 16384)
	return l
}

// carry encodes a block and decodes it.
func (l *link) carry(t testing.TB, block []Field) {
	l.encode(block)
	fields, _, err := l.d.Decode(l.fields[:0], l.raw, 1<<20)
	if err != nil || len(fields) != len(block) {
		t.Fatalf("%d fields of %d, %v", len(fields), len(block), err)
	}
	l.fields = fields
}

func (l *link) encode(block []Field) {
	l.raw = l.e.Begin(l.raw[:0])
	for i := range block {
		l.raw = l.e.Append(l.raw, block[i].Name, block[i].Value, block[i].Sensitive)
	}
}

// step is one block's way from end to end. octets is its size once the link is warm.
type step struct {
	name string
	once func(t testing.TB) (once func(), octets func() int)
}

func field(name, value string, sensitive bool) Field {
	return Field{Name: []byte(name), Value: []byte(value), Sensitive: sensitive}
}

var (
	// head repeats but for its last field, as a caller's requests do.
	head = []Field{
		field(":method", "POST", false), field(":scheme", "http", false), field(":path", "/shop.Cart/Add", false),
		field(":authority", "cart.shop.svc.cluster.local", false), field("content-type", "application/grpc", false),
		field("user-agent", "grpc-go/1.85.0", false), field("te", "trailers", false), field("weft-to", "10.0.0.7:8080", false),
		field("traceparent", "00-00000000000000000000000000000000-0000000000000000-01", false),
	}
	indexed  = head[:8]
	literals = []Field{field("x-request-id", "00000000-0000-0000-0000-000000000000", false)}
	never    = []Field{field("authorization", "Bearer 0123456789abcdef0123456789abcdef", true), field("cookie", "session=0123456789", true)}
)

// steps are the forms that a field can take on the wire, and a whole head of a request.
var steps = []step{
	carried("head", false, head),
	carried("head-huffman", true, head),
	carried("indexed", false, indexed),
	carried("literal", false, literals),
	carried("literal-huffman", true, literals),
	carried("never-indexed", false, never),
}

// carried is a step for a block. In a field whose value holds zeros they count up, so that its
// value is never the same.
func carried(name string, huffman bool, block []Field) step {
	return step{name, func(t testing.TB) (func(), func() int) {
		l := newLink(huffman)
		block := append([]Field(nil), block...)
		last := &block[len(block)-1]
		last.Value = append([]byte(nil), last.Value...)
		n := 0
		return func() {
			if n++; name != "indexed" && !last.Sensitive {
				for i, v := 0, n; i < 8; i, v = i+1, v>>4 {
					last.Value[len(last.Value)-14-i] = "0123456789abcdef"[v&15]
				}
			}
			l.carry(t, block)
		}, func() int { return len(l.raw) }
	}}
}

func BenchmarkCarry(b *testing.B) {
	for _, s := range steps {
		b.Run(s.name, func(b *testing.B) {
			once, octets := s.once(b)
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
			b.ReportMetric(float64(octets()), "octets")
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, c := range []struct {
		name  string
		block []Field
	}{{"indexed", indexed}, {"never-indexed", never}} {
		b.Run(c.name, func(b *testing.B) {
			l := newLink(false)
			b.ReportAllocs()
			for b.Loop() {
				l.encode(c.block)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name  string
		block []Field
	}{{"indexed", indexed}, {"never-indexed", never}} {
		b.Run(c.name, func(b *testing.B) {
			l := newLink(false)
			for range 3 { // at its third sight all of it is in the table
				l.carry(b, c.block)
			}
			b.ReportAllocs()
			for b.Loop() {
				l.fields, _, _ = l.d.Decode(l.fields[:0], l.raw, 1<<20)
			}
			if len(l.fields) != len(c.block) {
				b.Fatalf("%d fields of %d", len(l.fields), len(c.block))
			}
		})
	}
}
