package h2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/weft-mesh/weft/message"
)

func TestGoClientTalksToOurServer(t *testing.T) {
	addr := listen(t, Config{Role: Server, Huffman: true}, func() Handler { return &echo{fixed: []byte("fixed")} })
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte('a' + i)}, 1+i*50000) // Go's client never ends an empty body with trailers
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr.String()+"/", bytes.NewReader(body))
			req.Header.Set("X-N", fmt.Sprint(i))
			req.Trailer = http.Header{"X-Sum": {"42"}}
			req.ContentLength = -1
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("request %d: %d octets of %d came back, %v", i, len(got), len(body), err)
			}
			if resp.Trailer.Get("X-Sum") != "42" {
				t.Errorf("trailers %v", resp.Trailer)
			}
		})
	}
	wg.Wait()
}

func TestOurClientTalksToGoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Seen", r.Header.Get("X-N")+r.Host)
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n))
	})}
	srv.Protocols.SetUnencryptedHTTP2(true)
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	h := &collector{done: make(chan struct{}), want: 20}
	var out []byte
	c := NewConn(Config{Role: Client, Huffman: true}, h, &out)
	c.Start()
	h.told = func() { // before that it would be one
		for i := range h.want {
			r := post("/", int64(i*20000))
			r.Fields = fields("x-n", fmt.Sprint(i))
			s, err := c.Open(r, false)
			if err != nil {
				t.Error(err)
				close(h.done)
				return
			}
			s.Send(bytes.Repeat([]byte{'x'}, i*20000), true)
		}
	}
	// One goroutine writes and one reads, so that neither direction can hold up the other.
	writes := make(chan []byte, 1)
	wg.Go(func() {
		for p := range writes {
			if _, err := ours.Write(p); err != nil {
				break
			}
		}
		for range writes { // drained until closed
		}
	})
	reads := make(chan []byte)
	wg.Go(func() {
		defer close(reads)
		for {
			buf := make([]byte, 16<<10)
			n, err := ours.Read(buf)
			if err != nil {
				return
			}
			reads <- buf[:n]
		}
	})
	running := true
	for running {
		var ready chan []byte
		if len(out) > 0 {
			ready = writes
		}
		select {
		case ready <- bytes.Clone(out):
			out = out[:0]
			c.Flushed()
		case p, more := <-reads:
			if !more {
				running = false
				break
			}
			if err := c.Feed(p); err != nil {
				t.Error(err)
				running = false
			}
		case <-h.done:
			running = false
		}
	}
	ours.Close()
	srv.Close()
	close(writes)
	for range reads { // until the reader has ended
	}
	wg.Wait()
	for i := range h.want {
		id := uint32(2*i + 1)
		if h.bytes[id] != i*20000 || h.sum[id] != fmt.Sprint(i*20000) || !strings.Contains(h.head[id], fmt.Sprintf("x-seen=%dcart", i)) {
			t.Errorf("stream %d: %d octets, sum %q, head %s", id, h.bytes[id], h.sum[id], h.head[id])
		}
	}
}

// collector gathers responses.
type collector struct {
	quiet
	want  int
	told  func() // the server's SETTINGS have come
	done  chan struct{}
	bytes map[uint32]int
	head  map[uint32]string
	sum   map[uint32]string
}

func (h *collector) OnSettings() { h.told() }

func (h *collector) OnResponse(s *Stream, r *message.Response, _ bool) {
	if h.head == nil {
		h.head, h.bytes, h.sum = map[uint32]string{}, map[uint32]int{}, map[uint32]string{}
	}
	h.head[s.ID] = show(r.Fields)
}

func (h *collector) OnData(s *Stream, p []byte, _ bool) {
	h.bytes[s.ID] += len(p)
	s.Consumed(len(p))
}

func (h *collector) OnTrailers(s *Stream, f []message.Field) {
	h.sum[s.ID] = string(message.Get(f, "x-sum"))
	if len(h.sum) == h.want {
		close(h.done)
	}
}
