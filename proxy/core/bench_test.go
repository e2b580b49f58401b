package core

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/h2"
)

// flow is one kind of traffic in steady state: start makes the connections and returns what
// carries one exchange from the caller to the application and back.
type flow struct {
	name  string
	bytes int // of bodies, both ways
	start func(t testing.TB) (once func())
}

const bulk = 64 << 10

var flows = []flow{
	{"http1", 5, startHTTP1(nil, smallRequest, smallAnswer)},
	{"http1-chunked", 2 * 4096, startHTTP1(nil, chunkedMessage("POST /items HTTP/1.1\r\nHost: cart\r\n", 4096), chunkedMessage("HTTP/1.1 200 OK\r\n", 4096))},
	{"http1-64k", bulk, startHTTP1(nil, smallRequest, "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n"+strings.Repeat("b", bulk))},
	{"http1-one-hop", 5, startHTTP1(unmeshed, smallRequest, smallAnswer)},
	{"http1-one-proxy", 5, startNode},
	{"http2", 5, startHTTP2(browserFields, 0, 5)},
	{"http2-64k", bulk, startHTTP2(browserFields, 0, bulk)},
	{"grpc", 40, startHTTP2(grpcFields, 20, 20)},
	{"tcp", 2 * 64, startTCP(newRig, 64)},
	{"tcp-64k", 2 * bulk, startTCP(newRig, bulk)},
	{"tcp-one-proxy", 2 * 64, startTCP(newNodeRig, 64)},
}

