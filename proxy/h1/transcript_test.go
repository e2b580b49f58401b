package h1

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/message"
)

// transcript drives x the way a connection does: bytes arrive in pieces, what Feed did not take
// stays in the buffer, and (which a parser must survive) the buffer moves each time and the old one is
// overwritten. It returns everything that x reported, in a form in which only the meaning shows: pieces of body are joined.
func transcript(t testing.TB, x *Parser, pieces ...[]byte) string {
	t.Helper()
	var out strings.Builder
	var buf, body []byte
	for _, piece := range pieces {
		next := append(append(make([]byte, 0, len(buf)+len(piece)), buf...), piece...)
		for i := range buf {
			buf[i] = 'Z'
		}
		buf = next
		for {
			n, ev, err := x.Feed(buf)
			if n < 0 || n > len(buf) {
				t.Fatalf("Feed took %d of %d bytes", n, len(buf))
			}
			switch ev {
			case Head:
				dumpHead(&out, x)
			case Data:
				if len(x.Data) == 0 {
					t.Fatal("empty Data")
				}
				body = append(body, x.Data...)
			case End:
				dumpEnd(&out, x, body)
				body = body[:0]
			}
			buf = buf[n:]
			if err != nil {
				if len(body) > 0 {
					fmt.Fprintf(&out, "  body %q cut off\n", body)
				}
				dumpError(t, &out, x, err)
				return out.String()
			}
			if ev == End {
				if x.Tunnel {
					out.WriteString("tunnel\n")
					return out.String()
				}
				x.Next()
			}
			if ev == NeedMore {
				break
			}
		}
	}
	ev, err := x.EOF()
	switch {
	case err != nil:
		if len(body) > 0 {
			fmt.Fprintf(&out, "  body %q cut off\n", body)
		}
		dumpError(t, &out, x, err)
	case ev == End:
		dumpEnd(&out, x, body)
	default:
		out.WriteString("closed\n")
	}
	return out.String()
}

func dumpHead(out *strings.Builder, x *Parser) {
	var facts []string
	for _, f := range []struct {
		name string
		on   bool
	}{
		{"keep", x.KeepAlive}, {"1.0", x.Version10}, {"body", x.HasBody}, {"chunked", x.Chunked},
		{"untilclose", x.UntilClose}, {"upgrade", x.Upgrade}, {"tunnel", x.Tunnel}, {"interim", x.Interim},
		{"absolute", x.Absolute}, {"obs", x.ObsText}, {"expect", x.Request.Expect100}, {"te", x.Request.TETrailers},
	} {
		if f.on {
			facts = append(facts, f.name)
		}
	}
	if x.response {
		fmt.Fprintf(out, "%d cl=%d", x.Response.Status, x.Response.ContentLength)
	} else {
		r := &x.Request
		fmt.Fprintf(out, "%s %s|%s|%s cl=%d", r.Method, r.Scheme, r.Authority, r.Path, r.ContentLength)
	}
	if len(x.Protocol) > 0 {
		fmt.Fprintf(out, " to=%s", x.Protocol)
	}
	fmt.Fprintf(out, " [%s]\n", strings.Join(facts, " "))
	fields := x.Request.Fields
	if x.response {
		fields = x.Response.Fields
	}
	dumpFields(out, fields)
}

func dumpFields(out *strings.Builder, fields []message.Field) {
	for _, f := range fields {
		mark := ""
		if f.Sensitive {
			mark = "!"
		}
		fmt.Fprintf(out, "  %s%s: %s\n", mark, f.Name, f.Value)
	}
}

func dumpEnd(out *strings.Builder, x *Parser, body []byte) {
	if len(body) > 0 {
		fmt.Fprintf(out, "  body %q\n", body)
	}
	out.WriteString("end\n")
	dumpFields(out, x.Trailers)
}

func dumpError(t testing.TB, out *strings.Builder, x *Parser, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *Error", err)
	}
	if _, _, again := x.Feed([]byte("GET / HTTP/1.1\r\nhost: a\r\n\r\n")); again != err {
		t.Fatalf("a dead parser went on: %v", again)
	}
	fmt.Fprintf(out, "error %d %s\n", e.Status, e.Code)
}

// refusal feeds wire whole and returns the error, or nil and what was understood.
func refusal(t testing.TB, x *Parser, wire string) (*Error, string) {
	t.Helper()
	for p := []byte(wire); ; {
		n, ev, err := x.Feed(p)
		p = p[n:]
		if err != nil {
			return err.(*Error), ""
		}
		switch ev {
		case NeedMore:
			if _, err := x.EOF(); err != nil {
				return err.(*Error), ""
			}
			return nil, "accepted"
		case End:
			x.Next()
		}
	}
}

func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }

// halves cuts p at i.
func halves(p []byte, i int) [][]byte { return [][]byte{p[:i], p[i:]} }

// single cuts p into single bytes.
func single(p []byte) [][]byte {
	var out [][]byte
	for i := range p {
		out = append(out, bytes.Clone(p[i:i+1]))
	}
	return out
}
