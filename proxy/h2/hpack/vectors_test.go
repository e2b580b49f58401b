package hpack

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// noTags is a Tagger for tests that do not care.
var noTags = NewTagger(func(_, _ []byte) uint8 { return 0 })

// vector is a sequence of header blocks on one connection.
type vector struct {
	name      string
	tableSize uint32
	blocks    []block
}

type block struct {
	hex    string
	fields string // "name: value" lines
	size   uint32 // of the dynamic table afterwards
}

const dateFields = "cache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com"

// vectors are the examples of RFC 7541 appendix C.
var vectors = []vector{
	{"C.2.1 literal with indexing", 4096, []block{
		{"400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header", 55}}},
	{"C.2.2 literal without indexing", 4096, []block{{"040c2f73616d706c652f70617468", ":path: /sample/path", 0}}},
	{"C.2.3 literal never indexed", 4096, []block{{"100870617373776f726406736563726574", "password: secret", 0}}},
	{"C.2.4 indexed", 4096, []block{{"82", ":method: GET", 0}}},
	{"C.3 requests without Huffman", 4096, []block{
		{"828684410f7777772e6578616d706c652e636f6d", ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com", 57},
		{"828684be58086e6f2d6361636865", ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache", 110},
		{"828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value", 164}}},
	{"C.4 requests with Huffman", 4096, []block{
		{"828684418cf1e3c2e5f23a6ba0ab90f4ff", ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com", 57},
		{"828684be5886a8eb10649cbf", ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache", 110},
		{"828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value", 164}}},
	{"C.5 responses without Huffman and with eviction", 256, []block{
		{"4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d", ":status: 302\n" + dateFields, 222},
		{"4803333037c1c0bf", ":status: 307\n" + dateFields, 222},
		{"88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
			":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\ncontent-encoding: gzip\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1", 215}}},
	{"C.6 responses with Huffman and eviction", 256, []block{
		{"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3", ":status: 302\n" + dateFields, 222},
		{"4883640effc1c0bf", ":status: 307\n" + dateFields, 222},
		{"88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
			":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\ncontent-encoding: gzip\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1", 215}}},
}

func TestDecoderReadsTheExamplesOfRFC7541(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			var d Decoder
			d.Init(noTags, DefaultTableSize)
			d.table.setLimit(v.tableSize)
			for i, b := range v.blocks {
				raw, err := hex.DecodeString(b.hex)
				if err != nil {
					t.Fatal(err)
				}
				fields, _, err := d.Decode(nil, raw, 1<<20)
				if err != nil {
					t.Fatalf("block %d: %v", i, err)
				}
				if got := join(fields); got != b.fields {
					t.Errorf("block %d:\n%s\nwant:\n%s", i, got, b.fields)
				}
				if d.table.size != b.size {
					t.Errorf("block %d: table has %d octets, want %d", i, d.table.size, b.size)
				}
			}
		})
	}
}

func TestDecoderTellsNeverIndexedFields(t *testing.T) {
	var d Decoder
	d.Init(noTags, DefaultTableSize)
	raw, _ := hex.DecodeString("100870617373776f726406736563726574")
	fields, _, err := d.Decode(nil, raw, 1<<20)
	if err != nil || len(fields) != 1 || !fields[0].Sensitive {
		t.Fatalf("got %+v, %v: a secret would be indexed further on", fields, err)
	}
}

func join(fields []Field) string {
	var lines []string
	for _, f := range fields {
		lines = append(lines, string(f.Name)+": "+string(f.Value))
	}
	return strings.Join(lines, "\n")
}

func TestDecoderRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		want      error
	}{
		{"index 0", "80", ErrIndex},
		{"an index behind the static table when the dynamic one is empty", "be", ErrIndex},
		{"a name index that does not exist", "7f0f0161", ErrIndex},
		{"an integer without its end", "ff", ErrTruncated},
		{"an integer beyond 31 bits", "ffffffffffff7f", ErrInteger},
		{"an integer padded with zeros without end", "ff80808080808080808000", ErrInteger},
		{"a string longer than its block", "000161057a", ErrTruncated},
		{"a literal without value", "000161", ErrTruncated},
		{"a size update after a field", "8220", ErrSizeUpdate},
		{"a size update above the limit", "3fe21f", ErrSizeUpdate},
		{"Huffman padding of zeros", "0001618118", ErrHuffman},
		{"Huffman padding of a whole octet", "000161821fff", ErrHuffman},
		{"a Huffman end-of-string code", "00016184ffffffff", ErrHuffman},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw, err := hex.DecodeString(tc.hex)
			if err != nil {
				t.Fatal(err)
			}
			var d Decoder
			d.Init(noTags, DefaultTableSize)
			if _, _, err := d.Decode(nil, raw, 1<<20); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestDecoderCountsWhatItDoesNotKeep(t *testing.T) {
	var d Decoder
	d.Init(noTags, DefaultTableSize)
	block := appendInt([]byte{0x40, 1, 'a'}, 0, 7, 4000)
	block = append(block, make([]byte, 4000)...)
	for range 10000 {
		block = append(block, 0xbe) // one octet that stands for 4,033
	}
	fields, size, err := d.Decode(nil, block, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	if want := 10001 * 4033; size != want {
		t.Errorf("size is %d, want %d", size, want)
	}
	if len(fields) > 17 {
		t.Errorf("%d fields kept beyond the limit", len(fields))
	}
}
