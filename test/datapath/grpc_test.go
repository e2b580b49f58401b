package datapath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
)

func TestHTTP2WithPriorKnowledgeCrossesTheMesh(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var p http.Protocols
		p.SetUnencryptedHTTP2(true)
		srv := &http.Server{Protocols: &p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "x-end")
			fmt.Fprintf(w, "%s %s %s ", r.Proto, r.Method, r.URL)
			io.Copy(w, r.Body)
			w.Header().Set("x-end", "yes")
		})}
		done := make(chan struct{})
		go func() { defer close(done); srv.Serve(ln) }()
		t.Cleanup(func() { srv.Close(); <-done })
		x := newPair(t, pairOptions{driver: driver, app: ln.Addr().String()})
		tr := &http.Transport{Protocols: &p}
		defer tr.CloseIdleConnections()
		c := &http.Client{Transport: tr}
		// Go's client dials for each of many first requests and force-closes the connections that it
		// does not keep, bodies being read from them or not. So the first one goes alone.
		if res, err := c.Get(x.url("/")); err != nil {
			t.Fatal(err)
		} else {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		var wg sync.WaitGroup
		for i := range 100 { // many streams on one connection
			wg.Add(1)
			go func() {
				defer wg.Done()
				body := strings.Repeat("b", i*700)
				res, err := c.Post(x.url(fmt.Sprintf("/%d?q", i)), "text/plain", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				want := fmt.Sprintf("HTTP/2.0 POST /%d?q ", i) + body
				if err != nil || string(b) != want || res.ProtoMajor != 2 || res.Trailer.Get("x-end") != "yes" {
					t.Errorf("%d: %v %s %.60q of %d bytes, trailer %v", i, err, res.Proto, b, len(b), res.Trailer)
				}
			}()
		}
		wg.Wait()
	})
}

// echoService is a gRPC service made by hand: Call doubles, Down streams n replies, Up sums, Bidi
// echoes; a value of "fail" fails, "wait" waits for the end of its context and tells ended.
type echoService struct {
	ended chan error
	md    chan metadata.MD
}

func (e *echoService) call(ctx context.Context, in *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	if e.md != nil {
		md, _ := metadata.FromIncomingContext(ctx)
		e.md <- md
	}
	grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "t"))
	grpc.SetHeader(ctx, metadata.Pairs("x-header", "h"))
	switch in.Value {
	case "fail":
		return nil, status.Error(codes.FailedPrecondition, "as you wish: 100 %")
	case "wait":
		<-ctx.Done()
		e.ended <- ctx.Err()
		return nil, ctx.Err()
	}
	return wrapperspb.String(in.Value + in.Value), nil
}

func (e *echoService) stream(_ any, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	s.SetTrailer(metadata.Pairs("x-trailer", "t"))
	n := 0
	for {
		in := new(wrapperspb.StringValue)
		err := s.RecvMsg(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		n++
		switch {
		case strings.HasSuffix(method, "/Down"):
			for i := range 50 {
				if err := s.SendMsg(wrapperspb.String(fmt.Sprint(in.Value, i))); err != nil {
					return err
				}
			}
		case strings.HasSuffix(method, "/Bidi"):
			if err := s.SendMsg(in); err != nil {
				return err
			}
		}
	}
	if strings.HasSuffix(method, "/Up") {
		return s.SendMsg(wrapperspb.String(fmt.Sprint(n)))
	}
	return nil
}

func grpcServer(t testing.TB, e *echoService) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := dec(in); err != nil {
				return nil, err
			}
			return e.call(ctx, in)
		}}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Down", Handler: e.stream, ServerStreams: true},
			{StreamName: "Up", Handler: e.stream, ClientStreams: true},
			{StreamName: "Bidi", Handler: e.stream, ServerStreams: true, ClientStreams: true},
		},
	}, e)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return ln.Addr().String()
}

func grpcClient(t testing.TB, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient(target, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func call(ctx context.Context, cc *grpc.ClientConn, v string, opts ...grpc.CallOption) (string, error) {
	out := new(wrapperspb.StringValue)
	err := cc.Invoke(ctx, "/test.Echo/Call", wrapperspb.String(v), out, opts...)
	return out.Value, err
}

// throughProxy dials by CONNECT, as gRPC does with https_proxy.
func throughProxy(proxy string) grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", proxy)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", addr, addr)
		head := make([]byte, 0, 64)
		for !strings.HasSuffix(string(head), "\r\n\r\n") { // byte by byte: what follows is not ours
			b := make([]byte, 1)
			if _, err := c.Read(b); err != nil {
				return nil, err
			}
			head = append(head, b[0])
		}
		if !strings.HasPrefix(string(head), "HTTP/1.1 200 ") {
			return nil, fmt.Errorf("%s", head)
		}
		return c, nil
	})
}

func TestGRPCOfEveryKindWorks(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		for _, protocol := range []model.Protocol{model.ProtocolGRPC, model.ProtocolDetect} {
			e := &echoService{ended: make(chan error, 1)}
			x := newPair(t, pairOptions{driver: driver, app: grpcServer(t, e), protocol: protocol})
			for how, cc := range map[string]*grpc.ClientConn{
				"service": grpcClient(t, "passthrough:///"+x.client.addr["cart"]),
				"connect": grpcClient(t, "passthrough:///cart:80", throughProxy(x.client.addr["proxy"])),
			} {
				t.Run(protocol.String()+"/"+how, func(t *testing.T) { allKinds(t, cc) })
			}
			in := x.server.counts(inbound)
			if in.GRPCFailures != 2 || in.Failure != 0 {
				t.Errorf("the callee counted %d failed calls and %d failures, want 2 and 0", in.GRPCFailures, in.Failure)
			}
		}
	})
}

