package h2

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/message"
)

// side is one end of a pair: a Conn, its output, and a record of what its handler was told.
type side struct {
	t    testing.TB
	c    *Conn
	out  []byte
	log  []string
	hold bool // do not consume bodies

	streams []*Stream
	body    []byte
	onReq   func(s *Stream, r *message.Request, end bool)
	onResp  func(s *Stream, r *message.Response, end bool)
	onData  func(s *Stream, p []byte, end bool)
	onWrite func(s *Stream)
}

func newSide(t testing.TB, cfg Config) *side {
	e := &side{t: t}
	e.c = NewConn(cfg, e, &e.out)
	return e
}

func (e *side) note(format string, args ...any) { e.log = append(e.log, fmt.Sprintf(format, args...)) }

func (e *side) OnRequest(s *Stream, r *message.Request, end bool) {
	e.streams = append(e.streams, s)
	e.note("request %d %s %s %s%s%s", s.ID, r.Method, r.Authority, r.Path, show(r.Fields), ifEnd(end))
	if e.onReq != nil {
		e.onReq(s, r, end)
	}
}

func (e *side) OnResponse(s *Stream, r *message.Response, end bool) {
	e.note("response %d %d%s%s", s.ID, r.Status, show(r.Fields), ifEnd(end))
	if e.onResp != nil {
		e.onResp(s, r, end)
	}
}

func (e *side) OnData(s *Stream, p []byte, end bool) {
	e.body = append(e.body, p...)
	if end {
		e.note("data %d end", s.ID)
	}
	if !e.hold {
		s.Consumed(len(p))
	}
	if e.onData != nil {
		e.onData(s, p, end)
	}
}

func (e *side) OnTrailers(s *Stream, f []message.Field) { e.note("trailers %d%s", s.ID, show(f)) }
func (e *side) OnReset(s *Stream, code ErrCode)         { e.note("reset %d %v", s.ID, code) }
func (e *side) OnGoAway(last uint32, code ErrCode)      { e.note("goaway %d %v", last, code) }
func (e *side) OnSettings()                             { e.note("settings") }
func (e *side) OnWritable(s *Stream) {
	e.note("writable %d", s.ID)
	if e.onWrite != nil {
		e.onWrite(s)
	}
}

func show(fields []message.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
	}
	return b.String()
}

func ifEnd(end bool) string {
	if end {
		return " end"
	}
	return ""
}

// take returns what was noted and forgets it.
func (e *side) take() string {
	s := strings.Join(e.log, "; ")
	e.log = nil
	return s
}

// exchange carries bytes both ways until there are none, in pieces of at most piece octets.
func exchange(a, b *side, piece int) error {
	for len(a.out)+len(b.out) > 0 {
		for _, d := range [2][2]*side{{a, b}, {b, a}} {
			p := bytes.Clone(d[0].out)
			d[0].out = d[0].out[:0]
			d[0].c.Flushed()
			for len(p) > 0 {
				n := min(piece, len(p))
				if err := d[1].c.Feed(p[:n]); err != nil {
					return err
				}
				p = p[n:]
			}
		}
	}
	return nil
}

// pair makes a client and a server that have exchanged SETTINGS.
func pair(t testing.TB, client, server Config) (cl, sv *side) {
	t.Helper()
	client.Role, server.Role = Client, Server
	cl, sv = newSide(t, client), newSide(t, server)
	cl.c.Start()
	sv.c.Start()
	if err := exchange(cl, sv, 1<<20); err != nil {
		t.Fatal(err)
	}
	cl.take()
	sv.take()
	return cl, sv
}

func fields(kv ...string) []message.Field {
	var out []message.Field
	for i := 0; i < len(kv); i += 2 {
		out = append(out, message.Field{Name: []byte(kv[i]), Value: []byte(kv[i+1])})
	}
	return out
}

func get(path string, kv ...string) *message.Request {
	return &message.Request{Method: []byte("GET"), Scheme: []byte("http"), Authority: []byte("cart"), Path: []byte(path), Fields: fields(kv...), ContentLength: -1}
}

func post(path string, length int64) *message.Request {
	r := get(path)
	r.Method, r.ContentLength = []byte("POST"), length
	return r
}

func ok(kv ...string) *message.Response {
	return &message.Response{Status: 200, Fields: fields(kv...), ContentLength: -1}
}

