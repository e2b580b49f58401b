package core

import (
	"bytes"
	"testing"
	"time"
)

// stuck makes writes to some pipes stay in the host, as to clients that do not read.
func (r *rig) stuck(pipes ...*pipe) {
	for _, p := range pipes {
		p.other.stalled = true
	}
}

// dialLink makes a link to the callee's proxy, of which the test is the other end.
func (r *rig) dialLink(peer string) *pipe {
	mine, theirs := &pipe{client: true}, &pipe{host: r.server}
	r.connect(mine, theirs)
	theirs.conn = r.server.core.Accept(Accept{Listener: &Listener{Kind: ListenLink}, Peer: peer, Driver: theirs})
	return mine
}

// TestReadersThatAreBehindLoseWhenTooMuchIsHeld: and those that keep up do not.
func TestReadersThatAreBehindLoseWhenTooMuchIsHeld(t *testing.T) {
	r := newRig(t, nil, Limits{MaxHeld: 1 << 20})
	r.answer = append([]byte("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"), make([]byte, 60000)...)
	good := r.dial()
	var bad []*pipe
	for range 40 {
		c := r.dial()
		r.stuck(c)
		bad = append(bad, c)
	}
	most := 0
	for i, c := range bad {
		c.send(rigRequest)
		r.settle()
		r.now += 10 * time.Millisecond
		good.send(rigRequest)
		r.settle()
		if len(good.in) != len(r.answer) && !bytes.HasPrefix(good.in, []byte("HTTP/1.1 200 ")) || good.other.gone {
			t.Fatalf("after %d bad readers a good one got %d bytes", i+1, len(good.in))
		}
		good.in = nil
		most = max(most, r.client.core.held)
	}
	if most > 1<<20 {
		t.Errorf("%d bytes were held, the limit being %d", most, 1<<20)
	}
	lost := 0
	for _, c := range bad {
		if c.other.gone {
			lost++
		}
	}
	if lost == 0 || lost == len(bad) {
		t.Errorf("%d of %d bad readers were cut off", lost, len(bad))
	}
	for _, c := range bad[:5] {
		if !c.other.gone {
			t.Error("one that was behind for longest is still there")
		}
	}
	for _, c := range bad {
		if !c.other.gone {
			r.client.core.Closed(c.other.conn, nil)
		}
	}
	if got := r.client.core.held; got != 0 {
		t.Errorf("%d bytes are held for nobody", got)
	}
}

// TestStreamsThatAreNotReadLose: one link with many streams and no windows is no way
// to make a proxy hold them all.
func TestStreamsThatAreNotReadLose(t *testing.T) {
	r := newRig(t, nil, Limits{MaxHeld: 1 << 20})
	r.answer = append([]byte("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"), make([]byte, 60000)...)
	c := r.dialLink("spiffe://m/ns/shop/sa/greedy")
	p := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00")
	head := "\x82\x86\x84\x01\x04cart\x00\x07weft-to\x0e127.0.0.1:9000"
	for i := range 100 {
		p = append(p, 0, 0, byte(len(head)), 1, 5, 0, 0, 0, byte(2*i+1))
		p = append(p, head...)
	}
	c.send(p)
	r.settle()
	if held := r.server.core.held; held == 0 || held > 1<<20 {
		t.Errorf("%d bytes are held, the limit being %d", held, 1<<20)
	}
	if n := bytes.Count(c.in, []byte("\x00\x00\x04\x03\x00")); n == 0 || n == 100 {
		t.Errorf("%d of 100 streams were reset", n)
	}
	if c.other.gone {
		t.Error("the link was closed")
	}
}

// TestBodiesThatHaveNowhereToGoAreBounded: while an application takes no connection, uploads wait.
func TestBodiesThatHaveNowhereToGoAreBounded(t *testing.T) {
	r := newRig(t, nil, Limits{MaxHeld: 1 << 20})
	r.noAnswer = true
	refused, most := 0, 0
	var all []*pipe
	for range 40 {
		c := r.dial()
		c.send(append([]byte("POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: 1000000\r\n\r\n"), make([]byte, 60000)...))
		r.settle()
		most = max(most, r.client.core.parked)
		if bytes.Contains(c.in, []byte("W3309")) {
			refused++
		}
		all = append(all, c)
	}
	if most == 0 || most > 1<<19+64<<10 || refused == 0 {
		t.Errorf("%d bytes waited, %d of 40 uploads were refused", most, refused)
	}
	for _, c := range all {
		if !c.other.gone {
			r.client.core.Closed(c.other.conn, nil)
		}
	}
	if r.client.core.parked != 0 {
		t.Errorf("%d bytes wait for nobody", r.client.core.parked)
	}
}
