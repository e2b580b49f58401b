package node

import (
	"runtime"
	"sync"
)

// Thread is one operating system thread that runs functions one after the other, and nothing
// else. Two things of Linux belong to threads and not to processes, which Go otherwise hides:
// the namespaces that a child inherits, and the parent whose death kills the child
// (PR_SET_PDEATHSIG). Both stay as they are for as long as the Thread lives.
//
// Do may be called from any goroutine. Close ends the operating system thread; children that
// were started on it with Pdeathsig receive that signal then.
type Thread struct {
	work chan func()
	gone chan struct{}
	once sync.Once
}

// NewThread starts the thread. The caller must Close it.
func NewThread() *Thread {
	t := &Thread{work: make(chan func()), gone: make(chan struct{})}
	started := make(chan struct{})
	go t.serve(started)
	<-started
	return t
}

// serve runs functions until Close. It never unlocks the thread: when a goroutine ends locked,
// the runtime throws the thread away instead of giving its namespaces to somebody else.
//
// The first thread of a process will not do. It cannot be thrown away before the process ends,
// and what it is in is what /proc/self shows, and others see, as the whole process's.
func (t *Thread) serve(started chan<- struct{}) {
	runtime.LockOSThread()
	if onFirstThread() {
		// While this goroutine holds the first thread, the next one gets another.
		next := make(chan struct{})
		go t.serve(next)
		<-next
		runtime.UnlockOSThread()
		close(started)
		return
	}
	close(started)
	defer close(t.gone)
	for f := range t.work {
		f()
	}
}

// Do runs f on the thread and returns its error. It must not be called after Close.
func (t *Thread) Do(f func() error) error {
	done := make(chan error, 1)
	t.work <- func() { done <- f() }
	return <-done
}

// Close ends the thread after the function that it runs at present. It may be called twice.
func (t *Thread) Close() {
	t.once.Do(func() { close(t.work) })
	<-t.gone
}
