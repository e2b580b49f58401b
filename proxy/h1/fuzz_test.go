package h1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/message"
)

// readOne parses one message and gives its head (in x), body, trailers and what followed it.
func readOne(x *Parser, wire []byte) (body, rest []byte, err error) {
	p := bytes.Clone(wire)
	for {
		n, ev, err := x.Feed(p)
		if err != nil {
			return nil, nil, err
		}
		p = p[n:]
		switch ev {
		case Data:
			body = append(body, x.Data...)
		case End:
			return body, p, nil
		case NeedMore:
			if ev, err := x.EOF(); err != nil || ev != End {
				return nil, nil, errors.Join(err, io.ErrUnexpectedEOF)
			}
			return body, p, nil
		}
	}
}

// canonical turns fields into a comparable form. From h it leaves out what the codec takes off.
func canonical(fs []message.Field) []string {
	var out []string
	for _, f := range fs {
		out = append(out, string(f.Name)+": "+string(f.Value))
	}
	slices.Sort(out)
	return out
}

func canonicalHeader(h http.Header, drop []string) []string {
	var out []string
	for name, values := range h {
		name = strings.ToLower(name)
		if kindOf([]byte(name)).ours() || slices.Contains(drop, name) {
			continue
		}
		for _, v := range values {
			out = append(out, name+": "+v)
		}
	}
	slices.Sort(out)
	return out
}

// nominatedBy lists the fields that Connection takes off.
func nominatedBy(h http.Header) []string {
	out := []string{"trailer"} // net/http moves it
	for _, list := range h["Connection"] {
		for _, v := range strings.Split(list, ",") {
			out = append(out, strings.ToLower(strings.Trim(v, " \t")))
		}
	}
	return out
}

func withoutTrailerField(fs []message.Field) []message.Field {
	return message.Delete(slices.Clone(fs), "trailer")
}

// What we accept net/http must accept too, and understand as the same. The other way round is not
// asked for: we are stricter.
func FuzzRequestsAgainstNetHTTP(f *testing.F) {
	for _, c := range accepted {
		if c.response == "" {
			f.Add([]byte(c.wire))
		}
	}
	for _, c := range refusedRequests {
		if len(c.wire) < 4096 {
			f.Add([]byte(c.wire))
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		x := NewRequestParser(Limits{})
		body, rest, err := readOne(x, wire)
		if err != nil {
			return
		}
		r := &x.Request
		theirs := bufio.NewReaderSize(bytes.NewReader(bytes.TrimPrefix(wire, []byte("\r\n"))), 128<<10)
		q, err := http.ReadRequest(theirs)
		if err != nil {
			// Whether a path is sound is decided on its canonical form, not by the codec.
			if _, isURL := errors.AsType[*url.Error](err); isURL || strings.Contains(err.Error(), "invalid URI") {
				return
			}
			t.Fatalf("net/http refuses %q: %v", wire, err)
		}
		their, err := io.ReadAll(q.Body)
		if err != nil {
			t.Fatalf("net/http refuses the body of %q: %v", wire, err)
		}
		their2, _ := io.ReadAll(theirs)
		drop := nominatedBy(q.Header)
		switch {
		case string(r.Method) != q.Method, r.ContentLength >= 0 && r.ContentLength != q.ContentLength:
			t.Fatalf("%q: we see %s %d, net/http %s %d", wire, r.Method, r.ContentLength, q.Method, q.ContentLength)
		case string(r.Authority) != q.Host:
			t.Fatalf("%q: we see host %q, net/http %q", wire, r.Authority, q.Host)
		case !x.Absolute && string(r.Path) != q.RequestURI:
			t.Fatalf("%q: we see path %q, net/http %q", wire, r.Path, q.RequestURI)
		case x.KeepAlive && q.Close, x.Version10 != !q.ProtoAtLeast(1, 1), x.Chunked != (len(q.TransferEncoding) > 0):
			t.Fatalf("%q: keep-alive %v, net/http closes %v", wire, x.KeepAlive, q.Close)
		case !bytes.Equal(body, their) || !bytes.Equal(rest, their2):
			t.Fatalf("%q: we see body %q then %q, net/http %q then %q", wire, body, rest, their, their2)
		case !slices.Equal(canonical(withoutTrailerField(r.Fields)), canonicalHeader(q.Header, drop)):
			t.Fatalf("%q: we see %q, net/http %q", wire, canonical(r.Fields), canonicalHeader(q.Header, drop))
		case !slices.Equal(canonical(x.Trailers), canonicalHeader(q.Trailer, nil)):
			t.Fatalf("%q: we see trailers %q, net/http %q", wire, canonical(x.Trailers), q.Trailer)
		}
	})
}