func mustOpen(t testing.TB, e *side, r *message.Request, end bool) *Stream {
	t.Helper()
	s, err := e.c.Open(r, end)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExchangesComeOutTheSameHoweverTheBytesAreCut(t *testing.T) {
	for _, piece := range []int{1, 2, 3, 7, 9, 10, 64, 1000, 1 << 20} {
		t.Run(fmt.Sprint(piece), func(t *testing.T) {
			cl, sv := pair(t, Config{Huffman: true, StreamWindow: 1 << 20}, Config{Huffman: true, EnableConnect: true, StreamWindow: 1 << 20})
			sv.onReq = func(s *Stream, r *message.Request, end bool) {
				switch string(r.Path) {
				case "/get":
					s.Respond(&message.Response{Status: 103, Fields: fields("link", "</a.css>"), ContentLength: -1}, false)
					s.Respond(&message.Response{Status: 200, ContentLength: 5}, false)
					s.Send([]byte("hello"), true)
				case "/grpc":
					s.Respond(ok("content-type", "application/grpc"), false)
				}
			}
			sv.onData = func(s *Stream, p []byte, end bool) {
				s.Send(p, false)
				if end {
					s.SendTrailers(fields("grpc-status", "0"))
				}
			}
			mustOpen(t, cl, get("/get", "x-a", "1", "cookie", "a=b"), true)
			up := mustOpen(t, cl, post("/grpc", -1), false)
			body := bytes.Repeat([]byte("0123456789abcdef"), 10000)
			up.Send(body, true)
			if err := exchange(cl, sv, piece); err != nil {
				t.Fatal(err)
			}
			if got, want := sv.take(), "request 1 GET cart /get x-a=1 cookie=a=b end; request 3 POST cart /grpc; data 3 end"; got != want {
				t.Errorf("server saw %s\nwant %s", got, want)
			}
			got := cl.take()
			for _, want := range []string{"response 1 103 link=</a.css>; response 1 200; data 1 end", "response 3 200 content-type=application/grpc", "trailers 3 grpc-status=0"} {
				if !strings.Contains(got, want) {
					t.Errorf("client saw %s\nwithout %s", got, want)
				}
			}
			if want := len(body) + 5; len(cl.body) != want {
				t.Errorf("client has %d octets of bodies, want %d", len(cl.body), want)
			}
			if cl.c.Streams()+sv.c.Streams() != 0 {
				t.Errorf("%d and %d streams left", cl.c.Streams(), sv.c.Streams())
			}
		})
	}
}

func TestFactsOfARequestSurviveTheCrossing(t *testing.T) {
	cl, sv := pair(t, Config{Link: true}, Config{Link: true, EnableConnect: true})
	var got message.Request
	sv.onReq = func(_ *Stream, r *message.Request, _ bool) {
		got = *r
		got.Fields = append([]message.Field(nil), r.Fields...)
	}
	r := post("/p?q=1", 7)
	r.TETrailers, r.Expect100, r.Scheme = true, true, []byte("https")
	r.Fields = []message.Field{{Name: []byte("authorization"), Value: []byte("Bearer x"), Sensitive: true}, {Name: []byte("x-empty"), Value: nil}}
	mustOpen(t, cl, r, false)
	if err := exchange(cl, sv, 5); err != nil {
		t.Fatal(err)
	}
	if !got.TETrailers || !got.Expect100 || got.ContentLength != 7 || string(got.Scheme) != "https" || len(got.Fields) != 2 || !got.Fields[0].Sensitive {
		t.Errorf("got %+v", got)
	}
	c := &message.Request{Method: []byte("CONNECT"), Authority: []byte("db:5432"), ContentLength: -1}
	mustOpen(t, cl, c, false)
	if err := exchange(cl, sv, 5); err != nil {
		t.Fatal(err)
	}
	if string(got.Method) != "CONNECT" || string(got.Authority) != "db:5432" || got.Path != nil {
		t.Errorf("CONNECT came as %+v", got)
	}
	if !cl.c.PeerConnect() {
		t.Error("the client does not know that extended CONNECT is offered")
	}
	c.Protocol, c.Path, c.Scheme = []byte("websocket"), []byte("/chat"), []byte("http")
	mustOpen(t, cl, c, false)
	if err := exchange(cl, sv, 5); err != nil {
		t.Fatal(err)
	}
	if string(got.Protocol) != "websocket" || string(got.Path) != "/chat" {
		t.Errorf("extended CONNECT came as %+v", got)
	}
}

func TestLargeHeadsGoOnInContinuation(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{})
	long := strings.Repeat("v", 30000)
	mustOpen(t, cl, get("/", "x-long", long, "x-after", "1"), true)
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	if got := sv.take(); !strings.HasSuffix(got, "v x-after=1 end") {
		t.Errorf("got %.60s", got)
	}
}

func TestCookieCrumbsAreJoined(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{})
	mustOpen(t, cl, get("/", "cookie", "", "x-a", "1", "cookie", "b=2", "cookie", "c=3"), true)
	mustOpen(t, cl, get("/", "cookie", "d=4"), true)
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	if got, want := sv.take(), "request 1 GET cart / cookie=; b=2; c=3 x-a=1 end; request 3 GET cart / cookie=d=4 end"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestGoAwayIsGracefulThenFinal(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{})
	first := mustOpen(t, cl, get("/1"), true)
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	sv.c.GoAway(NoError)
	under := mustOpen(t, cl, get("/2"), true) // crosses the GOAWAY
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.c.Open(get("/3"), true); !errors.Is(err, ErrGoingAway) {
		t.Errorf("Open after GOAWAY: %v", err)
	}
	sv.c.FinishGoAway()
	sv.streams[0].Respond(ok(), true)
	sv.streams[1].Respond(ok(), true)
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	if got, want := cl.take(), "goaway 2147483647 NO_ERROR; goaway 3 NO_ERROR; response 1 200 end; response 3 200 end"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if n := sv.c.Streams() + cl.c.Streams(); n != 0 {
		t.Errorf("%d streams left of %v, %v", n, first, under)
	}
}

