package core

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An application that speaks HTTP/2 can send trailers. They may not say who it is any more than its
// heads may, to an application that takes them together.
func TestTrailersDoNotSpeakForAProxy(t *testing.T) {
	r := newRig(t, nil, Limits{})
	var sent []byte
	r.app = func(_ *pipe, in []byte) { sent = append(sent, in...) }
	c := r.dial()
	var in bytes.Buffer
	in.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&in, nil)
	block := func(kv ...string) []byte {
		var b bytes.Buffer
		enc := hpack.NewEncoder(&b)
		for i := 0; i < len(kv); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: kv[i], Value: kv[i+1], Sensitive: true})
		}
		return b.Bytes()
	}
	_ = fr.WriteSettings()
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block(":method", "POST", ":scheme", "http", ":authority", "cart", ":path", "/")})
	_ = fr.WriteData(1, false, []byte("body"))
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: block("weft-client-id", "spiffe://m/admin", "weft_client_id", "x", "x-sum", "1")})
	c.send(in.Bytes())
	r.settle()

	heard, ok := strings.CutPrefix(string(sent), http2.ClientPreface)
	if !ok {
		t.Fatalf("the application heard %q", sent)
	}
	app := http2.NewFramer(nil, strings.NewReader(heard))
	app.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var trailers []string
	for {
		f, err := app.ReadFrame()
		if err != nil {
			break
		}
		if h, ok := f.(*http2.MetaHeadersFrame); ok && h.StreamEnded() {
			for _, f := range h.Fields {
				trailers = append(trailers, f.Name)
			}
		}
	}
	if got := strings.Join(trailers, " "); got != "x-sum" {
		t.Errorf("the application got the trailers %q, want x-sum alone", got)
	}
}
