//go:build linux

package flood

import (
	"encoding/binary"
	"strings"
)

// Types and flags of HTTP/2 frames (RFC 9113 section 6), as attackers write them.
const (
	typeData         = 0x0
	typeHeaders      = 0x1
	typePriority     = 0x2
	typeReset        = 0x3
	typeSettings     = 0x4
	typePing         = 0x6
	typeWindow       = 0x8
	typeContinuation = 0x9

	endStream  = 0x1
	endHeaders = 0x4
)

// opening is what a client's connection begins with.
var opening = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + string(frame(nil, typeSettings, 0, 0, nil))

func frame(dst []byte, typ, flags byte, id uint32, payload []byte) []byte {
	n := len(payload)
	dst = append(dst, byte(n>>16), byte(n>>8), byte(n), typ, flags)
	return append(binary.BigEndian.AppendUint32(dst, id), payload...)
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// initialWindow is a SETTINGS frame that sets the window of every stream.
func initialWindow(n uint32) []byte {
	return frame(nil, typeSettings, 0, 0, append([]byte{0, 4}, u32(n)...))
}

// literal is a field that no table keeps, with short strings.
func literal(name, value string) []byte {
	return append(append([]byte{0, byte(len(name))}, name...), append([]byte{byte(len(value))}, value...)...)
}

// head is the header block of a GET for path, good for the listener that is attacked.
func (a *attacker) head(path string) []byte {
	b := append([]byte{0x82, 0x86, 0x04, byte(len(path))}, path...) // GET, http, :path
	b = append(b, "\x01\x03app"...)                                 // :authority
	if a.Link {
		b = append(append(b, literal("weft-to", a.App)...), literal("weft-proto", "h2")...)
	}
	return b
}

// open is a request on a stream.
func (a *attacker) open(dst []byte, id uint32, flags byte, path string) []byte {
	return frame(dst, typeHeaders, flags|endHeaders, id, a.head(path))
}

// pieces cuts what an attack wrote down into writes of a size that a sender would choose.
func pieces(p []byte) func() []byte {
	const size = 16 << 10
	return func() []byte {
		n := min(len(p), size)
		if n == 0 {
			return nil
		}
		out := p[:n]
		p = p[n:]
		return out
	}
}

// endless gives the opening once and then the same for ever.
func endless(p []byte) func() []byte {
	first := true
	return func() []byte {
		if first {
			first = false
			return []byte(opening)
		}
		return p
	}
}

// block16 fills about 16 KiB with one frame again and again.
func block16(frame []byte) []byte { return []byte(strings.Repeat(string(frame), 16<<10/len(frame))) }
