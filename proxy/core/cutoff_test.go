package core

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A response that breaks off must not look like one that ended, to a client that takes a reset without
// an error for an end.
func TestABrokenResponseIsResetWithAnError(t *testing.T) {
	r := newRig(t, nil, Limits{})
	r.answer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
	mine, theirs := &pipe{client: true}, &pipe{host: r.server}
	r.connect(mine, theirs)
	theirs.conn = r.server.core.Accept(Accept{Listener: &Listener{Kind: ListenLink}, Peer: "spiffe://m/ns/shop/sa/web", Driver: theirs})
	var in, block bytes.Buffer
	in.WriteString(http2.ClientPreface)
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "cart"}, {":path", "/"}, {"weft-to", rigApp.String()}} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	fr := http2.NewFramer(&in, nil)
	_ = fr.WriteSettings()
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: block.Bytes()})
	mine.send(in.Bytes())
	r.settle()
	for _, p := range r.pipes {
		if p.app {
			p.other.eof = true // the application dies
		}
	}
	r.settle()

	got := http2.NewFramer(nil, bytes.NewReader(mine.in))
	for {
		f, err := got.ReadFrame()
		if err != nil {
			t.Fatal("the stream was never reset")
		}
		if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
			t.Error("the body ended as if it were whole")
		}
		if rst, ok := f.(*http2.RSTStreamFrame); ok {
			if rst.ErrCode == http2.ErrCodeNo {
				t.Error("reset without an error")
			}
			return
		}
	}
}
