package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// waitingOn is an exchange of a connection.
func waitingOn(cn *Conn) *exchange { return &exchange{down: &h1Server{c: cn}} }

func TestLinesAreServedInTurn(t *testing.T) {
	a, b, c := &Conn{}, &Conn{}, &Conn{}
	var q queue
	names := map[*exchange]string{}
	add := func(cn *Conn, name string) {
		x := waitingOn(cn)
		names[x] = name
		q.add(x)
	}
	for i := range 4 {
		add(a, fmt.Sprint("a", i))
	}
	add(b, "b0")
	add(c, "c0")
	add(c, "c1")
	got := ""
	for x := q.next(); x != nil; x = q.next() {
		got += names[x] + " "
	}
	if want := "a0 b0 c0 a1 c1 a2 a3 "; got != want {
		t.Errorf("served %s, want %s", got, want)
	}
	if q.n != 0 || q.lines != nil {
		t.Errorf("an empty queue holds %+v", q)
	}
}

func TestTheLongestLineMakesRoom(t *testing.T) {
	greedy, other := &Conn{}, &Conn{}
	var q queue
	var last *exchange
	for range 3 {
		last = waitingOn(greedy)
		q.add(last)
	}
	if y := q.yields(waitingOn(other)); y != last {
		t.Error("a newcomer is not given the place of the last of the longest line")
	}
	if y := q.yields(waitingOn(greedy)); y != nil {
		t.Error("who has the longest line is given more")
	}
	q.remove(last)
	q.add(waitingOn(other))
	if y := q.yields(waitingOn(other)); y != nil {
		t.Error("lines of 2 and 1: the shorter is given a place that makes it the longer")
	}
}

// TestTheQueueIsASet: whatever is added, taken and removed, everything comes out once.
func TestTheQueueIsASet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	conns := make([]*Conn, 5)
	for i := range conns {
		conns[i] = &Conn{}
	}
	var q queue
	in := map[*exchange]bool{}
	for range 10_000 {
		switch rnd.IntN(4) {
		case 0, 1:
			x := waitingOn(conns[rnd.IntN(len(conns))])
			q.add(x)
			in[x] = true
		case 2:
			if x := q.next(); x != nil != (len(in) > 0) || x != nil && !in[x] {
				t.Fatalf("took %v of %d", x, len(in))
			} else if x != nil {
				delete(in, x)
			}
		case 3:
			for x := range in {
				q.remove(x)
				q.remove(x) // twice does no harm
				delete(in, x)
				break
			}
		}
		if q.n != len(in) {
			t.Fatalf("%d are counted, %d are in", q.n, len(in))
		}
	}
}

// TestAGreedyClientDoesNotFillTheQueueForOthers: through the core, while nothing can be connected to.
func TestAGreedyClientDoesNotFillTheQueueForOthers(t *testing.T) {
	r := newRig(t, nil, Limits{MaxParked: 10})
	r.noAnswer = true
	greedy := r.dial()
	p := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	head := "\x82\x86\x84\x01\x04cart"
	for i := range 50 {
		p = append(p, 0, 0, byte(len(head)), 1, 5, 0, 0, 0, byte(2*i+1))
		p = append(p, head...)
	}
	greedy.send(p)
	r.settle()
	for i := range 5 {
		c := r.dial()
		c.send(rigRequest)
		r.settle()
		if len(c.in) > 0 {
			t.Errorf("client %d was refused: %q", i, c.in)
		}
	}
}
