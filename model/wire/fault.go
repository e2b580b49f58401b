package wire

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/weft-mesh/weft/api/discovery"
	weft "github.com/weft-mesh/weft/codes"
)

// Fault encodes a coded error; its cause stays here.
func Fault(e *weft.Error) *pb.Fault {
	return &pb.Fault{Code: e.Code, What: e.What, Why: e.Why, Where: e.Where, Next: e.Next}
}

// ToFault decodes a coded error; nil stays nil.
func ToFault(f *pb.Fault) *weft.Error {
	if f == nil {
		return nil
	}
	return &weft.Error{Code: f.GetCode(), What: f.GetWhat(), Why: f.GetWhy(), Where: f.GetWhere(), Next: f.GetNext()}
}

// Status makes a gRPC error of err. A *codes.Error travels whole, as a detail; other errors
// travel as their text.
func Status(code codes.Code, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	st := status.New(code, err.Error())
	var coded *weft.Error
	if errors.As(err, &coded) {
		if with, derr := st.WithDetails(Fault(coded)); derr == nil {
			st = with
		}
	}
	return st.Err()
}

// FromStatus gives the coded error that travelled with a failed call, or err itself if there
// was none.
func FromStatus(err error) error {
	st, ok := status.FromError(err)
	if !ok || err == nil {
		return err
	}
	for _, d := range st.Details() {
		if f, ok := d.(*pb.Fault); ok {
			e := ToFault(f)
			e.Err = err
			return e
		}
	}
	return err
}
