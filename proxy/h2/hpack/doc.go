// Package hpack compresses and restores HTTP/2 header fields (RFC 7541).
//
// It owns the two halves of one connection's compression state: a Decoder for what the peer
// sends, an Encoder for what is sent to it. proxy/h2 is its only caller. It does no I/O, knows
// nothing of HTTP beyond names worth indexing, keeps no reference to the caller's buffers and,
// once warm, allocates nothing.
//
// Two habits differ from a textbook implementation, both for the benefit of the links between
// proxies: the encoder puts a pair into the dynamic table only at its second sight, so that
// request ids and trace parents never push out what does repeat; and the decoder lets its caller
// judge a string once, when it enters the table, instead of each time that it is referred to.
package hpack

import "errors"

// Errors of a header block. All of them are connection errors of type COMPRESSION_ERROR
// (RFC 9113 section 4.3): after one, encoder and decoder no longer agree.
var (
	ErrTruncated  = errors.New("header block ends inside a field")
	ErrInteger    = errors.New("integer of a header block is too large")
	ErrIndex      = errors.New("header block refers to an entry that does not exist")
	ErrHuffman    = errors.New("invalid Huffman code in a header block")
	ErrSizeUpdate = errors.New("dynamic table size update is misplaced or above the announced limit")
)

// DefaultTableSize is the size of the dynamic table before any SETTINGS (RFC 9113 section 6.5.2).
const DefaultTableSize = 4096

// fieldOverhead is what each field counts beyond its octets (RFC 7541 section 4.1).
const fieldOverhead = 32

// appendInt appends v as an integer with a prefix of n bits, the bits above it set to first
// (RFC 7541 section 5.1).
func appendInt(dst []byte, first byte, n uint, v uint32) []byte {
	limit := uint32(1)<<n - 1
	if v < limit {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(limit))
	v -= limit
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// readInt reads an integer with a prefix of n bits from p, which is not empty, and returns the
// number of octets that it took. Values of 2^31 and more are refused: nothing valid needs them.
func readInt(p []byte, n uint) (v uint32, size int, err error) {
	limit := uint32(1)<<n - 1
	v = uint32(p[0]) & limit
	if v < limit {
		return v, 1, nil
	}
	sum := uint64(v)
	for i, shift := 1, uint(0); ; i, shift = i+1, shift+7 {
		if i == len(p) {
			return 0, 0, ErrTruncated
		}
		if shift > 28 { // five octets after the prefix hold any 32-bit value
			return 0, 0, ErrInteger
		}
		sum += uint64(p[i]&0x7f) << shift
		if sum >= 1<<31 {
			return 0, 0, ErrInteger
		}
		if p[i] < 0x80 {
			return uint32(sum), i + 1, nil
		}
	}
}
