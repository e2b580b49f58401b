package h2

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
)

// pairOnLink is two ends of a link with nothing in flight.
func pairOnLink(t *testing.T, limits Limits) (client, server *Conn, toServer, toClient *[]byte, v *victim) {
	t.Helper()
	var out, back []byte
	v = &victim{}
	client = NewConn(Config{Role: Client, Link: true, Limits: limits}, &quiet{}, &out)
	server = NewConn(Config{Role: Server, Link: true, Limits: limits}, v, &back)
	for _, c := range []*Conn{client, server} {
		c.SetNow(time.Unix(1e9, 0))
		c.Start()
	}
	ferry(t, client, server, &out, &back)
	return client, server, &out, &back, v
}

// carry moves bytes both ways until nothing moves.
func ferry(t *testing.T, client, server *Conn, out, back *[]byte) {
	t.Helper()
	for len(*out)+len(*back) > 0 {
		for _, d := range []struct {
			to  *Conn
			buf *[]byte
		}{{server, out}, {client, back}} {
			p := bytes.Clone(*d.buf)
			*d.buf = (*d.buf)[:0]
			if err := d.to.Feed(p); err != nil {
				t.Fatalf("the link is lost: %v", err)
			}
		}
	}
}

// TestManyCancelsDoNotCostTheLink: a client of the caller's proxy that opens and resets as fast as it
// can must not use up the budget that all others share on the link.
func TestManyCancelsDoNotCostTheLink(t *testing.T) {
	client, server, out, back, v := pairOnLink(t, Limits{})
	now := time.Unix(1e9, 0)
	const seconds, perSecond = 5, 20_000
	opened := 0
	for range seconds * 100 {
		now = now.Add(10 * time.Millisecond)
		client.SetNow(now)
		server.SetNow(now)
		for range perSecond / 100 {
			s, err := client.Open(&message.Request{Method: []byte("GET"), Path: []byte("/"), Authority: []byte("a"), ContentLength: -1}, true)
			if errors.Is(err, ErrTooManyStreams) {
				continue // they count as open until the peer knows
			}
			if err != nil {
				t.Fatal(err)
			}
			opened++
			s.Reset(Cancel)
			s.Release()
		}
		ferry(t, client, server, out, back)
		if v.active > 1000 {
			t.Fatalf("%d requests at once reached the peer", v.active)
		}
	}
	if opened < seconds*1000 {
		t.Errorf("%d streams were opened", opened)
	}
	now = now.Add(2 * time.Second)
	client.SetNow(now)
	server.SetNow(now)
	ferry(t, client, server, out, back)
	if client.Streams() != 0 || server.Streams() != 0 || v.active != 0 || len(client.abandoned) != 0 {
		t.Errorf("streams are left: %d and %d, requests %d, abandoned %d", client.Streams(), server.Streams(), v.active, len(client.abandoned))
	}
}

// TestAnAnswerEndsAnAbandonedStream: at no cost, and nobody hears of it.
func TestAnAnswerEndsAnAbandonedStream(t *testing.T) {
	client, server, out, back, v := pairOnLink(t, Limits{CancelBurst: 1})
	v.answer, v.body = true, make([]byte, 10)
	for i := range 3 {
		s, err := client.Open(&message.Request{Method: []byte("POST"), Path: []byte("/"), Authority: []byte("a"), ContentLength: -1}, false)
		if err != nil {
			t.Fatal(err)
		}
		s.Send([]byte("some"), false)
		s.Reset(Cancel)
		if got := s.Send([]byte("more"), true); got != 0 {
			t.Errorf("stream %d takes more after its reset", i)
		}
		s.Release()
	}
	if client.Streams() != 2 {
		t.Errorf("%d streams are open for the peer, want the 2 that it was not told of", client.Streams())
	}
	ferry(t, client, server, out, back)
	if client.Streams() != 0 || server.Streams() != 0 {
		t.Errorf("after the answers %d and %d streams are open", client.Streams(), server.Streams())
	}
	client.SetNow(time.Unix(1e9+2, 0))
	if len(client.abandoned) != 0 {
		t.Errorf("%d ids are remembered", len(client.abandoned))
	}
}
