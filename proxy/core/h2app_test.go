package core

import (
	"bytes"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/h2"
)

// h2End is an HTTP/2 connection of a test's own: a client's, or one that an application took.
type h2End struct {
	t    *testing.T
	p    *pipe
	conn *h2.Conn
	out  []byte

	request  func(st *h2.Stream) // its body is complete
	hold     bool                // consumes no bodies
	statuses []int
	body     int // bytes
	ended    int // messages
	resets   []h2.ErrCode
}

func newH2End(t *testing.T, p *pipe, cfg h2.Config) *h2End {
	e := &h2End{t: t, p: p}
	e.conn = h2.NewConn(cfg, e, &e.out)
	e.conn.SetNow(time.Unix(1, 0))
	e.conn.Start()
	return e
}

// flush sends what there is to send.
func (e *h2End) flush() {
	for len(e.out) > 0 {
		e.p.send(e.out)
		e.out = e.out[:0]
		e.conn.Flushed()
	}
}

func (e *h2End) feed(in []byte) {
	if err := e.conn.Feed(in); err != nil {
		e.t.Error(err)
	}
	e.flush()
}

// take feeds what has come to a client's end.
func (e *h2End) take() {
	in := bytes.Clone(e.p.in)
	e.p.in = e.p.in[:0]
	e.feed(in)
}

func (e *h2End) OnRequest(st *h2.Stream, _ *message.Request, end bool) {
	if end {
		e.request(st)
	}
}

func (e *h2End) OnResponse(_ *h2.Stream, r *message.Response, end bool) {
	e.statuses = append(e.statuses, r.Status)
	e.end(end)
}

func (e *h2End) OnData(st *h2.Stream, p []byte, end bool) {
	e.body += len(p)
	if !e.hold {
		st.Consumed(len(p))
	}
	e.end(end)
	if end && e.request != nil {
		e.request(st)
	}
}

func (e *h2End) end(end bool) {
	if end {
		e.ended++
	}
}

func (e *h2End) OnTrailers(*h2.Stream, []message.Field) { e.ended++ }
func (e *h2End) OnReset(_ *h2.Stream, code h2.ErrCode)  { e.resets = append(e.resets, code) }
func (e *h2End) OnWritable(*h2.Stream)                  {}
func (e *h2End) OnGoAway(uint32, h2.ErrCode)            {}
func (e *h2End) OnSettings()                            {}
func h2Service() *model.Service {
	return &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP2}}}
}

// h2Rig is a rig whose application speaks HTTP/2: each connection that it takes is one of apps.
func h2Rig(t *testing.T, cfg h2.Config, request func(*h2.Stream)) (r *rig, apps map[*pipe]*h2End) {
	r = newRig(t, h2Service(), Limits{})
	apps = map[*pipe]*h2End{}
	r.app = func(p *pipe, in []byte) {
		e := apps[p]
		if e == nil {
			e = newH2End(t, p, cfg)
			e.request = request
			apps[p] = e
		}
		e.feed(bytes.Clone(in))
	}
	return r, apps
}

var ok200 = message.Response{Status: 200, ContentLength: -1}

func post(t *testing.T, c *h2End) *h2.Stream {
	t.Helper()
	st, err := c.conn.Open(&message.Request{Method: []byte("POST"), Scheme: []byte("http"), Authority: []byte("cart"), Path: []byte("/"), ContentLength: -1}, false)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestABurstKeepsToTheLimitOfTheApplication: an application that takes one stream at a time must
// not be made to refuse any. What had a body is lost then.
func TestABurstKeepsToTheLimitOfTheApplication(t *testing.T) {
	const calls = 40
	var waiting []*h2.Stream
	r, apps := h2Rig(t, h2.Config{Role: h2.Server, MaxConcurrentStreams: 1}, func(st *h2.Stream) { waiting = append(waiting, st) })
	c := newH2End(t, r.dial(), h2.Config{Role: h2.Client})
	c.flush()
	r.settle()
	c.take() // the proxy's SETTINGS
	for range calls {
		post(t, c).Send(make([]byte, 1000), true)
	}
	c.flush()
	for range calls {
		r.settle()
		c.take()
		for _, st := range waiting {
			st.Respond(&ok200, true)
		}
		waiting = waiting[:0]
		for _, e := range apps {
			e.flush()
		}
	}
	if len(c.statuses) != calls || c.ended != calls {
		t.Fatalf("%d heads and %d ends of %d responses", len(c.statuses), c.ended, calls)
	}
	for _, s := range c.statuses {
		if s != 200 {
			t.Errorf("answered %d", s)
		}
	}
	if len(apps) > maxLinks {
		t.Errorf("%d connections to the application, want at most %d", len(apps), maxLinks)
	}
}

// TestWhatAnApplicationSentBeforeItsResetIsDelivered: a server that fails in the middle of a stream
// has sent messages which its client would have had without a mesh, however slowly it reads.
func TestWhatAnApplicationSentBeforeItsResetIsDelivered(t *testing.T) {
	const size = 100_000 // more than the client's window
	r, apps := h2Rig(t, h2.Config{Role: h2.Server}, func(st *h2.Stream) {
		st.Respond(&ok200, false)
		st.Send(make([]byte, size), false)
		st.Cut(h2.InternalError)
	})
	c := newH2End(t, r.dial(), h2.Config{Role: h2.Client, StreamWindow: 10_000})
	c.hold = true
	st := post(t, c)
	st.Send(nil, true)
	c.flush()
	for range 50 {
		r.settle()
		c.take()
		for _, e := range apps {
			e.flush()
		}
		st.Consumed(5_000) // far behind: the reset has long been at the proxies
		c.flush()
	}
	if c.body != size || len(c.resets) != 1 || c.resets[0] != h2.InternalError || c.ended != 0 {
		t.Errorf("%d of %d bytes, resets %v, %d ends", c.body, size, c.resets, c.ended)
	}
	if n := r.client.core.Conns() + r.server.core.Conns(); n != 4 {
		t.Errorf("%d connections, want the client's, the application's and both ends of the link", n)
	}
}
