package h2

import (
	"errors"
	"fmt"
)

// ErrCode is an error code of RFC 9113 section 7.
type ErrCode uint32

// The error codes of RFC 9113 section 7.
const (
	NoError            ErrCode = 0x0
	ProtocolError      ErrCode = 0x1
	InternalError      ErrCode = 0x2
	FlowControlError   ErrCode = 0x3
	SettingsTimeout    ErrCode = 0x4
	StreamClosed       ErrCode = 0x5
	FrameSizeError     ErrCode = 0x6
	RefusedStream      ErrCode = 0x7
	Cancel             ErrCode = 0x8
	CompressionError   ErrCode = 0x9
	ConnectError       ErrCode = 0xa
	EnhanceYourCalm    ErrCode = 0xb
	InadequateSecurity ErrCode = 0xc
	HTTP11Required     ErrCode = 0xd

	// ConnectionLost is told to Handler.OnReset when the transport died and nobody can say
	// what became of the stream. It is never sent; Stream.Reset sends it as InternalError.
	ConnectionLost ErrCode = 1 << 31
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
	"STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
	"CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String gives the name used by RFC 9113.
func (c ErrCode) String() string {
	if int64(c) < int64(len(codeNames)) {
		return codeNames[c]
	}
	if c == ConnectionLost {
		return "CONNECTION_LOST"
	}
	return fmt.Sprintf("ERROR_0x%x", uint32(c))
}

// ConnError ends a connection. Reason is for people and names the observed value.
type ConnError struct {
	Code   ErrCode
	Reason string
}

// Error gives one line.
func (e *ConnError) Error() string { return "http2: " + e.Code.String() + ": " + e.Reason }

// Reasons why Conn.Open does not open a stream. None of them changes the connection.
var (
	ErrTooManyStreams = errors.New("http2: the peer's limit of concurrent streams is reached")
	ErrGoingAway      = errors.New("http2: the connection is going away or closed")
)
