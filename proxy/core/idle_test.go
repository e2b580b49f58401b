package core

import (
	"bytes"
	"testing"
)

// TestAnIdleConnectionHoldsNoParser: of 20,000 idle clients, parsers would be most of the memory.
func TestAnIdleConnectionHoldsNoParser(t *testing.T) {
	r := newRig(t, nil, Limits{})
	var all []*pipe
	for range 3 {
		c := r.dial()
		roundTrip(t, r, c, rigRequest)
		all = append(all, c)
	}
	for i, c := range all {
		s, ok := c.other.conn.h.(*h1Server)
		if !ok || s.p != nil || s.in != nil {
			t.Errorf("connection %d holds a parser or bytes: %+v", i, s)
		}
	}
	if n := len(r.client.core.parsers.requests); n != 1 {
		t.Errorf("%d parsers for requests that came one after the other, want 1", n)
	}
	for _, c := range all { // and it goes on
		roundTrip(t, r, c, rigRequest)
	}
}

// TestRequestsInPiecesAndPipelinedUseOneParserEach: a parser between two bytes of a head is not at rest.
func TestRequestsInPiecesAndPipelinedUseOneParserEach(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c := r.dial()
	c.send([]byte("\r\n")) // the one empty line that is permitted, alone
	r.settle()
	for _, b := range rigRequest {
		c.send([]byte{b})
		r.settle()
	}
	c.send(append(bytes.Clone(rigRequest), rigRequest...))
	r.settle()
	if n := bytes.Count(c.in, []byte("HTTP/1.1 200 ")); n != 3 {
		t.Errorf("%d answers to 3 requests: %q", n, c.in)
	}
	c.send([]byte("\r\n"))
	r.settle()
	c.send([]byte("\r\n"))
	r.settle()
	c.send(rigRequest)
	r.settle()
	if !bytes.Contains(c.in, []byte("HTTP/1.1 400 ")) {
		t.Errorf("two empty lines before a request were taken: %q", c.in)
	}
}

// TestAHeadThatNeverEndsTakesLittle: clients that send heads by the octet hold what they sent, not
// a buffer of the loop each.
func TestAHeadThatNeverEndsTakesLittle(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c := r.dial()
	roundTrip(t, r, c, rigRequest)
	c.send(rigRequest[:30])
	r.settle()
	if s := c.other.conn.h.(*h1Server); len(s.in) != 30 || cap(s.in) > 64 {
		t.Errorf("%d octets of a head are kept in %d", len(s.in), cap(s.in))
	}
	c.send(rigRequest[30:])
	r.settle()
	if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) {
		t.Errorf("got %q", c.in)
	}
}

// TestAnIdleConnectionHoldsNoOutputBuffer: the loop's buffers are more than all else that an idle link
// holds. What is read without being answered, e.g. an acknowledgement, must not leave one behind.
func TestAnIdleConnectionHoldsNoOutputBuffer(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c := r.dial()
	for range 3 { // silence in which the timers of links look after them
		roundTrip(t, r, c, rigRequest)
		for range 4 {
			for _, h := range []*host{r.client, r.server} {
				if h.core.conns.head == nil {
					t.Fatal("there is no connection")
				}
				for cn := h.core.conns.head; cn != nil; cn = cn.next {
					if cn.out != nil {
						t.Fatalf("a connection run by %T holds a buffer of %d bytes", cn.h, cap(cn.out))
					}
				}
			}
			r.pass(pingTimeout, pingTimeout)
		}
	}
}
