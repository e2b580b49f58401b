package h2

import "encoding/binary"

// frameType is a type of RFC 9113 section 6.
type frameType uint8

const (
	frameData         frameType = 0x0
	frameHeaders      frameType = 0x1
	framePriority     frameType = 0x2
	frameRSTStream    frameType = 0x3
	frameSettings     frameType = 0x4
	framePushPromise  frameType = 0x5
	framePing         frameType = 0x6
	frameGoAway       frameType = 0x7
	frameWindowUpdate frameType = 0x8
	frameContinuation frameType = 0x9
)

const (
	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	headerLen = 9 // octets before each payload
	preface   = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

type settingID uint16

const (
	settingHeaderTableSize      settingID = 0x1
	settingEnablePush           settingID = 0x2
	settingMaxConcurrentStreams settingID = 0x3
	settingInitialWindowSize    settingID = 0x4
	settingMaxFrameSize         settingID = 0x5
	settingMaxHeaderListSize    settingID = 0x6
	settingEnableConnect        settingID = 0x8 // RFC 8441
)

// frameHeader is the header of a frame (RFC 9113 section 4.1).
type frameHeader struct {
	length uint32
	id     uint32
	typ    frameType
	flags  uint8
}

func (h frameHeader) has(flag uint8) bool { return h.flags&flag != 0 }

// parseHeader reads a frame header; p has at least headerLen octets.
func parseHeader(p []byte) frameHeader {
	_ = p[headerLen-1]
	return frameHeader{
		length: uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2]),
		typ:    frameType(p[3]),
		flags:  p[4],
		id:     binary.BigEndian.Uint32(p[5:]) & maxStreamID,
	}
}

func appendHeader(dst []byte, length int, typ frameType, flags uint8, id uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), byte(typ), flags,
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendSetting(dst []byte, id settingID, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, byte(id>>8), byte(id)), v)
}

func appendRST(dst []byte, id uint32, code ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, frameRSTStream, 0, id), uint32(code))
}

func appendWindowUpdate(dst []byte, id, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, frameWindowUpdate, 0, id), n)
}

func appendPing(dst []byte, flags uint8, data []byte) []byte {
	return append(appendHeader(dst, 8, framePing, flags, 0), data...)
}

func appendGoAway(dst []byte, last uint32, code ErrCode, reason string) []byte {
	if len(reason) > 200 {
		reason = reason[:200]
	}
	dst = appendHeader(dst, 8+len(reason), frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, reason...)
}
