package hpack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	xhpack "golang.org/x/net/http2/hpack"
)

func TestStaticTableIsThatOfTheRFC(t *testing.T) {
	d := xhpack.NewDecoder(4096, nil)
	for i := 1; i <= staticLen; i++ {
		hf, err := d.DecodeFull([]byte{0x80 | byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		if s := staticTable[i]; hf[0].Name != string(s.name) || hf[0].Value != string(s.value) {
			t.Errorf("entry %d is %s=%s, want %s=%s", i, s.name, s.value, hf[0].Name, hf[0].Value)
		}
		first := staticName(staticTable[i].name)
		if first == 0 || first > uint32(i) || !bytes.Equal(staticTable[first].name, staticTable[i].name) {
			t.Errorf("staticName(%s) is %d", staticTable[i].name, first)
		}
		if got := staticPair(first, staticTable[i].value); got != uint32(i) {
			t.Errorf("staticPair of entry %d is %d", i, got)
		}
	}
	if staticName([]byte("x-unknown")) != 0 || staticPair(8, []byte("201")) != 0 || staticPair(16, nil) != 0 {
		t.Error("found what is not there")
	}
}

// script is a seeded sequence of header blocks as proxies see them: much repeats, something
// changes each time, some values are odd.
func script(seed uint64, blocks int) [][]Field {
	r := rand.New(rand.NewPCG(seed, 1))
	var out [][]Field
	for i := range blocks {
		var b []Field
		add := func(n, v string, s bool) { b = append(b, Field{Name: []byte(n), Value: []byte(v), Sensitive: s}) }
		add(":method", []string{"GET", "POST", "PATCH"}[r.IntN(3)], false)
		add(":path", fmt.Sprintf("/items/%d", r.IntN(5)), false)
		add("user-agent", "test/1.0", false)
		add("traceparent", fmt.Sprintf("00-%032x", i), false)
		add("authorization", "Bearer secret", true)
		for range r.IntN(4) {
			v := make([]byte, r.IntN(120))
			for k := range v {
				v[k] = byte(r.IntN(256))
			}
			add(fmt.Sprintf("x-%d", r.IntN(40)), string(v), r.IntN(8) == 0)
		}
		if r.IntN(10) == 0 {
			add("x-large", string(bytes.Repeat([]byte("v"), r.IntN(6000))), false)
		}
		out = append(out, b)
	}
	return out
}

func TestWhatIsEncodedIsDecodedByUsAndByAnother(t *testing.T) {
	for _, huffman := range []bool{false, true} {
		for seed := range uint64(20) {
			var e Encoder
			var d Decoder
			e.Init(huffman, 16384)
			d.Init(noTags, 16384)
			other := xhpack.NewDecoder(4096, nil)
			other.SetAllowedMaxDynamicTableSize(16384)
			for i, fields := range script(seed, 200) {
				if i%37 == 5 {
					e.SetPeerLimit(uint32(i*71) % 20000)
				}
				if i%53 == 7 {
					e.SetPeerLimit(100)
					e.SetPeerLimit(16384)
				}
				raw := e.Begin(nil)
				for _, f := range fields {
					raw = e.Append(raw, f.Name, f.Value, f.Sensitive)
				}
				got, _, err := d.Decode(nil, raw, 1<<20)
				if err != nil {
					t.Fatalf("seed %d block %d: %v", seed, i, err)
				}
				if join(got) != join(fields) {
					t.Fatalf("seed %d block %d:\n%q\nwant\n%q", seed, i, join(got), join(fields))
				}
				theirs, err := other.DecodeFull(raw)
				if err != nil {
					t.Fatalf("seed %d block %d: the other decoder: %v", seed, i, err)
				}
				for k, f := range theirs {
					if f.Name != string(fields[k].Name) || f.Value != string(fields[k].Value) || f.Sensitive != fields[k].Sensitive || got[k].Sensitive != f.Sensitive {
						t.Fatalf("seed %d block %d: the other decoder reads %v for %s", seed, i, f, fields[k].Name)
					}
				}
			}
		}
	}
}

func TestWhatAnotherEncodesIsDecoded(t *testing.T) {
	for seed := range uint64(20) {
		var buf bytes.Buffer
		other := xhpack.NewEncoder(&buf)
		other.SetMaxDynamicTableSizeLimit(16384)
		var d Decoder
		d.Init(noTags, 16384)
		for i, fields := range script(seed, 200) {
			if i%29 == 3 {
				other.SetMaxDynamicTableSize(uint32(i * 83 % 16384))
			}
			buf.Reset()
			for _, f := range fields {
				if err := other.WriteField(xhpack.HeaderField{Name: string(f.Name), Value: string(f.Value), Sensitive: f.Sensitive}); err != nil {
					t.Fatal(err)
				}
			}
			got, _, err := d.Decode(nil, buf.Bytes(), 1<<20)
			if err != nil {
				t.Fatalf("seed %d block %d: %v", seed, i, err)
			}
			if join(got) != join(fields) {
				t.Fatalf("seed %d block %d: got\n%q\nwant\n%q", seed, i, join(got), join(fields))
			}
		}
	}
}

func TestEncoderIndexesWhatRepeatsAndNothingElse(t *testing.T) {
	var e Encoder
	e.Init(false, 4096)
	size := func(name, value string, sensitive bool) int {
		return len(e.Append(e.Begin(nil), []byte(name), []byte(value), sensitive))
	}
	for range 3 {
		size("x-team", "checkout", false)
	}
	if n := size("x-team", "checkout", false); n > 2 {
		t.Errorf("a repeated pair takes %d octets", n)
	}
	entries := e.table.n
	for i := range 100 {
		size("x-request-id", fmt.Sprint(i), false)
		size("authorization", "Bearer secret", true)
		size("x-large", string(bytes.Repeat([]byte("x"), 3000)), false)
	}
	if e.table.n != entries {
		t.Errorf("%d entries where there were %d: ids, secrets or large values push out what repeats", e.table.n, entries)
	}
}

func TestSizeChangesAreAnnounced(t *testing.T) {
	var e Encoder
	e.Init(false, 4096)
	e.SetPeerLimit(0)
	e.SetPeerLimit(1000)
	got := e.Begin(nil)
	if want := []byte{0x20, 0x3f, 0xc9, 0x07}; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x: the smallest size between two blocks, then the last", got, want)
	}
	if got := e.Begin(nil); len(got) != 0 {
		t.Errorf("announced again: %x", got)
	}
}

func TestHuffmanAgreesWithAnother(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		s := make([]byte, r.IntN(64))
		for i := range s {
			s[i] = byte(r.IntN(256))
			if r.IntN(3) > 0 {
				s[i] = s[i]&0x3f + 0x30
			}
		}
		enc := appendHuffman(nil, s)
		if want := xhpack.AppendHuffmanString(nil, string(s)); !bytes.Equal(enc, want) || huffmanLen(s) != len(want) {
			t.Fatalf("%q: got %x, want %x", s, enc, want)
		}
		if dec, err := appendDecoded(nil, enc); err != nil || !bytes.Equal(dec, s) {
			t.Fatalf("%q: decoded to %q, %v", s, dec, err)
		}
	}
}