func FuzzResponsesAgainstNetHTTP(f *testing.F) {
	for _, c := range accepted {
		if c.response != "" {
			f.Add([]byte(c.wire), c.response == "HEAD")
		}
	}
	for _, c := range refusedResponses {
		f.Add([]byte(c.wire), false)
	}
	f.Fuzz(func(t *testing.T, wire []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		x := NewResponseParser(Limits{})
		x.ExpectResponseTo([]byte(method), true)
		body, rest, err := readOne(x, wire)
		if err != nil {
			return
		}
		r := &x.Response
		theirs := bufio.NewReaderSize(bytes.NewReader(wire), 128<<10)
		q, err := http.ReadResponse(theirs, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", wire, err)
		}
		var their []byte
		if q.StatusCode != 101 { // its body is the tunnel
			if their, err = io.ReadAll(q.Body); err != nil {
				t.Fatalf("net/http refuses the body of %q: %v", wire, err)
			}
		}
		their2, _ := io.ReadAll(theirs)
		drop := nominatedBy(q.Header)
		switch {
		case r.Status != q.StatusCode:
			t.Fatalf("%q: we see %d, net/http %d", wire, r.Status, q.StatusCode)
		case r.ContentLength >= 0 && r.ContentLength != q.ContentLength:
			t.Fatalf("%q: we see length %d, net/http %d", wire, r.ContentLength, q.ContentLength)
		case x.KeepAlive && q.Close:
			t.Fatalf("%q: we keep alive, net/http closes", wire)
		case !bytes.Equal(body, their) || !bytes.Equal(rest, their2):
			t.Fatalf("%q: we see body %q then %q, net/http %q then %q", wire, body, rest, their, their2)
		case !slices.Equal(canonical(withoutTrailerField(r.Fields)), canonicalHeader(q.Header, drop)):
			t.Fatalf("%q: we see %q, net/http %q", wire, canonical(r.Fields), canonicalHeader(q.Header, drop))
		case !slices.Equal(canonical(x.Trailers), canonicalHeader(q.Trailer, nil)):
			t.Fatalf("%q: we see trailers %q, net/http %q", wire, canonical(x.Trailers), q.Trailer)
		}
	})
}

// Anything at all, cut anywhere, in both roles: no panic, and the cut does not matter.
func FuzzCutsDoNotMatter(f *testing.F) {
	for i, c := range accepted {
		f.Add([]byte(c.wire), uint16(i), c.response != "", c.upgrade)
	}
	for i, c := range refusedRequests {
		if len(c.wire) < 4096 {
			f.Add([]byte(c.wire), uint16(i), false, false)
		}
	}
	for i, c := range refusedResponses {
		f.Add([]byte(c.wire), uint16(i), true, true)
	}
	f.Fuzz(func(t *testing.T, wire []byte, cut uint16, response, upgrade bool) {
		l := Limits{HeadBytes: 200, LineBytes: 100, Fields: 8, ChunkLineBytes: 20, ExtensionBytes: 30, BodyBytes: 1 << 20}
		parser := func() *Parser {
			if !response {
				return NewRequestParser(l)
			}
			x := NewResponseParser(l)
			x.ExpectResponseTo([]byte("GET"), upgrade)
			return x
		}
		want := transcript(t, parser(), bytes.Clone(wire))
		if got := transcript(t, parser(), halves(wire, int(cut)%(len(wire)+1))...); got != want {
			t.Fatalf("%q cut at %d: got\n%s\nwant\n%s", wire, int(cut)%(len(wire)+1), got, want)
		}
		if got := transcript(t, parser(), single(wire)...); got != want {
			t.Fatalf("%q byte by byte: got\n%s\nwant\n%s", wire, got, want)
		}
	})
}