func allKinds(t *testing.T, cc *grpc.ClientConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var head, trail metadata.MD
	for _, size := range []int{0, 3, 20_000, 1 << 20} {
		v := strings.Repeat("v", size)
		got, err := call(ctx, cc, v, grpc.Header(&head), grpc.Trailer(&trail))
		if err != nil || got != v+v || fmt.Sprint(head["x-header"], trail["x-trailer"]) != "[h] [t]" {
			t.Fatalf("unary, %d bytes: %d bytes, %v, %v %v", size, len(got), err, head, trail)
		}
	}
	_, err := call(ctx, cc, "fail", grpc.Trailer(&trail))
	if st := status.Convert(err); st.Code() != codes.FailedPrecondition || st.Message() != "as you wish: 100 %" || len(trail["x-trailer"]) != 1 {
		t.Errorf("a failed call: %v, trailers %v", err, trail)
	}
	for name, desc := range map[string]*grpc.StreamDesc{
		"Down": {ServerStreams: true}, "Up": {ClientStreams: true}, "Bidi": {ServerStreams: true, ClientStreams: true},
	} {
		s, err := cc.NewStream(ctx, desc, "/test.Echo/"+name)
		if err != nil {
			t.Fatal(name, err)
		}
		sent := map[string]int{"Down": 1, "Up": 30, "Bidi": 30}[name]
		out := new(wrapperspb.StringValue)
		for i := range sent {
			if err := s.SendMsg(wrapperspb.String(fmt.Sprintf("%d-", i))); err != nil {
				t.Fatal(name, err)
			}
			if name == "Bidi" { // each answer comes before the next question
				if err := s.RecvMsg(out); err != nil || out.Value != fmt.Sprintf("%d-", i) {
					t.Fatalf("Bidi %d: %q %v", i, out.Value, err)
				}
			}
		}
		s.CloseSend()
		replies := 0
		for {
			if err = s.RecvMsg(out); err != nil {
				break
			}
			replies++
		}
		want := map[string]int{"Down": 50, "Up": 1, "Bidi": 0}[name]
		if !errors.Is(err, io.EOF) || replies != want || len(s.Trailer()["x-trailer"]) != 1 {
			t.Errorf("%s: %d replies, %v, trailers %v", name, replies, err, s.Trailer())
		}
		if name == "Up" && out.Value != "30" {
			t.Errorf("Up: the server saw %s messages of 30", out.Value)
		}
	}
}

func TestGRPCCancellationAndDeadlineReachTheServer(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		e := &echoService{ended: make(chan error, 1)}
		x := newPair(t, pairOptions{driver: driver, app: grpcServer(t, e), protocol: model.ProtocolGRPC})
		cc := grpcClient(t, "passthrough:///"+x.client.addr["cart"])
		if _, err := call(context.Background(), cc, "x"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if _, err := call(ctx, cc, "wait"); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("deadline: %v", err)
		}
		if err := <-e.ended; !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			t.Errorf("the server saw %v", err)
		}
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := call(ctx, cc, "wait"); status.Code(err) != codes.Canceled {
			t.Errorf("cancel: %v", err)
		}
		if err := <-e.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the server saw %v", err)
		}
		eventually(t, "nothing is under way", func() bool { return x.server.counts(nil).Active == 0 && x.client.counts(nil).Active == 0 })
	})
}

func TestGRPCFailuresMadeByTheProxyAreTrailersOnly(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: freeAddr(t), protocol: model.ProtocolGRPC})
		cc := grpcClient(t, "passthrough:///"+x.client.addr["cart"])
		var head, trail metadata.MD
		_, err := call(context.Background(), cc, "x", grpc.Header(&head), grpc.Trailer(&trail))
		if st := status.Convert(err); st.Code() != codes.Unavailable || !strings.Contains(st.Message(), "W3305") {
			t.Errorf("application down: %v", err)
		}
		if code := append(head["weft-code"], trail["weft-code"]...); len(code) != 1 || code[0] != "W3305" {
			t.Errorf("weft-code %v %v", head, trail)
		}
		x.eps.Endpoints = nil
		x.publish()
		if _, err = call(context.Background(), cc, "x"); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "W3304") {
			t.Errorf("no endpoints: %v", err)
		}
	})
}

func TestManyGRPCStreamsAtOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver, app: grpcServer(t, &echoService{}), protocol: model.ProtocolGRPC, limits: core.Limits{}})
		cc := grpcClient(t, "passthrough:///"+x.client.addr["cart"])
		var wg sync.WaitGroup
		for i := range 400 { // more than one connection may have
			wg.Add(1)
			go func() {
				defer wg.Done()
				v := strings.Repeat("s", i)
				if got, err := call(context.Background(), cc, v); err != nil || got != v+v {
					t.Errorf("%d: %v", i, err)
				}
			}()
		}
		wg.Wait()
	})
}
