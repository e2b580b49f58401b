package main

import (
	"errors"
	"time"
)

// Exit codes, the same as those of the weft command where they mean the same.
const (
	exitDone        = 0   // measured
	exitFailed      = 1   // something broke on the way
	exitUsage       = 2   // wrong flags
	exitIncomplete  = 3   // it ran, but not everything asked for could be measured
	exitInterrupted = 130 // Ctrl-C
)

// errNothing is a run in which no request succeeded.
var errNothing = errors.New("no request succeeded")

// errShort is answers that count as good and are not whole.
var errShort = errors.New("bodies were cut short")

// errBypassed is a proxy that cannot have carried the load: the bench has wired it wrongly, and its
// figures would be somebody else's. No proxy reads and writes a request in leastCPU.
var errBypassed = errors.New("the load went past a proxy")

const leastCPU = 500 * time.Nanosecond

// errClosed is the end of a connection.
var errClosed = errors.New("closed by the peer")

// maxFailures ends a load of which nothing comes but errors.
const maxFailures = 1000
