//go:build linux

package epoll

import (
	"runtime"
	"testing"
	"time"
)

// An idle loop waits where the runtime knows of it. One that waited in a system call behind its back
// would keep a processor for up to idleWait, and every collection would wait for it to come back.
func TestGarbageCollectionDoesNotWaitForAnIdleLoop(t *testing.T) {
	startProxy(t)
	began := time.Now()
	for range 20 {
		runtime.GC()
	}
	if took := time.Since(began); took > idleWait/2 {
		t.Errorf("20 collections took %s beside an idle loop", took)
	}
}
