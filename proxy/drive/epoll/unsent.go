//go:build linux

package epoll

// unsent makes and keeps the buffers for what the kernel does not take at once. A response larger than
// a socket's first buffer needs one each time; without reuse that was most of the garbage there is. And
// hundreds of slow readers hold one each for long: a buffer is hardly larger than what is in it, since
// the core counts that and nothing else (Limits.MaxHeld).
type unsent struct{ free [][]byte }

const (
	unsentStep    = 16 << 10  // sizes of buffers are multiples of it
	maxUnsent     = 16        // that are kept
	maxUnsentSize = 128 << 10 // of one that is kept: what is written of one read, and a little more
)

// add appends p to what waits, in old or another buffer. old is not used any more.
func (u *unsent) add(old, p []byte) []byte {
	n := len(old) + len(p)
	if n <= cap(old) {
		return append(old, p...)
	}
	b := append(append(u.get(n), old...), p...)
	u.put(old)
	return b
}

// rest keeps p, the end of old, of which the beginning was sent.
func (u *unsent) rest(old, p []byte) []byte {
	if cap(old) > 4*unsentStep && len(p) < cap(old)/4 {
		b := append(u.get(len(p)), p...)
		u.put(old)
		return b
	}
	return old[:copy(old, p)]
}

// get gives an empty buffer for n bytes.
func (u *unsent) get(n int) []byte {
	if last := len(u.free) - 1; last >= 0 && cap(u.free[last]) >= n {
		p := u.free[last]
		u.free[last] = nil
		u.free = u.free[:last]
		return p
	}
	return make([]byte, 0, (n+unsentStep-1)/unsentStep*unsentStep)
}

// put takes a buffer back.
func (u *unsent) put(p []byte) {
	if cap(p) > 0 && cap(p) <= maxUnsentSize && len(u.free) < maxUnsent {
		u.free = append(u.free, p[:0])
	}
}
