package h2

import (
	"bytes"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
)

// step is something that a warm connection does again and again; start makes the connection and
// returns what does it once.
type step struct {
	name  string
	bytes int // of bodies
	start func(t testing.TB) (once func())
}

var steps = []step{
	{"get", 0, exchanges(Config{Link: true}, 0, 0, false)},
	{"post", 68, exchanges(Config{Link: true}, 3, 65, false)},
	{"post-huffman", 68, exchanges(Config{Huffman: true}, 3, 65, false)},
	{"grpc", 40, exchanges(Config{Link: true}, 20, 20, true)},
	{"64k", 128 << 10, exchanges(Config{Link: true}, 64<<10, 64<<10, false)},
	{"data-16k", 16 << 10, startData},
	{"ping", 0, startPing},
}

func BenchmarkStep(b *testing.B) {
	for _, s := range steps {
		b.Run(s.name, func(b *testing.B) {
			once := s.start(b)
			once()
			b.SetBytes(int64(s.bytes))
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}

// warmPair is a client and a server that have exchanged SETTINGS.
func warmPair(t testing.TB, cfg Config, response *message.Response, trailers bool, size int) (cl, sv *loopEnd) {
	cl, sv = &loopEnd{t: t}, &loopEnd{t: t, resp: response}
	if trailers {
		sv.trailers = fields("grpc-status", "0", "grpc-message", "")
	}
	sv.data = bytes.Repeat([]byte("r"), size)
	server := cfg
	cfg.Role = Client
	cl.c, sv.c = NewConn(cfg, cl, &cl.out), NewConn(server, sv, &sv.out)
	cl.c.Start()
	sv.c.Start()
	carry(cl, sv)
	return cl, sv
}

// exchanges are whole ones between a client and a server, as links carry them: heads with a dozen
// fields, some of which change, and bodies of up and down octets.
func exchanges(cfg Config, up, down int, trailers bool) func(testing.TB) func() {
	return func(t testing.TB) func() {
		resp := &message.Response{Status: 200, ContentLength: int64(down), Fields: fields("server", "nginx", "content-type", "text/plain", "date", "Tue, 24 Nov 2026 20:00:00 GMT", "etag", `"abc"`)}
		cl, sv := warmPair(t, cfg, resp, trailers, down)
		trace := []byte("00-00000000000000000000000000000000-0000000000000000-01")
		req := &message.Request{Method: []byte("POST"), Scheme: []byte("http"), Authority: []byte("cart.shop.svc"), Path: []byte("/items/7"), ContentLength: int64(up),
			Fields: append(fields("user-agent", "test/1.0", "accept", "*/*", "content-type", "application/json", "x-tenant", "blue", "accept-encoding", "gzip"),
				message.Field{Name: []byte("traceparent"), Value: trace},
				message.Field{Name: []byte("authorization"), Value: []byte("Bearer 0123456789"), Sensitive: true})}
		body := bytes.Repeat([]byte("q"), up)
		n := 0
		return func() {
			n++
			for i, v := 0, n; i < 8; i, v = i+1, v>>4 {
				trace[10+i] = "0123456789abcdef"[v&15]
			}
			s, err := cl.c.Open(req, up == 0)
			if err != nil {
				t.Fatal(err)
			}
			if up > 0 {
				s.Send(body, true)
			}
			carry(cl, sv)
			if cl.ended != n || sv.ended != n {
				t.Fatalf("%d and %d exchanges of %d ended", cl.ended, sv.ended, n)
			}
		}
	}
}

// startData is an upload without end, 16 KiB at a time, with the windows that it needs.
func startData(t testing.TB) func() {
	cl, sv := warmPair(t, Config{Link: true}, nil, false, 0)
	s, err := cl.c.Open(post("/upload", -1), false)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("u"), 16<<10)
	want := 0
	return func() {
		s.Send(body, false)
		carry(cl, sv)
		if want += len(body); sv.received != want {
			t.Fatalf("%d octets of %d arrived", sv.received, want)
		}
	}
}

// startPing is a PING and its answer.
func startPing(t testing.TB) func() {
	cl, sv := warmPair(t, Config{Link: true}, nil, false, 0)
	at := sv.c.now
	return func() {
		at = at.Add(time.Second) // the peer's budget for control frames leaks by time
		cl.c.SetNow(at)
		sv.c.SetNow(at)
		cl.c.Ping([8]byte{1})
		carry(cl, sv)
	}
}

// carry moves what both have written until there is nothing.
func carry(cl, sv *loopEnd) {
	for len(cl.out)+len(sv.out) > 0 {
		sv.take(&cl.out)
		cl.c.Flushed()
		cl.take(&sv.out)
		sv.c.Flushed()
	}
}

// loopEnd is one end of a connection. One with a response is a server that gives it.
type loopEnd struct {
	quiet
	t        testing.TB
	c        *Conn
	out      []byte
	resp     *message.Response
	data     []byte
	trailers []message.Field
	ended    int
	received int
}

func (e *loopEnd) take(out *[]byte) {
	if err := e.c.Feed(*out); err != nil {
		e.t.Fatal(err)
	}
	*out = (*out)[:0]
}

func (e *loopEnd) end(s *Stream) {
	if e.resp != nil {
		s.Respond(e.resp, len(e.data) == 0 && e.trailers == nil)
		if len(e.data) > 0 {
			s.Send(e.data, e.trailers == nil)
		}
		if e.trailers != nil {
			s.SendTrailers(e.trailers)
		}
	}
	e.ended++
	s.Release()
}

func (e *loopEnd) OnRequest(s *Stream, _ *message.Request, end bool) {
	if end {
		e.end(s)
	}
}

func (e *loopEnd) OnResponse(s *Stream, _ *message.Response, end bool) {
	if end {
		e.end(s)
	}
}

func (e *loopEnd) OnData(s *Stream, p []byte, end bool) {
	e.received += len(p)
	s.Consumed(len(p))
	if end {
		e.end(s)
	}
}

func (e *loopEnd) OnTrailers(s *Stream, _ []message.Field) { e.end(s) }