// A request that passes the check is read back as what was written, and nothing follows it.
func FuzzWrittenRequestsReadBackTheSame(f *testing.F) {
	f.Add("GET", "a:1", "/x?y", "", "accept", "*/*", int64(-1), uint8(0), []byte(nil))
	f.Add("POST", "a", "/", "", "x", "y", int64(5), uint8(1), []byte("hello"))
	f.Add("PUT", "[::1]", "/", "", "cookie", "y", int64(-1), uint8(2), []byte("hello"))
	f.Add("GET", "a", "/", "websocket", "x", "", int64(-1), uint8(4), []byte(nil))
	f.Add("OPTIONS", "a", "*", "", "connection", "close", int64(0), uint8(12), []byte(nil))
	f.Add("CONNECT", "a:1", "", "", "x", "\xff", int64(-1), uint8(0), []byte(nil))
	f.Add("CONNECT", "a", "/ws", "websocket", "x", "a\r\nb: c", int64(-1), uint8(0), []byte(nil))
	f.Fuzz(func(t *testing.T, method, authority, path, protocol, name, value string, length int64, flags uint8, body []byte) {
		r := request(method, authority, path, name, value)
		r.Protocol = []byte(protocol)
		opt := RequestOptions{Chunked: flags&2 != 0, Absolute: flags&8 != 0, Close: flags&16 != 0}
		if r.ContentLength = min(length, int64(len(body))); r.ContentLength < 0 {
			r.ContentLength = -1
		}
		noBody := method == "CONNECT" || method == "TRACE" || protocol != ""
		if noBody {
			opt.Chunked, r.ContentLength = false, -1
		}
		r.Expect100, r.TETrailers = flags&1 != 0 && (opt.Chunked || r.ContentLength > 0), flags&4 != 0
		if CheckRequest(r) != nil || len(method)+len(path)+len(authority) > 8<<10 || len(name)+len(value) > 8<<10 {
			return
		}
		wire := AppendRequest(nil, r, opt)
		switch {
		case opt.Chunked:
			half := len(body) / 2
			wire = AppendLastChunk(AppendChunk(AppendChunk(wire, body[:half]), body[half:]), nil)
		case r.ContentLength > 0:
			body = body[:r.ContentLength]
			wire = append(wire, body...)
		default:
			body = nil
		}
		x := NewRequestParser(Limits{})
		got, rest, err := readOne(x, wire)
		if err != nil || len(rest) > 0 || !bytes.Equal(got, body) {
			t.Fatalf("%q: %v, body %q, rest %q", wire, err, got, rest)
		}
		g := &x.Request
		if method == "CONNECT" && protocol != "" {
			method = "GET"
		}
		if string(g.Method) != method || string(g.Authority) != authority || string(g.Path) != path || string(g.Protocol) != protocol ||
			!opt.Chunked && g.ContentLength != r.ContentLength || g.Expect100 != r.Expect100 || g.TETrailers != r.TETrailers || x.KeepAlive == opt.Close {
			t.Fatalf("wrote %+v as %q, read %+v", r, wire, g)
		}
		if !slices.Equal(canonical(g.Fields), canonical(r.Fields)) {
			t.Fatalf("%q: wrote %q, read %q", wire, canonical(r.Fields), canonical(g.Fields))
		}
	})
}

