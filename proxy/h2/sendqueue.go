package h2

// sendQueue is the body of a stream that waits for a window or for room, in chunks of the
// connection. The zero value is empty.
//
// Chunks, and not one buffer that grows: to grow to a window of 256 KiB took as much garbage again,
// and a thousand streams that stall are then twice the memory that is counted.
type sendQueue struct {
	chunks [][]byte
	at     int // in the first chunk
	n      int // octets
}

const (
	smallChunk  = 1 << 10   // up to which a first chunk is made to measure, and not kept
	chunkSize   = turnBytes // what a stream may send before the next has its turn
	maxKept     = 512 << 10 // octets of chunks that a connection keeps for use again
	maxKeptIdle = 192 << 10 // the same, while no stream is open
)

// put copies p behind what waits.
func (q *sendQueue) put(c *Conn, p []byte) {
	q.n += len(p)
	c.queued += len(p)
	for len(p) > 0 {
		last := len(q.chunks) - 1
		if last < 0 || len(q.chunks[last]) == cap(q.chunks[last]) {
			small := last < 0 && len(p) <= smallChunk
			q.chunks = append(q.chunks, c.takeChunk(len(p), small))
			last++
		}
		into := q.chunks[last]
		n := min(cap(into)-len(into), len(p))
		q.chunks[last] = append(into, p[:n]...)
		p = p[n:]
	}
}

// first gives what is to be sent next, at most a chunk; nil if nothing waits.
func (q *sendQueue) first() []byte {
	if q.n == 0 {
		return nil
	}
	return q.chunks[0][q.at:]
}

// took says that n octets of first were sent.
func (q *sendQueue) took(c *Conn, n int) {
	q.n -= n
	q.at += n
	c.queued -= n
	if q.n == 0 {
		q.drop(c)
	} else if q.at == len(q.chunks[0]) {
		c.keepChunk(q.chunks[0])
		last := copy(q.chunks, q.chunks[1:])
		q.chunks[last] = nil
		q.chunks, q.at = q.chunks[:last], 0
	}
}

// drop forgets what waits and gives the chunks back.
func (q *sendQueue) drop(c *Conn) {
	c.queued -= q.n
	for i, p := range q.chunks {
		c.keepChunk(p)
		q.chunks[i] = nil
	}
	q.chunks, q.at, q.n = q.chunks[:0], 0, 0
}

// takeChunk gives an empty chunk, or a small one for n octets and no more.
func (c *Conn) takeChunk(n int, small bool) []byte {
	var p []byte
	last := len(c.spare) - 1
	switch {
	case small: // e.g. a refusal that nobody reads
		p = make([]byte, 0, n)
	case last >= 0:
		p = c.spare[last]
		c.spare[last] = nil
		c.spare = c.spare[:last]
	default:
		p = make([]byte, 0, chunkSize)
	}
	c.lent += cap(p)
	return p
}

// keepChunk takes a chunk back.
func (c *Conn) keepChunk(p []byte) {
	c.lent -= cap(p)
	if cap(p) == chunkSize && len(c.spare) < maxKept/chunkSize {
		c.spare = append(c.spare, p[:0])
	}
}

// trimSpare lets go of most chunks when no stream is open.
func (c *Conn) trimSpare() {
	if keep := maxKeptIdle / chunkSize; len(c.spare) > keep {
		clear(c.spare[keep:])
		c.spare = c.spare[:keep]
	}
}
