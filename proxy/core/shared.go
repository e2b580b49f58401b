package core

import (
	"sync/atomic"
	"time"
)

// Shared is what the cores of one proxy have in common, each of which runs on a loop of its own. Their
// clocks must have one origin. Safe for concurrent use.
type Shared struct {
	loops  int
	failed []atomic.Int64 // by workload: when a call of its application failed last, in nanoseconds
}

// NewShared is for so many loops that serve so many workloads. It goes into the Config of each.
func NewShared(loops, workloads int) *Shared {
	return &Shared{loops: max(loops, 1), failed: make([]atomic.Int64, max(workloads, 1))}
}

// callFailed notes that a call of a workload's application has failed for good.
func (s *Shared) callFailed(l *local, now time.Duration) { s.failed[l.index].Store(int64(max(now, 1))) }

// failedSince reports whether one did, then or later.
func (s *Shared) failedSince(l *local, at time.Duration) bool {
	t := s.failed[l.index].Load()
	return t > 0 && t >= int64(at)
}
