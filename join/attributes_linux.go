package join

import "syscall"

// attributes are those of a child that dies with us, even when we are killed: the kernel sends
// the signal when the thread that started it ends (PR_SET_PDEATHSIG), which is why children are
// started on a node.Thread. ownGroup puts it into a process group of its own.
func attributes(ownGroup bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: ownGroup, Pdeathsig: syscall.SIGKILL}
}
