package h2

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestASendQueueGivesWhatItGot: in order, in pieces of a chunk at most, and counted all the while.
func TestASendQueueGivesWhatItGot(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var out []byte
	c := NewConn(Config{}, &quiet{}, &out)
	qs := make([]sendQueue, 3)
	models := make([][]byte, len(qs))
	for i := range 20_000 {
		k := rnd.IntN(len(qs))
		q := &qs[k]
		switch rnd.IntN(5) {
		case 0, 1:
			p := make([]byte, rnd.IntN([]int{10, 2000, 40_000}[rnd.IntN(3)]))
			for j := range p {
				p[j] = byte(rnd.Uint32())
			}
			q.put(c, p)
			models[k] = append(models[k], p...)
		case 2, 3:
			p := q.first()
			if len(p) > chunkSize || len(p) == 0 != (len(models[k]) == 0) || !bytes.HasPrefix(models[k], p) {
				t.Fatalf("step %d: %d octets that are not the next of %d", i, len(p), len(models[k]))
			}
			n := rnd.IntN(len(p) + 1)
			q.took(c, n)
			models[k] = models[k][n:]
		case 4:
			if rnd.IntN(20) == 0 {
				q.drop(c)
				models[k] = nil
			}
		}
		total, lent := 0, 0
		for j := range qs {
			total += len(models[j])
			for _, p := range qs[j].chunks {
				lent += cap(p)
			}
			if qs[j].n != len(models[j]) {
				t.Fatalf("step %d: %d octets are counted, %d wait", i, qs[j].n, len(models[j]))
			}
			if got := len(qs[j].chunks); got > len(models[j])/chunkSize+3 {
				t.Fatalf("step %d: %d chunks for %d octets", i, got, len(models[j]))
			}
		}
		if c.queued != total || c.lent != lent || len(c.spare)*chunkSize > maxKept {
			t.Fatalf("step %d: %d octets wait in %d, %d and %d are counted, %d chunks are spare", i, total, lent, c.queued, c.lent, len(c.spare))
		}
	}
}

// TestManySmallPiecesShareChunks: a sender of one octet at a time to a peer that does not read.
func TestManySmallPiecesShareChunks(t *testing.T) {
	var out []byte
	c := NewConn(Config{}, &quiet{}, &out)
	var q sendQueue
	for range 50_000 {
		q.put(c, []byte{1})
	}
	if len(q.chunks) > 5 {
		t.Errorf("%d chunks for 50,000 octets", len(q.chunks))
	}
}

// TestWaitingInSteadyStateDoesNotAllocate: a response larger than the window, again and again.
func TestWaitingInSteadyStateDoesNotAllocate(t *testing.T) {
	var out []byte
	c := NewConn(Config{}, &quiet{}, &out)
	var q sendQueue
	p := make([]byte, 64<<10)
	if n := testing.AllocsPerRun(100, func() {
		q.put(c, p)
		for q.n > 0 {
			q.took(c, len(q.first()))
		}
	}); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
