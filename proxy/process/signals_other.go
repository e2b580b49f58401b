//go:build !unix

package process

import "os"

// canLeave says that a signal to announce the leaving exists here.
const canLeave = false

// Signals are those that Run wants to hear of.
var Signals = []os.Signal{os.Interrupt}

// asksToLeave reports whether a signal asks to announce the leaving.
func asksToLeave(os.Signal) bool { return false }
