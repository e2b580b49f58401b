//go:build linux

package attack

import (
	"encoding/binary"
	"strings"
)

// Frame types, flags, settings and codes of RFC 9113.
const (
	typeData         = 0
	typeHeaders      = 1
	typePriority     = 2
	typeRST          = 3
	typeSettings     = 4
	typePushPromise  = 5
	typePing         = 6
	typeGoAway       = 7
	typeWindowUpdate = 8
	typeContinuation = 9

	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 0x20

	setTableSize  = 1
	setStreams    = 3
	setWindow     = 4
	setFrameSize  = 5
	maxWindowSize = 1<<31 - 1

	codeNone     = 0
	codeProtocol = 1
	codeInternal = 2
	codeRefused  = 7
	codeCancel   = 8
	codeCalm     = 11
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frame is one frame, whatever its payload is.
func frame(typ, flags byte, id uint32, payload string) string {
	var b [9]byte
	binary.BigEndian.PutUint32(b[:4], uint32(len(payload))<<8)
	b[3], b[4] = typ, flags
	binary.BigEndian.PutUint32(b[5:], id)
	return string(b[:]) + payload
}

func u32(v uint32) string { return string(binary.BigEndian.AppendUint32(nil, v)) }

// setting is one entry of a SETTINGS frame.
func setting(id uint16, v uint32) string {
	return string(binary.BigEndian.AppendUint16(nil, id)) + u32(v)
}

func rst(id, code uint32) string          { return frame(typeRST, 0, id, u32(code)) }
func windowUpdate(id, n uint32) string    { return frame(typeWindowUpdate, 0, id, u32(n)) }
func settings(entries ...string) string   { return frame(typeSettings, 0, 0, strings.Join(entries, "")) }
func goAway(last, code uint32) string     { return frame(typeGoAway, 0, 0, u32(last)+u32(code)) }
func data(id uint32, s string) string     { return frame(typeData, 0, id, s) }
func lastData(id uint32, s string) string { return frame(typeData, flagEndStream, id, s) }

// hpackInt is an integer of RFC 7541 section 5.1; first holds the bits above the prefix.
func hpackInt(first byte, prefix uint, n int) string {
	most := 1<<prefix - 1
	if n < most {
		return string([]byte{first | byte(n)})
	}
	b := []byte{first | byte(most)}
	for n -= most; n >= 128; n >>= 7 {
		b = append(b, byte(n&127)|128)
	}
	return string(append(b, byte(n)))
}

// block encodes names and values as literals that are not indexed and not Huffman-coded: every byte
// of them is in the frame as it is here.
func block(kv ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(kv); i += 2 {
		b.WriteString("\x00" + hpackInt(0, 7, len(kv[i])) + kv[i] + hpackInt(0, 7, len(kv[i+1])) + kv[i+1])
	}
	return b.String()
}

// headers is a request or response head in one frame.
func headers(id uint32, end bool, kv ...string) string {
	flags := byte(flagEndHeaders)
	if end {
		flags |= flagEndStream
	}
	return frame(typeHeaders, flags, id, block(kv...))
}
