//go:build unix && !linux

package join

import "syscall"

// attributes puts a child into a process group of its own, if asked. This system does not end
// children with their parent.
func attributes(ownGroup bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: ownGroup}
}
