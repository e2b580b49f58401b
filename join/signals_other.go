//go:build !unix

package join

import (
	"os"
	"os/signal"
)

// listen gives the signals to pass on: an interrupt is all that there is.
func listen() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 16)
	signal.Notify(c, os.Interrupt)
	return c, func() { signal.Stop(c) }
}

// ends reports whether a signal asks a program to end.
func ends(s os.Signal) bool { return s == os.Interrupt || s == os.Kill }

// code is the exit code for a signal.
func code(os.Signal) int { return 130 }

// fromKeyboard is true: the console interrupts every process that is attached to it.
func fromKeyboard(s os.Signal, _ int) bool { return s == os.Interrupt }

// isTerminal reports whether a descriptor is a console. It need not be known here.
func isTerminal(int) bool { return false }

// terminate ends a process; asking is not possible here.
func terminate(p *os.Process) { _ = p.Kill() }

// askToLeave is not possible here.
func askToLeave(*os.Process) bool { return false }

// isTerminate is false: there is no such signal here.
func isTerminate(os.Signal) bool { return false }

// kill ends a process.
func kill(p *os.Process, _ bool) { _ = p.Kill() }

// toldToEnd is the exit code of a process that was told to end, where telling is killing.
const toldToEnd = 1

// exitCode is the application's.
func exitCode(st *os.ProcessState) int { return st.ExitCode() }
