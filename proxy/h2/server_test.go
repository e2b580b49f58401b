package h2

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weft-mesh/weft/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that answers 200 with the body that it gets, or with a fixed one if it gets
// none.
type echo struct {
	quiet
	fixed []byte
}

func (e *echo) OnRequest(s *Stream, r *message.Request, end bool) {
	s.Respond(&message.Response{Status: 200, ContentLength: -1, Fields: []message.Field{{Name: []byte("server"), Value: []byte("echo")}}}, false)
	if end {
		s.Send(e.fixed, true)
	}
}

func (e *echo) OnData(s *Stream, p []byte, end bool) {
	s.Send(p, end)
	s.Consumed(len(p))
}

func (e *echo) OnTrailers(s *Stream, fields []message.Field) { s.SendTrailers(fields) }

// serve runs a Conn over a transport until that ends: the thinnest possible owner.
func serve(conn net.Conn, cfg Config, h Handler) {
	defer conn.Close()
	var out []byte
	c := NewConn(cfg, h, &out)
	c.Start()
	buf := make([]byte, 32<<10)
	flush := func() bool {
		for len(out) > 0 {
			_, err := conn.Write(out)
			out = out[:0]
			if err != nil {
				return false
			}
			c.Flushed()
		}
		return true
	}
	for flush() {
		n, err := conn.Read(buf)
		c.SetNow(time.Now())
		ferr := c.Feed(buf[:n])
		if ferr != nil || err != nil {
			flush()
			if tc, ok := conn.(*net.TCPConn); ok && ferr != nil {
				// Let the peer read the GOAWAY: closing with unread bytes would reset it away.
				_ = tc.CloseWrite()
				_ = tc.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
				_, _ = io.Copy(io.Discard, tc)
			}
			break
		}
	}
	c.Closed(io.EOF)
}

// listen serves connections on a loopback port until the test ends.
func listen(t testing.TB, cfg Config, newHandler func() Handler) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			wg.Go(func() { serve(conn, cfg, newHandler()) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr()
}

// quiet is a Handler that does nothing; tests embed it.
type quiet struct{}

func (quiet) OnRequest(*Stream, *message.Request, bool)   {}
func (quiet) OnResponse(*Stream, *message.Response, bool) {}
func (quiet) OnData(s *Stream, p []byte, _ bool)          { s.Consumed(len(p)) }
func (quiet) OnTrailers(*Stream, []message.Field)         {}
func (quiet) OnReset(*Stream, ErrCode)                    {}
func (quiet) OnWritable(*Stream)                          {}
func (quiet) OnGoAway(uint32, ErrCode)                    {}
func (quiet) OnSettings()                                 {}