func FuzzHuffman(f *testing.F) {
	f.Add([]byte{0xf1, 0xe3, 0xc2, 0xe5})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte("plain"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := appendDecoded(nil, in)
		want, wantErr := xhpack.HuffmanDecodeToString(in)
		if (err == nil) != (wantErr == nil) || err == nil && string(got) != want {
			t.Fatalf("%x: %q, %v; another says %q, %v", in, got, err, want, wantErr)
		}
		if back, err := appendDecoded(nil, appendHuffman(nil, in)); err != nil || !bytes.Equal(back, in) {
			t.Fatalf("%x comes back as %x, %v", in, back, err)
		}
	})
}

// FuzzDecode holds the decoder to another one: what we accept, it accepts with the same fields.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors {
		for _, b := range v.blocks {
			var raw []byte
			if _, err := fmt.Sscanf(b.hex, "%x", &raw); err == nil {
				f.Add(raw)
			}
		}
	}
	f.Add([]byte{0x3f, 0xe1, 0x1f, 0x20, 0x82})
	f.Fuzz(func(t *testing.T, in []byte) {
		var d Decoder
		d.Init(noTags, 4096)
		other := xhpack.NewDecoder(4096, nil)
		half := len(in) / 2
		for _, raw := range [][]byte{in[:half], in[half:]} {
			fields, size, err := d.Decode(nil, raw, 1<<20)
			if err != nil {
				return
			}
			theirs, theirErr := other.DecodeFull(raw)
			if theirErr != nil && strings.Contains(theirErr.Error(), "MUST occur at the beginning") {
				return // it takes a second update at the beginning only while its table is empty
			}
			if theirErr != nil {
				t.Fatalf("%x accepted; another says %v", raw, theirErr)
			}
			if size > 1<<20 {
				return
			}
			if len(theirs) != len(fields) {
				t.Fatalf("%x: %d fields, another reads %d", raw, len(fields), len(theirs))
			}
			for i, x := range theirs {
				if x.Name != string(fields[i].Name) || x.Value != string(fields[i].Value) || x.Sensitive != fields[i].Sensitive {
					t.Fatalf("%x: field %d is %s=%s, another reads %v", raw, i, fields[i].Name, fields[i].Value, x)
				}
			}
			if live := int(d.table.size); live > 4096 || cap(d.table.buf) > 4*4096 {
				t.Fatalf("table grew to %d octets in a buffer of %d", live, cap(d.table.buf))
			}
		}
	})
}
