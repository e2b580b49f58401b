package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// loadStream keeps streams of the echo service busy for d: conns connections with so many streams
// each, on each stream depth messages in flight. Before that every stream carries a message, and
// begin is called when all have. A latency is from the sending of a message to its return.
func loadStream(ctx context.Context, target string, conns, streams, depth int, d time.Duration, begin func() error) (loadResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := make([]*echoStream, 0, conns*streams)
	for range conns {
		cc, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
		if err != nil {
			return loadResult{}, err
		}
		defer func() { _ = cc.Close() }()
		for range streams {
			s, err := newEchoStream(ctx, cc)
			if err != nil {
				return loadResult{}, err
			}
			all = append(all, s)
		}
	}
	if err := begin(); err != nil {
		return loadResult{}, err
	}
	start := time.Now()
	end := start.Add(d)
	late := time.AfterFunc(d+settleTime, cancel) // a stream that hangs ends with an error
	defer late.Stop()
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() { s.keep(depth, end) })
	}
	wg.Wait()
	res := loadResult{duration: time.Since(start)}
	var us []uint32
	for _, s := range all {
		if s.err != nil {
			res.failed++
		}
		res.requests += s.echoed
		us = append(us, s.us...)
	}
	if res.failed == int64(len(all)) {
		return res, fmt.Errorf("no stream lasted: %w", all[0].err)
	}
	res.bytes = res.requests * smallBytes
	res.setPercentiles(us)
	return res, nil
}

// echoStream is one stream of the load. It is used by one goroutine.
type echoStream struct {
	s      grpc.ClientStream
	out    *wrapperspb.BytesValue
	sentAt []time.Time // of the messages in flight, oldest first
	us     []uint32
	echoed int64
	err    error
}

func newEchoStream(ctx context.Context, cc *grpc.ClientConn) (*echoStream, error) {
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, grpcStreamPath, grpc.WaitForReady(true))
	if err != nil {
		return nil, err
	}
	e := &echoStream{s: s, out: wrapperspb.Bytes([]byte(strings.Repeat("w", smallBytes)))}
	if err := e.send(); err != nil {
		return nil, err
	}
	return e, e.receive()
}

func (e *echoStream) send() error {
	e.sentAt = append(e.sentAt, time.Now())
	return e.s.SendMsg(e.out)
}

// receive takes the echo of the oldest message in flight, and checks it.
func (e *echoStream) receive() error {
	in := new(wrapperspb.BytesValue)
	if err := e.s.RecvMsg(in); err != nil {
		return err
	}
	if !bytes.Equal(in.GetValue(), e.out.GetValue()) {
		return fmt.Errorf("an echo of %d bytes that differs from what was sent", len(in.GetValue()))
	}
	e.us = append(e.us, uint32(time.Since(e.sentAt[0]).Microseconds()))
	e.sentAt = append(e.sentAt[:0], e.sentAt[1:]...)
	e.echoed++
	return nil
}

// keep keeps depth messages in flight until end, then takes what is still on its way, and the
// status, which comes in trailers.
func (e *echoStream) keep(depth int, end time.Time) {
	e.us, e.echoed = e.us[:0], 0
	for e.err == nil && (time.Now().Before(end) || len(e.sentAt) > 0) {
		for e.err == nil && len(e.sentAt) < depth && time.Now().Before(end) {
			e.err = e.send()
		}
		if e.err == nil && len(e.sentAt) > 0 {
			e.err = e.receive()
		}
	}
	if e.err != nil {
		return
	}
	if e.err = e.s.CloseSend(); e.err == nil {
		switch err := e.s.RecvMsg(new(wrapperspb.BytesValue)); {
		case err == nil:
			e.err = errors.New("more came back than was sent")
		case !errors.Is(err, io.EOF):
			e.err = err
		}
	}
}
