package hpack

// huffmanBits gives the code length of each octet (RFC 7541 appendix B). The code is canonical:
// codes of one length are consecutive numbers in the order of their octets, so that the lengths
// determine it wholly.
var huffmanBits = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
	28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
	5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
	6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
	24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
	21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
	19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
	26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

const (
	maxCodeBits = 30
	eosBits     = 30 // end of string, the last code; never sent (RFC 7541 section 5.2)
	quickBits   = 10 // codes up to this length, all common octets, are found by one look-up
)

// huffman holds what follows from huffmanBits.
var huffman = newHuffmanTables()

type huffmanTables struct {
	code   [256]uint32             // right-aligned codes
	quick  [1 << quickBits]uint16  // length<<8 | octet, or 0 if the code is longer
	first  [maxCodeBits + 1]uint32 // the first code of each length
	count  [maxCodeBits + 1]uint32 // how many codes have that length
	offset [maxCodeBits + 1]uint16 // where their octets begin in sorted
	sorted [256]uint8              // octets by code
}

func newHuffmanTables() *huffmanTables {
	t := &huffmanTables{}
	code, at := uint32(0), uint16(0)
	for n := uint8(1); n <= maxCodeBits; n++ {
		code <<= 1
		t.first[n], t.offset[n] = code, at
		for sym := range 256 {
			if huffmanBits[sym] != n {
				continue
			}
			t.code[sym] = code
			t.sorted[at] = uint8(sym)
			if n <= quickBits {
				low := code << (quickBits - n)
				for i := range uint32(1) << (quickBits - n) {
					t.quick[low+i] = uint16(n)<<8 | uint16(sym)
				}
			}
			code++
			at++
		}
		t.count[n] = code - t.first[n]
	}
	return t
}

// huffmanLen returns the octets that s takes when encoded.
func huffmanLen(s []byte) int {
	n := 0
	for _, c := range s {
		n += int(huffmanBits[c])
	}
	return (n + 7) / 8
}

// appendHuffman appends s encoded, padded with the first bits of the end-of-string code.
func appendHuffman(dst, s []byte) []byte {
	var acc uint64
	n := uint(0) // valid low bits of acc; below 8 at the top of the loop
	for _, c := range s {
		bits := uint(huffmanBits[c])
		acc = acc<<bits | uint64(huffman.code[c])
		for n += bits; n >= 8; {
			n -= 8
			dst = append(dst, byte(acc>>n))
		}
	}
	if n > 0 {
		dst = append(dst, byte(acc<<(8-n))|byte(1<<(8-n)-1))
	}
	return dst
}

// appendDecoded appends what src encodes. Padding must be shorter than 8 bits and all ones; an
// end-of-string code is an error (RFC 7541 section 5.2).
func appendDecoded(dst, src []byte) ([]byte, error) {
	var acc uint64
	n := uint(0) // valid low bits of acc
	for {
		for n <= 56 && len(src) > 0 {
			acc = acc<<8 | uint64(src[0])
			src = src[1:]
			n += 8
		}
		var look uint64 // the next quickBits bits, ones after the end
		if n >= quickBits {
			look = acc >> (n - quickBits) & (1<<quickBits - 1)
		} else {
			look = (acc<<(quickBits-n) | (1<<(quickBits-n) - 1)) & (1<<quickBits - 1)
		}
		if q := huffman.quick[look]; q != 0 && uint(q>>8) <= n {
			dst = append(dst, byte(q))
			n -= uint(q >> 8)
			continue
		}
		sym, bits := longCode(acc, n)
		if bits == 0 {
			break
		}
		dst = append(dst, sym)
		n -= bits
	}
	if n > 7 || acc&(1<<n-1) != 1<<n-1 {
		return dst, ErrHuffman
	}
	return dst, nil
}

// longCode finds a code longer than quickBits at the front of the n low bits of acc. It returns
// 0 bits if there is none, which also covers the end of the string and its code.
func longCode(acc uint64, n uint) (sym byte, bits uint) {
	for bits = quickBits + 1; bits <= maxCodeBits && bits <= n; bits++ {
		code := uint32(acc >> (n - bits) & (1<<bits - 1))
		if d := code - huffman.first[bits]; code >= huffman.first[bits] && d < huffman.count[bits] {
			return huffman.sorted[uint32(huffman.offset[bits])+d], bits
		}
	}
	return 0, 0
}
