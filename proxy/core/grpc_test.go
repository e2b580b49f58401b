package core

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A client of gRPC with another codec than protobuf must be able to read what the proxy says itself.
func TestAnswersOfOurOwnSpeakTheClientsKindOfGRPC(t *testing.T) {
	for _, kind := range []string{"application/grpc", "application/grpc+json", "application/grpc+proto"} {
		r := newRig(t, nil, Limits{})
		r.down = true
		c := r.dial()
		var in, block bytes.Buffer
		in.WriteString(http2.ClientPreface)
		enc := hpack.NewEncoder(&block)
		for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "cart"}, {":path", "/a.B/C"}, {"content-type", kind}, {"te", "trailers"}} {
			_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		fr := http2.NewFramer(&in, nil)
		_ = fr.WriteSettings()
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: block.Bytes()})
		c.send(in.Bytes())
		r.settle()

		got := ""
		dec := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
			if f.Name == "content-type" {
				got = f.Value
			}
		})
		for frames := http2.NewFramer(nil, bytes.NewReader(c.in)); ; {
			f, err := frames.ReadFrame()
			if err != nil {
				break
			}
			if h, ok := f.(*http2.HeadersFrame); ok {
				if _, err := dec.Write(h.HeaderBlockFragment()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got != kind {
			t.Errorf("a request of %s is answered with %q", kind, got)
		}
	}
}
