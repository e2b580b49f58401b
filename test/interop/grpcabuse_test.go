//go:build linux

package interop

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
)

// responseSize is the size of the body that the clients of these cases ask for.
const responseSize = 314159

// step is one thing that an abusive server does in answer to a call.
type step uint8

const (
	stepPing step = iota
	stepGoAway
	stepHeaders
	stepHalf  // half of the message
	stepRest  // what is left of it
	stepEnd   // trailers that say OK
	stepReset // RST_STREAM with NO_ERROR before the end
)

// abuses are the behaviours of gRPC's doc/negative-http2-interop-test-descriptions.md: what the
// server answers to each call.
var abuses = map[string][]step{
	"goaway":           {stepGoAway, stepHeaders, stepHalf, stepRest, stepEnd},
	"rst_after_header": {stepHeaders, stepReset},
	"rst_during_data":  {stepHeaders, stepHalf, stepReset},
	"rst_after_data":   {stepHeaders, stepHalf, stepRest, stepReset},
	"ping":             {stepPing, stepHeaders, stepPing, stepHalf, stepPing, stepRest, stepPing, stepEnd},
	"max_streams":      {stepHeaders, stepHalf, stepRest, stepEnd},
}

// abusive is an HTTP/2 server that does what servers should not do, or seldom do. It keeps to flow
// control and to all else that its behaviour does not ask to break.
type abusive struct {
	ln      net.Listener
	message []byte // the response, framed as gRPC does
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	abuse  string
	conns  map[*abusiveConn]bool
	served int // connections that had a call since the behaviour was set
	calls  int // answered to the end of the steps since then
	broken []string
}

// startAbusive starts the server; it ends with the test.
func startAbusive(t testing.TB) *abusive {
	t.Helper()
	body, err := proto.Marshal(&grpc_testing.SimpleResponse{Payload: &grpc_testing.Payload{Body: make([]byte, responseSize)}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &abusive{ln: ln, conns: map[*abusiveConn]bool{}}
	s.message = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	s.running.Add(1)
	go s.accept() // until the listener is closed
	t.Cleanup(func() {
		_ = ln.Close()
		s.mu.Lock()
		for c := range s.conns {
			_ = c.nc.Close()
		}
		s.mu.Unlock()
		s.running.Wait()
	})
	return s
}

func (s *abusive) accept() {
	defer s.running.Done()
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return
		}
		c := &abusiveConn{server: s, nc: nc, gone: make(chan struct{}), window: 65535, initial: 65535, streams: map[uint32]*abusiveStream{}}
		c.hp = hpack.NewEncoder(&c.block)
		c.fr = http2.NewFramer(nc, nc)
		c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		s.mu.Lock()
		c.abuse = s.abuse
		s.conns[c] = true
		s.mu.Unlock()
		s.running.Add(1)
		go c.serve() // until the peer goes
	}
}

// behave sets what is done on connections made from now on, after the old ones were given up by
// their peers.
func (s *abusive) behave(t testing.TB, abuse string) {
	t.Helper()
	s.goAway(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abuse, s.served, s.calls, s.broken = abuse, 0, 0, nil
}

// goAway asks the peers of all connections to go and waits until they did, their last words heard.
func (s *abusive) goAway(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	old := make([]*abusiveConn, 0, len(s.conns))
	for c := range s.conns {
		old = append(old, c)
	}
	s.mu.Unlock()
	for _, c := range old {
		c.mu.Lock()
		_ = c.fr.WriteGoAway(c.last, http2.ErrCodeNo, nil)
		c.mu.Unlock()
		select {
		case <-c.gone:
		case <-time.After(patience):
			t.Fatalf("a connection without streams is still there %s after GOAWAY", patience)
		}
	}
}

// abuseResult is what came of a behaviour.
type abuseResult struct {
	said   string // by the client
	calls  int    // answered to the end of the steps
	conns  int    // that had a call
	broken []string
}

// result waits for the peers to go and tells what came since the behaviour was set.
func (s *abusive) result(t testing.TB) abuseResult {
	t.Helper()
	s.goAway(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	return abuseResult{calls: s.calls, conns: s.served, broken: s.broken}
}

// note keeps what a peer did wrong.
func (s *abusive) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, what)
}

// abusiveConn is one connection. Its reader answers too: a step that has to wait for window is
// taken up again with the frame that brings it.
type abusiveConn struct {
	server *abusive
	abuse  string
	nc     net.Conn
	gone   chan struct{} // closed when the peer went

	mu      sync.Mutex    // guards what follows
	fr      *http2.Framer // its writing half; the reader reads alone
	block   bytes.Buffer  // of hp
	hp      *hpack.Encoder
	window  int64 // of the connection, for data to the peer
	initial int64 // window of new streams
	last    uint32
	leaving bool // GOAWAY was sent
	acked   bool // the peer has our SETTINGS
	pings   int  // without answer
	streams map[uint32]*abusiveStream
	order   []uint32 // of streams, oldest first
}

// abusiveStream is one call.
type abusiveStream struct {
	window int64
	asked  bool // the request is complete
	steps  []step
	data   []byte // of the message: yet to be sent
	upTo   int    // bytes of data to leave for later steps
}

