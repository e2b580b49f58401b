//go:build unix && !linux

package node

import (
	"errors"
	"syscall"
)

// exists reports whether pid is a process.
func exists(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
