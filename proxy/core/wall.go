package core

import "time"

// wallStep is how old a reading of the wall clock may be. What is measured by it, ages of sessions
// and ends of tokens, is in seconds, and reading it for each request would cost some 40 ns.
const wallStep = 100 * time.Millisecond

// wall is the driver's wall clock, read as often as needed.
type wall struct {
	read func() time.Time // nil: there is none
	unix int64
	at   time.Duration // of the core's clock, when it was read
	got  bool
}

// now gives the time in Unix seconds, 0 if there is no wall clock.
func (w *wall) now(at time.Duration) int64 {
	if w.read == nil {
		return 0
	}
	if !w.got || at-w.at >= wallStep {
		w.unix, w.at, w.got = w.read().Unix(), at, true
	}
	return w.unix
}

// unix gives the wall clock's time in seconds, 0 if there is none.
func (c *Core) unix() int64 { return c.wall.now(c.now) }