func TestStreamsAboveTheLastOneAreRefused(t *testing.T) {
	cl, _ := pair(t, Config{}, Config{})
	for _, p := range []string{"/1", "/2", "/3"} {
		mustOpen(t, cl, get(p), true)
	}
	if err := cl.c.Feed(appendGoAway(nil, 1, NoError, "")); err != nil {
		t.Fatal(err)
	}
	if got := cl.take(); got != "reset 3 REFUSED_STREAM; reset 5 REFUSED_STREAM; goaway 1 NO_ERROR" {
		t.Errorf("got %s: the owner cannot know what is safe to retry", got)
	}
	cl.c.Closed(nil)
	if got := cl.take(); got != "reset 1 CONNECTION_LOST" {
		t.Errorf("got %s", got)
	}
}

func TestPingIsAnsweredAndKnown(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{})
	cl.c.Ping([8]byte{1, 2, 3})
	if err := exchange(cl, sv, 4); err != nil {
		t.Fatal(err)
	}
	if p, n := cl.c.LastPong(); n != 1 || p != [8]byte{1, 2, 3} {
		t.Errorf("got %v, %d", p, n)
	}
}

func TestOpenKeepsToThePeersLimit(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{MaxConcurrentStreams: 2})
	mustOpen(t, cl, get("/"), true)
	mustOpen(t, cl, get("/"), true)
	if _, err := cl.c.Open(get("/"), true); !errors.Is(err, ErrTooManyStreams) || cl.c.CanOpen() {
		t.Fatalf("got %v", err)
	}
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	sv.streams[0].Respond(ok(), true)
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, cl, get("/"), true)
}

func TestOneStreamIsOpenedUntilThePeersLimitIsKnown(t *testing.T) {
	cl, sv := newSide(t, Config{Role: Client}), newSide(t, Config{Role: Server, MaxConcurrentStreams: 2})
	cl.c.Start()
	sv.c.Start()
	mustOpen(t, cl, get("/"), true)
	if _, err := cl.c.Open(get("/"), true); !errors.Is(err, ErrTooManyStreams) {
		t.Fatalf("got %v: the peer may have to refuse it", err)
	}
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, cl, get("/"), true)
}

func TestACutStreamDeliversWhatWaitsAndIsReset(t *testing.T) {
	cl, sv := pair(t, Config{StreamWindow: 1000}, Config{})
	cl.hold = true
	st := mustOpen(t, cl, get("/"), true)
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	cl.take()
	sv.streams[0].Respond(ok(), false)
	if n := sv.streams[0].Send(make([]byte, 2500), false); n != 1500 {
		t.Fatalf("%d octets wait, want 1500", n)
	}
	sv.streams[0].Cut(InternalError)
	sv.streams[0].Release()
	for range 5 {
		if err := exchange(cl, sv, 1000); err != nil {
			t.Fatal(err)
		}
		st.Consumed(1000)
		if err := exchange(cl, sv, 1000); err != nil {
			t.Fatal(err)
		}
	}
	if got := cl.take(); len(cl.body) != 2500 || got != "response 1 200; reset 1 INTERNAL_ERROR" {
		t.Errorf("%d octets of 2500, %s", len(cl.body), got)
	}
	if sv.c.Streams() != 0 {
		t.Error("the stream is still there")
	}
}

func TestReleasedStreamsAreUsedAgainAndNotHeardOf(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{})
	s := mustOpen(t, cl, get("/"), false)
	s.Release()
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	if got := sv.take(); got != "request 1 GET cart /; reset 1 CANCEL" {
		t.Errorf("server saw %s: its work is not cancelled", got)
	}
	if got := cl.take(); got != "" {
		t.Errorf("client heard %s", got)
	}
	if s2 := mustOpen(t, cl, get("/"), true); s2 != s {
		t.Error("the stream was not used again")
	}
}

func TestAnsweringEarlyAsksThePeerToStop(t *testing.T) {
	cl, sv := pair(t, Config{}, Config{})
	sv.onReq = func(s *Stream, _ *message.Request, _ bool) {
		s.Respond(ok(), false)
		s.Send([]byte("early"), true)
		s.Release()
	}
	mustOpen(t, cl, post("/", -1), false)
	if err := exchange(cl, sv, 1000); err != nil {
		t.Fatal(err)
	}
	if got := cl.take(); got != "response 1 200; data 1 end; reset 1 NO_ERROR" {
		t.Errorf("got %s", got)
	}
}
