//go:build linux

package attack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// stream is what came back on one stream.
type stream struct {
	status   string
	header   map[string]string
	body     string // its beginning
	bytes    int
	ended    bool
	reset    bool
	code     uint32 // of the reset
	interims int
}

func (s *stream) String() string {
	return fmt.Sprintf("status %q %v, %d bytes %q, ended %v, reset %v (%d)", s.status, s.header, s.bytes, cut(s.body), s.ended, s.reset, s.code)
}

// h2conn is one HTTP/2 connection of the test's own, as client: it writes what it is told to and
// keeps what comes.
type h2conn struct {
	t    testing.TB
	c    net.Conn
	next uint32

	wmu sync.Mutex // one frame after the other

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	streams map[uint32]*stream
	gone    bool // the other end closed
	away    bool // it said GOAWAY
	code    uint32
	debug   string
	pongs   int // answers to barriers
	acks    int // of our SETTINGS

	mute     atomic.Bool // credit no windows
	starving atomic.Bool // answer nothing at all
	done     chan struct{}
}

// newH2 speaks HTTP/2 on c. first is what follows the preface; it should be SETTINGS.
func newH2(t testing.TB, c net.Conn, first string) *h2conn {
	t.Helper()
	h := &h2conn{t: t, c: c, next: 1, streams: map[uint32]*stream{}, changed: make(chan struct{}), done: make(chan struct{})}
	h.write(preface + first)
	go h.read()
	t.Cleanup(h.close)
	return h
}

func (h *h2conn) close() {
	h.c.Close()
	<-h.done
}

// write sends bytes; whether they could be sent shows in what comes back.
func (h *h2conn) write(s string) error {
	h.wmu.Lock()
	defer h.wmu.Unlock()
	_ = h.c.SetWriteDeadline(time.Now().Add(patience))
	_, err := io.WriteString(h.c, s)
	return err
}

// read takes frames in until the connection ends.
func (h *h2conn) read() {
	defer close(h.done)
	dec := hpack.NewDecoder(65536, nil)
	var head [9]byte
	var fragments []byte
	for {
		if _, err := io.ReadFull(h.c, head[:]); err != nil {
			h.change(func() { h.gone = true })
			return
		}
		p := make([]byte, binary.BigEndian.Uint32(head[:4])>>8)
		if _, err := io.ReadFull(h.c, p); err != nil {
			h.change(func() { h.gone = true })
			return
		}
		typ, flags, id := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		switch typ {
		case typeHeaders, typeContinuation:
			fragments = append(fragments, p...) // weft neither pads nor prioritises
			if flags&flagEndHeaders == 0 {
				continue
			}
			fields, err := dec.DecodeFull(fragments)
			fragments = nil
			h.change(func() { h.head(id, fields, err, flags) })
		case typeData:
			h.change(func() {
				s := h.stream(id)
				s.bytes += len(p)
				s.body += string(p[:min(len(p), max(0, 4096-len(s.body)))])
				s.ended = s.ended || flags&flagEndStream != 0
			})
			if !h.mute.Load() && len(p) > 0 {
				_ = h.write(windowUpdate(0, uint32(len(p))) + windowUpdate(id, uint32(len(p))))
			}
		case typeRST:
			h.change(func() { s := h.stream(id); s.reset, s.code = true, binary.BigEndian.Uint32(p) })
		case typeSettings:
			if flags&flagAck != 0 {
				h.change(func() { h.acks++ })
			} else if !h.starving.Load() {
				_ = h.write(frame(typeSettings, flagAck, 0, ""))
			}
		case typePing:
			if flags&flagAck != 0 {
				if string(p) == barrierPing {
					h.change(func() { h.pongs++ })
				}
			} else if !h.starving.Load() {
				_ = h.write(frame(typePing, flagAck, 0, string(p)))
			}
		case typeGoAway:
			h.change(func() { h.away, h.code, h.debug = true, binary.BigEndian.Uint32(p[4:]), string(p[8:]) })
		}
	}
}

func (h *h2conn) head(id uint32, fields []hpack.HeaderField, err error, flags byte) {
	s := h.stream(id)
	if err != nil {
		s.status = err.Error()
	}
	for _, f := range fields {
		if f.Name == ":status" {
			if s.status != "" && strings.HasPrefix(s.status, "1") {
				s.interims++
			}
			s.status = f.Value
			continue
		}
		s.header[f.Name] = f.Value
	}
	s.ended = s.ended || flags&flagEndStream != 0
}

func (h *h2conn) stream(id uint32) *stream {
	s := h.streams[id]
	if s == nil {
		s = &stream{header: map[string]string{}}
		h.streams[id] = s
	}
	return s
}

func (h *h2conn) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

// until waits until something holds of what has come, or the time is over.
func (h *h2conn) until(wait time.Duration, holds func() bool) bool {
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for {
		h.mu.Lock()
		ok, changed := holds(), h.changed
		h.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-limit.C:
			return false
		}
	}
}

// result waits for the end of a stream, or of the connection.
func (h *h2conn) result(id uint32, wait time.Duration) (s stream) {
	h.until(wait, func() bool {
		s = *h.stream(id)
		s.header = make(map[string]string, len(s.header))
		for k, v := range h.streams[id].header {
			s.header[k] = v
		}
		return s.ended || s.reset || h.gone
	})
	return s
}

// open sends a request without a body and gives its stream.
func (h *h2conn) open(kv ...string) uint32 {
	id := h.next
	h.next += 2
	_ = h.write(headers(id, true, kv...))
	return id
}

// fine sends an honest request and wants its answer.
func (h *h2conn) fine(kv ...string) error {
	s := h.result(h.open(kv...), patience)
	want := ""
	if i := slices.Index(kv, ":path"); i >= 0 {
		want = "GET " + kv[i+1]
	}
	if s.status != "200" || s.body != want || !s.ended {
		return fmt.Errorf("%s; connection ended %v, GOAWAY %v %d %q", &s, h.gone, h.away, h.code, h.debug)
	}
	return nil
}

const barrierPing = "barrier!"

// barrier waits until the other end has dealt with everything sent so far, and reports whether it
// did: false is that the connection is over.
func (h *h2conn) barrier() bool {
	h.mu.Lock()
	n := h.pongs
	h.mu.Unlock()
	_ = h.write(frame(typePing, 0, 0, barrierPing))
	answered := false
	h.until(patience, func() bool { answered = h.pongs > n; return answered || h.gone })
	return answered
}

var errNotEnded = errors.New("the connection goes on")

// end waits until the other end has closed the connection and gives the code of its GOAWAY.
func (h *h2conn) end(wait time.Duration) (code uint32, why string, err error) {
	if !h.until(wait, func() bool { return h.gone }) {
		return 0, "", errNotEnded
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.away {
		return 0, "", errors.New("the connection ended without GOAWAY")
	}
	return h.code, h.debug, nil
}
