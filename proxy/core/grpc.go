package core

import "github.com/weft-mesh/weft/message"

// grpcKind is the content-type of a gRPC request, for answers of our own: a client that speaks
// application/grpc+json does not read one of application/grpc (gRPC over HTTP/2, Content-Type). An
// unusually long one counts as plain.
type grpcKind struct {
	n    uint8
	text [32]byte
}

// speaks notes whether the request is gRPC, and of which kind.
func (x *exchange) speaks(f []message.Field) {
	x.grpc = message.IsGRPC(f)
	x.kind.n = 0
	if !x.grpc {
		return
	}
	if v := message.Get(f, "content-type"); len(v) <= len(x.kind.text) {
		x.kind.n = uint8(copy(x.kind.text[:], v))
	}
}

// String gives the content-type of an answer.
func (g *grpcKind) String() string {
	if g.n == 0 {
		return "application/grpc"
	}
	return string(g.text[:g.n])
}