func BenchmarkExchange(b *testing.B) {
	for _, f := range flows {
		b.Run(f.name, func(b *testing.B) {
			once := f.start(b)
			once()
			b.SetBytes(int64(f.bytes))
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}

var rigRequest = []byte(smallRequest)

const (
	smallRequest = "GET /items?a=b HTTP/1.1\r\nHost: cart\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
	smallAnswer  = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"
)

// roundTrip sends one request and takes its response.
func roundTrip(t testing.TB, r *rig, c *pipe, request []byte) {
	c.send(request)
	r.settle()
	if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(c.in, []byte("hello")) {
		t.Fatalf("got %q", c.in)
	}
	c.in = c.in[:0]
}

// chunkedMessage is a message whose body of n bytes comes in four chunks.
func chunkedMessage(head string, n int) string {
	chunk := "400\r\n" + strings.Repeat("c", n/4) + "\r\n"
	return head + "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, 4) + "0\r\n\r\n"
}

// unmeshed makes the service's endpoint one without a proxy: one hop, in the clear.
func unmeshed(r *rig) {
	table, _ := decide.Compile(nil, &decide.View{
		TrustDomain: "m",
		Services:    map[model.Name]*model.Service{rigService: {Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}},
		Endpoints:   map[model.Name]*model.Endpoints{rigService: {Service: rigService, Endpoints: []model.Endpoint{{Port: 80, Addr: rigApp}}}},
	})
	r.client.core.SetTable(table)
}

// startNode is a caller and an application behind one proxy.
func startNode(t testing.TB) func() {
	r := newNodeRig(t, nil, Limits{})
	c := r.dial()
	return func() {
		roundTrip(t, r, c, rigRequest)
		if r.links > 0 {
			t.Fatal("it went over a link")
		}
	}
}

// startHTTP1 is a caller and an application that speak HTTP/1.1, each on one connection.
func startHTTP1(prepare func(*rig), request, answer string) func(t testing.TB) func() {
	return func(t testing.TB) func() {
		r := newRig(t, nil, Limits{})
		if prepare != nil {
			prepare(r)
		}
		r.answer = []byte(answer)
		end := r.answer[len(answer)-5:]
		var tail [5]byte // of what the application was sent
		r.app = func(p *pipe, in []byte) {
			copy(tail[:], in[max(0, len(in)-len(tail)):])
			if bytes.HasSuffix(tail[:], []byte("\r\n\r\n")) {
				p.send(r.answer)
			}
		}
		c := r.dial()
		wire := []byte(request)
		return func() {
			c.send(wire)
			r.settle()
			if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(c.in, end) {
				t.Fatalf("got %.200q", c.in)
			}
			c.in = c.in[:0]
		}
	}
}

// startTCP is a caller and an application that exchange n bytes at a time on a connection whose
// protocol nobody knows.
func startTCP(makeRig func(testing.TB, *model.Service, Limits) *rig, n int) func(t testing.TB) func() {
	return func(t testing.TB) func() {
		r := makeRig(t, tcpService(), Limits{})
		r.app = func(p *pipe, in []byte) { p.send(in) }
		c := r.dial()
		wire := bytes.Repeat([]byte("t"), n)
		return func() {
			c.send(wire)
			r.settle()
			if len(c.in) != n {
				t.Fatalf("%d bytes came back of %d", len(c.in), n)
			}
			c.in = c.in[:0]
		}
	}
}

var (
	browserFields = fieldsOf("user-agent", "test", "accept", "*/*")
	grpcFields    = fieldsOf("content-type", "application/grpc", "user-agent", "grpc-go/1.85.0", "grpc-timeout", "5S")
)

// startHTTP2 is a caller and an application that speak HTTP/2, with bodies of up and down bytes.
// With up they speak gRPC: the response has trailers.
func startHTTP2(fields []message.Field, up, down int) func(t testing.TB) func() {
	return func(t testing.TB) func() {
		r := newRig(t, nil, Limits{})
		req := &message.Request{Method: []byte("GET"), Scheme: []byte("http"), Authority: []byte("cart"), Path: []byte("/items?a=b"), ContentLength: -1, Fields: fields}
		app := &h2Loader{rig: r, body: bytes.Repeat([]byte("d"), down)}
		app.response = &message.Response{Status: 200, ContentLength: int64(down), Fields: fieldsOf("content-type", "text/plain")}
		if up > 0 {
			req.Method, req.Path, req.TETrailers = []byte("POST"), []byte("/shop.Cart/Add"), true
			app.response = &message.Response{Status: 200, ContentLength: -1, Fields: fieldsOf("content-type", "application/grpc")}
			app.trailers = fieldsOf("grpc-status", "0", "grpc-message", "")
		}
		app.conn = h2.NewConn(h2.Config{Role: h2.Server}, app, &app.out)
		app.conn.Start()
		r.app = app.serve
		caller := &h2Loader{rig: r}
		caller.conn = h2.NewConn(h2.Config{Role: h2.Client}, caller, &caller.out)
		caller.conn.Start()
		c := r.dial()
		body := bytes.Repeat([]byte("u"), up)
		n := 0
		return func() {
			s, err := caller.conn.Open(req, up == 0)
			if err != nil {
				t.Fatal(err)
			}
			if up > 0 {
				s.Send(body, true)
			}
			for len(caller.out) > 0 {
				c.send(caller.out)
				caller.out = caller.out[:0]
				r.settle()
				caller.feed(c.in)
				c.in = c.in[:0]
			}
			if n++; caller.ended != n || caller.received != n*down {
				t.Fatalf("%d exchanges of %d ended, with %d bytes", caller.ended, n, caller.received)
			}
		}
	}
}

// h2Loader is a caller or an application of a benchmark that speaks HTTP/2.
type h2Loader struct {
	rig      *rig
	conn     *h2.Conn
	out      []byte
	response *message.Response // of an application
	body     []byte
	trailers []message.Field
	ended    int
	received int // bytes of bodies
}

// feed takes what has arrived.
func (e *h2Loader) feed(in []byte) {
	e.conn.SetNow(time.Unix(0, int64(e.rig.now)))
	if err := e.conn.Feed(in); err != nil {
		e.rig.t.Fatal(err)
	}
}

// serve is an application's turn.
func (e *h2Loader) serve(p *pipe, in []byte) {
	e.feed(in)
	p.send(e.out)
	e.out = e.out[:0]
	e.conn.Flushed()
}

// end is the end of the peer's message.
func (e *h2Loader) end(s *h2.Stream) {
	e.ended++
	if e.response != nil {
		s.Respond(e.response, false)
		s.Send(e.body, e.trailers == nil)
		if e.trailers != nil {
			s.SendTrailers(e.trailers)
		}
	}
	s.Release()
}

// OnRequest implements h2.Handler.
func (e *h2Loader) OnRequest(s *h2.Stream, _ *message.Request, end bool) {
	if end {
		e.end(s)
	}
}

// OnResponse implements h2.Handler.
func (e *h2Loader) OnResponse(s *h2.Stream, r *message.Response, end bool) {
	if r.Status != 200 || end {
		e.rig.t.Fatalf("status %d, end %v", r.Status, end)
	}
}

// OnData implements h2.Handler.
func (e *h2Loader) OnData(s *h2.Stream, p []byte, end bool) {
	e.received += len(p)
	s.Consumed(len(p))
	if end {
		e.end(s)
	}
}

// OnTrailers implements h2.Handler.
func (e *h2Loader) OnTrailers(s *h2.Stream, _ []message.Field) { e.end(s) }

// OnReset implements h2.Handler.
func (e *h2Loader) OnReset(_ *h2.Stream, code h2.ErrCode) { e.rig.t.Fatalf("reset: %v", code) }

// OnWritable implements h2.Handler.
func (e *h2Loader) OnWritable(*h2.Stream) {}

// OnGoAway implements h2.Handler.
func (e *h2Loader) OnGoAway(_ uint32, code h2.ErrCode) { e.rig.t.Fatalf("GOAWAY: %v", code) }

// OnSettings implements h2.Handler.
func (e *h2Loader) OnSettings() {}

// fieldsOf makes fields of names and values.
func fieldsOf(kv ...string) []message.Field {
	var out []message.Field
	for i := 0; i < len(kv); i += 2 {
		out = append(out, message.Field{Name: []byte(kv[i]), Value: []byte(kv[i+1])})
	}
	return out
}
