package join

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal (pts(4)).
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("skipped: no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("skipped: the pseudo-terminal cannot be opened: %v", err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return keyboard, screen
}

func TestATypedInterruptReachesAnInteractiveApplicationOnce(t *testing.T) {
	keyboard, screen := terminal(t)
	b := newBench(t, "count")
	text, err := json.Marshal(map[string]any{
		"Name": "web", "Namespace": "shop", "ProxyBinary": b.ProxyBinary, "RuntimeDir": b.RuntimeDir, "StateDir": b.StateDir,
	})
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(self(t), append([]string{"play", "run", string(text)}, b.Command...)...)
	run.Stdin, run.Stdout, run.Stderr = screen, screen, screen
	// A session of its own with the terminal, as from a login.
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Process.Kill(); _ = run.Wait() })
	out := bufio.NewReader(keyboard)
	until := func(what string) {
		for {
			line, err := out.ReadString('\n')
			if err != nil {
				t.Fatalf("waiting for %q: %v", what, err)
			}
			if strings.Contains(line, what) {
				return
			}
		}
	}
	until("counting")
	_, _ = keyboard.WriteString("\x03")
	until("got interrupt")
	_, _ = keyboard.WriteString("read by the application\n") // it is in the foreground, or it would be stopped
	if err := run.Wait(); run.ProcessState.ExitCode() != 41 {
		t.Errorf("%v; want exit code 40 and one interrupt", err)
	}
	b.nothingLeft()
}
