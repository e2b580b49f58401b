package agent

import "sync"

// latch is something that becomes true once and stays so.
type latch struct {
	c    chan struct{}
	once *sync.Once
}

func newLatch() latch { return latch{make(chan struct{}), new(sync.Once)} }

// set makes it true; it may be called again.
func (l latch) set() { l.once.Do(func() { close(l.c) }) }

// done is closed once it is true.
func (l latch) done() <-chan struct{} { return l.c }
