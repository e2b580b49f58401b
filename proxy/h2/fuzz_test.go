package h2

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/weft-mesh/weft/message"
)

// FuzzFrames feeds a connection whatever comes, cut as the input says, from behind the preface.
// It must not panic, must not store more than its bounds, and must come to the same end when the
// same bytes come in one piece.
func FuzzFrames(f *testing.F) {
	a := newAttacker()
	seed := func(frames ...[]byte) { f.Add(uint8(7), false, bytes.Join(frames, nil)) }
	hello := a.frame(frameSettings, 0, 0, setting(settingInitialWindowSize, 10))
	seed(hello, a.open(flagEndStream))
	seed(hello, newAttacker().open(0), a.frame(frameData, flagPadded|flagEndStream, 1, []byte{2, 'a', 0, 0}))
	seed(hello, newAttacker().open(0, "content-length", "3"), a.frame(frameHeaders, flagEndHeaders|flagEndStream, 1, newAttacker().blockOf("x", "y")))
	seed(hello, a.frame(frameHeaders, 0, 1, newAttacker().blockOf(plainHead...)), a.frame(frameContinuation, flagEndHeaders, 1, nil))
	seed(hello, newAttacker().open(0), appendRST(nil, 1, Cancel), appendWindowUpdate(nil, 1, 5), appendPing(nil, 0, make([]byte, 8)), appendGoAway(nil, 0, NoError, "bye"))
	f.Add(uint8(3), true, bytes.Join([][]byte{hello, a.frame(frameHeaders, flagEndHeaders, 1, newAttacker().blockOf(":status", "200")), a.frame(frameData, flagEndStream, 1, []byte("abc"))}, nil))
	f.Fuzz(func(t *testing.T, piece uint8, client bool, in []byte) {
		cut := fuzzRun(t, in, int(piece)+1, client)
		whole := fuzzRun(t, in, len(in)+1, client)
		if c, w := fmt.Sprint(cut.Err(), cut.Streams()), fmt.Sprint(whole.Err(), whole.Streams()); c != w {
			t.Fatalf("cut: %s streams, whole: %s", c, w)
		}
	})
}

func fuzzRun(t *testing.T, in []byte, piece int, client bool) *Conn {
	cfg := Config{MaxHeaderBytes: 4 << 10, MaxConcurrentStreams: 8, EnableConnect: true}
	e := &side{t: t}
	if client {
		cfg.Role = Client
	}
	e.c = NewConn(cfg, e, &e.out)
	e.c.Start()
	if client {
		e.c.peerStreams = 3 // as if it were told: the corpus speaks of several streams
		for range 3 {
			s := mustOpen(t, e, post("/", -1), false)
			s.Send(make([]byte, 70000), true)
		}
	} else if err := e.c.Feed([]byte(preface)); err != nil {
		t.Fatal(err)
	}
	e.onReq = func(s *Stream, r *message.Request, _ bool) {
		s.Respond(ok("x-path", string(r.Path)), false)
		s.Send(make([]byte, 1000), true)
	}
	for len(in) > 0 {
		n := min(piece, len(in))
		if e.c.Feed(in[:n]) != nil {
			break
		}
		in = in[n:]
	}
	if e.c.Streams() > 8 {
		t.Fatalf("%d streams", e.c.Streams())
	}
	if cap(e.c.partial) > 64<<10 || cap(e.c.block.buf) > 64<<10 || cap(e.c.cookie) > 64<<10 {
		t.Fatal("buffers beyond their bounds")
	}
	if e.c.Err() != nil {
		e.c.Closed(nil)
		if e.c.Streams() != 0 {
			t.Fatal("streams outlive their connection")
		}
	}
	return e.c
}

// FuzzTable holds the table of streams to a map.
func FuzzTable(f *testing.F) {
	f.Add([]byte{1, 3, 5, 129, 7})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var table streamTable
		want := map[uint32]*Stream{}
		for _, op := range ops {
			id := uint32(op&0x3f) * 16
			if op&0x80 == 0 && want[id] == nil {
				s := &Stream{ID: id}
				want[id] = s
				table.put(s)
			} else {
				delete(want, id)
				table.remove(id)
			}
			for k := range uint32(64) {
				if table.get(k*16) != want[k*16] {
					t.Fatalf("get(%d) is %v", k*16, table.get(k*16))
				}
			}
			if table.n != len(want) || len(table.appendAll(nil)) != len(want) {
				t.Fatalf("%d streams, want %d", table.n, len(want))
			}
		}
	})
}