// maxConcurrent is the limit in the case max_streams.
const maxConcurrent = 1

func (c *abusiveConn) serve() {
	defer c.server.running.Done()
	defer func() {
		c.server.mu.Lock()
		delete(c.server.conns, c)
		c.server.mu.Unlock()
		_ = c.nc.Close()
		close(c.gone)
	}()
	c.mu.Lock()
	var settings []http2.Setting
	if c.abuse == "max_streams" {
		settings = append(settings, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: maxConcurrent})
	}
	err := c.fr.WriteSettings(settings...)
	c.mu.Unlock()
	preface := make([]byte, len(http2.ClientPreface))
	if _, e := io.ReadFull(c.nc, preface); e != nil || err != nil || string(preface) != http2.ClientPreface {
		return
	}
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			break
		}
		c.mu.Lock()
		err = c.take(f)
		if err == nil {
			err = c.answer()
		}
		c.mu.Unlock()
		if err != nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pings > 0 {
		c.server.note("the connection was closed with PINGs that were not answered")
	}
}

// take does what a frame asks for.
func (c *abusiveConn) take(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			c.acked = true
			return nil
		}
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			for _, st := range c.streams {
				st.window += int64(v) - c.initial
			}
			c.initial = int64(v)
		}
		return c.fr.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.fr.WritePing(true, f.Data)
		}
		c.pings--
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		} else if st := c.streams[f.StreamID]; st != nil {
			st.window += int64(f.Increment)
		}
	case *http2.MetaHeadersFrame:
		return c.open(f.StreamID, f.StreamEnded())
	case *http2.DataFrame:
		if n := f.Length; n > 0 {
			if err := c.fr.WriteWindowUpdate(0, n); err != nil {
				return err
			}
			if st := c.streams[f.StreamID]; st != nil && !f.StreamEnded() {
				if err := c.fr.WriteWindowUpdate(f.StreamID, n); err != nil {
					return err
				}
			}
		}
		if st := c.streams[f.StreamID]; st != nil && f.StreamEnded() {
			st.asked = true
		}
	case *http2.RSTStreamFrame:
		delete(c.streams, f.StreamID)
	}
	return nil
}

// open begins a call, if there may be one.
func (c *abusiveConn) open(id uint32, asked bool) error {
	if c.leaving { // sent before the peer knew: it has to be sent again elsewhere
		return nil
	}
	if c.abuse == "max_streams" && len(c.streams) >= maxConcurrent {
		if c.acked {
			c.server.note("more streams at once than the server said it takes")
		}
		return c.fr.WriteRSTStream(id, http2.ErrCodeRefusedStream)
	}
	c.server.mu.Lock()
	if c.last == 0 {
		c.server.served++
	}
	c.server.mu.Unlock()
	c.last = id
	c.streams[id] = &abusiveStream{window: c.initial, asked: asked, steps: abuses[c.abuse], data: c.server.message, upTo: len(c.server.message)}
	c.order = append(c.order, id)
	return nil
}

// answer takes all steps that can be taken now.
func (c *abusiveConn) answer() error {
	left := c.order[:0]
	for _, id := range c.order {
		if st := c.streams[id]; st != nil && st.asked {
			if err := c.play(id, st); err != nil {
				return err
			}
		}
		if c.streams[id] != nil {
			left = append(left, id)
		}
	}
	c.order = left
	return nil
}

// play takes a call's steps until one has to wait.
func (c *abusiveConn) play(id uint32, st *abusiveStream) error {
	for ; len(st.steps) > 0; st.steps = st.steps[1:] {
		var err error
		switch st.steps[0] {
		case stepPing:
			c.pings++
			err = c.fr.WritePing(false, [8]byte{'a', 'b', 'u', 's', 'e'})
		case stepGoAway:
			c.leaving = true
			err = c.fr.WriteGoAway(id, http2.ErrCodeNo, nil)
		case stepHeaders:
			err = c.headers(id, false, ":status", "200", "content-type", "application/grpc")
		case stepHalf:
			st.upTo = len(c.server.message) / 2
			err = c.data(id, st)
			if len(st.data) > st.upTo {
				return err
			}
		case stepRest:
			st.upTo = 0
			err = c.data(id, st)
			if len(st.data) > 0 {
				return err
			}
		case stepEnd:
			err = c.headers(id, true, "grpc-status", "0")
		case stepReset:
			err = c.fr.WriteRSTStream(id, http2.ErrCodeNo)
		}
		if err != nil {
			return err
		}
	}
	delete(c.streams, id)
	c.server.mu.Lock()
	c.server.calls++
	c.server.mu.Unlock()
	return nil
}

func (c *abusiveConn) headers(id uint32, end bool, fields ...string) error {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		if err := c.hp.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return err
		}
	}
	return c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end})
}

// data sends as much of a message as the windows and the step allow.
func (c *abusiveConn) data(id uint32, st *abusiveStream) error {
	for {
		n := min(int64(len(st.data)-st.upTo), st.window, c.window, 16384)
		if n <= 0 {
			return nil
		}
		if err := c.fr.WriteData(id, false, st.data[:n]); err != nil {
			return err
		}
		st.data = st.data[n:]
		st.window -= n
		c.window -= n
	}
}
