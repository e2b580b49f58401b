package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcPath is the method that answers with a body of the size b.
func grpcPath(b bodySize) string {
	if b == bodyLarge {
		return "/bench.Echo/Large"
	}
	return "/bench.Echo/Small"
}

// grpcStreamPath is the method that gives every message of a stream back.
const grpcStreamPath = "/bench.Echo/Stream"

// echoMessages gives the messages of a stream back until the caller ends it.
func echoMessages(_ any, s grpc.ServerStream) error {
	for {
		m := new(wrapperspb.BytesValue)
		if err := s.RecvMsg(m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := s.SendMsg(m); err != nil {
			return err
		}
	}
}

// grpcFrame is one request as it goes over the wire: flag, length, message
// (gRPC over HTTP/2, Length-Prefixed-Message). h2load sends it as it is.
func grpcFrame() ([]byte, error) {
	msg, err := proto.Marshal(wrapperspb.Bytes([]byte(smallBody)))
	if err != nil {
		return nil, fmt.Errorf("encoding a request: %w", err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg))), msg...), nil
}

// serveGRPC answers calls on addr until ctx ends: Small gives the request back, Large 64 KiB.
func serveGRPC(ctx context.Context, addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	large := wrapperspb.Bytes([]byte(strings.Repeat("w", largeBytes)))
	method := func(name string, answer func(*wrapperspb.BytesValue) *wrapperspb.BytesValue) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.BytesValue)
			if err := dec(in); err != nil {
				return nil, err
			}
			return answer(in), nil
		}}
	}
	s := grpc.NewServer(grpc.MaxConcurrentStreams(1000))
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "bench.Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		method("Small", func(in *wrapperspb.BytesValue) *wrapperspb.BytesValue { return in }),
		method("Large", func(*wrapperspb.BytesValue) *wrapperspb.BytesValue { return large }),
	}, Streams: []grpc.StreamDesc{{StreamName: "Stream", Handler: echoMessages, ClientStreams: true, ServerStreams: true}}}, nil)
	stop := context.AfterFunc(ctx, s.Stop)
	defer stop()
	if err := s.Serve(ln); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// callGRPC makes one call over the path that will be measured, status and trailers included, which
// h2load does not look at. dial connects to the target.
func callGRPC(ctx context.Context, target string, b bodySize, dial func(context.Context, string) (net.Conn, error)) error {
	cc, err := grpc.NewClient("passthrough:///"+target, grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }()
	out := new(wrapperspb.BytesValue)
	if err := cc.Invoke(ctx, grpcPath(b), wrapperspb.Bytes([]byte(smallBody)), out, grpc.WaitForReady(true)); err != nil {
		return err
	}
	if len(out.GetValue()) != b.bytes() {
		return fmt.Errorf("want %d bytes back, have %d", b.bytes(), len(out.GetValue()))
	}
	return nil
}
