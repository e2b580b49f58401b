package overload

import (
	"time"

	"github.com/weft-mesh/weft/model"
)

// Turn is a request's place at a Guard. It is part of whatever carries the request, so that it costs
// no allocation. The zero value is at no Guard. It must not be moved while it is at one.
type Turn struct {
	// Owner belongs to the caller.
	Owner any

	place    place
	kind     uint8
	flow     uint8
	priority model.Priority
	since    time.Duration // when it came to its place
	window   uint32        // of limit, when it entered
	in       int32         // what was under way when it had entered
	known    bool          // its kind was, when it entered

	prev, next *Turn // of a list
}

// place is where a Turn is.
type place uint8

const (
	outside place = iota // at no Guard, or not counted
	waiting              // in the queue
	inside               // the application has it
	aside                // the application has it, and it is not counted: it waits rather than works
)

// Waiting reports whether the request waits for its turn.
func (t *Turn) Waiting() bool { return t.place == waiting }

// list is Turns in the order in which they came. The zero value is empty.
type list struct {
	head, tail *Turn
	n          int
}

func (l *list) push(t *Turn) {
	t.prev, t.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = t
	} else {
		l.head = t
	}
	l.tail = t
	l.n++
}

func (l *list) remove(t *Turn) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.head = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		l.tail = t.prev
	}
	t.prev, t.next = nil, nil
	l.n--
}
