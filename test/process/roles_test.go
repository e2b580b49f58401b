//go:build linux

package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// roleArg makes this test program an application: PROGRAM roleArg ROLE ARG...
const roleArg = "play-role"

// play is the main function of an application. Each serves until SIGTERM or SIGINT; "serving" on
// standard output says that it listens.
func play(role string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	roles := map[string]func(context.Context, []string) error{
		"hold": hold, "http": serveHTTP, "grpc": serveGRPC, "websocket": serveWebSocket, "greeter": serveGreeting, "exit": nil,
	}
	if role == "exit" {
		n, _ := strconv.Atoi(args[0])
		return n
	}
	f := roles[role]
	if f == nil {
		fmt.Fprintln(os.Stderr, "no such role:", role)
		return 2
	}
	if err := f(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

// hold prints its environment as JSON and waits.
func hold(ctx context.Context, _ []string) error {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	if err := json.NewEncoder(os.Stdout).Encode(env); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func listenLocal(port string) (net.Listener, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err == nil {
		fmt.Println("serving")
	}
	return ln, err
}

// serveHTTP answers each request with the text that it is given, and after a "delay" if the query
// asks for one. It drains when it is told to end.
func serveHTTP(ctx context.Context, args []string) error {
	ln, err := listenLocal(args[0])
	if err != nil {
		return err
	}
	text := "hello"
	if len(args) > 1 {
		text = args[1]
	}
	return serveHandler(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d, err := time.ParseDuration(r.URL.Query().Get("delay")); err == nil {
			time.Sleep(d) // the application's work
		}
		w.Header().Set("x-path", r.URL.Path)
		_, _ = io.WriteString(w, text)
	}))
}

func serveHandler(ctx context.Context, ln net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		late, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(late)
	})
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// serveGRPC is a server of grpc-go's own interoperability service.
func serveGRPC(ctx context.Context, args []string) error {
	ln, err := listenLocal(args[0])
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	testpb.RegisterTestServiceServer(s, interop{})
	context.AfterFunc(ctx, s.Stop)
	return s.Serve(ln)
}

type interop struct {
	testpb.UnimplementedTestServiceServer
}

// UnaryCall implements testpb.TestServiceServer.
func (interop) UnaryCall(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: make([]byte, r.GetResponseSize())}}, nil
}

// FullDuplexCall implements testpb.TestServiceServer: each message asks for answers of given sizes.
func (interop) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error {
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, p := range r.GetResponseParameters() {
			if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
				return err
			}
		}
	}
}

// serveWebSocket echoes messages.
func serveWebSocket(ctx context.Context, args []string) error {
	ln, err := listenLocal(args[0])
	if err != nil {
		return err
	}
	return serveHandler(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow() //nolint:errcheck // it is over
		c.SetReadLimit(1 << 20)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	}))
}

// serveGreeting speaks first, as mail servers do, then answers one line.
func serveGreeting(ctx context.Context, args []string) error {
	ln, err := listenLocal(args[0])
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	for {
		c, err := ln.Accept()
		if err != nil {
			return nil //nolint:nilerr // it was closed above
		}
		go func() { // ends with the connection
			defer c.Close() //nolint:errcheck // all was written
			_, _ = io.WriteString(c, "220 mail.example ESMTP\r\n")
			line, err := bufio.NewReader(c).ReadString('\n')
			if err == nil {
				_, _ = io.WriteString(c, "250 heard "+line)
			}
		}()
	}
}