func FuzzWrittenResponsesReadBackTheSame(f *testing.F) {
	f.Add(200, "x", "y", int64(5), false, false, []byte("hello"))
	f.Add(404, "set-cookie", "y", int64(-1), false, true, []byte("hello"))
	f.Add(304, "x", "a\nb", int64(5), true, false, []byte(nil))
	f.Add(999, "trailer", "host", int64(0), true, true, []byte(nil))
	f.Fuzz(func(t *testing.T, status int, name, value string, length int64, head, http10 bool, body []byte) {
		r := &message.Response{Status: status, Fields: fields(name, value), ContentLength: max(-1, min(length, int64(len(body))))}
		if CheckResponse(r) != nil || CheckTrailers(r.Fields[:0]) != nil || status < 200 || len(name)+len(value) > 8<<10 {
			return
		}
		method := []byte("GET")
		if head {
			method = []byte("HEAD")
		}
		framing := ResponseFraming(method, r, http10)
		wire := AppendResponse(nil, r, ResponseOptions{Chunked: framing == FramingChunked, Close: framing == FramingUntilClose, KeepAlive10: http10})
		switch framing {
		case FramingNone:
			body = nil
		case FramingLength:
			body = body[:r.ContentLength]
			wire = append(wire, body...)
		case FramingChunked:
			wire = AppendLastChunk(AppendChunk(wire, body), fields("grpc-status", "0"))
		case FramingUntilClose:
			wire = append(wire, body...)
		}
		x := NewResponseParser(Limits{})
		x.ExpectResponseTo(method, false)
		got, rest, err := readOne(x, wire)
		if err != nil && name == "trailer" {
			return // announces what must not trail
		}
		if err != nil || len(rest) > 0 || !bytes.Equal(got, body) {
			t.Fatalf("%q: %v, body %q, rest %q", wire, err, got, rest)
		}
		if x.Response.Status != status || !slices.Equal(canonical(x.Response.Fields), canonical(r.Fields)) || (len(x.Trailers) > 0) != (framing == FramingChunked) {
			t.Fatalf("wrote %+v as %q, read %+v", r, wire, x.Response)
		}
	})
}

// A chunked body that we accept is one that a plain reading of the grammar accepts, with the same data.
func FuzzChunkedAgainstTheGrammar(f *testing.F) {
	for _, c := range slices.Concat(refusedRequests) {
		if body, ok := strings.CutPrefix(c.wire, chunked("")); ok && len(body) < 4096 {
			f.Add([]byte(body))
		}
	}
	f.Add([]byte("5;a=\"b\\\"c\";d=e;f\r\nhello\r\nA\r\n0123456789\r\n00\r\na: b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		x := NewRequestParser(Limits{})
		got, rest, err := readOne(x, append([]byte(chunked("")), in...))
		want, wantRest, wantErr := slowChunked(in)
		if err == nil && (wantErr != nil || !bytes.Equal(got, want) || !bytes.Equal(rest, wantRest)) {
			t.Fatalf("%q: got %q then %q; the grammar gives %q then %q, %v", in, got, rest, want, wantRest, wantErr)
		}
	})
}

// slowChunked is section 7.1 of RFC 9112 in the plainest form, on a whole body. It does not judge trailers.
func slowChunked(in []byte) (data, rest []byte, err error) {
	for {
		line, after, ok := bytes.Cut(in, []byte("\r\n"))
		if !ok || bytes.ContainsAny(line, "\r\n\x00") {
			return nil, nil, fmt.Errorf("no line in %q", in)
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		var size uint64
		if _, err := fmt.Sscanf("x"+string(digits)+"!", "x%x!", &size); err != nil || bytes.ContainsAny(digits, "xX+-_ \t") {
			return nil, nil, fmt.Errorf("size %q", digits)
		}
		if in = after; size == 0 {
			break
		}
		if uint64(len(in)) < size || !bytes.HasPrefix(in[size:], []byte("\r\n")) {
			return nil, nil, fmt.Errorf("data %q of size %d", in, size)
		}
		data, in = append(data, in[:size]...), in[size+2:]
	}
	for {
		line, after, ok := bytes.Cut(in, []byte("\r\n"))
		if !ok {
			return nil, nil, fmt.Errorf("no end in %q", in)
		}
		if in = after; len(line) == 0 {
			return data, in, nil
		}
	}
}
