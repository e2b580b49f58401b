package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// arriveIsolated prepares the network that isolate made.
func arriveIsolated() error {
	// As systemd has it on real machines, where a mount travels unless it is kept from it.
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mounts of our own: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return netlink.LinkSetUp(lo)
}

// isolate runs the calling test again in a network and mounts of its own, so that what it finds
// on "the machine" is its alone while others work there; it is true in that second run, where
// the test is to go on. It skips without root.
func isolate(t *testing.T) bool {
	t.Helper()
	if os.Getenv(isolatedBin) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: not root, which network namespaces need")
	}
	cmd := exec.CommandContext(within(t, 5*patience), self(t), "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=90s")
	cmd.Env = append(os.Environ(), isolatedBin+"="+bin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is of the thread
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && len(out) == 0:
		t.Skipf("skipped: this machine forbids namespaces: %v", err)
	case err != nil:
		t.Errorf("in a network of its own: %v\n%s", err, out)
	default:
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "_test.go:") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	return false
}
