package core

import (
	"bytes"
	"testing"

	"github.com/weft-mesh/weft/model"
)

// joinHost is a driver that notes which connections it is asked to join.
type joinHost struct {
	*host
	asked [][2]*Conn
	wrong int // times that something waited
	takes bool
	stall bool    // what is dialed takes nothing until it is released
	reset []*Conn // those that were not closed in good order
}

func (h *joinHost) Dial(c *Conn, d Dial) {
	h.host.Dial(c, d)
	c.Driver.(*pipe).stalled = h.stall
}

func (h *joinHost) Close(c *Conn, abort bool) {
	if abort {
		h.reset = append(h.reset, c)
	}
	h.host.Close(c, abort)
}

func (h *joinHost) Join(a, b *Conn) bool {
	h.asked = append(h.asked, [2]*Conn{a, b})
	for _, c := range []*Conn{a, b} {
		if c.backlog() > 0 || c.Driver.(*pipe).queued > 0 || c.Driver.(*pipe).paused {
			h.wrong++
		}
	}
	return h.takes
}

// connectOutside opens a tunnel out of the mesh, with first as its first bytes.
func connectOutside(r *rig, first []byte) (client, app *pipe) {
	client = &pipe{client: true}
	theirs := &pipe{host: r.client}
	r.connect(client, theirs)
	theirs.conn = r.client.core.Accept(Accept{Listener: &Listener{Kind: ListenProxy}, Driver: theirs})
	client.send([]byte("CONNECT 203.0.113.1:99 HTTP/1.1\r\nHost: 203.0.113.1:99\r\n\r\n"))
	client.send(first)
	r.settle()
	for _, p := range r.pipes {
		if p.app {
			app = p
		}
	}
	return client, app
}

func TestATunnelOfPlainConnectionsIsJoinedWhenNothingOfItWaits(t *testing.T) {
	for _, slow := range []bool{false, true} {
		for _, takes := range []bool{false, true} {
			r := newRig(t, nil, Limits{})
			r.mute, r.slow = true, slow
			h := &joinHost{host: r.client, takes: takes}
			r.client.core.host = h
			client, app := connectOutside(r, bytes.Repeat([]byte{0xff}, 5000))
			if len(h.asked) != 1 || h.wrong > 0 {
				t.Errorf("slow %v: asked %d times, %d times in vain", slow, len(h.asked), h.wrong)
			}
			if !takes { // then it goes on as before, and nobody asks again
				app.send([]byte("hello"))
				r.settle()
				if !bytes.HasSuffix(client.in, []byte("hello")) || len(h.asked) != 1 {
					t.Errorf("slow %v: %q, asked %d times", slow, client.in, len(h.asked))
				}
				continue
			}
			a, b := h.asked[0][0], h.asked[0][1]
			down, up := a, b
			if !a.accepted {
				down, up = b, a
			}
			x := down.h.(*raw).x
			r.client.core.Moved(down, up, 100)
			r.client.core.Moved(up, down, 7)
			if x.sent != 5100 || x.got != 7 {
				t.Errorf("slow %v: counted %d and %d bytes, want 5100 and 7", slow, x.sent, x.got)
			}
			r.client.core.EOF(up) // each end is passed on
			r.settle()
			if !client.eof || app.eof {
				t.Errorf("slow %v: the end of one direction made client.eof %v, app.eof %v", slow, client.eof, app.eof)
			}
			r.client.core.EOF(down)
			r.settle()
			if l := r.client.core.leftovers(); len(l) > 0 {
				t.Errorf("slow %v: %q", slow, l)
			}
		}
	}
}

func TestATunnelThroughALinkIsNotJoined(t *testing.T) {
	svc := &model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolTCP}}}
	r := newRig(t, svc, Limits{})
	r.mute = true
	caller, callee := &joinHost{host: r.client, takes: true}, &joinHost{host: r.server, takes: true}
	r.client.core.host, r.server.core.host = caller, callee
	c := r.dial()
	c.send([]byte("\xffopaque"))
	r.settle()
	if r.links == 0 || len(caller.asked)+len(callee.asked) > 0 {
		t.Errorf("%d links, joins asked for: %d and %d", r.links, len(caller.asked), len(callee.asked))
	}
}
