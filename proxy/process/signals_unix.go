//go:build unix

package process

import (
	"os"
	"syscall"
)

// canLeave says that a signal to announce the leaving exists here.
const canLeave = true

// Signals are those that Run wants to hear of.
var Signals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1}

// asksToLeave reports whether a signal asks to announce the leaving (config.Ready.Leaves).
func asksToLeave(s os.Signal) bool { return s == syscall.SIGUSR1 }
