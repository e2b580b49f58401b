package docs_test

import (
	"os"
	"os/exec"
	"syscall"
)

// ownNetwork gives a command, and all that it starts, a network namespace of its own.
func ownNetwork(c *exec.Cmd) {
	if os.Geteuid() == 0 {
		c.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
}
