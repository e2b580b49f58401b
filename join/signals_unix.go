//go:build unix

package join

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// passed are the signals that the application gets through us.
var passed = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
}

// listen gives the signals to pass on. Those that were ignored from the start (nohup) stay so,
// for us and for the application.
func listen() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 16)
	for _, s := range passed {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	return c, func() { signal.Stop(c) }
}

// ends reports whether a signal asks a program to end.
func ends(s os.Signal) bool {
	switch s {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT:
		return true
	}
	return false
}

// code is the exit code that shells give for a signal.
func code(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return 1
}

// fromKeyboard reports whether a signal certainly reached the application already: the terminal
// sends these to the whole foreground process group, and that is ours and the application's.
func fromKeyboard(s os.Signal, tty int) bool {
	switch s {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH:
	default:
		return false
	}
	foreground, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// isTerminal reports whether a descriptor is a terminal.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	return err == nil
}

// terminate asks a process to end.
func terminate(p *os.Process) { _ = p.Signal(syscall.SIGTERM) }

// askToLeave sends a proxy the signal to announce its leaving (config.Ready.Leaves).
func askToLeave(p *os.Process) bool { return p.Signal(syscall.SIGUSR1) == nil }

// isTerminate reports whether a signal is the one by which supervisors stop a program.
func isTerminate(s os.Signal) bool { return s == syscall.SIGTERM }

// kill ends a process, and with group its whole process group.
func kill(p *os.Process, group bool) {
	if group {
		_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	}
	_ = p.Kill()
}

// toldToEnd is the exit code of a process that SIGTERM ended.
const toldToEnd = 128 + int(syscall.SIGTERM)

// exitCode is the application's, 128+n if signal n ended it.
func exitCode(st *os.ProcessState) int {
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return st.ExitCode()
}
