package core

// queue is the exchanges that wait for a connection of a pool. It is fair between the downstream
// connections that they came on: each has a line of its own, lines are served in turn, and when the
// queue is full the longest line loses its last. So a client with a thousand requests cannot make
// another's first one wait behind them, nor have it refused. The zero value is empty.
type queue struct {
	n     int     // exchanges
	lines []*line // none is empty; the first is served next
}

// line is what waits of one downstream connection, the oldest first.
type line struct {
	from *Conn // nil: mirrored requests
	list []*exchange
}

// from is the downstream connection of an exchange, nil if it has none.
func (x *exchange) from() *Conn {
	switch d := x.down.(type) {
	case *h1Server:
		return d.c
	case *h2Server:
		return d.c
	case *raw:
		return d.c
	case *sniffer:
		return d.c
	case *localHop:
		if d.x != nil {
			return d.x.from()
		}
	case *hedge:
		if d.x != nil {
			return d.x.from()
		}
	}
	return nil
}

// add puts x at the end of its line.
func (q *queue) add(x *exchange) {
	from := x.from()
	l := q.line(from)
	if l == nil {
		l = &line{from: from}
		q.lines = append(q.lines, l)
	}
	l.list = append(l.list, x)
	x.queued = l
	q.n++
}

func (q *queue) line(from *Conn) *line {
	for _, l := range q.lines {
		if l.from == from {
			return l
		}
	}
	return nil
}

// next takes the oldest of the line whose turn it is; nil if nobody waits.
func (q *queue) next() *exchange {
	if q.n == 0 {
		return nil
	}
	l := q.lines[0]
	x := l.list[0]
	l.list[0] = nil
	l.list = l.list[1:]
	copy(q.lines, q.lines[1:])
	q.lines[len(q.lines)-1] = l
	if len(l.list) == 0 {
		q.dropLine(len(q.lines) - 1)
	}
	x.queued = nil
	q.n--
	return x
}

// remove takes x out if it waits here.
func (q *queue) remove(x *exchange) {
	l := x.queued
	if l == nil {
		return
	}
	for i := range l.list {
		if l.list[i] == x {
			l.list = append(l.list[:i], l.list[i+1:]...)
			x.queued = nil
			q.n--
			break
		}
	}
	if len(l.list) > 0 {
		return
	}
	for i := range q.lines {
		if q.lines[i] == l {
			q.dropLine(i)
			return
		}
	}
}

func (q *queue) dropLine(i int) {
	q.lines = append(q.lines[:i], q.lines[i+1:]...)
	if len(q.lines) == 0 {
		q.lines = nil
	}
}

// yields gives who should make room for x in a full queue: the last of the longest line, or nil if
// x's own line is no shorter than that would be.
func (q *queue) yields(x *exchange) *exchange {
	own, from := 0, x.from()
	var longest *line
	for _, l := range q.lines {
		if l.from == from {
			own = len(l.list)
		}
		if longest == nil || len(l.list) > len(longest.list) {
			longest = l
		}
	}
	if longest == nil || len(longest.list) <= own+1 {
		return nil
	}
	return longest.list[len(longest.list)-1]
}
