package node

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
)

// isolate runs the tests in namespaces of their own (network, mounts), so that what they find on "the
// machine" is theirs alone while other packages' tests run beside. It gives the exit code of
// that process; ran is false in the process itself, and without root.
func isolate() (code int, ran bool) {
	const mark = "WEFT_TEST_ISOLATED"
	if os.Getenv(mark) != "" {
		// As systemd has it on real machines, where a mount travels unless it is kept from it.
		_ = syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "")
		_ = syscall.Mount("", "/", "", syscall.MS_SHARED|syscall.MS_REC, "")
		if lo, err := netlink.LinkByName("lo"); err == nil {
			_ = netlink.LinkSetUp(lo)
		}
		return 0, false
	}
	if os.Geteuid() != 0 {
		return 0, false
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	runtime.LockOSThread() // Pdeathsig is of the thread
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, true
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1), true
	}
	return 0, false // a container that forbids namespaces; the tests say so
}
