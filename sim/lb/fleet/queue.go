package fleet

import "time"

// kind is what an event does.
type kind uint8

const (
	evArrival  kind = iota // a client has a new request
	evReach                // a try reaches its server
	evDone                 // the first of a server's requests is due
	evReply                // an answer reaches the client
	evCancel               // the news that nobody waits any more reaches the server
	evDeadline             // a call's time is over
	evTryLimit             // a try's time is over
	evAgain                // the wait before another try is over
	evHedge                // a call has waited for longer than most
	evSilence              // a link may have been silent for too long
	evVary                 // what a server has left changes
	evReport               // servers tell what they did
	evProbe                // a probe reaches its server
	evProbed               // and its answer the client
	evScript               // what the scenario wants
	evGuard                // a queue at a server's door may have to let go
)

// event is something at a moment. What a and b mean is the kind's business; gen tells whether what
// they name is still what it was.
type event struct {
	at   time.Duration
	seq  uint64 // orders what happens at one moment
	a, b int32
	gen  uint32
	kind kind
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap with four children a node: fewer levels, and their keys share cache lines. Half a
// second's worth of timeouts lies in it most of the time.
type queue struct {
	heap []event
	seq  uint64
}

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	h := q.heap
	i := len(h) - 1
	for i > 0 {
		p := (i - 1) / 4
		if !e.before(&h[p]) {
			break
		}
		h[i] = h[p]
		i = p
	}
	h[i] = e
}

// pop takes the earliest event. The queue must not be empty.
func (q *queue) pop() event {
	h := q.heap
	top := h[0]
	n := len(h) - 1
	e := h[n]
	q.heap = h[:n]
	h = h[:n]
	i := 0
	for {
		c := 4*i + 1
		if c >= n {
			break
		}
		least := c
		for j := c + 1; j < min(c+4, n); j++ {
			if h[j].before(&h[least]) {
				least = j
			}
		}
		if !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	if n > 0 {
		h[i] = e
	}
	return top
}
